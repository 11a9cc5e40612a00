//! Damaged files: whatever bit is wrong, reading tells it or gives what was written.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use bytes::Bytes;
use common::{bits, block_on, days, random_case};
use mytsdb_columns::Columns;
use mytsdb_model::{Labels, TimeRange};
use mytsdb_parquet_tier::{FileKind, Store, StoreOptions, Tier, TierError};
use mytsdb_testkit::{Random, seed, setting};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use std::sync::Arc;

/// Everything in a tier, as one comparable thing.
async fn everything(tier: &Tier) -> Result<Vec<(Labels, String)>, TierError> {
    let selection = tier.select(&[], TimeRange::ALL).await?;
    let mut labels = selection.labels();
    let mut read = Vec::new();
    let each = |_: usize, columns: &mut Columns| {
        read.push((labels.next().unwrap().clone(), format!("{:?}", bits(columns))));
        Ok::<(), TierError>(())
    };
    selection.read(TimeRange::ALL, each).await?;
    Ok(read)
}

#[test]
fn a_flipped_bit_or_a_cut_file_is_an_error_or_harmless() {
    let seed = seed(77);
    let flips = setting("MYTSDB_FLIPS", 100);
    block_on(async {
        for number in 0..3 {
            let mut random = Random::of_case(seed, number);
            let inner = Arc::new(InMemory::new());
            let store: Arc<dyn ObjectStore> = inner.clone();
            let mut options = StoreOptions::default();
            options.retries = 0;
            let tier = Tier::open(Arc::new(Store::new(store, "", options).unwrap()), 0).await.unwrap();
            days(&tier, &random_case(&mut random), 500).await;
            let expected = everything(&tier).await.unwrap();
            let (mut noticed, mut harmless) = (0, 0);
            for _ in 0..flips {
                let days = &tier.manifest().days;
                let day = &days[random.index(days.len())];
                let (kind, _) = day.files[random.index(day.files.len())];
                let path = Path::from(format!("{}/{}", day.folder(), kind.name()));
                let sound = inner.get(&path).await.unwrap().bytes().await.unwrap();
                let mut damaged = sound.to_vec();
                let at = random.index(damaged.len());
                if random.one_in(10) {
                    damaged.truncate(at);
                } else {
                    damaged[at] ^= 1 << random.below(8);
                }
                inner.put(&path, Bytes::from(damaged).into()).await.unwrap();
                match everything(&tier).await {
                    Ok(read) => {
                        assert!(read == expected, "{kind:?}: a wrong answer, byte {at} of case {number}");
                        harmless += 1;
                    }
                    Err(_) => noticed += 1,
                }
                assert!(matches!(tier.verify().await, Err(TierError::Unverified { .. })));
                inner.put(&path, sound.into()).await.unwrap();
            }
            // Labels in samples and histograms are for other engines; nobody reads them here.
            assert!(noticed > 4 * harmless, "{noticed} noticed, {harmless} harmless");
            assert!(tier.manifest().days.iter().all(|day| day.files.iter().any(|(kind, _)| *kind == FileKind::Labels)));
        }
    });
}
