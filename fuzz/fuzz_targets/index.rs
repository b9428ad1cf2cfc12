//! Any text as the index of a sharded checkpoint, beside two shards that are there.
#![no_main]

use cognate_fuzz::{CONFIG, MODEL};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let files = [
        ("model.safetensors.index.json", data),
        ("model-00001-of-00002.safetensors", MODEL),
        ("model-00002-of-00002.safetensors", MODEL),
        ("config.json", CONFIG),
    ];
    cognate_fuzz::open_and_read(&cognate_fuzz::write("index", &files), None);
});
