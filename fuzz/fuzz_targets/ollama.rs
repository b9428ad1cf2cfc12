//! Any bytes as a manifest of Ollama's store, over a blob that is a whole model.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use cognate_fuzz::{folder, open_and_read};
use libfuzzer_sys::fuzz_target;

/// Digest of no blob's content: names are not recomputed.
const BLOB: &str = "sha256-0000000000000000000000000000000000000000000000000000000000000000";
const GGUF: &[u8] = include_bytes!("../corpus/gguf/q8_0.gguf");

fn manifest_path() -> &'static Path {
    static STORE: OnceLock<std::path::PathBuf> = OnceLock::new();
    STORE.get_or_init(|| {
        let store = folder().join("store");
        let manifests = store.join("manifests/registry.ollama.ai/library/fuzzed");
        std::fs::create_dir_all(&manifests).expect("a folder");
        std::fs::create_dir_all(store.join("blobs")).expect("a folder");
        std::fs::write(store.join("blobs").join(BLOB), GGUF).expect("room for a file");
        manifests.join("latest")
    })
}

fuzz_target!(|data: &[u8]| {
    let manifest = manifest_path();
    std::fs::write(manifest, data).expect("room for a file");
    open_and_read(manifest, None);
});
