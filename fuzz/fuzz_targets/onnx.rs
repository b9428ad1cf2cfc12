//! Any bytes as an ONNX graph beside a file that may hold its tensors.
#![no_main]

use cognate_fuzz::{open_and_read, write};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let folder = write("onnx", &[("model.onnx", data), ("w.bin", &[1; 64])]);
    open_and_read(&folder.join("model.onnx"), None);
});
