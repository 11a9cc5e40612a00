//! Replay of arbitrary files: no panic, no record with columns of different length, and a log that can be gone on with.
//!
//! Input: a byte that says whether the files are repaired, then up to three files, each `u16` length and bytes; the first
//! becomes a checkpoint, the others segments. A repaired file has right checksums, so that fuzzing gets behind them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mytsdb_io::{Disk, SimDisk};
use mytsdb_model::SeriesRef;
use mytsdb_wal::{Record, Rows, Wal, WalOptions, replay};
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "/wal";
const NAMES: [(&str, u8, u64); 3] = [("00000002.checkpoint", 1, 2), ("00000002.wal", 0, 2), ("00000003.wal", 0, 3)];

fuzz_target!(|data: &[u8]| {
    let disk = SimDisk::new();
    let dir = Path::new(DIR);
    disk.create_dir_all(dir).expect("a disk in memory");
    let Some((&repair, mut rest)) = data.split_first() else { return };
    for (name, kind, id) in NAMES {
        let Some((length, bytes)) = rest.split_at_checked(2) else { break };
        let length = usize::from(u16::from_le_bytes([length[0], length[1]])).min(bytes.len());
        let mut file = bytes[..length].to_vec();
        rest = &bytes[length..];
        if repair & 1 == 1 {
            repair_file(&mut file, kind, id);
        }
        disk.create(&dir.join(name)).expect("a disk in memory").append(&file).expect("a disk in memory");
    }
    let mut rows = 0u64;
    let replayed = replay(&disk, dir, &mut |record| {
        if let Record::Samples { refs, timestamps_ms, values } = record {
            assert!(refs.len() == timestamps_ms.len() && refs.len() == values.len() && refs.len() <= 4096);
            rows += refs.len() as u64;
        }
        if let Record::Rows(Rows { refs, timestamps_ms, starts_ms, values, histograms }) = record {
            assert!(refs.len() == timestamps_ms.len() && refs.len() == values.len() && refs.len() <= 4096);
            assert!(starts_ms.is_empty() || starts_ms.len() == refs.len());
            assert!(histograms.is_sorted_by(|a, b| a.0 < b.0) && histograms.iter().all(|(_, bytes)| !bytes.is_empty()));
            assert!(histograms.last().is_none_or(|last| (last.0 as usize) < refs.len()));
            rows += refs.len() as u64;
        }
        if let Record::Exemplars { exemplars, .. } = record {
            assert!((1..=4096).contains(&exemplars.len()));
        }
    });
    let Ok(report) = replayed else { return };
    assert_eq!(report.samples, rows);
    let mut wal =
        Wal::open(Arc::new(disk.clone()), dir, WalOptions::default(), &report).expect("a disk in memory opens");
    wal.log_samples(&[SeriesRef(1)], &[1], &[1.0]);
    wal.commit().expect("a disk in memory commits");
    drop(wal);
    let again = replay(&disk, dir, &mut |_| {}).expect("it was replayed before");
    assert_eq!(again.samples, rows + 1, "what was replayed once is replayed again, and what was committed too");
});

/// Gives a file the header of its name, and every frame in it the checksums, magic and length that make it legal.
fn repair_file(file: &mut [u8], kind: u8, id: u64) {
    let Some((header, mut rest)) = file.split_at_mut_checked(40) else { return };
    header[..8].copy_from_slice(b"mytsdbWL");
    header[8..16].copy_from_slice(&[3, 0, kind, 0, 0, 0, 0, 0]);
    header[16..24].copy_from_slice(&id.to_le_bytes());
    header[28..36].fill(0);
    let crc = crc32c::crc32c(&header[..36]).to_le_bytes();
    header[36..].copy_from_slice(&crc);
    let mut offset = 40u64;
    while let Some((header, after)) = rest.split_at_mut_checked(32) {
        let length = usize::from(header[4]).clamp(1, after.len().max(1));
        let Some((payload, next)) = after.split_at_mut_checked(length) else { return };
        header[..4].copy_from_slice(&0xF3A9_5C1E_u32.to_le_bytes());
        header[4..8].copy_from_slice(&(length as u32).to_le_bytes());
        header[9..16].fill(0);
        header[17..24].fill(0);
        header[24..28].copy_from_slice(&crc32c::crc32c(payload).to_le_bytes());
        let place = [&[kind][..], &id.to_le_bytes(), &offset.to_le_bytes()].concat();
        let crc = crc32c::crc32c_append(crc32c::crc32c(&place), &header[..28]).to_le_bytes();
        header[28..].copy_from_slice(&crc);
        offset += 32 + length as u64;
        rest = next;
    }
}
