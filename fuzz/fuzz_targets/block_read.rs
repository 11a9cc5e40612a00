//! Arbitrary bytes as a block file, as they are and with the checksums of its sections made right: no panic, whatever is
//! asked, and what verifies can be read and found.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mytsdb_blocks::{Block, BlockError, block_file_name};
use mytsdb_columns::{Columns, Mark};
use mytsdb_io::{Disk, SimDisk};
use mytsdb_model::{MatchOp, Matcher, TimeRange};
use mytsdb_stop::StopSign;
use std::path::Path;

const HEADER_BYTES: usize = 32;

fuzz_target!(|data: &[u8]| {
    read(data);
    let mut repaired = data.to_vec();
    if repair(&mut repaired).is_some() {
        read(&repaired);
    }
});

fn read(bytes: &[u8]) {
    let disk = SimDisk::new();
    let dir = Path::new("/blocks");
    disk.create_dir_all(dir).expect("a disk in memory");
    let path = dir.join(block_file_name(1));
    disk.create(&path).expect("a disk in memory").append(bytes).expect("a disk in memory");
    let Ok(block) = Block::open(&disk, &path) else { return };
    let sound = block.verify().is_ok();
    let answered = ask(&block, sound).is_ok();
    assert!(answered || !sound, "what verifies can be read");
}

fn ask(block: &Block, sound: bool) -> Result<(), BlockError> {
    let stop = StopSign::NEVER;
    let mut columns = Columns::default();
    for ordinal in block.select(&[], stop)?.into_iter().take(1_000) {
        let labels = block.labels(ordinal)?;
        let found = block.find(&labels)?;
        assert!(!sound || found == Some(ordinal));
        for chunk in block.chunks(ordinal, TimeRange::ALL)? {
            block.chunk_stats(&chunk)?;
            columns.clear();
            match block.read_samples(&chunk, &mut columns) {
                // Bytes with a right checksum need not be a valid chunk.
                Ok(()) | Err(BlockError::DamagedChunk { .. } | BlockError::UnknownEncoding { .. }) => {}
                Err(error) => return Err(error),
            }
            assert!(columns.is_in_order(Mark::default()) && columns.timestamps_ms.len() == columns.values.len());
            let plain = columns.histograms.is_empty() && columns.start_timestamps_ms.is_empty();
            assert!(plain || !block.is_plain());
        }
    }
    for name in &block.label_names(stop)?.iter().take(20).map(str::to_owned).collect::<Vec<_>>() {
        block.label_values(name, stop)?;
        for (op, value) in [(MatchOp::Regex, "a.*"), (MatchOp::NotRegex, ".*b.*|up"), (MatchOp::NotEqual, "up")] {
            let matchers = [Matcher::new(op, name, value).expect("a pattern"), Matcher::equal("__name__", "up")];
            let found = block.select(&matchers, stop)?;
            block.label_values_of(name, &found, stop)?;
            block.label_names_of(&found, stop)?;
            block.select(&matchers[..1], stop)?;
        }
    }
    Ok(())
}

/// Makes the checksums of header, sections and footer right; `None` if the file is too short to have any.
fn repair(file: &mut [u8]) -> Option<()> {
    let (sections, footer_bytes) = if *file.get(8)? == 1 { (4, 160) } else { (5, 184) };
    let footer_at = file.len().checked_sub(footer_bytes).filter(|&at| at >= HEADER_BYTES)?;
    for section in 1..sections {
        let entry = footer_at + 24 * section;
        let number = |at: usize| Some(u64::from_le_bytes(file.get(at..at + 8)?.try_into().ok()?) as usize);
        let (start, len) = (number(entry)?, number(entry + 8)?);
        let crc = crc32c::crc32c(file.get(start..start.checked_add(len)?)?);
        file[entry + 16..entry + 20].copy_from_slice(&crc.to_le_bytes());
    }
    let (magic_at, crc_at) = (file.len() - 8, file.len() - 12);
    file[magic_at..].copy_from_slice(b"mytsblk\0");
    let crc = crc32c::crc32c(&file[footer_at..crc_at]);
    file[crc_at..magic_at].copy_from_slice(&crc.to_le_bytes());
    file[..8].copy_from_slice(b"mytsblk\0");
    let id_at = crc_at - 12;
    file.copy_within(id_at..id_at + 8, 16);
    let crc = crc32c::crc32c(&file[..28]);
    file[28..32].copy_from_slice(&crc.to_le_bytes());
    Some(())
}
