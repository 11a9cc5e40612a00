//! Strings as Go's JSON encoder escapes them, `<`, `>` and `&` included.

const HEX: &[u8; 16] = b"0123456789abcdef";

/// How many bytes at the start of `text` need no escape.
#[inline]
pub(super) fn plain_prefix(text: &[u8]) -> usize {
    const LANES: usize = 16;
    let (blocks, _) = text.as_chunks::<LANES>();
    // Sixteen comparisons without an early exit become a few vector instructions.
    let plain = blocks.iter().take_while(|block| !block.iter().fold(false, |any, &b| any | needs_escape(b))).count();
    let at = plain * LANES;
    text[at..].iter().position(|&b| ESCAPE[b as usize]).map_or(text.len(), |more| at + more)
}

#[inline]
const fn needs_escape(b: u8) -> bool {
    b < 0x20 || b == b'"' || b == b'\\' || b == b'<' || b == b'>' || b == b'&' || b == 0xe2
}

/// Bytes that may need an escape; 0xe2 starts U+2028 and U+2029.
const ESCAPE: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = needs_escape(b as u8);
        b += 1;
    }
    table
};

/// The escape of the character at the start of `rest`, which begins with a byte that [`plain_prefix`] stopped at:
/// its text, the text's length, and the bytes of `rest` it stands for.
pub(super) fn escape(rest: &[u8]) -> ([u8; 6], usize, usize) {
    let short = |c| ([b'\\', c, 0, 0, 0, 0], 2, 1);
    match rest {
        [b'"', ..] => short(b'"'),
        [b'\\', ..] => short(b'\\'),
        [b'\n', ..] => short(b'n'),
        [b'\r', ..] => short(b'r'),
        [b'\t', ..] => short(b't'),
        [0xe2, 0x80, last @ (0xa8 | 0xa9), ..] => (*if *last == 0xa8 { b"\\u2028" } else { b"\\u2029" }, 6, 3),
        [0xe2, ..] => ([0xe2, 0, 0, 0, 0, 0], 1, 1),
        [b, ..] => ([b'\\', b'u', b'0', b'0', HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]], 6, 1),
        [] => ([0; 6], 0, 0),
    }
}
