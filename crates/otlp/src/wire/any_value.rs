//! Attribute values, and the text that stands for them in a label.

use super::reader::{BYTES_1, BYTES_5, BYTES_6, BYTES_7, FIXED_4, Reader, VARINT_2, VARINT_3, VARINT_8};
use super::{KeyValue, Repeated};
use crate::OtlpError;
use std::borrow::Cow;
use std::fmt::Write;

/// `AnyValue`: one attribute value; text is not checked.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum AnyValue<'a> {
    /// No value.
    #[default]
    None,
    /// Text.
    String(&'a [u8]),
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// An encoded `ArrayValue`.
    Array(Cow<'a, [u8]>),
    /// An encoded `KeyValueList`.
    Map(Cow<'a, [u8]>),
    /// Bytes.
    Bytes(&'a [u8]),
}

/// Why a value has no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextError {
    Malformed(OtlpError),
    Utf8,
    /// JSON has no form for NaN and infinities.
    NotJson,
    /// Arrays and maps are inside each other more often than allowed.
    Nesting,
}

impl From<OtlpError> for TextError {
    fn from(error: OtlpError) -> Self {
        Self::Malformed(error)
    }
}

impl<'a> AnyValue<'a> {
    /// Reads one value; contents of arrays and maps stay encoded.
    ///
    /// # Errors
    /// If the message is malformed at this level.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, OtlpError> {
        let mut reader = Reader::new(bytes);
        let mut value = Self::None;
        while let Some(tag) = reader.tag()? {
            match tag {
                BYTES_1 => value = Self::String(reader.bytes()?),
                VARINT_2 => value = Self::Bool(reader.varint()? != 0),
                VARINT_3 => value = Self::Int(reader.varint()? as i64),
                FIXED_4 => value = Self::Double(reader.double()?),
                BYTES_5 => {
                    let next = reader.bytes()?;
                    match &mut value {
                        Self::Array(all) => all.to_mut().extend_from_slice(next),
                        _ => value = Self::Array(Cow::Borrowed(next)),
                    }
                }
                BYTES_6 => {
                    let next = reader.bytes()?;
                    match &mut value {
                        Self::Map(all) => all.to_mut().extend_from_slice(next),
                        _ => value = Self::Map(Cow::Borrowed(next)),
                    }
                }
                BYTES_7 => value = Self::Bytes(reader.bytes()?),
                VARINT_8 => {
                    // An index into a string table that metrics do not have.
                    reader.varint()?;
                    value = Self::None;
                }
                _ => reader.skip(tag, 0b1_1111_1110)?,
            }
        }
        Ok(value)
    }

    /// Appends the text the Collector's `AsString` gives: plain for scalars, base64 for bytes, JSON for arrays and maps.
    /// An array or map that JSON cannot hold (NaN inside) has no text. `nesting_max` bounds how deep they are inside each
    /// other, and so this call's stack.
    pub(crate) fn write_text(&self, nesting_max: usize, out: &mut String) -> Result<(), TextError> {
        match self {
            Self::None => {}
            Self::String(text) => out.push_str(utf8(text)?),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Int(value) => push(out, format_args!("{value}")),
            Self::Double(value) if value.is_finite() => write_json_number(*value, out),
            Self::Double(value) => out.push_str(match value {
                v if v.is_nan() => "NaN",
                v if *v > 0.0 => "Infinity",
                _ => "-Infinity",
            }),
            Self::Bytes(bytes) => write_base64(bytes, out),
            Self::Array(_) | Self::Map(_) => {
                let start = out.len();
                match self.write_json(nesting_max, out) {
                    Err(TextError::NotJson) => out.truncate(start),
                    other => other?,
                }
            }
        }
        Ok(())
    }

    fn write_json(&self, nesting_max: usize, out: &mut String) -> Result<(), TextError> {
        let inside = || nesting_max.checked_sub(1).ok_or(TextError::Nesting);
        match self {
            Self::None => out.push_str("null"),
            Self::String(text) => write_json_string(utf8(text)?, out),
            Self::Bool(_) | Self::Int(_) => self.write_text(0, out)?,
            Self::Double(value) if value.is_finite() => write_json_number(*value, out),
            Self::Double(_) => return Err(TextError::NotJson),
            Self::Bytes(bytes) => {
                out.push('"');
                write_base64(bytes, out);
                out.push('"');
            }
            Self::Array(bytes) => {
                let inside = inside()?;
                out.push('[');
                for (i, value) in Repeated::new(bytes, 1).enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    AnyValue::parse(value?)?.write_json(inside, out)?;
                }
                out.push(']');
            }
            Self::Map(bytes) => {
                let inside = inside()?;
                let mut pairs = Repeated::new(bytes, 1)
                    .map(|pair| pair.and_then(KeyValue::parse))
                    .collect::<Result<Vec<_>, _>>()?;
                pairs.sort_by(|a, b| a.key.cmp(b.key));
                // Go's map keeps the last value of a repeated key.
                pairs.reverse();
                pairs.dedup_by(|later, earlier| later.key == earlier.key);
                out.push('{');
                for (i, pair) in pairs.iter().rev().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write_json_string(utf8(pair.key)?, out);
                    out.push(':');
                    AnyValue::parse(&pair.value)?.write_json(inside, out)?;
                }
                out.push('}');
            }
        }
        Ok(())
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, TextError> {
    std::str::from_utf8(bytes).map_err(|_| TextError::Utf8)
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string does not fail");
}

/// Shortest digits, with an exponent below 1e-6 and from 1e21 on, as Go's encoding/json writes floats.
fn write_json_number(value: f64, out: &mut String) {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = format!("{value:e}");
        // Go writes the sign of a positive exponent.
        match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => push(out, format_args!("{digits}e+{exponent}")),
            _ => out.push_str(&text),
        }
    } else {
        push(out, format_args!("{value}"));
    }
}

fn write_json_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\u{2028}' | '\u{2029}' | '\0'..'\u{20}' => {
                push(out, format_args!("\\u{:04x}", c as u32));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn write_base64(bytes: &[u8], out: &mut String) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit = ALPHABET[(word >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::{self as proto, any_value::Value};
    use prost::Message;

    fn any(value: Value) -> proto::AnyValue {
        proto::AnyValue { value: Some(value) }
    }

    #[track_caller]
    fn check(value: Value, want: &str) {
        let bytes = any(value).encode_to_vec();
        let mut out = String::new();
        AnyValue::parse(&bytes).unwrap().write_text(64, &mut out).unwrap();
        assert_eq!(out, want);
    }

    #[test]
    fn scalars_have_plain_text() {
        check(Value::StringValue("ü".into()), "ü");
        check(Value::BoolValue(true), "true");
        check(Value::IntValue(-5), "-5");
        check(Value::DoubleValue(1.5), "1.5");
        check(Value::DoubleValue(3.0), "3");
        check(Value::DoubleValue(1e21), "1e+21");
        check(Value::DoubleValue(1e-9), "1e-9");
        check(Value::DoubleValue(1e-6), "0.000001");
        check(Value::DoubleValue(-0.0), "-0");
        check(Value::DoubleValue(f64::NAN), "NaN");
        check(Value::DoubleValue(f64::INFINITY), "Infinity");
        check(Value::DoubleValue(f64::NEG_INFINITY), "-Infinity");
        for (bytes, want) in [(&b""[..], ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (b"foob", "Zm9vYg==")]
        {
            check(Value::BytesValue(bytes.to_vec()), want);
        }
    }

    #[test]
    fn arrays_and_maps_are_json() {
        let kv = |key: &str, value| proto::KeyValue { key: key.into(), value, ..Default::default() };
        let array = Value::ArrayValue(proto::ArrayValue {
            values: vec![
                any(Value::IntValue(1)),
                any(Value::StringValue("a\"<b>&\u{1}".into())),
                proto::AnyValue { value: None },
            ],
        });
        check(array.clone(), "[1,\"a\\\"<b>&\\u0001\",null]");
        let map = proto::KeyValueList {
            values: vec![
                kv("z", Some(any(array))),
                kv("a", None),
                kv("z", Some(any(Value::BytesValue(b"f".to_vec())))),
                kv("m", Some(any(Value::DoubleValue(0.5)))),
            ],
        };
        check(Value::KvlistValue(map), r#"{"a":null,"m":0.5,"z":"Zg=="}"#);
        let nan = Value::ArrayValue(proto::ArrayValue { values: vec![any(Value::DoubleValue(f64::NAN))] });
        check(nan, "");
    }

    #[test]
    fn deep_nesting_and_bad_text_are_refused() {
        let mut value = any(Value::IntValue(1));
        let text =
            |bytes: &[u8], nesting_max| AnyValue::parse(bytes).unwrap().write_text(nesting_max, &mut String::new());
        for depth in 1..20 {
            value = if depth % 2 == 1 {
                any(Value::ArrayValue(proto::ArrayValue { values: vec![value] }))
            } else {
                let pair = proto::KeyValue { key: "k".into(), value: Some(value), ..Default::default() };
                any(Value::KvlistValue(proto::KeyValueList { values: vec![pair] }))
            };
            assert_eq!(text(&value.encode_to_vec(), depth), Ok(()));
            assert_eq!(text(&value.encode_to_vec(), depth - 1), Err(TextError::Nesting));
        }
        assert_eq!(text(&[0x0a, 1, 0xff], 1), Err(TextError::Utf8));
    }
}
