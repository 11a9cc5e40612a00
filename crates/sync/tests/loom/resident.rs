//! A value that is put out goes when nobody reads it any more, once.

use crate::check;
use mytsdb_sync::{Arc, Resident, Spent, thread};

/// The promise of a cache: what is put out while others read it is theirs until they are done, and is given back once.
#[test]
fn a_value_that_is_put_out_is_given_back_once_and_not_while_it_is_read() {
    // Whether the reader had a hit, and whether who put the value out had it back at once.
    check(&[(false, false), (false, true), (true, false), (true, true)], || {
        // loom reports an Arc that is still alive at the end of a run.
        let resident = Arc::new(Resident::new(Arc::new(7)));
        let evictor = {
            let resident = Arc::clone(&resident);
            thread::spawn(move || match resident.spend(2) {
                Spent::Out(value) => value.is_some(),
                Spent::Stays => unreachable!("one use at most"),
            })
        };
        let hit = resident.read(|value| assert_eq!(**value, 7)).is_some();
        let is_back = evictor.join().expect("no panic");
        assert!(resident.read(|_| ()).is_none(), "read after it was put out");
        (hit, is_back)
    });
}
