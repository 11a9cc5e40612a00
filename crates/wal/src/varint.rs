//! LEB128 and zigzag.

/// The longest encoding of a `u64`, in bytes.
pub(crate) const VARINT_BYTES_MAX: usize = 10;

/// Writes `value` at `at` and returns the offset behind it. The slice must have room for [`VARINT_BYTES_MAX`].
#[inline]
pub(crate) fn write(out: &mut [u8], at: usize, mut value: u64) -> usize {
    if value < 0x80 {
        out[at] = value as u8;
        return at + 1;
    }
    let mut i = at;
    while value >= 0x80 {
        out[i] = value as u8 | 0x80;
        value >>= 7;
        i += 1;
    }
    out[i] = value as u8;
    i + 1
}

/// Reads a value at `*at` and moves `*at` behind it; `None` if it is cut short or has more than 64 bits.
#[inline]
pub(crate) fn read(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let first = *bytes.get(*at)?;
    *at += 1;
    if first < 0x80 {
        return Some(u64::from(first));
    }
    let mut value = u64::from(first & 0x7f);
    let mut shift = 7;
    loop {
        let byte = *bytes.get(*at)?;
        *at += 1;
        if shift == 63 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
        shift += 7;
    }
}

#[inline]
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[inline]
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_and_cuts_are_refused() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1u64 << shift) - 1, u64::MAX >> shift] {
                let mut out = [0; VARINT_BYTES_MAX];
                let end = write(&mut out, 0, value);
                let mut at = 0;
                assert_eq!((read(&out[..end], &mut at), at), (Some(value), end));
                assert_eq!(read(&out[..end - 1], &mut 0), None);
                assert_eq!(zigzag(unzigzag(value)), value);
            }
        }
        assert_eq!(read(&[0xff; 11], &mut 0), None, "endless");
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], &mut 0), None, "65 bits");
    }
}
