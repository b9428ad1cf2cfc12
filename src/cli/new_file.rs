//! A file that appears whole or not at all: written beside its place, synced, then renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file on its way. Dropped before [`NewFile::finish`] it leaves nothing behind.
#[derive(Debug)]
pub(super) struct NewFile {
    path: PathBuf,
    /// None for a device or a pipe, which is written to and never replaced.
    temporary: Option<PathBuf>,
    writer: BufWriter<File>,
}

impl NewFile {
    /// Begins to write what will lie at `path`.
    pub(super) fn create(path: &Path) -> io::Result<NewFile> {
        let path = path.to_owned();
        if fs::metadata(&path).is_ok_and(|facts| !facts.is_file()) {
            let writer = BufWriter::new(OpenOptions::new().write(true).open(&path)?);
            return Ok(NewFile { path, temporary: None, writer });
        }
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = folder_of(&path).join(name);
        let file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
        Ok(NewFile { path, temporary: Some(temporary), writer: BufWriter::new(file) })
    }

    /// Adds bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)
    }

    /// Makes the file appear; an old one stays whole until then.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.writer.flush()?;
        let Some(temporary) = &self.temporary else { return Ok(()) };
        self.writer.get_ref().sync_all()?;
        fs::rename(temporary, &self.path)?;
        self.temporary = None;
        sync_folder(folder_of(&self.path))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // what made us stop is the error to report
            let _ = fs::remove_file(temporary);
        }
    }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// The folder that a path lies in.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
