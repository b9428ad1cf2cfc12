//! Any bytes as a GGUF file: refused or opened, never a panic, a hang or an allocation by a number in them.
#![no_main]

use std::sync::Arc;

use cognate::checkpoint::{Limits, open_gguf};
use cognate::source::{Error, Source};
use libfuzzer_sys::fuzz_target;

/// Bytes in memory as a file.
#[derive(Debug)]
struct Bytes(Vec<u8>);

impl Source for Bytes {
    fn name(&self) -> &str {
        "model.gguf"
    }

    fn size_bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        match self.0.get(start..start.saturating_add(buffer.len())) {
            Some(bytes) => buffer.copy_from_slice(bytes),
            // the reader checks every length first
            None => panic!("a read behind the end: {offset} + {}", buffer.len()),
        }
        Ok(())
    }

    fn verify_unchanged(&self) -> Result<(), Error> {
        Ok(())
    }
}

fuzz_target!(|data: &[u8]| {
    let file: Arc<dyn Source> = Arc::new(Bytes(data.to_vec()));
    let Ok(checkpoint) = open_gguf(vec![file], &Limits::default()) else { return };
    cognate_fuzz::read(&checkpoint);
});
