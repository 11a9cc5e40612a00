//! The series of a file, from `labels.parquet`: which of them satisfy matchers, and where their samples are.

use crate::error::{Result, TierError};
use crate::labels_writer::{Place, SeriesRow};
use crate::remote::{Fetched, RemoteFile};
use mytsdb_model::{FamilyKind, LABEL_NAME, LabelsBuilder, MatchOp, Matcher, TimeRange};
use parquet::basic::Type as Physical;
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::file::statistics::Statistics;
use std::collections::{BTreeMap, BTreeSet};

const OPTIONAL: (i16, i16) = (1, 0);
const REQUIRED: (i16, i16) = (0, 0);

/// The labels file of a day.
#[derive(Debug)]
pub(crate) struct Table {
    file: RemoteFile,
    /// Names of labels and their columns.
    labels: Vec<(String, usize)>,
}

/// A column of optional texts of some rows.
struct Texts {
    present: Vec<i16>,
    values: Vec<ByteArray>,
}

impl Texts {
    /// The text of each row, `""` for none.
    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut values = self.values.iter();
        self.present
            .iter()
            .map(move |level| if *level == 0 { &[][..] } else { values.next().map_or(&[][..], |v| v.data()) })
    }
}

impl Table {
    pub fn new(file: RemoteFile) -> Result<Self> {
        let schema = file.footer().file_metadata().schema_descr();
        let mut labels = Vec::new();
        for place in 0..schema.num_columns() {
            if let Some(name) = schema.column(place).path().parts()[0].strip_prefix("l_") {
                labels.push((name.to_owned(), file.column(&format!("l_{name}"), Physical::BYTE_ARRAY, OPTIONAL)?));
            }
        }
        Ok(Self { file, labels })
    }

    /// Names of all labels of the file, ascending.
    pub fn label_names(&self) -> BTreeSet<String> {
        self.labels.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Values of a label, ascending.
    pub async fn label_values(&self, name: &str) -> Result<BTreeSet<String>> {
        let mut values = BTreeSet::new();
        let Some(column) = self.place(name) else { return Ok(values) };
        for group in 0..self.file.footer().num_row_groups() {
            let all = self.file.group_rows(group);
            let rows = all.end - all.start;
            let fetched = self.file.fetch(group, &[column], std::slice::from_ref(&(0..rows))).await?;
            // Neighbours mostly have the same value.
            let mut last: &[u8] = &[];
            let texts = texts(&fetched, column, rows)?;
            for value in texts.iter() {
                if !value.is_empty() && value != last {
                    values.insert(self.text(value)?.to_owned());
                    last = value;
                }
            }
        }
        Ok(values)
    }

    /// Type and unit of each family whose type is known. Reads four columns.
    pub async fn kinds(&self) -> Result<BTreeMap<String, (FamilyKind, String)>> {
        let mut kinds = BTreeMap::new();
        let Some(name) = self.place(LABEL_NAME) else { return Ok(kinds) };
        let kind = self.file.column("type", Physical::BYTE_ARRAY, OPTIONAL)?;
        let unit = self.file.column("unit", Physical::BYTE_ARRAY, OPTIONAL)?;
        let native = self.file.column("hist_n", Physical::INT64, REQUIRED)?;
        for group in 0..self.file.footer().num_row_groups() {
            let all = self.file.group_rows(group);
            let rows = all.end - all.start;
            let fetched = self.file.fetch(group, &[name, kind, unit, native], std::slice::from_ref(&(0..rows))).await?;
            let (names, kinds_of) = (texts(&fetched, name, rows)?, texts(&fetched, kind, rows)?);
            let units = texts(&fetched, unit, rows)?;
            let mut natives = Vec::new();
            fetched.reader::<Int64Type>(native)?.read(0..rows, &mut natives)?;
            let mut last: &[u8] = &[];
            for (((name, kind), unit), natives) in names.iter().zip(kinds_of.iter()).zip(units.iter()).zip(natives) {
                if name == last {
                    continue;
                }
                last = name;
                if let Some(kind) = FamilyKind::from_word(self.text(kind)?) {
                    let metric = self.text(name)?;
                    // A native histogram is a series of the family's name.
                    let family = if natives > 0 { metric } else { kind.family_of(metric) };
                    kinds.insert(family.to_owned(), (kind, self.text(unit)?.to_owned()));
                }
            }
        }
        Ok(kinds)
    }

    fn place(&self, label: &str) -> Option<usize> {
        self.labels.iter().find(|(name, _)| name == label).map(|(_, place)| *place)
    }

    /// The series that satisfy all matchers and have samples in `range`, in the order of the file.
    pub async fn select(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<SeriesRow>> {
        let mut found = Vec::new();
        for group in 0..self.file.footer().num_row_groups() {
            let may_match = matchers.iter().all(|matcher| match self.place(matcher.name()) {
                Some(column) => may_hold(&self.file, group, column, matcher),
                None => matcher.matches_empty(),
            });
            if may_match {
                self.select_in(group, matchers, range, &mut found).await?;
            }
        }
        Ok(found)
    }

    async fn select_in(
        &self,
        group: usize,
        matchers: &[Matcher],
        range: TimeRange,
        found: &mut Vec<SeriesRow>,
    ) -> Result<()> {
        let all = self.file.group_rows(group);
        let rows = all.end - all.start;
        // One read for the whole row group: the file is small beside the samples.
        let everything: Vec<usize> = (0..self.file.footer().file_metadata().schema_descr().num_columns()).collect();
        let fetched = self.file.fetch(group, &everything, std::slice::from_ref(&(0..rows))).await?;
        let places = self.places(&fetched, rows)?;
        let mut keep: Vec<bool> =
            places.iter().map(|(_, a, b)| a.range.overlaps(range) || b.range.overlaps(range)).collect();
        for matcher in matchers {
            let Some(column) = self.place(matcher.name()) else { continue };
            let texts = texts(&fetched, column, rows)?;
            // Neighbours mostly have the same value: a pattern is tried once for them.
            let mut last: Option<(&[u8], bool)> = None;
            for (keep, value) in keep.iter_mut().zip(texts.iter()) {
                if *keep {
                    let matches = match last {
                        Some((same, matches)) if same == value => matches,
                        _ => matcher.matches(self.text(value)?),
                    };
                    last = Some((value, matches));
                    *keep = matches;
                }
            }
        }
        let kept = keep.iter().filter(|keep| **keep).count();
        let mut builders: Vec<LabelsBuilder> = (0..kept).map(|_| LabelsBuilder::new()).collect();
        if kept == 0 {
            return Ok(());
        }
        for (name, column) in &self.labels {
            let texts = texts(&fetched, *column, rows)?;
            let chosen = texts.iter().zip(&keep).filter(|(_, keep)| **keep).map(|(value, _)| value);
            for (builder, value) in builders.iter_mut().zip(chosen) {
                if !value.is_empty() {
                    builder.set(name, self.text(value)?);
                }
            }
        }
        let kinds = self.optional_texts(&fetched, "type", rows)?;
        let units = self.optional_texts(&fetched, "unit", rows)?;
        let rest = places.into_iter().zip(kinds.iter().zip(units.iter())).zip(&keep).filter(|(_, keep)| **keep);
        for (builder, (((series_id, samples, histograms), (kind, unit)), _)) in builders.into_iter().zip(rest) {
            let kind = FamilyKind::from_word(self.text(kind)?);
            let unit = self.text(unit)?.to_owned();
            found.push(SeriesRow { labels: builder.build(), series_id, samples, histograms, kind, unit });
        }
        Ok(())
    }

    fn text<'a>(&self, value: &'a [u8]) -> Result<&'a str> {
        std::str::from_utf8(value).map_err(|error| TierError::corrupt(self.file.path(), "labels", error))
    }

    fn optional_texts(&self, fetched: &Fetched<'_>, name: &str, rows: u64) -> Result<Texts> {
        texts(fetched, self.file.column(name, Physical::BYTE_ARRAY, OPTIONAL)?, rows)
    }

    /// Number of each series, and where its samples are.
    fn places(&self, fetched: &Fetched<'_>, rows: u64) -> Result<Vec<(i32, Place, Place)>> {
        let integers = |name: &str| -> Result<Vec<i64>> {
            let mut values = Vec::new();
            let column = self.file.column(name, Physical::INT64, REQUIRED)?;
            fetched.reader::<Int64Type>(column)?.read(0..rows, &mut values)?;
            Ok(values)
        };
        let times = |name: &str| -> Result<Vec<Option<i64>>> {
            let (mut present, mut values) = (Vec::new(), Vec::new());
            let column = self.file.column(name, Physical::INT64, OPTIONAL)?;
            fetched.reader::<Int64Type>(column)?.read_levels(0..rows, Some(&mut present), None, &mut values)?;
            let mut values = values.into_iter();
            Ok(present.into_iter().map(|level| if level == 0 { None } else { values.next() }).collect())
        };
        let places = |names: [&str; 4]| -> Result<Vec<Place>> {
            let (first, count) = (integers(names[0])?, integers(names[1])?);
            let (mint, maxt) = (times(names[2])?, times(names[3])?);
            (0..rows as usize)
                .map(|row| {
                    let place = match (u64::try_from(first[row]), u64::try_from(count[row]), mint[row], maxt[row]) {
                        (Ok(_), Ok(0), None, None) => Some(Place::NONE),
                        (Ok(first_row), Ok(count), Some(mint), Some(maxt)) if count > 0 && mint <= maxt => {
                            Some(Place { first_row, count, range: TimeRange::new(mint, maxt) })
                        }
                        _ => None,
                    };
                    place.ok_or_else(|| {
                        TierError::corrupt(self.file.path(), "labels", "place of samples makes no sense")
                    })
                })
                .collect()
        };
        let mut ids = Vec::new();
        let column = self.file.column("series_id", Physical::INT32, REQUIRED)?;
        fetched.reader::<Int32Type>(column)?.read(0..rows, &mut ids)?;
        let samples = places(["first_row", "n", "min_t", "max_t"])?;
        let histograms = places(["hist_first_row", "hist_n", "hist_min_t", "hist_max_t"])?;
        Ok(ids
            .into_iter()
            .zip(samples)
            .zip(histograms)
            .map(|((id, samples), histograms)| (id, samples, histograms))
            .collect())
    }
}

fn texts(fetched: &Fetched<'_>, column: usize, rows: u64) -> Result<Texts> {
    let (mut present, mut values) = (Vec::new(), Vec::new());
    fetched.reader::<ByteArrayType>(column)?.read_levels(0..rows, Some(&mut present), None, &mut values)?;
    Ok(Texts { present, values })
}

/// Whether statistics leave it open that a row group has a series that satisfies a matcher.
fn may_hold(file: &RemoteFile, group: usize, column: usize, matcher: &Matcher) -> bool {
    // Bounds may be cut, so only equality with a text outside of them is certain; and the name is what rows are sorted by.
    if matcher.op() != MatchOp::Equal || matcher.value().is_empty() || matcher.name() != LABEL_NAME {
        return true;
    }
    let Some(Statistics::ByteArray(bounds)) = file.footer().row_group(group).column(column).statistics() else {
        return true;
    };
    let value = matcher.value().as_bytes();
    let below = bounds.min_opt().is_some_and(|min| value < min.data());
    let above = bounds.max_opt().is_some_and(|max| value > max.data());
    !below && !above
}
