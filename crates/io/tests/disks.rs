//! What every disk does, and what the simulated disks do besides.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use mytsdb_io::{Call, Disk, FaultDisk, RealDisk, SimDisk};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

fn behaves_like_a_disk(disk: &dyn Disk, root: &Path) {
    let dir = root.join("a/b");
    disk.create_dir_all(&dir).unwrap();
    let path = dir.join("file");
    assert_eq!(disk.open(&path).err().unwrap().kind(), ErrorKind::NotFound);
    let mut file = disk.create(&path).unwrap();
    assert!(file.is_empty().unwrap());
    file.append(b"hello").unwrap();
    file.append(b" world").unwrap();
    file.write_at(0, b"J").unwrap();
    let mut buffer = [0; 20];
    assert_eq!(file.read_at(0, &mut buffer).unwrap(), 11);
    assert_eq!(&buffer[..11], b"Jello world");
    assert_eq!(file.read_at(11, &mut buffer).unwrap(), 0);
    file.write_at(13, b"!").unwrap();
    assert_eq!(&disk.map(&path).unwrap()[..], b"Jello world\0\0!");
    file.truncate(5).unwrap();
    file.append(b"?").unwrap();
    file.sync_data().unwrap();
    assert_eq!(file.len().unwrap(), 6);

    let moved = dir.join("moved");
    disk.create(&moved).unwrap();
    disk.rename(&path, &moved).unwrap();
    disk.sync_dir(&dir).unwrap();
    assert_eq!(disk.list(&dir).unwrap(), ["moved"]);
    assert!(disk.exists(&moved).unwrap());
    assert!(!disk.exists(&path).unwrap());
    let map = disk.map(&moved).unwrap();
    assert_eq!(disk.remove(&dir).err().unwrap().kind(), ErrorKind::DirectoryNotEmpty);
    disk.remove(&moved).unwrap();
    assert_eq!(&map.clone()[..], b"Jello?", "a map outlives the name");
    disk.remove(&dir).unwrap();
    assert!(!disk.exists(&dir).unwrap());
    assert!(disk.free_bytes(root).unwrap() > 0);
    assert!(disk.total_bytes(root).unwrap() >= disk.free_bytes(root).unwrap());

    let mut reserved = disk.create(&root.join("reserved")).unwrap();
    reserved.append(b"ab").unwrap();
    reserved.reserve(5).unwrap();
    reserved.reserve(3).unwrap();
    reserved.append(b"c").unwrap();
    reserved.sync_data().unwrap();
    assert_eq!(&disk.map(&root.join("reserved")).unwrap()[..], b"ab\0\0\0c", "it grows, and never shrinks");

    disk.create(&root.join("empty")).unwrap();
    assert!(disk.map(&root.join("empty")).unwrap().is_empty());

    let lock_path = root.join("LOCK");
    let lock = disk.lock(&lock_path).unwrap();
    let refused = disk.lock(&lock_path).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::WouldBlock);
    assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
    drop(lock);
    disk.lock(&lock_path).unwrap();
}

#[test]
fn all_disks_behave_alike() {
    let dir = tempfile::tempdir().unwrap();
    behaves_like_a_disk(&RealDisk, dir.path());
    let sim = SimDisk::new();
    sim.create_dir_all(Path::new("/r")).unwrap();
    behaves_like_a_disk(&sim, Path::new("/r"));
    behaves_like_a_disk(&FaultDisk::new(SimDisk::new()), Path::new("/"));
}

fn disk_with_file(name: &str, bytes: &[u8]) -> SimDisk {
    let disk = SimDisk::new();
    let mut file = disk.create(&Path::new("/").join(name)).unwrap();
    file.append(bytes).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

#[test]
fn synced_bytes_and_names_survive_every_crash() {
    let disk = disk_with_file("f", &[7; 3000]);
    disk.open(Path::new("/f")).unwrap().append(&[8; 3000]).unwrap();
    disk.create(Path::new("/g")).unwrap();
    for seed in 0..200 {
        assert_eq!(disk.crash(seed).map(Path::new("/f")).unwrap()[..3000], [7; 3000], "seed {seed}");
    }
    let bare = disk.crash_losing_everything_unsynced();
    assert_eq!(bare.map(Path::new("/f")).unwrap().len(), 3000);
    assert_eq!(bare.list(Path::new("/")).unwrap(), ["f"]);
}

#[test]
fn unsynced_bytes_come_back_lost_torn_and_whole_and_the_same_by_seed() {
    let disk = disk_with_file("f", b"");
    disk.open(Path::new("/f")).unwrap().append(&[9; 2048]).unwrap();
    let image = |seed| disk.crash(seed).map(Path::new("/f")).unwrap().to_vec();
    let images: BTreeSet<Vec<u8>> = (0..300).map(image).collect();
    assert!(images.contains(&vec![]), "lost");
    assert!(images.contains(&vec![9; 2048]), "whole");
    assert!(images.iter().any(|i| i.len() == 2048 && i.contains(&0) && i.contains(&9)), "a hole before a survivor");
    assert!(images.iter().any(|i| i.len() % 512 != 0), "length cut");
    assert_eq!(image(42), image(42));
}

#[test]
fn a_rename_is_atomic_and_a_node_has_one_name() {
    let disk = disk_with_file("a", b"1");
    let root = Path::new("/");
    disk.rename(&root.join("a"), &root.join("b")).unwrap();
    disk.rename(&root.join("b"), &root.join("c")).unwrap();
    let names: BTreeSet<Vec<String>> = (0..200).map(|seed| disk.crash(seed).list(root).unwrap()).collect();
    assert_eq!(names, BTreeSet::from([vec!["a".into()], vec!["b".into()], vec!["c".into()]]));
}

#[test]
fn sync_dir_settles_names_moved_across_directories() {
    let disk = disk_with_file("x", b"1");
    disk.create_dir_all(Path::new("/d")).unwrap();
    disk.create(Path::new("/y")).unwrap();
    disk.rename(Path::new("/y"), Path::new("/d/y")).unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    let after = disk.crash_losing_everything_unsynced();
    assert_eq!(after.list(Path::new("/")).unwrap(), ["d", "x"]);
    assert_eq!(after.list(Path::new("/d")).unwrap(), ["y"]);
}

#[test]
fn power_goes_at_the_chosen_call_and_stays_off() {
    let disk = disk_with_file("f", b"1");
    let mut file = disk.open(Path::new("/f")).unwrap();
    let before = disk.op_count();
    disk.stop_after(2);
    file.append(b"2").unwrap();
    file.sync_data().unwrap();
    assert!(!disk.is_stopped());
    let error = file.append(b"3").unwrap_err();
    assert!(SimDisk::is_power_loss(&error));
    assert!(disk.is_stopped());
    assert!(SimDisk::is_power_loss(&disk.map(Path::new("/f")).unwrap_err()), "reads fail too");
    assert_eq!(disk.op_count(), before + 2);
    assert_eq!(&disk.crash(1).map(Path::new("/f")).unwrap()[..], b"12");
}

#[test]
fn a_full_disk_takes_what_fits_and_says_so() {
    let disk = SimDisk::new();
    disk.set_capacity(10);
    let path = Path::new("/f");
    let mut file = disk.create(path).unwrap();
    file.append(&[1; 8]).unwrap();
    assert_eq!(file.append(&[2; 8]).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.len().unwrap(), 10);
    assert_eq!(disk.free_bytes(path).unwrap(), 0);
    file.truncate(8).unwrap();
    assert_eq!(disk.free_bytes(path).unwrap(), 2);
    disk.remove(path).unwrap();
    assert_eq!(disk.free_bytes(path).unwrap(), 10);
}

#[test]
fn corruption_flips_the_chosen_bits() {
    let disk = disk_with_file("f", &[0b1010; 4]);
    disk.corrupt(Path::new("/f"), 2, 0b0110).unwrap();
    disk.corrupt(Path::new("/f"), 99, 1).unwrap();
    assert_eq!(&disk.map(Path::new("/f")).unwrap()[..], [0b1010, 0b1010, 0b1100, 0b1010]);
    assert_eq!(&disk.crash(0).map(Path::new("/f")).unwrap()[..], [0b1010, 0b1010, 0b1100, 0b1010]);
}

#[test]
fn faults_hit_the_nth_call_and_retried_syncs_are_counted() {
    let disk = FaultDisk::new(SimDisk::new());
    let mut file = disk.create(Path::new("/f")).unwrap();
    disk.fail_nth(Call::Write, 2, 5);
    disk.cut_nth_write(3, 1, 28);
    disk.fail_nth(Call::Sync, 1, 5);
    file.append(b"ab").unwrap();
    assert_eq!(file.append(b"cd").unwrap_err().raw_os_error(), Some(5));
    assert_eq!(file.append(b"ef").unwrap_err().raw_os_error(), Some(28));
    file.append(b"gh").unwrap();
    assert_eq!(&disk.map(Path::new("/f")).unwrap()[..], b"abegh");
    assert!(file.sync_data().is_err());
    assert_eq!(disk.retried_syncs(), 0);
    file.sync_data().unwrap();
    assert_eq!(disk.retried_syncs(), 1);
    assert_eq!((disk.count(Call::Write), disk.fired()), (4, 3));
}
