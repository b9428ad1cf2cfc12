//! Any text as a reference to somewhere else, without the network.
#![no_main]

use cognate::checkpoint::{Limits, open_with};
use cognate::source::Access;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for scheme in ["hf://", "https://", "http://localhost", "s3://", "https://huggingface.co/"] {
        let refused = open_with(&format!("{scheme}{text}"), &Limits::default(), &Access::default());
        assert!(refused.is_err(), "nothing is cached and no connection is allowed");
    }
});
