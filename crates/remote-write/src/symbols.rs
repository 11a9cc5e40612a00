//! The symbols of a version 2.0 request: all its texts, named by their positions.

use crate::RemoteWriteError;
use crate::tags;
use mytsdb_intake::hash;
use mytsdb_protobuf::Reader;

/// Symbols of one request: 32 bytes each for at least two of the request.
const SYMBOL_COUNT_MAX: usize = 1 << 20;

const SYMBOLS: u32 = tags::bytes(4);

/// The table, with a fingerprint of each symbol, so that labels are hashed once however often they are named.
#[derive(Debug)]
pub(crate) struct Symbols<'a> {
    texts: Vec<&'a [u8]>,
    fingerprints: Vec<u128>,
}

impl<'a> Symbols<'a> {
    /// Reads the table of a request; symbols may stand anywhere in it.
    pub fn read(request: &'a [u8], seed: u64) -> Result<Self, RemoteWriteError> {
        let mut reader = Reader::new(request);
        let (mut texts, mut fingerprints) = (Vec::new(), Vec::new());
        while let Some(tag) = reader.tag()? {
            match tag {
                SYMBOLS if texts.len() == SYMBOL_COUNT_MAX => {
                    return Err(RemoteWriteError::Symbols { limit: SYMBOL_COUNT_MAX });
                }
                SYMBOLS => {
                    let text = reader.bytes()?;
                    texts.push(text);
                    fingerprints.push(hash(seed, text));
                }
                // What 1.0 has there is reserved in 2.0, so that the one is not taken for an empty one of the other.
                _ if matches!(tag >> 3, 1..=3) => return Err(RemoteWriteError::OtherVersion { field: tag >> 3 }),
                _ => reader.skip(tag, 1 << 4)?,
            }
        }
        Ok(Self { texts, fingerprints })
    }

    pub fn len(&self) -> usize {
        self.texts.len()
    }

    pub fn get(&self, number: u32) -> Option<&'a [u8]> {
        self.texts.get(number as usize).copied()
    }

    pub fn fingerprint(&self, number: u32) -> Option<u128> {
        self.fingerprints.get(number as usize).copied()
    }
}
