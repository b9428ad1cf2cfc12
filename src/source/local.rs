//! Local files, read by position.

use std::fs::{File, Metadata, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(any(target_os = "linux", target_os = "android"))]
use super::block::Block;
use super::fault::grouped;
use super::{Error, Source};

/// Handles kept open at a time. Beyond that a file is opened anew for each read, so that a model of thousands
/// of shards works under any limit on open files.
const MAX_KEPT_HANDLES: usize = 16;

static KEPT_HANDLES: AtomicUsize = AtomicUsize::new(0);

/// What makes a file the same file with the same content, as far as the system tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Device and inode; (0, 0) where the system has none.
    pub file_id: (u64, u64),
    /// Length in bytes.
    pub size_bytes: u64,
    /// Time of the last modification, in nanoseconds since 1970.
    pub mtime_ns: i128,
}

impl Identity {
    /// Identity of what lies at `path`, links followed.
    ///
    /// # Errors
    /// The system cannot say.
    pub fn of(path: &Path) -> Result<Identity, Error> {
        let metadata = std::fs::metadata(path).map_err(|cause| io("stat", path, None, cause))?;
        Ok(Identity::from_metadata(&metadata))
    }

    fn from_metadata(metadata: &Metadata) -> Identity {
        #[cfg(unix)]
        let file_id = {
            use std::os::unix::fs::MetadataExt;
            (metadata.dev(), metadata.ino())
        };
        #[cfg(not(unix))]
        let file_id = (0, 0);
        let mtime_ns =
            metadata.modified().map_or(0, |time| match time.duration_since(std::time::UNIX_EPOCH) {
                Ok(after) => i128::try_from(after.as_nanos()).unwrap_or(i128::MAX),
                Err(before) => -i128::try_from(before.duration().as_nanos()).unwrap_or(i128::MAX),
            });
        Identity { file_id, size_bytes: metadata.len(), mtime_ns }
    }

    fn shown(&self) -> String {
        let (device, inode) = self.file_id;
        format!("{} bytes, modified {} ns, inode {device}:{inode}", grouped(self.size_bytes), self.mtime_ns)
    }
}

/// An open regular file.
#[derive(Debug)]
pub struct LocalFile {
    path: PathBuf,
    name: String,
    identity: Identity,
    /// None where the limit on kept handles was reached: each read opens the file again.
    kept: Option<File>,
    /// The same file past the system's cache, opened when it is first asked for; None where that is refused.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    direct: std::sync::OnceLock<Option<File>>,
}

impl LocalFile {
    /// Opens `path`, links followed, without ever waiting on a pipe or device.
    ///
    /// # Errors
    /// It cannot be opened or is not a regular file.
    pub fn open(path: &Path) -> Result<LocalFile, Error> {
        let (file, identity) = open_regular(path)?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(LocalFile {
            path: path.to_path_buf(),
            name,
            identity,
            kept: may_keep_handle().then_some(file),
            #[cfg(any(target_os = "linux", target_os = "android"))]
            direct: std::sync::OnceLock::new(),
        })
    }

    /// Calls `read` with a handle past the cache; false where there is none.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn with_direct(&self, read: impl FnOnce(&File) -> bool) -> Result<bool, Error> {
        let open = || -> Result<Option<File>, Error> {
            let Some(file) = super::direct::open(&self.path) else { return Ok(None) };
            let metadata = file.metadata().map_err(|cause| io("stat", &self.path, None, cause))?;
            self.require(self.identity, Identity::from_metadata(&metadata))?;
            Ok(Some(file))
        };
        match self.direct.get() {
            Some(Some(file)) => return Ok(read(file)),
            Some(None) => return Ok(false),
            None => {}
        }
        let opened = open()?;
        if opened.is_none() {
            let _ = self.direct.set(None);
            return Ok(false);
        }
        let answer = opened.as_ref().is_some_and(read);
        if may_keep_handle() && self.direct.set(opened).is_err() {
            // another thread was faster
            KEPT_HANDLES.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(answer)
    }

    /// Asks the system to forget what it holds of the file in memory, so that the next read goes to the disk; false where it
    /// cannot be asked.
    #[must_use]
    pub fn forget_cached(&self) -> bool {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(file) = &self.kept {
            // pages that were written a moment ago have to reach the disk first
            return file.sync_data().is_ok()
                && rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed).is_ok();
        }
        false
    }

    fn require(&self, before: Identity, now: Identity) -> Result<(), Error> {
        if before == now {
            return Ok(());
        }
        Err(Error::Changed { path: self.path.clone(), before: before.shown(), now: now.shown() })
    }

    fn fill(&self, file: &File, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let mut n_done = 0;
        while n_done < buffer.len() {
            let position = offset.saturating_add(n_done as u64);
            match positioned_read(file, position, &mut buffer[n_done..]) {
                Ok(0) => {
                    let wanted_end = offset.saturating_add(buffer.len() as u64);
                    return Err(Error::Short {
                        path: self.path.clone(),
                        first_missing: position,
                        wanted_end,
                    });
                }
                Ok(n_read) => n_done += n_read,
                Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(io("read", &self.path, Some(position), cause)),
            }
        }
        Ok(())
    }
}

impl Drop for LocalFile {
    fn drop(&mut self) {
        let n_kept = usize::from(self.kept.is_some());
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let n_kept = n_kept + usize::from(self.direct.get().is_some_and(Option::is_some));
        KEPT_HANDLES.fetch_sub(n_kept, Ordering::Relaxed);
    }
}

/// Takes one of the handles that may be kept.
fn may_keep_handle() -> bool {
    let more = |kept: usize| (kept < MAX_KEPT_HANDLES).then_some(kept + 1);
    KEPT_HANDLES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
}

impl Source for LocalFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn size_bytes(&self) -> u64 {
        self.identity.size_bytes
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        if let Some(file) = &self.kept {
            return self.fill(file, offset, buffer);
        }
        let (file, now) = open_regular(&self.path)?;
        self.require(self.identity, now)?;
        self.fill(&file, offset, buffer)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn is_uncached(&self, offset: u64) -> bool {
        match &self.kept {
            Some(file) => super::direct::is_uncached(file, offset),
            None => open_regular(&self.path).is_ok_and(|(file, _)| super::direct::is_uncached(&file, offset)),
        }
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn read_past_cache(&self, offset: u64, n_bytes: usize, block: &mut Block) -> Result<bool, Error> {
        self.with_direct(|file| super::direct::read(file, offset, n_bytes, block))
    }

    fn identity(&self) -> Option<String> {
        let (device, inode) = self.identity.file_id;
        (self.identity.file_id != (0, 0)).then(|| format!("{device}:{inode}"))
    }

    fn verify_unchanged(&self) -> Result<(), Error> {
        if let Some(file) = &self.kept {
            let metadata = file.metadata().map_err(|cause| io("stat", &self.path, None, cause))?;
            self.require(self.identity, Identity::from_metadata(&metadata))?;
        }
        // the path too: a file renamed over ours leaves the open handle untouched
        self.require(self.identity, Identity::of(&self.path)?)
    }
}

fn open_regular(path: &Path) -> Result<(File, Identity), Error> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // a pipe without a writer must not block; std adds O_CLOEXEC itself
        options.custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC);
    }
    let file = options.open(path).map_err(|cause| io("open", path, None, cause))?;
    let metadata = file.metadata().map_err(|cause| io("stat", path, None, cause))?;
    if !metadata.is_file() {
        return Err(Error::NotRegular { path: path.to_path_buf(), kind: kind_of(&metadata) });
    }
    Ok((file, Identity::from_metadata(&metadata)))
}

fn kind_of(metadata: &Metadata) -> &'static str {
    if metadata.is_dir() {
        return "a folder";
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = metadata.file_type();
        if kind.is_fifo() {
            return "a pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    "something else"
}

#[cfg(unix)]
fn positioned_read(file: &File, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn positioned_read(file: &File, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(not(any(unix, windows)))]
fn positioned_read(file: &File, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
    use std::io::{Read, Seek, SeekFrom};
    // a handle shared by threads has one position: a duplicate keeps seeks apart
    let mut own = file.try_clone()?;
    own.seek(SeekFrom::Start(offset))?;
    own.read(buffer)
}

pub(super) fn io(action: &'static str, path: &Path, offset: Option<u64>, cause: std::io::Error) -> Error {
    Error::Io { action, path: path.to_path_buf(), offset, cause }
}

#[cfg(test)]
mod tests {
    use super::{LocalFile, MAX_KEPT_HANDLES};
    use crate::source::{Block, Error, Source};
    use std::io::Write;

    fn file_of(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("temporary folder");
        file.write_all(bytes).expect("write");
        file
    }

    #[test]
    fn bytes_come_by_position_with_and_without_a_kept_handle() {
        let on_disk = file_of(b"0123456789");
        let opened: Vec<_> =
            (0..2 * MAX_KEPT_HANDLES).map(|_| LocalFile::open(on_disk.path()).expect("open")).collect();
        assert!(opened.iter().any(|file| file.kept.is_none()));
        for file in &opened {
            let mut buffer = [0; 3];
            file.read_at(7, &mut buffer).expect("read");
            assert_eq!(&buffer, b"789");
        }
    }

    #[expect(clippy::print_stdout, reason = "says what the machine does not let it check")]
    #[test]
    fn past_the_cache_come_the_same_bytes_or_none() {
        let bytes: Vec<u8> =
            (0..3_000_001_u32).flat_map(|index| index.wrapping_mul(index | 1).to_le_bytes()).collect();
        let on_disk = file_of(&bytes);
        let file = LocalFile::open(on_disk.path()).expect("open");
        let mut block = Block::default();
        let end = bytes.len();
        for (offset, n_bytes) in
            [(0, 1), (8, 4096), (4095, 2), (12_345, Block::BYTES), (4096, 8 << 20), (end - 7, 7), (0, end)]
        {
            if file.read_past_cache(offset as u64, n_bytes, &mut block).expect("nothing changed") {
                assert!(block.bytes() == &bytes[offset..offset + n_bytes], "{n_bytes} from {offset}");
            } else {
                println!("skipped: the file system reads nothing past the cache");
            }
        }
        // what is not there is left to the ordinary way, which names it
        assert!(!file.read_past_cache(end as u64 - 3, 4, &mut block).expect("nothing changed"));
        assert!(!file.read_past_cache(end as u64 + 9000, 4, &mut block).expect("nothing changed"));
        assert!(block.bytes().is_empty());
    }

    #[cfg(target_os = "linux")]
    #[expect(clippy::print_stdout, reason = "says what the machine does not let it check")]
    #[test]
    fn a_file_that_was_forgotten_is_uncached_until_it_is_read() {
        let on_disk = file_of(&vec![7; 4 << 20]);
        let file = LocalFile::open(on_disk.path()).expect("open");
        file.read_at(1 << 20, &mut [0]).expect("read");
        assert!(!file.is_uncached(1 << 20), "it was read a moment ago");
        if file.forget_cached() && file.is_uncached(1 << 20) {
            file.read_at(1 << 20, &mut [0]).expect("read");
            assert!(!file.is_uncached(1 << 20), "the next run finds it");
        } else {
            println!("skipped: these files always lie in memory");
        }
    }

    #[test]
    fn a_read_past_the_end_names_the_first_missing_byte() {
        let on_disk = file_of(b"0123456789");
        let file = LocalFile::open(on_disk.path()).expect("open");
        let fault = file.read_at(8, &mut [0; 4]).expect_err("two bytes are missing").fault();
        assert_eq!((fault.rule, fault.byte), ("READ-SHORT", Some(10)));
    }

    #[test]
    fn growth_and_exchange_are_noticed() {
        let mut on_disk = file_of(b"0123456789");
        let file = LocalFile::open(on_disk.path()).expect("open");
        file.verify_unchanged().expect("nothing happened");
        on_disk.write_all(b"!").expect("append");
        assert!(matches!(file.verify_unchanged(), Err(Error::Changed { .. })));

        let file = LocalFile::open(on_disk.path()).expect("open");
        let other = file_of(b"0123456789!");
        std::fs::rename(other.path(), on_disk.path()).expect("rename");
        assert!(matches!(file.verify_unchanged(), Err(Error::Changed { .. })));
    }
}
