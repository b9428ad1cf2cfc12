//! Any text as a tokenizer, in each of the files that one may lie in.
#![no_main]

use cognate_fuzz::{CONFIG, MODEL};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // the first byte chooses the file
    let Some((which, text)) = data.split_first() else { return };
    let name = ["tokenizer.json", "vocab.json", "vocab.txt"][usize::from(*which) % 3];
    let files = [(name, text), ("model.safetensors", MODEL), ("config.json", CONFIG)];
    cognate_fuzz::open_and_read(&cognate_fuzz::write("tokenizer", &files), None);
});
