//! The bodies of metadata and exemplars records; see `docs/format/wal.md`.

use mytsdb_model::{Exemplar, FamilyKind, FamilyMetadata, Labels};
use mytsdb_varint::{put_uvarint, read, unzigzag, zigzag};

/// Exemplars in one record at most.
pub const EXEMPLARS_MAX: usize = 4096;
const NAME_BYTES_MAX: usize = 65_535;
const HELP_BYTES_MAX: usize = 1 << 20;
/// The least that an exemplar takes: time, value, size of its labels.
const EXEMPLAR_BYTES_MIN: usize = 1 + 8 + 1;

/// # Panics
/// If name, unit or help break the bounds of the page.
pub(crate) fn encode_metadata(family: &str, metadata: &FamilyMetadata) -> Vec<u8> {
    let FamilyMetadata { kind, help, unit } = metadata;
    assert!((1..=NAME_BYTES_MAX).contains(&family.len()), "a metric has a name of at most {NAME_BYTES_MAX} bytes");
    assert!(unit.len() <= NAME_BYTES_MAX && help.len() <= HELP_BYTES_MAX, "metadata is within its bounds");
    let mut body = vec![kind.number()];
    for text in [family, unit, help] {
        put_bytes(&mut body, text.as_bytes());
    }
    body
}

pub(crate) fn decode_metadata(body: &[u8]) -> Option<(&str, FamilyMetadata)> {
    let (&kind, _) = body.split_first()?;
    let kind = FamilyKind::from_number(kind.into())?;
    let mut at = 1;
    let mut text = |bytes_max| std::str::from_utf8(take_bytes(body, &mut at, bytes_max)?).ok();
    let (family, unit, help) = (text(NAME_BYTES_MAX)?, text(NAME_BYTES_MAX)?, text(HELP_BYTES_MAX)?);
    let metadata = FamilyMetadata { kind, help: help.to_owned(), unit: unit.to_owned() };
    (at == body.len() && !family.is_empty()).then_some((family, metadata))
}

/// # Panics
/// If there are no exemplars, or more than [`EXEMPLARS_MAX`].
pub(crate) fn encode_exemplars(series: &Labels, exemplars: &[&Exemplar]) -> Vec<u8> {
    assert!((1..=EXEMPLARS_MAX).contains(&exemplars.len()), "a record has 1 to {EXEMPLARS_MAX} exemplars");
    let mut body = Vec::new();
    put_bytes(&mut body, series.as_bytes());
    put_uvarint(&mut body, exemplars.len() as u64);
    for exemplar in exemplars {
        put_uvarint(&mut body, zigzag(exemplar.timestamp_ms));
        body.extend_from_slice(&exemplar.value.to_bits().to_le_bytes());
        put_bytes(&mut body, exemplar.labels.as_bytes());
    }
    body
}

/// Fills `out`, which is of any state if this returns `None`.
pub(crate) fn decode_exemplars(body: &[u8], out: &mut Vec<Exemplar>) -> Option<Labels> {
    out.clear();
    let mut at = 0;
    let series = Labels::from_bytes(take_bytes(body, &mut at, body.len())?).ok()?;
    let count = read(body, &mut at).ok().filter(|count| (1..=EXEMPLARS_MAX as u64).contains(count))? as usize;
    if count > body.len().saturating_sub(at) / EXEMPLAR_BYTES_MIN {
        return None;
    }
    for _ in 0..count {
        let timestamp_ms = unzigzag(read(body, &mut at).ok()?);
        let value: [u8; 8] = body.get(at..at.checked_add(8)?)?.try_into().ok()?;
        at += 8;
        let labels = Labels::from_bytes(take_bytes(body, &mut at, body.len())?).ok()?;
        out.push(Exemplar { timestamp_ms, value: f64::from_bits(u64::from_le_bytes(value)), labels });
    }
    (at == body.len()).then_some(series)
}

fn put_bytes(body: &mut Vec<u8>, bytes: &[u8]) {
    put_uvarint(body, bytes.len() as u64);
    body.extend_from_slice(bytes);
}

fn take_bytes<'a>(body: &'a [u8], at: &mut usize, bytes_max: usize) -> Option<&'a [u8]> {
    let size = usize::try_from(read(body, at).ok()?).ok().filter(|size| *size <= bytes_max)?;
    let bytes = body.get(*at..at.checked_add(size)?)?;
    *at += size;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_and_exemplars_are_read_as_they_were_written() {
        let metadata = FamilyMetadata { kind: FamilyKind::StateSet, help: "Größe".into(), unit: "bytes".into() };
        let body = encode_metadata("m", &metadata);
        assert_eq!(decode_metadata(&body), Some(("m", metadata)));
        let series = Labels::from_pairs([("__name__", "m"), ("le", "1")]);
        let exemplars = [i64::MIN, 0, i64::MAX].map(|timestamp_ms| Exemplar {
            timestamp_ms,
            value: f64::from_bits(timestamp_ms as u64),
            labels: Labels::from_pairs([("trace_id", "ab")]),
        });
        let record = encode_exemplars(&series, &exemplars.each_ref());
        let mut read = Vec::new();
        assert_eq!(decode_exemplars(&record, &mut read), Some(series));
        assert!(read.iter().zip(&exemplars).all(|(a, b)| a.is(b)) && read.len() == 3);
        for cut in 0..body.len() {
            assert_eq!(decode_metadata(&body[..cut]), None);
        }
        for cut in 0..record.len() {
            assert_eq!(decode_exemplars(&record[..cut], &mut read), None);
        }
        assert_eq!(decode_metadata(&[&body[..], &[0]].concat()), None, "a byte too many");
        assert_eq!(decode_exemplars(&[&record[..], &[0]].concat(), &mut read), None, "a byte too many");
    }

    #[test]
    fn what_breaks_a_bound_is_refused_before_it_is_believed() {
        for bad in [&[8, 1, b'm', 0, 0][..], &[1, 0, 0, 0], &[1, 1, 0xff, 0, 0], &[1, 0xff, 0xff, 0xff, 0x7f]] {
            assert_eq!(decode_metadata(bad), None, "{bad:?}");
        }
        let mut out = Vec::new();
        for bad in [&[0, 0][..], &[0, 0x80, 0x20], &[0, 0x81, 0x20], &[0xff, 0xff, 0xff, 0xff, 0x7f]] {
            assert_eq!(decode_exemplars(bad, &mut out), None, "{bad:?}");
            assert_eq!(out.capacity(), 0);
        }
    }
}
