//! Arbitrary bytes as a manifest of the cold tier: no panic, and what is taken is written and read again as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mytsdb_parquet_tier::{Day, FileId, Manifest};

fuzz_target!(|data: &[u8]| {
    if let Ok(manifest) = Manifest::decode("manifest", 1, data) {
        let again = Manifest::decode("manifest", 1, &manifest.encode()).expect("what was written is read");
        assert_eq!(again, manifest);
        for day in &manifest.days {
            assert!(day.day.range().encloses(day.range) && !day.folder().contains(".."));
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(text.parse::<Day>().map_or(true, |day| day.to_string() == text));
        assert!(text.parse::<FileId>().map_or(true, |id| id.to_string() == text));
    }
});
