//! Names of files: ULIDs.

use std::fmt;
use std::str::FromStr;

/// Crockford's alphabet.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A ULID: 48 bits of time in ms and 80 random bits, 26 characters. Sorts by time.
///
/// ```
/// let id = mytsdb_parquet_tier::FileId::new(1_469_918_176_385, 7);
/// assert_eq!(id.to_string(), "01ARYZ6S410000000000000007");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(u128);

impl FileId {
    /// The name of a file that is made at a time. Of both numbers the lowest bits count, 48 and 80; whoever calls
    /// never gives the same random bits twice in one ms.
    pub fn new(time_ms: u64, random: u128) -> Self {
        Self((u128::from(time_ms) << 80) | (random & ((1 << 80) - 1)))
    }

    /// All 128 bits.
    pub fn number(self) -> u128 {
        self.0
    }

    /// When it was made, in ms since the epoch.
    pub fn time_ms(self) -> u64 {
        (self.0 >> 80) as u64
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in (0..26).rev() {
            let digit = (self.0 >> (5 * place)) as usize & 31;
            fmt::Write::write_char(f, char::from(DIGITS[digit]))?;
        }
        Ok(())
    }
}

impl FromStr for FileId {
    type Err = ();

    /// Reads exactly what [`Display`](fmt::Display) writes: upper case, 26 characters, within 128 bits.
    fn from_str(text: &str) -> Result<Self, ()> {
        let bytes = text.as_bytes();
        if bytes.len() != 26 || bytes[0] > b'7' {
            return Err(());
        }
        let digit = |byte: &u8| DIGITS.iter().position(|digit| digit == byte).ok_or(());
        bytes.iter().try_fold(0u128, |id, byte| Ok((id << 5) | digit(byte)? as u128)).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written_and_sort_by_time() {
        let mut before = None;
        for (time_ms, random) in [(0, 0), (1, u128::MAX), (2, 1 << 79), (u64::MAX, u128::MAX)] {
            let id = FileId::new(time_ms, random);
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(id.time_ms(), time_ms & ((1 << 48) - 1));
            assert!(before < Some(id.to_string()));
            before = Some(id.to_string());
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in [
            "",
            "01ARYZ6S41000000000000000",
            "81ARYZ6S410000000000000007",
            "01aryz6s410000000000000007",
            "../../../../../../../../a0",
        ] {
            assert_eq!(text.parse::<FileId>(), Err(()), "{text}");
        }
    }
}
