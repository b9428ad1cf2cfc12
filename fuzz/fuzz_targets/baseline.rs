//! Any JSON as the earlier run of `cognate bench --baseline`, held against a run and against itself.
#![no_main]

use cognate::report::baseline;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const RUN: &str = include_str!("../corpus/baseline/run");

fuzz_target!(|data: &[u8]| {
    let Ok(earlier) = serde_json::from_slice::<Value>(data) else { return };
    let now: Value = serde_json::from_str(RUN).expect("a document of the bench");
    for (before, now) in [(&earlier, &now), (&earlier, &earlier)] {
        match baseline::compare(before, now, 0.1) {
            Ok(held) => assert!(held.changes.iter().all(|change| change.ratio() > 0.0)),
            Err(why) => assert!(!why.is_empty()),
        }
    }
});
