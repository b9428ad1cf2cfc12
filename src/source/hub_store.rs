//! Small files that were fetched whole are left in the local cache as the Hub's own tools would leave them.
//!
//! `blobs/ETAG` holds the bytes, `snapshots/COMMIT/NAME` links to it, `refs/REVISION` names the commit. Each of the three is
//! written under another name first and then renamed, in this order, so that what is there is whole at any moment.

use std::io::{Result, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use ring::digest;

use super::hub::{is_path_inside, is_plain};

/// A model's folder in the cache, at one commit.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    /// `models--org--name`.
    pub repository: PathBuf,
    pub commit: String,
    /// What the user called the commit: a branch or a tag. None where it was the commit itself.
    pub reference: Option<String>,
}

impl Shelf {
    /// Where a file of this commit lies, once it is there.
    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.repository.join("snapshots").join(&self.commit).join(name)
    }

    /// The file, if it is here already under the name of its content.
    pub(super) fn find(&self, name: &str, etag: &str, size_bytes: u64) -> Option<PathBuf> {
        let blob = self.blob(etag)?;
        let is_whole =
            std::fs::metadata(&blob).is_ok_and(|found| found.is_file() && found.len() == size_bytes);
        is_whole.then(|| self.link(name, etag)).and_then(std::io::Result::ok)
    }

    /// Writes a file and all that leads to it; its path is where the tools of the Hub look for it.
    pub(super) fn keep(&self, name: &str, etag: &str, bytes: &[u8]) -> Result<PathBuf> {
        let blob = self.blob(etag).ok_or(std::io::ErrorKind::InvalidInput)?;
        write_whole(&blob, bytes)?;
        self.link(name, etag)
    }

    fn blob(&self, etag: &str) -> Option<PathBuf> {
        is_plain(etag).then(|| self.repository.join("blobs").join(etag))
    }

    fn link(&self, name: &str, etag: &str) -> Result<PathBuf> {
        if !is_path_inside(name) {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        let path = self.path_of(name);
        let up = "../".repeat(2 + name.matches('/').count());
        link_whole(
            &path,
            Path::new(&format!("{up}blobs/{etag}")),
            &self.repository.join("blobs").join(etag),
        )?;
        if let Some(reference) = &self.reference {
            let reference = self.repository.join("refs").join(reference);
            if std::fs::read_to_string(&reference).ok().as_deref() != Some(&self.commit) {
                write_whole(&reference, self.commit.as_bytes())?;
            }
        }
        Ok(path)
    }
}

/// Whether bytes are those that an entity tag of the Hub names: the SHA-256 of large files, Git's name of others.
/// None where the tag is of another kind.
pub(super) fn is_content_of(etag: &str, bytes: &[u8]) -> Option<bool> {
    let hex =
        |digest: digest::Digest| digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    match etag.len() {
        64 => Some(hex(digest::digest(&digest::SHA256, bytes)) == etag),
        40 => {
            let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
            context.update(format!("blob {}\0", bytes.len()).as_bytes());
            context.update(bytes);
            Some(hex(context.finish()) == etag)
        }
        _ => None,
    }
}

/// A name beside `path` that nobody else uses; the ending is the one of unfinished downloads.
fn beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}-{n}.incomplete", std::process::id()));
    path.with_file_name(name)
}

fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let unfinished = beside(path);
    let written = std::fs::File::create_new(&unfinished)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&unfinished, path));
    if written.is_err() {
        // what cannot be removed is known for what it is by its ending
        let _ = std::fs::remove_file(&unfinished);
    }
    written
}

#[cfg(unix)]
fn link_whole(path: &Path, target: &Path, _: &Path) -> Result<()> {
    if std::fs::read_link(path).is_ok_and(|found| found == target) {
        return Ok(());
    }
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    let unfinished = beside(path);
    std::os::unix::fs::symlink(target, &unfinished)?;
    std::fs::rename(&unfinished, path).inspect_err(|_| {
        let _ = std::fs::remove_file(&unfinished);
    })
}

/// Links need a privilege on Windows; the Hub's own tools leave copies there too.
#[cfg(not(unix))]
fn link_whole(path: &Path, _: &Path, blob: &Path) -> Result<()> {
    write_whole(path, &std::fs::read(blob)?)
}

#[cfg(test)]
mod tests {
    use super::{Shelf, is_content_of};

    #[test]
    fn digests_are_those_of_git_and_sha256sum() {
        // printf hello | git hash-object --stdin; printf hello | sha256sum
        assert_eq!(is_content_of("b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0", b"hello"), Some(true));
        let sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        assert_eq!(is_content_of(sha256, b"hello"), Some(true));
        assert_eq!(is_content_of(sha256, b"hallo"), Some(false));
        assert_eq!(is_content_of("5d41402abc4b2a76b9719d911017c592-2", b"hello"), None);
    }

    #[test]
    fn a_kept_file_is_found_again_and_nothing_is_written_outside() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let repository = folder.path().join("models--o--n");
        let shelf = Shelf { repository, commit: "c0ffee".into(), reference: Some("refs-like/main".into()) };
        assert_eq!(shelf.find("sub/config.json", "e7a6", 2), None);
        let path = shelf.keep("sub/config.json", "e7a6", b"{}").expect("written");
        assert_eq!(std::fs::read(&path).expect("through the link"), b"{}");
        assert_eq!(shelf.find("sub/config.json", "e7a6", 2), Some(path.clone()));
        assert_eq!(shelf.find("sub/config.json", "e7a6", 3), None);
        let reference = shelf.repository.join("refs/refs-like/main");
        assert_eq!(std::fs::read_to_string(reference).expect("written"), "c0ffee");
        for (name, etag) in [("../../../x", "e7a6"), ("x", "../e7a6"), ("x", ""), ("", "e7a6")] {
            shelf.keep(name, etag, b"{}").expect_err("refused");
        }
        let left: Vec<_> = std::fs::read_dir(shelf.repository.join("blobs")).expect("folder").collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}
