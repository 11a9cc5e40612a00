//! Rows of `hist.parquet` as histograms.

use crate::day_reader::{Part, append_starts};
use crate::error::{Result, TierError};
use crate::remote::{Fetched, RemoteFile, Rows};
use crate::schema::HISTOGRAM_COLUMNS;
use mytsdb_columns::Columns;
use mytsdb_histogram::{CounterResetHint, FloatHistogram, Span};
use parquet::basic::Type as Physical;
use parquet::data_type::{DataType, DoubleType, Int32Type, Int64Type};
use std::ops::Range;
use std::sync::Arc;

/// Appends rows of a row group to the columns of their series.
pub(crate) async fn read_histograms(
    file: &RemoteFile,
    group: usize,
    parts: &[Part],
    columns: &mut [Columns],
) -> Result<()> {
    let places: Vec<usize> = HISTOGRAM_COLUMNS
        .iter()
        .map(|name| match *name {
            "series_id" | "counter_reset" | "schema" => file.column(name, Physical::INT32, (0, 0)),
            "timestamp" => file.column(name, Physical::INT64, (0, 0)),
            "start_timestamp" => file.column(name, Physical::INT64, (1, 0)),
            "positive_offsets" | "negative_offsets" => file.column(name, Physical::INT32, (1, 1)),
            "positive_lengths" | "negative_lengths" => file.column(name, Physical::INT64, (1, 1)),
            "positive_buckets" | "negative_buckets" | "custom_values" => file.column(name, Physical::DOUBLE, (1, 1)),
            _ => file.column(name, Physical::DOUBLE, (0, 0)),
        })
        .collect::<Result<_>>()?;
    let rows: Vec<Range<u64>> = parts.iter().map(|(_, rows)| rows.clone()).collect();
    let fetched = file.fetch(group, &places[1..], &rows).await?;
    let place =
        |name: &str| places[HISTOGRAM_COLUMNS.iter().position(|other| *other == name).expect("a column of the format")];
    let mut reader = Reader::new(&fetched, place)?;
    for (series, rows) in parts {
        reader.read(file, rows.clone(), &mut columns[*series])?;
    }
    Ok(())
}

/// A list of each row.
struct Lists<T: DataType> {
    rows: Rows<T>,
    values: Vec<T::T>,
    present: Vec<i16>,
    repeats: Vec<i16>,
}

impl<T: DataType> Lists<T> {
    fn new(rows: Rows<T>) -> Self {
        Self { rows, values: Vec::new(), present: Vec::new(), repeats: Vec::new() }
    }

    /// The lists of rows.
    fn read(&mut self, rows: Range<u64>) -> Result<Vec<Vec<T::T>>> {
        self.values.clear();
        self.present.clear();
        self.repeats.clear();
        let mut lists: Vec<Vec<T::T>> = Vec::with_capacity((rows.end - rows.start) as usize);
        self.rows.read_levels(rows, Some(&mut self.present), Some(&mut self.repeats), &mut self.values)?;
        let mut values = self.values.drain(..);
        for (present, repeat) in self.present.iter().zip(&self.repeats) {
            if *repeat == 0 {
                lists.push(Vec::new());
            }
            if *present == 1
                && let (Some(list), Some(value)) = (lists.last_mut(), values.next())
            {
                list.push(value);
            }
        }
        Ok(lists)
    }
}

struct Reader {
    times: Rows<Int64Type>,
    starts: Rows<Int64Type>,
    hints: Rows<Int32Type>,
    schemas: Rows<Int32Type>,
    floats: [Rows<DoubleType>; 4],
    offsets: [Lists<Int32Type>; 2],
    lengths: [Lists<Int64Type>; 2],
    buckets: [Lists<DoubleType>; 3],
}

impl Reader {
    fn new(fetched: &Fetched<'_>, place: impl Fn(&str) -> usize) -> Result<Self> {
        let floats = |name: &str| fetched.reader::<DoubleType>(place(name));
        Ok(Self {
            times: fetched.reader(place("timestamp"))?,
            starts: fetched.reader(place("start_timestamp"))?,
            hints: fetched.reader(place("counter_reset"))?,
            schemas: fetched.reader(place("schema"))?,
            floats: [floats("zero_threshold")?, floats("zero_count")?, floats("count")?, floats("sum")?],
            offsets: [
                Lists::new(fetched.reader(place("positive_offsets"))?),
                Lists::new(fetched.reader(place("negative_offsets"))?),
            ],
            lengths: [
                Lists::new(fetched.reader(place("positive_lengths"))?),
                Lists::new(fetched.reader(place("negative_lengths"))?),
            ],
            buckets: [
                Lists::new(floats("positive_buckets")?),
                Lists::new(floats("negative_buckets")?),
                Lists::new(floats("custom_values")?),
            ],
        })
    }

    /// Appends the histograms of rows.
    fn read(&mut self, file: &RemoteFile, rows: Range<u64>, into: &mut Columns) -> Result<()> {
        let damaged = |reason: &str| TierError::corrupt(file.path(), "histograms", reason);
        self.times.read(rows.clone(), &mut into.histogram_timestamps_ms)?;
        let starts = &mut into.histogram_start_timestamps_ms;
        append_starts(&mut self.starts, rows.clone(), into.histogram_timestamps_ms.len(), starts)?;
        let (mut hints, mut schemas) = (Vec::new(), Vec::new());
        self.hints.read(rows.clone(), &mut hints)?;
        self.schemas.read(rows.clone(), &mut schemas)?;
        let mut floats = [const { Vec::new() }; 4];
        for (reader, values) in self.floats.iter_mut().zip(&mut floats) {
            reader.read(rows.clone(), values)?;
        }
        let [positive, negative] = &mut self.offsets;
        let offsets = [positive.read(rows.clone())?, negative.read(rows.clone())?];
        let [positive, negative] = &mut self.lengths;
        let lengths = [positive.read(rows.clone())?, negative.read(rows.clone())?];
        let mut spans = [const { Vec::new() }; 2];
        for ((spans, offsets), lengths) in spans.iter_mut().zip(offsets).zip(lengths) {
            for (offsets, lengths) in offsets.into_iter().zip(lengths) {
                spans.push(join(&offsets, &lengths).ok_or_else(|| damaged("spans make no sense"))?);
            }
        }
        let [positive_spans, negative_spans] = spans;
        let [positive, negative, custom] = &mut self.buckets;
        let buckets = [positive.read(rows.clone())?, negative.read(rows.clone())?, custom.read(rows.clone())?];
        let count = hints.len();
        if [positive_spans.len(), negative_spans.len()]
            .iter()
            .chain(&buckets.each_ref().map(Vec::len))
            .any(|n| *n != count)
        {
            return Err(damaged("columns of different lengths"));
        }
        let [positive_buckets, negative_buckets, custom_values] = buckets;
        let spans = positive_spans.into_iter().zip(negative_spans);
        let lists = positive_buckets.into_iter().zip(negative_buckets).zip(custom_values);
        for (row, ((positive_spans, negative_spans), ((positive_buckets, negative_buckets), custom_values))) in
            spans.zip(lists).enumerate()
        {
            into.histograms.push(Arc::new(FloatHistogram {
                counter_reset_hint: hint(hints[row]).ok_or_else(|| damaged("unknown counter reset hint"))?,
                schema: schemas[row],
                zero_threshold: floats[0][row],
                zero_count: floats[1][row],
                count: floats[2][row],
                sum: floats[3][row],
                positive_spans,
                negative_spans,
                positive_buckets,
                negative_buckets,
                custom_values,
            }));
        }
        into.pad_starts();
        Ok(())
    }
}

fn hint(number: i32) -> Option<CounterResetHint> {
    [
        CounterResetHint::Unknown,
        CounterResetHint::CounterReset,
        CounterResetHint::NotCounterReset,
        CounterResetHint::Gauge,
    ]
    .into_iter()
    .find(|hint| crate::histograms_writer::hint_number(*hint) == number)
}

fn join(offsets: &[i32], lengths: &[i64]) -> Option<Vec<Span>> {
    if offsets.len() != lengths.len() {
        return None;
    }
    let spans = offsets.iter().zip(lengths);
    spans.map(|(offset, length)| Some(Span { offset: *offset, length: u32::try_from(*length).ok()? })).collect()
}
