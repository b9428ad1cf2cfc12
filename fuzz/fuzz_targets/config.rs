//! Any text as the configuration of a model that is there.
#![no_main]

use cognate_fuzz::MODEL;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let path = cognate_fuzz::write("config", &[("config.json", data), ("model.safetensors", MODEL)]);
    cognate_fuzz::open_and_read(&path, None);
});
