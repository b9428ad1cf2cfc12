//! Any bytes as a safetensors file.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let path = cognate_fuzz::write("safetensors", &[("model.safetensors", data)]);
    cognate_fuzz::open_and_read(&path, None);
});
