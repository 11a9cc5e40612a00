//! Decodes text to bytes: base64, and hexadecimal for ids.

/// Decodes base64 of either alphabet, padded or not (RFC 4648, sections 4 and 5).
pub(crate) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let padding = text.iter().rev().take_while(|b| **b == b'=').count();
    let digits = &text[..text.len() - padding];
    let padding_fits = padding == 0 || (padding <= 2 && text.len().is_multiple_of(4));
    if digits.len() % 4 == 1 || !padding_fits {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for group in digits.chunks(4) {
        let mut bits = 0u32;
        for digit in group {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' | b'-' => 62,
                b'/' | b'_' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        bits <<= 6 * (4 - group.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}

/// Decodes hexadecimal digits of either case.
pub(crate) fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pair = |[high, low]: &[u8; 2]| Some((digit(*high)? << 4 | digit(*low)?) as u8);
    if rest.is_empty() { pairs.iter().map(pair).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_comes_in_four_forms() {
        let wanted = Some(vec![0xfb, 0xff, 0xfe, 0x01]);
        for text in ["+//+AQ==", "-__-AQ==", "+//+AQ", "-__-AQ"] {
            assert_eq!(base64(text.as_bytes()), wanted, "{text}");
        }
        assert_eq!(base64(b""), Some(vec![]));
        assert_eq!(base64(b"TWE="), Some(b"Ma".to_vec()));
        assert_eq!(base64(b"TWFu"), Some(b"Man".to_vec()));
        for text in ["A", "AAAAA", "TWE==", "TW=E", "=", "====", "TW E", "TWE\n", "AA="] {
            assert_eq!(base64(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn ids_are_pairs_of_digits() {
        assert_eq!(hex(b"00fFA1"), Some(vec![0, 0xff, 0xa1]));
        assert_eq!(hex(b""), Some(vec![]));
        for text in ["0", "0g", "+1", "0x"] {
            assert_eq!(hex(text.as_bytes()), None, "{text}");
        }
    }
}
