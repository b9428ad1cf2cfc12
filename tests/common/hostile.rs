//! Writers of damaged files, byte by byte and without the library under test.

use std::path::{Path, PathBuf};

/// A safetensors file: length, header, `n_data` zero bytes.
pub(crate) fn file(header: impl AsRef<[u8]>, n_data: usize) -> Vec<u8> {
    let header = header.as_ref();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header);
    bytes.resize(bytes.len() + n_data, 0);
    bytes
}

/// One tensor as it stands in a header.
pub(crate) fn tensor(name: &str, dtype: &str, shape: &str, begin: u64, end: u64) -> String {
    format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]}}"#)
}

/// A legal file with these tensors, each of one U8 element.
pub(crate) fn tensors(names: &[&str]) -> Vec<u8> {
    let entries: Vec<String> =
        (0_u64..).zip(names).map(|(i, name)| tensor(name, "U8", "[1]", i, i + 1)).collect();
    file(format!("{{{}}}", entries.join(",")), names.len())
}

/// A file of `size_bytes` that starts with `start` and takes no room on disk.
pub(crate) fn sparse(path: &Path, start: &[u8], size_bytes: u64) {
    std::fs::write(path, start).expect("write");
    let file = std::fs::OpenOptions::new().write(true).open(path).expect("open");
    file.set_len(size_bytes).expect("sparse file");
}

/// A folder that cleans up after itself.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Folder {
        Folder(tempfile::tempdir().expect("temporary folder"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, with the folders above it.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Folder {
        let path = self.at(name);
        std::fs::create_dir_all(path.parent().expect("inside the folder")).expect("folder");
        std::fs::write(path, bytes).expect("write");
        self
    }

    /// Writes `model.safetensors.index.json` with these tensors and shards.
    pub(crate) fn index(&self, weight_map: &[(&str, &str)]) -> &Folder {
        let entries: Vec<String> = weight_map.iter().map(|(t, s)| format!(r#""{t}":"{s}""#)).collect();
        let total = weight_map.len();
        let text =
            format!(r#"{{"metadata":{{"total_size":{total}}},"weight_map":{{{}}}}}"#, entries.join(","));
        self.write("model.safetensors.index.json", text)
    }
}
