//! Data that serde knows, in the same JSON: for answers that are small or rare.

use super::chunks::Chunks;
use super::number::{NUMBER_BYTES_MAX, format_value};
use super::text::{escape, plain_prefix};
use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter};
use std::io::{self, Write};

impl Chunks<'_> {
    /// Anything that serde can write, as [`Chunks::string`], [`Chunks::integer`] and [`Chunks::float`] would. Costs several
    /// times what they do.
    pub(crate) fn data(&mut self, data: &impl Serialize) {
        let mut serializer = serde_json::Serializer::with_formatter(Writer(self), AsGo);
        data.serialize(&mut serializer).expect("a writer that never fails, and maps whose keys are texts");
    }
}

struct Writer<'w, 'o>(&'w mut Chunks<'o>);

impl Write for Writer<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.raw_bytes(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Texts and numbers as Go's encoder writes them.
struct AsGo;

impl Formatter for AsGo {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment.as_bytes();
        loop {
            let plain = plain_prefix(rest);
            writer.write_all(&rest[..plain])?;
            rest = &rest[plain..];
            if rest.is_empty() {
                return Ok(());
            }
            let (escaped, len, taken) = escape(rest);
            writer.write_all(&escaped[..len])?;
            rest = &rest[taken..];
        }
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, char_escape: CharEscape) -> io::Result<()> {
        let byte = match char_escape {
            CharEscape::Quote => b'"',
            CharEscape::ReverseSolidus => b'\\',
            CharEscape::Solidus => b'/',
            CharEscape::Backspace => 0x08,
            CharEscape::FormFeed => 0x0c,
            CharEscape::LineFeed => b'\n',
            CharEscape::CarriageReturn => b'\r',
            CharEscape::Tab => b'\t',
            CharEscape::AsciiControl(byte) => byte,
        };
        let (escaped, len, _) = escape(&[byte]);
        writer.write_all(&escaped[..len])
    }

    /// serde_json writes what is not finite as null before it comes here.
    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let mut number = [0; NUMBER_BYTES_MAX];
        let len = format_value(value, &mut number);
        writer.write_all(&number[..len])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Chunks<'_>)) -> String {
        let mut out = Chunks::new();
        write(&mut out);
        String::from_utf8(out.finish().concat()).unwrap()
    }

    #[test]
    fn texts_and_numbers_are_those_of_the_hand_written_writer() {
        let all: String = (0..0x2100).filter_map(char::from_u32).collect();
        for input in ["", "plain", "<a href='x'>&\"\\", "\u{2028}\u{2029}\u{2027}", "\u{8}\u{c}\n\r\t\0", &all] {
            assert_eq!(text(|out| out.data(&input)), text(|out| out.string(input)), "{input:?}");
        }
        for value in [0.0, 1.0, -0.5, 1e21, 1.5e-9, f64::MAX] {
            assert_eq!(text(|out| out.data(&value)), text(|out| out.float(value)), "{value}");
        }
        assert_eq!(text(|out| out.data(&(u64::MAX, i64::MIN))), format!("[{},{}]", u64::MAX, i64::MIN));
    }
}
