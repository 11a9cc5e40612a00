//! Arbitrary bytes as variable-length integers: no panic, both readers agree, and what was read is written no longer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mytsdb_varint::{put_uvarint, read, take_uvarint};

fuzz_target!(|data: &[u8]| {
    let (mut rest, mut at) = (data, 0);
    loop {
        let (before, taken) = (at, take_uvarint(&mut rest));
        assert_eq!(read(data, &mut at), taken);
        let Ok(value) = taken else { return };
        assert_eq!(at, data.len() - rest.len());
        let mut again = Vec::new();
        put_uvarint(&mut again, value);
        assert!(again.len() <= at - before);
        assert_eq!(take_uvarint(&mut again.as_slice()), Ok(value));
    }
});
