//! Arbitrary text as a query: no panic, and what parses prints as a text that parses to the same text again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mytsdb_promql_syntax::{QUERY_BYTES_MAX, parse, prettify};

fuzz_target!(|text: &str| {
    let Ok(expr) = parse(text) else { return };
    let printed = expr.to_string();
    // Printing may make a text longer than what is accepted.
    if printed.len() > QUERY_BYTES_MAX {
        return;
    }
    let again = parse(&printed).unwrap_or_else(|e| panic!("{printed}: {e}"));
    assert_eq!(again.to_string(), printed);
    let pretty = prettify(&expr);
    if pretty.len() <= QUERY_BYTES_MAX {
        assert_eq!(parse(&pretty).unwrap_or_else(|e| panic!("{pretty}: {e}")).to_string(), printed);
    }
});
