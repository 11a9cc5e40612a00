//! The parser: one line after the other.

use crate::cursor::{Cursor, Trouble, unescape};
use crate::{LineError, Problem, Sample, SentExemplar, labels, number};
use mytsdb_model::FamilyKind;
use std::borrow::Cow;

/// Which of the two formats a text is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format, version 0.0.4: times in milliseconds, no end mark.
    Prometheus,
    /// OpenMetrics 1.0: times in seconds, exemplars, units, `# EOF` at the end.
    OpenMetrics,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub enum Line<'a> {
    /// Nothing: it is empty or a comment.
    Nothing,
    /// The type of a metric.
    Kind {
        /// Name of the metric.
        family: Cow<'a, str>,
        /// Its type.
        kind: FamilyKind,
    },
    /// What a metric is.
    Help {
        /// Name of the metric.
        family: Cow<'a, str>,
        /// A sentence or more.
        help: Cow<'a, str>,
    },
    /// The unit of a metric.
    Unit {
        /// Name of the metric.
        family: Cow<'a, str>,
        /// The unit in words.
        unit: &'a str,
    },
    /// A sample.
    Sample(Sample),
    /// The end mark of OpenMetrics.
    End,
}

/// Reads the lines of one text.
#[derive(Debug, Clone)]
pub struct Parser {
    format: Format,
    line: u64,
    ended: bool,
}

impl Parser {
    /// A parser before the first line.
    pub fn new(format: Format) -> Self {
        Self { format, line: 0, ended: false }
    }

    /// The number of lines read.
    pub fn line_count(&self) -> u64 {
        self.line
    }

    /// Reads the next line, without its end. Linear in its length.
    ///
    /// # Errors
    /// [`LineError`]; the lines behind it can be read.
    pub fn line<'a>(&mut self, line: &'a [u8]) -> Result<Line<'a>, LineError> {
        self.line += 1;
        let read = match std::str::from_utf8(line) {
            Ok(text) => self.read(text.strip_suffix('\r').unwrap_or(text)),
            Err(error) => Err((error.valid_up_to(), Problem::NotUtf8)),
        };
        read.map_err(|(at, problem)| self.error(at, problem))
    }

    /// The error of a line that was not read because it is longer than `limit` bytes.
    pub fn too_long(&mut self, limit: usize) -> LineError {
        self.line += 1;
        self.error(limit, Problem::TooLong { limit })
    }

    /// To be called behind the last line.
    ///
    /// # Errors
    /// [`Problem::NoEnd`] if it was not the end mark of an OpenMetrics text.
    pub fn finish(&self) -> Result<(), LineError> {
        if self.ended || self.format == Format::Prometheus { Ok(()) } else { Err(self.error(0, Problem::NoEnd)) }
    }

    fn error(&self, at: usize, problem: Problem) -> LineError {
        LineError { line: self.line, column: at + 1, problem }
    }

    fn read<'a>(&mut self, text: &'a str) -> Result<Line<'a>, Trouble> {
        let mut cursor = Cursor::new(text);
        cursor.skip_blanks();
        if cursor.is_at_end() {
            return Ok(Line::Nothing);
        }
        if self.ended {
            return cursor.trouble(Problem::BehindEnd);
        }
        if cursor.eat("#") { self.comment(cursor) } else { self.sample(cursor).map(Line::Sample) }
    }

    fn comment<'a>(&mut self, mut cursor: Cursor<'a>) -> Result<Line<'a>, Trouble> {
        cursor.skip_blanks();
        match cursor.word() {
            "EOF" if self.format == Format::OpenMetrics => {
                cursor.skip_blanks();
                if !cursor.is_at_end() {
                    return cursor.trouble(Problem::Rest);
                }
                self.ended = true;
                Ok(Line::End)
            }
            "TYPE" => {
                let family = family(&mut cursor)?;
                let at = cursor.at();
                let kind = FamilyKind::from_word(cursor.word()).ok_or((at, Problem::Kind))?;
                cursor.skip_blanks();
                if cursor.is_at_end() { Ok(Line::Kind { family, kind }) } else { cursor.trouble(Problem::Rest) }
            }
            "HELP" => {
                let family = family(&mut cursor)?;
                let at = cursor.at();
                // OpenMetrics escapes quotes here too.
                let help = unescape(cursor.rest(), self.format == Format::OpenMetrics);
                help.map(|help| Line::Help { family, help }).map_err(|offset| (at + offset, Problem::Escape))
            }
            "UNIT" if self.format == Format::OpenMetrics => {
                let family = family(&mut cursor)?;
                Ok(Line::Unit { family, unit: cursor.rest().trim_end_matches([' ', '\t']) })
            }
            _ => Ok(Line::Nothing),
        }
    }

    fn sample(&self, mut cursor: Cursor<'_>) -> Result<Sample, Trouble> {
        let labels = labels::series(&mut cursor)?;
        cursor.skip_blanks();
        let value = value(&mut cursor)?;
        let timestamp_ms = self.time(&mut cursor)?;
        let mut exemplar = None;
        if self.format == Format::OpenMetrics && cursor.eat("#") {
            cursor.skip_blanks();
            let labels = labels::exemplar(&mut cursor)?;
            cursor.skip_blanks();
            let value = self::value(&mut cursor)?;
            exemplar = Some(SentExemplar { labels, timestamp_ms: self.time(&mut cursor)?, value });
        }
        if !cursor.is_at_end() {
            return cursor.trouble(Problem::Rest);
        }
        Ok(Sample { labels, timestamp_ms, value, exemplar })
    }

    /// A time, if there is one; blanks behind it are passed over.
    fn time(&self, cursor: &mut Cursor<'_>) -> Result<Option<i64>, Trouble> {
        cursor.skip_blanks();
        if cursor.is_at_end() || (self.format == Format::OpenMetrics && cursor.rest().starts_with('#')) {
            return Ok(None);
        }
        let at = cursor.at();
        let word = cursor.word();
        let ms = match self.format {
            Format::Prometheus => number::milliseconds(word),
            Format::OpenMetrics => number::seconds(word),
        };
        cursor.skip_blanks();
        ms.map(Some).ok_or((at, Problem::Time))
    }
}

fn value(cursor: &mut Cursor<'_>) -> Result<f64, Trouble> {
    let at = cursor.at();
    number::float(cursor.word()).ok_or((at, Problem::Number))
}

/// The name behind `TYPE`, `HELP` or `UNIT`, and the blanks behind it.
fn family<'a>(cursor: &mut Cursor<'a>) -> Result<Cow<'a, str>, Trouble> {
    cursor.skip_blanks();
    let at = cursor.at();
    let family = if cursor.rest().starts_with('"') {
        cursor.quoted()?
    } else {
        cursor.classic_name(true).map(Cow::Borrowed).unwrap_or_default()
    };
    if family.is_empty() {
        return Err((at, Problem::NoName));
    }
    if !cursor.skip_blanks() && !cursor.is_at_end() {
        return cursor.trouble(Problem::Expected("a blank"));
    }
    Ok(family)
}
