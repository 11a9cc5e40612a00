//! Every integer comes back, every cut and every 65th bit is refused, and all ways to read and write agree.

use mytsdb_varint::{
    VARINT_BYTES_MAX, VarintError, put_uvarint, put_varint, read, take_uvarint, take_varint, unzigzag, write, zigzag,
};
use proptest::prelude::*;

/// Size of the shortest form.
fn shortest(value: u64) -> usize {
    (64 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

#[track_caller]
fn check(value: u64) {
    let mut out = [0; VARINT_BYTES_MAX];
    let end = write(&mut out, 0, value);
    let mut appended = Vec::new();
    put_uvarint(&mut appended, value);
    assert_eq!((&out[..end], end), (appended.as_slice(), shortest(value)));

    let mut at = 0;
    assert_eq!((read(&appended, &mut at), at), (Ok(value), end));
    let mut rest = appended.as_slice();
    assert_eq!((take_uvarint(&mut rest), rest.len()), (Ok(value), 0));
    for cut in 0..end {
        let mut rest = &appended[..cut];
        assert_eq!((take_uvarint(&mut rest), rest.len()), (Err(VarintError::Truncated), cut));
        assert_eq!(read(&appended[..cut], &mut 0), Err(VarintError::Truncated));
    }
}

#[test]
fn integers_of_every_length_survive_and_cuts_are_refused() {
    for shift in 0..64 {
        for value in [1u64 << shift, (1u64 << shift) - 1, u64::MAX >> shift] {
            check(value);
        }
    }
}

#[test]
fn small_integers_with_a_sign_are_short() {
    for (value, folded) in
        [(0, 0), (-1, 1), (1, 2), (63, 126), (-64, 127), (i64::MAX, u64::MAX - 1), (i64::MIN, u64::MAX)]
    {
        assert_eq!((zigzag(value), unzigzag(folded)), (folded, value));
        let mut bytes = Vec::new();
        put_varint(&mut bytes, value);
        assert_eq!(take_varint(&mut bytes.as_slice()), Ok(value));
    }
}

#[test]
fn more_than_64_bits_are_refused_and_longer_forms_are_read() {
    for too_long in [&[0xff; 10][..], &[0x80; 11], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]] {
        assert_eq!(take_uvarint(&mut &too_long[..]), Err(VarintError::TooLong), "{too_long:x?}");
    }
    assert_eq!(take_uvarint(&mut [0x85, 0x80, 0x00].as_slice()), Ok(5));
    assert_eq!(take_uvarint(&mut [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1].as_slice()), Ok(1 << 63));
}

proptest! {
    #[test]
    fn any_integer_survives(value: u64, shift in 0u32..64) {
        check(value >> shift);
        prop_assert_eq!(zigzag(unzigzag(value)), value);
    }

    #[test]
    fn integers_come_back_in_order_between_each_other(values in prop::collection::vec((any::<i64>(), 0u32..64), 0..50)) {
        let mut bytes = Vec::new();
        for &(value, shift) in &values {
            put_varint(&mut bytes, value >> shift);
        }
        let (mut rest, mut at) = (bytes.as_slice(), 0);
        for &(value, shift) in &values {
            prop_assert_eq!(take_varint(&mut rest), Ok(value >> shift));
            prop_assert_eq!(read(&bytes, &mut at).map(unzigzag), Ok(value >> shift));
            prop_assert_eq!(at, bytes.len() - rest.len());
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn both_readers_agree_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..14)) {
        let (mut rest, mut at) = (bytes.as_slice(), 0);
        let taken = take_uvarint(&mut rest);
        prop_assert_eq!(read(&bytes, &mut at), taken);
        if let Ok(value) = taken {
            prop_assert_eq!(at, bytes.len() - rest.len());
            prop_assert!(shortest(value) <= at && at <= VARINT_BYTES_MAX);
        }
    }
}
