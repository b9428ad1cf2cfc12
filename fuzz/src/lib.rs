//! What the targets share: files in a folder of this process, opened as a user would, and read through to their elements.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cognate::checkpoint::{Checkpoint, Error, Limits, open_over};
use cognate::{canonical, roles};

/// A small model of two layers, whole.
pub const MODEL: &[u8] = include_bytes!("../../tests/reference/adapters/llama-base/model.safetensors");
/// Its configuration.
pub const CONFIG: &[u8] = include_bytes!("../../tests/reference/adapters/llama-base/config.json");

/// A folder that this process alone writes to.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("cognate-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for temporary files");
        path
    })
}

/// Writes `files` into `name` and nothing else.
pub fn write(name: &str, files: &[(&str, &[u8])]) -> PathBuf {
    let path = folder().join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("a folder");
    for (file, bytes) in files {
        std::fs::write(path.join(file), bytes).expect("room for a file");
    }
    path
}

/// Opens what `path` holds: refused, or every tensor can be read where it says that it lies.
pub fn open_and_read(path: &Path, base: Option<&Path>) {
    let text = |path: &Path| path.to_str().expect("a temporary path in UTF-8").to_owned();
    let base = base.map(text);
    match open_over(&text(path), base.as_deref(), &Limits::default(), roles::counterparts) {
        Ok(checkpoint) => read(&checkpoint),
        // a refusal has something to say
        Err(error) => assert!(!error_text(&error).is_empty()),
    }
}

fn error_text(error: &Error) -> String {
    error.to_string()
}

/// Reads the first and the last elements of every tensor, and finds out what it is.
pub fn read(checkpoint: &Checkpoint) {
    for tensor in &checkpoint.tensors {
        let (elements, offset) = checkpoint.elements_of(tensor);
        let Some(width) = tensor.dtype.size_bytes() else { continue };
        let n_bytes_in_all = tensor.n_elements() * width as u64;
        let n_bytes = n_bytes_in_all.min(1 << 16);
        let mut buffer = vec![0; n_bytes as usize];
        for start in [offset, offset + n_bytes_in_all - n_bytes] {
            // contents may be refused (codes beyond a table), never by a panic
            let _ = elements.read_at(start, &mut buffer);
        }
    }
    let roles = roles::assign(checkpoint);
    let _ = canonical::canonicalise(checkpoint, &roles);
}

/// The two files of an input: text up to the first zero byte, which JSON does not hold, and the bytes behind it.
pub fn text_and_bytes(data: &[u8]) -> (&[u8], &[u8]) {
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    (&data[..end], data.get(end + 1..).unwrap_or(&[]))
}
