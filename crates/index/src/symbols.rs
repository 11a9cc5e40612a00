//! The symbols section: every label name and value once, sorted.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | symbol count n |
//! | 4 | 4 * (n + 1) | where each text starts, counted from the end of this array; the last is where the texts end |
//! | 8 + 4n | | the texts, UTF-8, ascending bytewise, each once |

use crate::IndexError;

const COUNT_BYTES: usize = 4;

/// Serialises `texts`, which ascend strictly.
pub(crate) fn write_symbols(texts: &[&str]) -> Result<Vec<u8>, IndexError> {
    let too_large = IndexError::TooLarge { what: "symbols" };
    let count = u32::try_from(texts.len()).ok().filter(|&n| n < u32::MAX).ok_or_else(|| too_large.clone())?;
    let text_bytes: usize = texts.iter().map(|text| text.len()).sum();
    u32::try_from(text_bytes).map_err(|_| too_large)?;
    let mut out = Vec::with_capacity(COUNT_BYTES + 4 * (texts.len() + 1) + text_bytes);
    out.extend_from_slice(&count.to_le_bytes());
    let mut start = 0u32;
    out.extend_from_slice(&start.to_le_bytes());
    for text in texts {
        start += text.len() as u32;
        out.extend_from_slice(&start.to_le_bytes());
    }
    for text in texts {
        out.extend_from_slice(text.as_bytes());
    }
    Ok(out)
}

/// The symbols section, read in place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Symbols<'a> {
    starts: &'a [[u8; 4]],
    texts: &'a [u8],
}

impl<'a> Symbols<'a> {
    /// Splits the section; constant cost.
    pub(crate) fn new(section: &'a [u8]) -> Result<Self, IndexError> {
        let (count, rest) = section.split_first_chunk().ok_or_else(|| corrupt(0, "section too short"))?;
        let starts = (u32::from_le_bytes(*count) as usize)
            .checked_add(1)
            .and_then(|n| n.checked_mul(4))
            .and_then(|bytes| rest.split_at_checked(bytes));
        let (starts, texts) = starts.ok_or_else(|| corrupt(0, "symbol count exceeds the section"))?;
        Ok(Self { starts: starts.as_chunks().0, texts })
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Constant cost, plus a UTF-8 check of the text.
    pub(crate) fn get(&self, symbol: u32) -> Result<&'a str, IndexError> {
        let at = symbol as usize;
        let fault = |reason| corrupt((COUNT_BYTES + 4 * at) as u64, reason);
        let bounds = self.starts.get(at).zip(self.starts.get(at + 1));
        let (start, end) = bounds.ok_or_else(|| fault("symbol out of range"))?;
        let (start, end) = (u32::from_le_bytes(*start) as usize, u32::from_le_bytes(*end) as usize);
        let bytes = self.texts.get(start..end).ok_or_else(|| fault("symbol leaves the section"))?;
        std::str::from_utf8(bytes).map_err(|_| fault("symbol is not UTF-8"))
    }

    /// The first symbol that is not below `text`; `len()` if all are.
    pub(crate) fn lower_bound(&self, text: &str) -> Result<u32, IndexError> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.get(middle as u32)? < text {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low as u32)
    }

    pub(crate) fn find(&self, text: &str) -> Result<Option<u32>, IndexError> {
        let at = self.lower_bound(text)?;
        Ok(((at as usize) < self.len() && self.get(at)? == text).then_some(at))
    }

    /// Checks every text, their order, and that they fill the section.
    pub(crate) fn verify(&self) -> Result<(), IndexError> {
        let first = self.starts.first().map_or(0, |start| u32::from_le_bytes(*start));
        let last = self.starts.last().map_or(0, |end| u32::from_le_bytes(*end) as usize);
        if first != 0 || last != self.texts.len() {
            return Err(corrupt(COUNT_BYTES as u64, "texts do not fill the section"));
        }
        let mut previous: Option<&str> = None;
        for symbol in 0..self.len() as u32 {
            let text = self.get(symbol)?;
            if previous.is_some_and(|p| p >= text) {
                return Err(corrupt((COUNT_BYTES + 4 * symbol as usize) as u64, "symbols out of order"));
            }
            previous = Some(text);
        }
        Ok(())
    }
}

fn corrupt(offset: u64, reason: &'static str) -> IndexError {
    IndexError::Corrupt { section: "symbols", offset, reason }
}
