//! What moves from one place to another is found by who reads meanwhile.

use crate::check;
use mytsdb_sync::{Arc, HandOver, Mutex, RwLock, thread};

/// A sample in the head and a list of blocks, as flush and queries see them.
#[derive(Default)]
struct Moving {
    hand_over: HandOver,
    head: Mutex<Option<i32>>,
    blocks: RwLock<Vec<i32>>,
}

/// The engine's promise: a sample is in the head, in a block, or in both, for whoever looks while a flush moves it.
#[test]
fn a_sample_that_moves_from_the_head_to_a_block_is_found_by_who_reads_meanwhile() {
    // (the blocks were listed again, how often the sample was found)
    check(&[(false, 1), (false, 2), (true, 1), (true, 2), (true, 3)], || {
        let moving = Arc::new(Moving { head: Mutex::new(Some(7)), ..Moving::default() });
        let reader = {
            let moving = Arc::clone(&moving);
            thread::spawn(move || {
                let before = moving.hand_over.count();
                let mut found = moving.blocks.read().expect("no panic").clone();
                found.extend(*moving.head.lock().expect("no panic"));
                let again = moving.hand_over.count() != before;
                if again {
                    found.extend(&*moving.blocks.read().expect("no panic"));
                }
                assert!(found.contains(&7), "found nowhere");
                (again, found.len())
            })
        };
        let publish = || {
            moving.blocks.write().expect("no panic").push(7);
            Ok::<(), ()>(())
        };
        moving.hand_over.move_out(publish, || *moving.head.lock().expect("no panic") = None).expect("published");
        reader.join().expect("no panic")
    });
}
