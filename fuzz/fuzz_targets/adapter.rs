//! Any adapter over a model that is there.
#![no_main]

use cognate_fuzz::{CONFIG, MODEL};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (config, model) = cognate_fuzz::text_and_bytes(data);
    let base = cognate_fuzz::write("base", &[("config.json", CONFIG), ("model.safetensors", MODEL)]);
    let files = [("adapter_config.json", config), ("adapter_model.safetensors", model)];
    cognate_fuzz::open_and_read(&cognate_fuzz::write("adapter", &files), Some(&base));
});
