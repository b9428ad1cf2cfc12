//! Any text as the list of `--pairs`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut last = 0;
    for (number, pair) in cognate::cli::pairs_of_text(text) {
        assert!(number > last && number <= text.lines().count());
        last = number;
        let (left, right) = pair.unwrap_or_default();
        assert!(left.len() + right.len() <= text.len());
    }
});
