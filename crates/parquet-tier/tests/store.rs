//! Stores that fail, lie or are used by two: nothing of a failed write is live, and nothing that is live is deleted.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![expect(clippy::disallowed_methods, reason = "what a crash leaves is made as it is")]

mod common;
mod faulty;

use common::{block_on, memory_writer};
use faulty::{Fault, Faulty};
use mytsdb_columns::Columns;
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_parquet_tier::{Day, FileId, Store, StoreOptions, Tier, TierError, WriteOptions, WrittenDay};
use std::io::{Cursor, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const HOUR_MS: u64 = 3_600_000;

/// A day with a sample, or with so many of full entropy that its upload has several parts.
fn written(value: f64, large: bool) -> WrittenDay<Cursor<Vec<u8>>> {
    static LARGE: OnceLock<WrittenDay<Cursor<Vec<u8>>>> = OnceLock::new();
    if large { LARGE.get_or_init(|| write(value, true)).clone() } else { write(value, false) }
}

fn write(value: f64, large: bool) -> WrittenDay<Cursor<Vec<u8>>> {
    let mut writer = memory_writer(Day::of(0).unwrap(), ["__name__"], WriteOptions::default());
    let mut columns = Columns::default();
    let mut random = mytsdb_testkit::Random::new(1);
    for time in 0..if large { 900_000 } else { 1 } {
        columns.push_float(time, if large { f64::from_bits(random.bits()) } else { value });
    }
    writer.push(&Labels::from_pairs([("__name__", "up")]), &columns, None).unwrap();
    writer.finish().unwrap()
}

async fn values(tier: &Tier) -> Vec<f64> {
    let selection = tier.select(&[Matcher::metric("up")], TimeRange::ALL).await.unwrap();
    let mut values = Vec::new();
    selection
        .read(TimeRange::ALL, |_, columns| {
            values.extend_from_slice(&columns.values);
            Ok::<(), TierError>(())
        })
        .await
        .unwrap();
    values
}

fn options() -> StoreOptions {
    let mut options = StoreOptions::default();
    options.timeout = Duration::from_secs(5);
    options.retries = 2;
    options.part_bytes = 5 << 20;
    options
}

async fn open(faulty: &Arc<Faulty>) -> Tier {
    let store = Store::new(faulty.clone(), "v1/tenant=a/node=b", options()).unwrap();
    Tier::open(Arc::new(store), 0).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn faults_that_pass_are_outlived() {
    for fault in [Fault::Error, Fault::ErrorAfter, Fault::Hang] {
        for large in [false, true] {
            let faulty = Arc::new(Faulty::default());
            let tier = open(&faulty).await;
            faulty.fail_next(2, fault);
            let uploaded = tier.upload(written(1.0, large), FileId::new(1, 1)).await.unwrap();
            faulty.fail_next(2, fault);
            tier.commit(vec![uploaded], &[], 1).await.unwrap();
            tier.verify().await.unwrap();
            assert_eq!(open(&faulty).await.manifest(), tier.manifest(), "{fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_anywhere_leaves_nothing_in_the_manifest() {
    for large in [false, true] {
        let mut failures = 0;
        for after in 0.. {
            let faulty = Arc::new(Faulty::default());
            let tier = open(&faulty).await;
            let first = tier.upload(written(1.0, false), FileId::new(1, 1)).await.unwrap();
            tier.commit(vec![first], &[], 1).await.unwrap();
            faulty.fail_all_after(after, Fault::Error);
            let outcome = async {
                let uploaded = tier.upload(written(2.0, large), FileId::new(2, 2)).await?;
                tier.commit(vec![uploaded], &[FileId::new(1, 1)], 2).await
            };
            let outcome = outcome.await;
            faulty.heal();
            let newest = open(&faulty).await;
            if outcome.is_ok() {
                assert_eq!(newest.manifest().seq, 2);
                break;
            }
            failures += 1;
            assert_eq!(newest.manifest().seq, 1, "failed after {after} requests");
            assert_eq!(values(&newest).await, [1.0]);
            // What is left over goes once it is old enough, and what is live stays.
            newest.collect(u64::MAX / 2, HOUR_MS, 1).await.unwrap();
            assert_eq!(values(&newest).await, [1.0]);
            assert!(faulty.paths().await.iter().all(|path| !path.contains(&FileId::new(2, 2).to_string())));
        }
        assert!(failures >= 5, "only {failures} moments to fail");
    }
}

#[test]
fn a_store_that_changes_bytes_is_noticed_before_the_commit() {
    block_on(async {
        let faulty = Arc::new(Faulty::default());
        let tier = open(&faulty).await;
        for fault in [Fault::FlipByte, Fault::CutByte] {
            faulty.fail_next(1, fault);
            let error = tier.upload(written(1.0, false), FileId::new(1, 1)).await.unwrap_err();
            assert!(matches!(error, TierError::Unverified { .. }), "{fault:?}: {error}");
        }
    });
}

#[test]
fn a_local_file_that_changed_before_the_upload_is_not_sent() {
    block_on(async {
        let tier = Tier::open(Arc::new(Store::memory()), 0).await.unwrap();
        let mut changed = written(1.0, false);
        let file = &mut changed.files[0].1;
        file.set_position(40);
        file.write_all(b"?").unwrap();
        let error = tier.upload(changed, FileId::new(1, 1)).await.unwrap_err();
        assert!(matches!(error, TierError::Unverified { .. }), "{error}");
    });
}

#[test]
fn of_two_writers_one_hears_of_the_other() {
    block_on(async {
        let faulty = Arc::new(Faulty::default());
        let (one, two) = (open(&faulty).await, open(&faulty).await);
        let uploaded = one.upload(written(1.0, false), FileId::new(1, 1)).await.unwrap();
        one.commit(vec![uploaded], &[], 1).await.unwrap();
        let uploaded = two.upload(written(2.0, false), FileId::new(1, 2)).await.unwrap();
        let error = two.commit(vec![uploaded], &[], 1).await.unwrap_err();
        assert!(matches!(error, TierError::Conflict { .. }), "{error}");
        assert_eq!(two.refresh().await.unwrap().seq, 1);
        assert_eq!(values(&two).await, [1.0]);
    });
}

#[test]
fn commits_that_make_no_sense_are_refused() {
    block_on(async {
        let tier = Tier::open(Arc::new(Store::memory()), 0).await.unwrap();
        let id = FileId::new(1, 1);
        let refused = |error: TierError| assert!(matches!(error, TierError::BadCommit { .. }), "{error}");
        refused(tier.commit(vec![], &[id], 1).await.unwrap_err());
        let uploaded = tier.upload(written(1.0, false), id).await.unwrap();
        tier.commit(vec![uploaded], &[], 1).await.unwrap();
        let uploaded = tier.upload(written(1.0, false), id).await.unwrap();
        refused(tier.commit(vec![uploaded], &[], 1).await.unwrap_err());
        let empty = memory_writer(Day::of(0).unwrap(), ["__name__"], WriteOptions::default());
        refused(tier.upload(empty.finish().unwrap(), FileId::new(2, 2)).await.unwrap_err());
        assert_eq!(tier.manifest().seq, 1);
    });
}

#[test]
fn a_store_that_forgot_manifests_is_noticed() {
    block_on(async {
        let error = Tier::open(Arc::new(Store::memory()), 3).await.unwrap_err();
        assert!(matches!(error, TierError::Missing { .. }), "{error}");
    });
}

#[test]
fn replaced_files_stay_for_the_grace_period_and_the_last_manifests() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::local(folder.path(), options()).unwrap());
        let tier = Tier::open(store.clone(), 0).await.unwrap();
        let now_ms = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
        let begin_ms = now_ms();
        let ids = [1, 2, 3].map(|number| FileId::new(number, 1));
        for (place, id) in ids.iter().enumerate() {
            let uploaded = tier.upload(written(place as f64, false), *id).await.unwrap();
            let remove = &ids[place.saturating_sub(1)..place];
            tier.commit(vec![uploaded], remove, begin_ms + place as u64 * HOUR_MS).await.unwrap();
        }
        // What a crash leaves in mid-upload: files of a day that is in no manifest, and a part of one.
        let left = folder.path().join("day=1970-01-01").join(FileId::new(9, 9).to_string());
        std::fs::create_dir_all(&left).unwrap();
        std::fs::write(left.join("samples.parquet"), "half").unwrap();
        std::fs::write(left.join("labels.parquet#7"), "part").unwrap();
        std::fs::write(folder.path().join("notes#1"), "not ours").unwrap();
        let gone =
            |collected: mytsdb_parquet_tier::Collected| (collected.files, collected.manifests, collected.uploads);

        // Nothing is older than an hour.
        assert_eq!(gone(tier.collect(begin_ms, HOUR_MS, 1).await.unwrap()), (0, 0, 0));
        // Manifest 2 was replaced half an hour ago; the first one two hours before that, and nobody needs the first file.
        let later_ms = begin_ms + 2 * HOUR_MS + HOUR_MS / 2;
        assert_eq!(gone(tier.collect(later_ms, HOUR_MS, 3).await.unwrap()), (1, 0, 1));
        assert_eq!(gone(tier.collect(later_ms, HOUR_MS, 1).await.unwrap()), (2, 1, 0));
        assert_eq!(gone(tier.collect(begin_ms + 9 * HOUR_MS, HOUR_MS, 1).await.unwrap()), (2, 1, 0));
        assert_eq!(gone(tier.collect(begin_ms + 9 * HOUR_MS, HOUR_MS, 1).await.unwrap()), (0, 0, 0));
        assert!(folder.path().join("notes#1").exists());
        tier.verify().await.unwrap();
        assert_eq!(Tier::open(store, 3).await.unwrap().manifest(), tier.manifest());
        assert_eq!(values(&tier).await, [2.0]);
    });
}

#[test]
fn addresses_name_stores_or_say_what_is_wrong() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}/a%20b", folder.path().display());
        let store = Store::open(&url, Vec::new(), options()).unwrap();
        let tier = Tier::open(Arc::new(store.below("v1/node=x").unwrap()), 0).await.unwrap();
        assert_eq!(tier.collect(9, 1, 1).await.unwrap().files, 0, "there is not even a folder");
        let uploaded = tier.upload(written(1.0, false), FileId::new(1, 1)).await.unwrap();
        tier.commit(vec![uploaded], &[], 1).await.unwrap();
        assert!(folder.path().join("a b/v1/node=x/manifest/00000000000000000001.json").exists());
        for url in ["", "cold", "ftp://x/y", "s3://", "file://host/x"] {
            assert!(matches!(Store::open(url, Vec::new(), options()), Err(TierError::BadUrl { .. })), "{url}");
        }
        assert!(store.below("a/../b").is_err());
    });
}
