//! Bits, most significant first, and the three ways in which chunks of histograms write numbers.

use super::window::Window;
use crate::bits::put_bits;

/// Widths of a number's bits, and behind them two that are written whole. A number with `n` ones and a zero in front has the
/// n-th width; the last has no zero.
const WIDTHS: [u32; 7] = [3, 6, 9, 12, 18, 25, 56];

/// Bits that are being written.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Unused low bits of the last byte.
    free_bits: u8,
}

impl BitWriter {
    /// Begins behind some bytes.
    pub(super) fn behind(bytes: Vec<u8>) -> Self {
        Self { bytes, free_bits: 0 }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Appends the low `count` bits of a value, 1 to 64.
    pub(super) fn put(&mut self, value: u64, count: u32) {
        put_bits(&mut self.bytes, &mut self.free_bits, value, count);
    }

    pub(super) fn put_float(&mut self, value: f64) {
        self.put(value.to_bits(), 64);
    }

    /// Appends a number with a sign: 1 bit for 0, few for those near it. A width of n bits has -(2^(n-1) - 1) to 2^(n-1).
    pub(super) fn put_int(&mut self, value: i64) {
        let fits = |width: u32| {
            let half = 1i64 << (width - 1);
            (-(half - 1)..=half).contains(&value)
        };
        self.put_prefixed(value as u64, fits);
    }

    /// Appends a number without a sign: 1 bit for 0, few for small ones. A width of n bits has those below 2^n.
    pub(super) fn put_uint(&mut self, value: u64) {
        self.put_prefixed(value, |width| value < 1 << width);
    }

    fn put_prefixed(&mut self, bits: u64, fits: impl Fn(u32) -> bool) {
        if bits == 0 {
            return self.put(0, 1);
        }
        for (ones, width) in (1..).zip(WIDTHS) {
            if fits(width) {
                // As many ones, and a zero.
                self.put((1 << (ones + 1)) - 2, ones + 1);
                return self.put(bits, width);
            }
        }
        self.put(0xff, 8);
        self.put(bits, 64);
    }
}

/// A column of floats, each written as its difference to the one before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct XorColumn {
    last: u64,
    window: Window,
}

impl XorColumn {
    /// Writes the first value, whole.
    pub(super) fn begin(value: f64, out: &mut BitWriter) -> Self {
        out.put_float(value);
        Self { last: value.to_bits(), window: Window::NONE }
    }

    pub(super) fn put(&mut self, value: f64, out: &mut BitWriter) {
        let bits = value.to_bits();
        self.window.put(&mut out.bytes, &mut out.free_bits, bits ^ self.last);
        self.last = bits;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut BitWriter)) -> String {
        let mut bits = BitWriter::default();
        write(&mut bits);
        let used = bits.bytes.len() * 8 - usize::from(bits.free_bits);
        let all: Vec<String> = bits.bytes.iter().map(|byte| format!("{byte:08b}")).collect();
        all.concat()[..used].to_owned()
    }

    #[test]
    fn numbers_have_the_widths_of_the_format() {
        for (value, expected) in [
            (0, "0".to_owned()),
            (1, "10001".to_owned()),
            (-1, "10111".to_owned()),
            (-3, "10101".to_owned()),
            (4, "10100".to_owned()),
            (-4, "110111100".to_owned()),
            (32, "110100000".to_owned()),
            (33, "1110000100001".to_owned()),
            (256, "1110100000000".to_owned()),
            (2_048, "11110100000000000".to_owned()),
            (131_072, format!("111110{:018b}", 131_072)),
            (16_777_216, format!("1111110{:025b}", 16_777_216)),
            (1 << 55, format!("11111110{:056b}", 1u64 << 55)),
            (i64::MIN, format!("11111111{:064b}", 1u64 << 63)),
        ] {
            assert_eq!(text(|bits| bits.put_int(value)), expected, "{value}");
        }
        for (value, expected) in [
            (0, "0".to_owned()),
            (7, "10111".to_owned()),
            (8, "110001000".to_owned()),
            (511, "1110111111111".to_owned()),
            (4_095, "11110111111111111".to_owned()),
            (262_143, format!("111110{:018b}", 262_143)),
            (33_554_431, format!("1111110{:025b}", 33_554_431)),
            ((1 << 56) - 1, format!("11111110{:056b}", (1u64 << 56) - 1)),
            (u64::MAX, format!("11111111{:064b}", u64::MAX)),
        ] {
            assert_eq!(text(|bits| bits.put_uint(value)), expected, "{value}");
        }
    }

    #[test]
    fn a_column_of_floats_is_that_of_an_xor_chunk() {
        // The appender of XOR chunks writes the second value behind a time whose difference is of a known length.
        let values = [1.5, 1.5, 2.5, f64::NAN, -0.0, 1e300, 0.1, 0.2, 0.3];
        let mut chunk = crate::XorAppender::new();
        for (time, value) in (0..).zip(values) {
            chunk.push(time, value).unwrap();
        }
        // Count, first time, first value, first delta; then a bit for each further time.
        let mut expected = BitWriter::behind(chunk.bytes()[..=2].to_vec());
        let mut column = XorColumn::begin(values[0], &mut expected);
        expected.put(1, 8);
        for (at, value) in values[1..].iter().enumerate() {
            if at > 0 {
                expected.put(0, 1);
            }
            column.put(*value, &mut expected);
        }
        assert_eq!(chunk.bytes(), expected.into_bytes());
    }
}
