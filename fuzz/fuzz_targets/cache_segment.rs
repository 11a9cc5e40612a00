//! Arbitrary bytes as a segment of the cache, as they are and with checksums made right: no panic, no more memory than there are samples,
//! and what is read is written and read again as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mytsdb_cache::{SegmentTable, SegmentWriter, decode_entry, encode_entry};
use mytsdb_columns::{Columns, Mark};

const HEADER_BYTES: usize = 32;
const ROW_BYTES: usize = 48;
const FOOTER_BYTES: usize = 32;

/// Most samples that an entry is said to have.
const SAMPLES_MAX: u64 = 10_000;

fuzz_target!(|data: &[u8]| {
    read(data);
    entry(data);
    let mut repaired = data.to_vec();
    if repair(&mut repaired).is_some() {
        read(&repaired);
    }
});

fn read(file: &[u8]) {
    let Ok(table) = SegmentTable::read(file, 1) else { return };
    let mut writer = SegmentWriter::new(1);
    let mut all_sound = true;
    for row in &table.rows {
        match row.verify(file) {
            Ok(bytes) => {
                entry(bytes);
                let written = writer.push(row.key, bytes).expect("no more than there was");
                assert_eq!((written.key, written.size, written.crc32c), (row.key, row.size, row.crc32c));
            }
            Err(_) => all_sound = false,
        }
    }
    if all_sound {
        assert_eq!(writer.finish().0, file, "the same entries make the same file");
    }
}

fn entry(bytes: &[u8]) {
    let mut columns = Columns::default();
    let samples = bytes.first().map_or(0, |byte| u64::from(*byte)) * SAMPLES_MAX / 255;
    for samples in [samples, 1, 120] {
        columns.clear();
        let read = decode_entry(bytes, samples, &mut columns);
        // A chunk, of 65,536 samples at most, is decoded before it is found to be too long.
        assert!(columns.len() as u64 <= samples + 65_536);
        if read.is_err() {
            continue;
        }
        assert!(columns.len() as u64 == samples && columns.is_in_order(Mark::default()));
        let mut again = Vec::new();
        encode_entry(&columns, &mut again).expect("samples in order");
        let mut same = Columns::default();
        decode_entry(&again, samples, &mut same).expect("just encoded");
        let bits = |columns: &Columns| columns.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert!(same.timestamps_ms == columns.timestamps_ms && bits(&same) == bits(&columns));
        assert_eq!(same.histogram_timestamps_ms, columns.histogram_timestamps_ms);
    }
}

/// Makes the checksums of header, table, footer and entries right; `None` if the file is too short to have any.
fn repair(file: &mut [u8]) -> Option<()> {
    let footer_at = file.len().checked_sub(FOOTER_BYTES).filter(|at| *at >= HEADER_BYTES)?;
    let number = |file: &[u8], at: usize| Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?));
    let table_at = (number(file, footer_at)? as usize).clamp(HEADER_BYTES, footer_at);
    for at in (table_at..footer_at).step_by(ROW_BYTES).take(100) {
        let row = file.get(at..at + ROW_BYTES)?.to_vec();
        let (offset, size) = (number(&row, 32)? as usize, number(&row, 36)? as usize);
        let Some(entry) = file.get(offset..offset.saturating_add(size)) else { continue };
        let crc = crc32c::crc32c_append(crc32c::crc32c(&row[..32]), entry);
        file[at + 40..at + 44].copy_from_slice(&crc.to_le_bytes());
    }
    let crc = crc32c::crc32c(&file[table_at..footer_at]);
    file[footer_at + 12..footer_at + 16].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32c::crc32c(&file[footer_at..footer_at + 20]);
    file[footer_at + 20..footer_at + 24].copy_from_slice(&crc.to_le_bytes());
    file[footer_at + 24..].copy_from_slice(b"mytscch\0");
    file[..8].copy_from_slice(b"mytscch\0");
    let crc = crc32c::crc32c(&file[..28]);
    file[28..32].copy_from_slice(&crc.to_le_bytes());
    Some(())
}
