//! A time series' message of either version: where its parts are.

use crate::Version;
use crate::tags::{bytes, varint};
use mytsdb_protobuf::{ProtobufError, Reader};

/// Field numbers of a series' parts in one version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    /// Labels, or packed references to them.
    pub labels: u32,
    pub samples: u32,
    pub histograms: u32,
    pub exemplars: u32,
    /// No field has this number in version 1.0.
    pub metadata: u32,
    known: u32,
}

impl Fields {
    #[inline]
    pub const fn of(version: Version) -> Self {
        match version {
            Version::V1 => Self {
                labels: bytes(1),
                samples: bytes(2),
                exemplars: bytes(3),
                histograms: bytes(4),
                metadata: u32::MAX,
                known: 0b1_1110,
            },
            Version::V2 => Self {
                labels: bytes(1),
                samples: bytes(2),
                histograms: bytes(3),
                exemplars: bytes(4),
                metadata: bytes(5),
                known: 0b11_1110,
            },
        }
    }
}

/// What a series' message holds, found in one pass that decodes nothing.
#[derive(Debug, Default)]
pub(crate) struct Parts<'a> {
    /// From the first label field of version 1.0 to the last that follows without a gap, tags included.
    pub label_run: &'a [u8],
    /// Other fields stand between label fields, so that the run lacks some: see [`gather_labels`].
    pub scattered: bool,
    /// Where the first sample, histogram or exemplar begins; at the end if there is none.
    pub points_start: usize,
    pub sample_count: u64,
    pub histogram_count: u64,
    pub exemplar_count: u64,
    pub metadata: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    /// Version 2.0's references to labels are appended to `refs`, no more than `refs_max` and one.
    pub fn find(
        message: &'a [u8],
        version: Version,
        refs: &mut Vec<u32>,
        refs_max: usize,
    ) -> Result<Self, ProtobufError> {
        match version {
            Version::V1 => Self::find_in::<false>(message, refs, refs_max),
            Version::V2 => Self::find_in::<true>(message, refs, refs_max),
        }
    }

    /// For one version, so that its tags are constants.
    fn find_in<const V2: bool>(message: &'a [u8], refs: &mut Vec<u32>, refs_max: usize) -> Result<Self, ProtobufError> {
        const REF: u32 = varint(1);
        let fields = const { Fields::of(if V2 { Version::V2 } else { Version::V1 }) };
        let mut parts = Self { points_start: message.len(), ..Self::default() };
        let (mut run_start, mut run_end) = (usize::MAX, 0);
        let mut reader = Reader::new(message);
        loop {
            let start = reader.position();
            let Some(tag) = reader.tag()? else { break };
            if tag == fields.labels {
                let content = reader.bytes()?;
                if V2 {
                    read_refs(content, refs, refs_max)?;
                } else if run_start == usize::MAX {
                    (run_start, run_end) = (start, reader.position());
                } else if run_end == start {
                    run_end = reader.position();
                } else {
                    parts.scattered = true;
                }
            } else if tag == fields.samples {
                reader.bytes()?;
                parts.sample_count += 1;
                parts.points_start = parts.points_start.min(start);
            } else if tag == fields.histograms {
                reader.bytes()?;
                parts.histogram_count += 1;
                parts.points_start = parts.points_start.min(start);
            } else if tag == fields.exemplars {
                reader.bytes()?;
                parts.exemplar_count += 1;
                parts.points_start = parts.points_start.min(start);
            } else if tag == fields.metadata {
                parts.metadata = Some(reader.bytes()?);
            } else if V2 && tag == REF {
                push_ref(reader.varint()?, refs, refs_max);
            } else {
                reader.skip(tag, fields.known)?;
            }
        }
        parts.label_run = message.get(run_start..run_end).unwrap_or_default();
        Ok(parts)
    }
}

pub(crate) fn read_refs(packed: &[u8], refs: &mut Vec<u32>, refs_max: usize) -> Result<(), ProtobufError> {
    let mut reader = Reader::new(packed);
    while reader.position() < packed.len() {
        push_ref(reader.varint()?, refs, refs_max);
    }
    Ok(())
}

fn push_ref(number: u64, refs: &mut Vec<u32>, refs_max: usize) {
    if refs.len() <= refs_max {
        refs.push(number as u32);
    }
}

/// Appends the label fields of a version 1.0 series whose labels are scattered, in order.
pub(crate) fn gather_labels(message: &[u8], out: &mut Vec<u8>) -> Result<(), ProtobufError> {
    let fields = Fields::of(Version::V1);
    let mut reader = Reader::new(message);
    while let Some(tag) = reader.tag()? {
        if tag == fields.labels {
            let label = reader.bytes()?;
            out.push(fields.labels as u8);
            mytsdb_varint::put_uvarint(out, label.len() as u64);
            out.extend_from_slice(label);
        } else {
            reader.skip(tag, 0)?;
        }
    }
    Ok(())
}
