//! What became of a request.

use crate::Version;
use crate::receiver::shown;
use crate::symbols::Symbols;
use mytsdb_intake::{RefusalReason, Refusals};

/// Where a series' rows begin.
#[derive(Debug, Clone, Copy)]
struct Place {
    first_row: u32,
    /// Where its message is in the request.
    message: (usize, usize),
}

/// What became of the samples of a request; the texts about those that are refused name their series.
#[derive(Debug)]
pub struct Written {
    version: Version,
    /// Floats that were handed to the sink, and not taken back by [`refuse_rows`](Self::refuse_rows).
    pub samples: u64,
    /// Native histograms likewise.
    pub histograms: u64,
    /// Exemplars that are stored; whoever has handed them on enters their number.
    pub exemplars: u64,
    /// Something was said of metrics.
    pub describes: bool,
    /// Samples and histograms that are not stored. There may be a message without any: about a series that has none.
    pub refused: Refusals,
    pub(crate) row_count: u32,
    histogram_rows: Vec<u32>,
    places: Vec<Place>,
}

impl Written {
    pub(crate) fn new(version: Version) -> Self {
        Self {
            version,
            samples: 0,
            histograms: 0,
            exemplars: 0,
            describes: false,
            refused: Refusals::default(),
            row_count: 0,
            histogram_rows: Vec::new(),
            places: Vec::new(),
        }
    }

    /// Whether everything that was sent is stored.
    pub fn is_complete(&self) -> bool {
        self.refused.messages().is_empty()
    }

    /// The next rows are of the series whose message is at these offsets.
    pub(crate) fn begin_series(&mut self, start: usize, end: usize) {
        self.places.push(Place { first_row: self.row_count, message: (start, end) });
    }

    pub(crate) fn add_sample(&mut self) {
        self.samples += 1;
        self.row_count += 1;
    }

    pub(crate) fn add_histogram(&mut self) {
        self.histogram_rows.push(self.row_count);
        self.histograms += 1;
        self.row_count += 1;
    }

    /// Takes rows back that the store refused: the samples and histograms that went to the sink, counted from 0.
    ///
    /// `request` is what was translated. Cost: a lookup of the series for the first hundred rows.
    pub fn refuse_rows(&mut self, request: &[u8], rows: impl IntoIterator<Item = (u32, String)>) {
        let mut names = Names { request, version: self.version, symbols: None, last: None };
        for (row, problem) in rows {
            let kind =
                if self.histogram_rows.binary_search(&row).is_ok() { &mut self.histograms } else { &mut self.samples };
            *kind = kind.saturating_sub(1);
            let place = self.places.partition_point(|place| place.first_row <= row).checked_sub(1);
            let place = place.map(|index| self.places[index]);
            self.refused.add_with(RefusalReason::Sample, 1, || names.message(&problem, place));
        }
    }
}

/// Names series for messages.
struct Names<'a> {
    request: &'a [u8],
    version: Version,
    symbols: Option<Symbols<'a>>,
    /// The series named last: its walk is as long as its message, and it may have many rows.
    last: Option<(usize, String)>,
}

impl Names<'_> {
    fn message(&mut self, problem: &str, place: Option<Place>) -> String {
        let Some(place) = place else { return problem.to_owned() };
        let start = place.message.0;
        if self.last.as_ref().is_none_or(|(named, _)| *named != start) {
            self.last = self.shown(place).map(|name| (start, name));
        }
        self.last.as_ref().map_or_else(|| problem.to_owned(), |(_, name)| format!("{problem} for series {name}"))
    }

    fn shown(&mut self, place: Place) -> Option<String> {
        let message = self.request.get(place.message.0..place.message.1)?;
        if self.version == Version::V2 && self.symbols.is_none() {
            self.symbols = Some(Symbols::read(self.request, 0).ok()?);
        }
        Some(shown(message, self.version, self.symbols.as_ref()))
    }
}
