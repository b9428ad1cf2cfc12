//! Any bytes as the pickle inside a well-formed zip container, with a storage that it may name.
#![no_main]

use std::io::{Cursor, Write};

use libfuzzer_sys::fuzz_target;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fuzz_target!(|data: &[u8]| {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in
        [("archive/data.pkl", data), ("archive/data/0", &[0; 256]), ("archive/version", b"3\n")]
    {
        zip.start_file(name, stored).expect("a name of its own");
        zip.write_all(bytes).expect("room in memory");
    }
    let bytes = zip.finish().expect("a directory").into_inner();
    let path = cognate_fuzz::write("pickle", &[("pytorch_model.bin", &bytes)]);
    cognate_fuzz::open_and_read(&path, None);
});
