//! Any configuration of a quantised checkpoint and any file of its codes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (config, model) = cognate_fuzz::text_and_bytes(data);
    let path = cognate_fuzz::write("quantised", &[("config.json", config), ("model.safetensors", model)]);
    cognate_fuzz::open_and_read(&path, None);
});
