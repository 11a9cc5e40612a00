//! Numbers of up to 32 bits, packed from the lowest bit up.

/// The bits that `value` takes.
pub(super) fn width_of(value: u32) -> u32 {
    u32::BITS - value.leading_zeros()
}

/// Bytes of `count` numbers.
pub(super) fn packed_bytes(count: usize, width: u32) -> usize {
    (count as u64 * u64::from(width)).div_ceil(8) as usize
}

/// The number at `index`; bits behind the end of `bytes` read as 0. `width` is at most 32.
#[inline]
pub(super) fn get(bytes: &[u8], index: usize, width: u32) -> u32 {
    let bit = index as u64 * u64::from(width);
    let at = (bit / 8) as usize;
    let window = match bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        Some(window) => *window,
        None => end_window(bytes, at),
    };
    let mask = (1u64 << width) - 1;
    (u64::from_le_bytes(window) >> (bit % 8) & mask) as u32
}

#[cold]
fn end_window(bytes: &[u8], at: usize) -> [u8; 8] {
    let mut window = [0; 8];
    let rest = bytes.get(at..).unwrap_or_default();
    let len = rest.len().min(8);
    window[..len].copy_from_slice(&rest[..len]);
    window
}

/// Puts a number, of at most `width` bits, into bytes that are zero there.
pub(super) fn put(bytes: &mut [u8], index: usize, width: u32, value: u32) {
    let bit = index as u64 * u64::from(width);
    let shifted = (u64::from(value) << (bit % 8)).to_le_bytes();
    for (byte, part) in bytes[(bit / 8) as usize..].iter_mut().zip(shifted) {
        *byte |= part;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_width_come_back() {
        for width in 0..=32 {
            let mask = ((1u64 << width) - 1) as u32;
            let values: Vec<u32> = (0..70u32).map(|i| i.wrapping_mul(0x9e37_79b9) & mask).collect();
            let mut bytes = vec![0; packed_bytes(values.len(), width)];
            for (index, &value) in values.iter().enumerate() {
                put(&mut bytes, index, width, value);
            }
            let read: Vec<u32> = (0..values.len()).map(|index| get(&bytes, index, width)).collect();
            assert_eq!(read, values, "{width}");
            assert_eq!(get(&bytes, 1_000, width), 0);
        }
        assert_eq!([width_of(0), width_of(1), width_of(255), width_of(u32::MAX)], [0, 1, 8, 32]);
    }
}
