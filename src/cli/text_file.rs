//! Text files of the user's own: lists of pairs, manifests, earlier results. Read whole, up to a stated size.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// Longest list or manifest: some millions of pairs.
pub(super) const MAX_LIST_BYTES: u64 = 256 << 20;

/// The whole text of a file, a pipe or a device.
///
/// # Errors
/// It cannot be read, is no UTF-8, or does not end before `max_bytes`, as a device does not.
pub(super) fn read(path: &Path, max_bytes: u64) -> Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(max_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        let says = format!("it is longer than {} MiB", max_bytes >> 20);
        return Err(Error::new(ErrorKind::FileTooLarge, says));
    }
    String::from_utf8(bytes).map_err(|error| {
        let says = format!("it is not text: no UTF-8 at byte {}", error.utf8_error().valid_up_to());
        Error::new(ErrorKind::InvalidData, says)
    })
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_text_is_read_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        std::fs::write(&path, "a b\n").unwrap();
        assert_eq!(read(&path, 4).unwrap(), "a b\n");
        assert!(read(&path, 3).is_err(), "one byte too long");
        std::fs::write(&path, b"a b\n\xff").unwrap();
        assert!(read(&path, 5).unwrap_err().to_string().contains("byte 4"));
        assert!(read(&folder.path().join("none"), 4).is_err());
    }
}
