//! Any text as a manifest of labelled models and pairs.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let listing = cognate::evaluate::read(text, 0, 100);
    assert!(listing.faults.len() <= text.lines().count());
});
