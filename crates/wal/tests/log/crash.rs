//! Power is cut at every operation of random workloads; every image is replayed, checked, written on and cut again.
//!
//! `MYTSDB_CRASH_IMAGES` sets the number of images, `MYTSDB_CRASH_SEED` the first workload.

use crate::support::{Model, read};
use mytsdb_io::SimDisk;
use mytsdb_testkit::{Random, setting};
use mytsdb_wal::{Durability, WalError};

const STEPS: u64 = 12;
const DEPTH: u32 = 3;

/// Opens and works until the power goes or the steps are done. In between the process is killed now and then.
fn work(disk: &SimDisk, model: &mut Model, random: &mut Random, power_lost: bool) {
    let done = (|| {
        let mut wal = model.reopen(disk, power_lost)?;
        for _ in 0..STEPS {
            if random.below(12) == 0 {
                drop(wal);
                wal = model.reopen(disk, false)?;
            }
            model.step(&mut wal, random)?;
        }
        Ok::<(), WalError>(())
    })();
    if let Err(error) = done {
        assert!(disk.is_stopped(), "the power was on: {error}");
    }
}

/// Cuts the power, checks the image, works on it, and does so again; returns the images checked.
fn crash_and_go_on(disk: &SimDisk, model: &Model, seed: u64, depth: u32) -> u64 {
    let mut random = Random::new(seed);
    let mut model = model.clone();
    let image = if random.below(8) == 0 { disk.crash_losing_everything_unsynced() } else { disk.crash(random.bits()) };
    if depth < DEPTH {
        image.stop_after(random.below(40));
        work(&image, &mut model, &mut random, true);
        return 1 + crash_and_go_on(&image, &model, random.bits(), depth + 1);
    }
    work(&image, &mut model, &mut random, true);
    model.check(&read(&image).unwrap(), false);
    1
}

fn enumerate(durability: Durability, name: &str) {
    let images_min = setting("MYTSDB_CRASH_IMAGES", 20_000) / 2;
    let first_seed = setting("MYTSDB_CRASH_SEED", 1);
    let (mut images, mut workloads) = (0, 0);
    while images < images_min {
        let seed = first_seed + workloads;
        workloads += 1;
        let mut stop = 0;
        loop {
            let disk = SimDisk::new();
            disk.stop_after(stop);
            let mut model = Model::new(durability);
            // Printed when the test fails: the one line that brings the failure back.
            println!("{name}: MYTSDB_CRASH_SEED={seed} power off after {stop} operations");
            work(&disk, &mut model, &mut Random::new(seed), false);
            for image in 0..2 {
                images += crash_and_go_on(&disk, &model, seed ^ (stop << 20) ^ (image << 40), 1);
            }
            if !disk.is_stopped() {
                break;
            }
            stop += 1;
        }
    }
    println!("{name}: {images} images of {workloads} workloads from seed {first_seed}");
}

#[test]
fn fsync_mode_loses_nothing_acknowledged_at_any_crash() {
    enumerate(Durability::Fsync, "fsync");
}

#[test]
fn interval_mode_loses_nothing_synced_and_keeps_a_prefix_at_any_crash() {
    enumerate(Durability::Interval, "interval");
}
