//! Label sets against the list of pairs they stand for.

use mytsdb_model::Labels;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn pairs() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map("[ab_ü]{1,3}", "[a-cß]{1,3}|x{126,130}", 0..5)
}

proptest! {
    #[test]
    fn order_and_equality_are_those_of_the_pairs(a in pairs(), b in pairs()) {
        let (left, right) = (Labels::from_pairs(&a), Labels::from_pairs(&b));
        prop_assert_eq!(left.cmp(&right), a.iter().cmp(b.iter()));
        prop_assert_eq!(left == right, a == b);
        prop_assert_eq!(left.len(), a.len());
        for (name, value) in &a {
            prop_assert_eq!(left.get(name), Some(value.as_str()));
        }
        prop_assert_eq!(Labels::from_bytes(left.as_bytes()), Ok(left));
    }
}
