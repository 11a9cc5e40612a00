//! The labels of a time series as they were sent: checked and made a label set, or shown in a message.

use crate::symbols::Symbols;
use crate::tags;
use mytsdb_intake::{Limits, PointLimit, RefusalReason, Refused};
use mytsdb_model::{LABEL_NAME, Labels};
use mytsdb_protobuf::{ProtobufError, Reader};

/// Labels that are looked at, whatever the limits say: no more of them are ever collected.
pub(crate) const LABEL_COUNT_MAX: usize = 1024;

/// Bytes of labels that a message repeats, and of each value.
const SHOWN_BYTES_MAX: usize = 256;
const SHOWN_VALUE_BYTES_MAX: usize = 64;

/// Why labels are not to be had.
#[derive(Debug)]
pub(crate) enum LabelsError {
    /// The request is broken.
    Malformed(ProtobufError),
    /// The series is refused.
    Refused(Refused),
}

impl From<ProtobufError> for LabelsError {
    fn from(error: ProtobufError) -> Self {
        Self::Malformed(error)
    }
}

/// The refusal of a series of more than [`LABEL_COUNT_MAX`] labels, which no setting allows.
pub(crate) fn too_many(limits: &Limits) -> Refused {
    limits.over(PointLimit::Labels, format_args!("more than {LABEL_COUNT_MAX} labels"))
}

/// The labels of one time series, still encoded.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SentLabels<'a> {
    /// Version 1.0: label fields of a series' message, tags included.
    Fields(&'a [u8]),
    /// Version 2.0: pairs of positions among the symbols, all of which are there.
    Refs(&'a [u32], &'a Symbols<'a>),
}

/// A label's name and value.
pub(crate) type Pair<'a> = (&'a [u8], &'a [u8]);

impl<'a> SentLabels<'a> {
    /// The first labels, at most [`LABEL_COUNT_MAX`] and one more.
    pub(crate) fn pairs(self) -> Result<Vec<Pair<'a>>, ProtobufError> {
        match self {
            Self::Fields(fields) => {
                let mut pairs = Vec::new();
                let mut reader = Reader::new(fields);
                while pairs.len() <= LABEL_COUNT_MAX && reader.tag()?.is_some() {
                    pairs.push(parse_label(reader.bytes()?)?);
                }
                Ok(pairs)
            }
            Self::Refs(refs, symbols) => {
                let symbol = |number: u32| symbols.get(number).unwrap_or_default();
                Ok(refs.chunks_exact(2).map(|pair| (symbol(pair[0]), symbol(pair[1]))).collect())
            }
        }
    }

    /// Makes the label set: sorted, without empty values.
    ///
    /// # Errors
    /// [`LabelsError::Refused`] for a name that is empty or there twice, a missing metric name, text that is not UTF-8,
    /// and what is over a limit.
    pub fn decode(self, limits: &Limits) -> Result<Labels, LabelsError> {
        let refuse = |reason, message: String| Err(LabelsError::Refused(Refused::new(reason, message)));
        let sent = self.pairs()?;
        if sent.len() > LABEL_COUNT_MAX {
            return Err(LabelsError::Refused(too_many(limits)));
        }
        // Lengths first: a few bytes of references may name many huge symbols.
        limits.check_bytes(sent.iter().copied()).map_err(LabelsError::Refused)?;
        if let Some((name, _)) = sent.iter().find(|(name, _)| name.len() > limits.name_bytes_max) {
            let what = format_args!("label name has {} bytes", name.len());
            return Err(LabelsError::Refused(limits.over(PointLimit::LabelName, what)));
        }
        let mut pairs = Vec::with_capacity(sent.len());
        for (name, value) in &sent {
            match (std::str::from_utf8(name), std::str::from_utf8(value)) {
                (Ok(name), Ok(value)) if !name.is_empty() => pairs.push((name, value)),
                _ => {
                    return refuse(
                        RefusalReason::Invalid,
                        format!("invalid metric name or labels, got {}", show(&sent)),
                    );
                }
            }
        }
        pairs.sort_unstable_by_key(|(name, _)| *name);
        if let Some(twice) = pairs.windows(2).find(|two| two[0].0 == two[1].0) {
            let name = cut(twice[0].0);
            let message = format!("invalid labels for series, labels {}, duplicated label {name}", show(&sent));
            return refuse(RefusalReason::Invalid, message);
        }
        pairs.retain(|(_, value)| !value.is_empty());
        if pairs.binary_search_by_key(&LABEL_NAME, |(name, _)| name).is_err() {
            return refuse(RefusalReason::Invalid, format!("invalid metric name or labels, got {}", show(&sent)));
        }
        Ok(Labels::from_sorted(pairs))
    }

    /// The labels for a message: some 250 bytes of them.
    pub fn shown(self) -> String {
        self.pairs().map_or_else(|_| "{?}".to_owned(), |pairs| show(&pairs))
    }
}

/// The pairs as text, sorted and without empty values; `None` if a name is empty or there twice, or not all is UTF-8.
pub(crate) fn sorted_pairs<'a>(sent: &[Pair<'a>]) -> Option<Vec<(&'a str, &'a str)>> {
    let text = |(name, value): &Pair<'a>| Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?));
    let mut pairs: Vec<_> = sent.iter().map(text).collect::<Option<_>>()?;
    pairs.sort_unstable_by_key(|(name, _)| *name);
    if pairs.windows(2).any(|two| two[0].0 == two[1].0) || pairs.first().is_some_and(|(name, _)| name.is_empty()) {
        return None;
    }
    pairs.retain(|(_, value)| !value.is_empty());
    Some(pairs)
}

fn parse_label(message: &[u8]) -> Result<Pair<'_>, ProtobufError> {
    const NAME: u32 = tags::bytes(1);
    const VALUE: u32 = tags::bytes(2);
    let mut reader = Reader::new(message);
    let (mut name, mut value): Pair<'_> = (&[], &[]);
    while let Some(tag) = reader.tag()? {
        match tag {
            NAME => name = reader.bytes()?,
            VALUE => value = reader.bytes()?,
            _ => reader.skip(tag, 1 << 1 | 1 << 2)?,
        }
    }
    Ok((name, value))
}

fn show(pairs: &[Pair<'_>]) -> String {
    let mut out = String::from("{");
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        if out.len() > SHOWN_BYTES_MAX {
            out.push_str("...");
            break;
        }
        let name = shown_text(name);
        let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let name = if plain { name } else { format!("{name:?}") };
        out.push_str(&name);
        out.push('=');
        let value = format!("{:?}", shown_text(value));
        out.push_str(&value);
    }
    out.push('}');
    out
}

fn shown_text(bytes: &[u8]) -> String {
    // Some bytes more, so that a character that is cut is not shown.
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_VALUE_BYTES_MAX + 4)]);
    if bytes.len() > SHOWN_VALUE_BYTES_MAX { format!("{}...", cut(&text)) } else { text.into_owned() }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(SHOWN_VALUE_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(pairs: &[(&str, &str)]) -> Result<String, String> {
        let mut fields = Vec::new();
        for (name, value) in pairs {
            let mut label = Vec::new();
            for (tag, text) in [(0x0a, name), (0x12, value)] {
                label.push(tag);
                mytsdb_varint::put_uvarint(&mut label, text.len() as u64);
                label.extend_from_slice(text.as_bytes());
            }
            fields.push(0x0a);
            mytsdb_varint::put_uvarint(&mut fields, label.len() as u64);
            fields.extend_from_slice(&label);
        }
        match SentLabels::Fields(&fields).decode(&Limits::default()) {
            Ok(labels) => Ok(labels.to_string()),
            Err(LabelsError::Refused(refused)) => Err(refused.message),
            Err(LabelsError::Malformed(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn labels_are_sorted_and_empty_values_left_out() {
        let labels = decode(&[("job", "a"), ("gone", ""), ("__name__", "m.x"), ("http.code", "ü")]);
        assert_eq!(labels.unwrap(), r#"{__name__="m.x", http.code="ü", job="a"}"#);
    }

    #[test]
    fn what_is_no_label_set_is_refused_in_prometheus_words() {
        let invalid = "invalid metric name or labels, got ";
        assert_eq!(decode(&[]).unwrap_err(), format!("{invalid}{{}}"));
        assert_eq!(decode(&[("job", "a")]).unwrap_err(), format!("{invalid}{{job=\"a\"}}"));
        assert_eq!(decode(&[("__name__", "")]).unwrap_err(), format!("{invalid}{{__name__=\"\"}}"));
        assert_eq!(
            decode(&[("__name__", "m"), ("", "a")]).unwrap_err(),
            format!("{invalid}{{__name__=\"m\", \"\"=\"a\"}}")
        );
        let twice = decode(&[("job", "b"), ("__name__", "m"), ("job", "")]).unwrap_err();
        let shown = r#"{job="b", __name__="m", job=""}"#;
        assert_eq!(twice, format!("invalid labels for series, labels {shown}, duplicated label job"));
    }

    #[test]
    fn a_message_never_repeats_a_huge_value() {
        let huge = "é".repeat(100_000);
        let long = decode(&[("__name__", "m"), ("job", &huge)]).unwrap_err();
        assert!(long.contains("--max-label-value-bytes") && long.len() < 300, "{long}");
        let many: Vec<_> = (0..2000).map(|i| (format!("l{i}"), huge.clone())).take(1500).collect();
        let many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), &value[..2000])).collect();
        assert_eq!(decode(&many).unwrap_err(), "more than 1024 labels, the limit is 64 (--max-labels-per-series)");
        assert!(decode(&many[..1000]).unwrap_err().contains("(--max-labels-per-series)"));
        let some: Vec<_> = many[..60].iter().map(|(name, value)| (*name, &value[..100])).collect();
        let unnamed = decode(&some).unwrap_err();
        assert!(unnamed.ends_with("...}") && unnamed.len() < 512, "{unnamed}");
        let name = decode(&[("__name__", "m"), (&huge, "")]).unwrap_err();
        assert_eq!(name, "label name has 200000 bytes, the limit is 256 (--max-label-name-bytes)");
    }
}
