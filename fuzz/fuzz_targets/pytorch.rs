//! Any bytes as a PyTorch checkpoint: a zip, a legacy file or a pickle.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let path = cognate_fuzz::write("pytorch", &[("pytorch_model.bin", data)]);
    cognate_fuzz::open_and_read(&path, None);
});
