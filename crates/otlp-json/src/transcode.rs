//! Walks the text along the schema and writes each field when it is read.

use crate::bytes::{base64, hex};
use crate::cursor::Cursor;
use crate::error::{JsonError, Problem};
use crate::number::{double, integer, is_number};
use crate::schema::{Field, Kind, Message, REQUEST};
use crate::wire::{Output, WireType};
use std::borrow::Cow;

/// Arrays and objects inside each other that are followed: 64 levels of attribute values, which take up to four each,
/// and what is around them. Only attribute values nest so deep. What is deeper is passed over and left out, so that the value
/// has more than 64 levels still: who reads no more than that refuses its point, and no other.
pub const DEPTH_MAX: usize = 280;

/// The bytes of the `ExportMetricsServiceRequest` that `json` stands for, at most `bytes_max`.
///
/// Takes memory for as many bytes as the text has at first, and never for more than about twice the limit. Repeated
/// numbers are packed, lengths are minimal, and fields come in the order of the text.
///
/// # Errors
/// If the text is not JSON, or not that of such a request, or says more than the limits allow.
pub fn transcode(json: &[u8], bytes_max: usize) -> Result<Vec<u8>, JsonError> {
    let text = std::str::from_utf8(json).map_err(|error| JsonError {
        offset: error.valid_up_to(),
        field: "",
        problem: Problem::Utf8,
    })?;
    let mut transcoder = Transcoder { cursor: Cursor::new(text), out: Output::new(bytes_max, text.len()) };
    transcoder.message(&REQUEST, 0)?;
    if transcoder.cursor.peek().is_some() {
        return Err(transcoder.cursor.error(Problem::Expected("the end of the text")));
    }
    let Transcoder { cursor, out } = transcoder;
    out.finish().map_err(|problem| cursor.error(problem))
}

struct Transcoder<'a> {
    cursor: Cursor<'a>,
    out: Output,
}

impl<'a> Transcoder<'a> {
    /// An object; `depth` arrays and objects are open around it.
    fn message(&mut self, message: &'static Message, depth: usize) -> Result<(), JsonError> {
        if depth >= DEPTH_MAX {
            return self.cursor.skip();
        }
        self.cursor.expect(b'{', "an object")?;
        if self.cursor.take(b'}') {
            return Ok(());
        }
        let outer = self.cursor.field;
        let (mut seen, mut alternative_seen) = (0u64, false);
        loop {
            let name = self.cursor.string("a name")?;
            self.cursor.expect(b':', "a colon")?;
            let known = |field: &Field| *name == *field.name.as_bytes() || *name == *field.original.as_bytes();
            match message.fields.iter().position(known) {
                None => self.cursor.skip()?,
                Some(index) => {
                    let field = &message.fields[index];
                    self.cursor.field = field.name;
                    if !self.cursor.take_word("null") {
                        if seen >> index & 1 == 1 || (field.one_of && alternative_seen) {
                            return Err(self.cursor.error(Problem::Twice));
                        }
                        seen |= 1 << index;
                        alternative_seen |= field.one_of;
                        if field.repeated {
                            self.array(field, depth + 1)?;
                        } else {
                            self.field(field, depth + 1)?;
                        }
                    }
                    self.cursor.field = outer;
                }
            }
            if self.cursor.take(b'}') {
                return Ok(());
            }
            self.cursor.expect(b',', "a comma or the end of the object")?;
        }
    }

    fn array(&mut self, field: &'static Field, depth: usize) -> Result<(), JsonError> {
        if depth >= DEPTH_MAX {
            return self.cursor.skip();
        }
        self.cursor.expect(b'[', "an array")?;
        if self.cursor.take(b']') {
            return Ok(());
        }
        let packed = !matches!(field.kind, Kind::Message(_) | Kind::Text | Kind::Bytes | Kind::Id);
        let open = if packed { Some(self.begin(field)?) } else { None };
        loop {
            if packed {
                self.number(field.kind)?;
            } else {
                self.field(field, depth + 1)?;
            }
            if self.cursor.take(b']') {
                break;
            }
            self.cursor.expect(b',', "a comma or the end of the array")?;
        }
        match open {
            Some(open) => self.out.end_or_drop(open).map_err(|problem| self.cursor.error(problem)),
            None => Ok(()),
        }
    }

    /// A value with its tag in front of it.
    fn field(&mut self, field: &'static Field, depth: usize) -> Result<(), JsonError> {
        let content = match field.kind {
            Kind::Message(message) => {
                let open = self.begin(field)?;
                self.message(message, depth)?;
                return self.out.end(open).map_err(|problem| self.cursor.error(problem));
            }
            Kind::Text => self.cursor.string("a string")?,
            Kind::Bytes => self.encoded(base64, "base64 in a string")?,
            Kind::Id => self.encoded(hex, "hexadecimal digits in a string")?,
            Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => {
                self.write(|out| out.tag(field.number, WireType::Fixed64))?;
                return self.number(field.kind);
            }
            _ => {
                self.write(|out| out.tag(field.number, WireType::Varint))?;
                return self.number(field.kind);
            }
        };
        self.write(|out| out.field(field.number, &content))
    }

    fn begin(&mut self, field: &Field) -> Result<crate::wire::Open, JsonError> {
        let expected = self.cursor.remaining();
        self.out.begin(field.number, expected).map_err(|problem| self.cursor.error(problem))
    }

    fn write(&mut self, write: impl FnOnce(&mut Output) -> Result<(), Problem>) -> Result<(), JsonError> {
        write(&mut self.out).map_err(|problem| self.cursor.error(problem))
    }

    fn encoded(
        &mut self,
        decode: fn(&[u8]) -> Option<Vec<u8>>,
        what: &'static str,
    ) -> Result<Cow<'static, [u8]>, JsonError> {
        let text = self.cursor.string(what)?;
        decode(&text).map(Cow::Owned).ok_or_else(|| self.cursor.error(Problem::Expected(what)))
    }

    /// A number, truth value or enum without its tag.
    fn number(&mut self, kind: Kind) -> Result<(), JsonError> {
        match kind {
            Kind::Bool => {
                let value = self.cursor.take_word("true");
                if !value && !self.cursor.take_word("false") {
                    return Err(self.cursor.unexpected("true or false"));
                }
                self.write(|out| out.varint(u64::from(value)))
            }
            Kind::Double => {
                let value = self.double()?;
                self.write(|out| out.fixed64(value.to_bits()))
            }
            Kind::Fixed64 => {
                let value = self.integer("an unsigned integer of 64 bits", 0, i128::from(u64::MAX))?;
                self.write(|out| out.fixed64(value as u64))
            }
            Kind::Sfixed64 => {
                let value = self.integer("an integer of 64 bits", i128::from(i64::MIN), i128::from(i64::MAX))?;
                self.write(|out| out.fixed64(value as u64))
            }
            Kind::Uint64 => self.varint("an unsigned integer of 64 bits", 0, i128::from(u64::MAX)),
            Kind::Uint32 => self.varint("an unsigned integer of 32 bits", 0, i128::from(u32::MAX)),
            Kind::Int64 => self.varint("an integer of 64 bits", i128::from(i64::MIN), i128::from(i64::MAX)),
            Kind::Int32 => self.varint("an integer of 32 bits", i128::from(i32::MIN), i128::from(i32::MAX)),
            Kind::Sint32 => {
                let value = self.integer("an integer of 32 bits", i128::from(i32::MIN), i128::from(i32::MAX))? as i32;
                // Protobuf's zigzag: the sign is the lowest bit.
                self.write(|out| out.varint(u64::from((value << 1 ^ value >> 31) as u32)))
            }
            Kind::Enum(names) => self.enumeration(names),
            Kind::Message(_) | Kind::Text | Kind::Bytes | Kind::Id => unreachable!("these have lengths"),
        }
    }

    /// An integer as two's complement of 64 bits.
    fn varint(&mut self, what: &'static str, min: i128, max: i128) -> Result<(), JsonError> {
        let value = self.integer(what, min, max)?;
        self.write(|out| out.varint(value as u64))
    }

    fn enumeration(&mut self, names: &[&str]) -> Result<(), JsonError> {
        let what = "an enum's number or name";
        let value = match self.number_text(what)? {
            Cow::Borrowed(text) if is_number(text) => {
                integer(text).filter(|value| i32::try_from(*value).is_ok()).map(|value| value as i64)
            }
            text => names.iter().position(|name| *name.as_bytes() == *text).map(|index| index as i64),
        };
        let value = value.ok_or_else(|| self.cursor.error(Problem::Number(what)))?;
        self.write(|out| out.varint(value as u64))
    }

    fn integer(&mut self, what: &'static str, min: i128, max: i128) -> Result<i128, JsonError> {
        let text = self.number_text(what)?;
        if !is_number(&text) {
            return Err(self.cursor.error(Problem::Expected(what)));
        }
        integer(&text)
            .filter(|value| (min..=max).contains(value))
            .ok_or_else(|| self.cursor.error(Problem::Number(what)))
    }

    fn double(&mut self) -> Result<f64, JsonError> {
        let what = "a number";
        let text = self.number_text(what)?;
        match &*text {
            b"NaN" => Ok(f64::NAN),
            b"Infinity" => Ok(f64::INFINITY),
            b"-Infinity" => Ok(f64::NEG_INFINITY),
            text if is_number(text) => {
                double(text).ok_or_else(|| self.cursor.error(Problem::Number("a finite double")))
            }
            _ => Err(self.cursor.error(Problem::Expected(what))),
        }
    }

    /// The characters of a number, or the content of a string that may hold one.
    fn number_text(&mut self, what: &'static str) -> Result<Cow<'a, [u8]>, JsonError> {
        if self.cursor.peek() == Some(b'"') {
            return self.cursor.string(what);
        }
        match self.cursor.number() {
            Some(text) => Ok(Cow::Borrowed(text)),
            None => Err(self.cursor.unexpected(what)),
        }
    }
}
