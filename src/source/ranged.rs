//! A file far away, read by position: what was fetched is kept in bounded memory, and near ranges come together.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Error, Fault, Source};

/// Bytes that the files of one model may hold. A family of units at effort `quick` takes about 11 MB of a 7B model.
const CAPACITY_BYTES: u64 = 128 << 20;
/// First fetch of a file, and any fetch that continues nothing: the headers of published shards take 10 to 200 KB.
const FIRST_BYTES: u64 = 256 << 10;
/// Longest fetch on the guess that reading goes on. At 100 MB/s and 40 ms a request, latency is half of its time.
const LONGEST_BYTES: u64 = 4 << 20;
/// Bytes between two expected ranges that are fetched and thrown away rather than cost a request of some 10 to 100 ms.
const MAX_GAP_BYTES: u64 = 1 << 20;
/// Bytes fetched on both sides of expected ranges: the norms that stand beside a matrix come with it.
const MARGIN_BYTES: u64 = 64 << 10;
/// Requests side by side for one file.
const MAX_REQUESTS: usize = 8;

/// Fetches ranges of one file; repeats and resumes by itself.
pub(super) trait Ranges: Send + Sync + std::fmt::Debug {
    /// Fills `buffer` from byte `offset` on; the range lies inside the file.
    fn fetch(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error>;
    /// The file in messages.
    fn path(&self) -> &Path;
}

/// Bytes of all files of one model that were fetched or are on their way.
#[derive(Debug, Default)]
pub(super) struct Pool {
    held: Mutex<Held>,
    arrived: Condvar,
    n_files: AtomicUsize,
}

#[derive(Debug, Default)]
struct Held {
    /// By file and first byte; those of one file do not overlap.
    extents: BTreeMap<(usize, u64), Extent>,
    n_bytes: u64,
    clock: u64,
}

#[derive(Debug)]
struct Extent {
    end: u64,
    /// None while they are on their way.
    bytes: Option<Arc<Vec<u8>>>,
    last_used: u64,
}

/// What is known about a byte.
enum Known {
    /// Bytes from the extent's first on.
    Here(u64, Arc<Vec<u8>>),
    OnItsWay,
    /// Nothing up to here; how long the extent is that ends at this byte.
    Hole {
        end: u64,
        before: u64,
    },
}

impl Held {
    fn at(&mut self, file: usize, byte: u64, size: u64) -> Known {
        self.clock += 1;
        let clock = self.clock;
        let before = self.extents.range_mut((file, 0)..=(file, byte)).next_back();
        let mut before_bytes = 0;
        if let Some((&(_, start), extent)) = before {
            if byte < extent.end {
                extent.last_used = clock;
                return extent
                    .bytes
                    .as_ref()
                    .map_or(Known::OnItsWay, |bytes| Known::Here(start, Arc::clone(bytes)));
            }
            if byte == extent.end {
                before_bytes = extent.end - start;
            }
        }
        let next = self.extents.range((file, byte)..(file + 1, 0)).next().map(|(&(_, start), _)| start);
        Known::Hole { end: next.unwrap_or(size), before: before_bytes }
    }

    /// Marks a range as on its way.
    fn begin(&mut self, file: usize, range: &Range<u64>) {
        self.extents
            .insert((file, range.start), Extent { end: range.end, bytes: None, last_used: self.clock });
    }

    fn keep(&mut self, file: usize, start: u64, bytes: Arc<Vec<u8>>) {
        self.clock += 1;
        self.n_bytes += bytes.len() as u64;
        if let Some(extent) = self.extents.get_mut(&(file, start)) {
            extent.bytes = Some(bytes);
            extent.last_used = self.clock;
        }
        while self.n_bytes > CAPACITY_BYTES {
            let oldest = self
                .extents
                .iter()
                .filter(|(key, extent)| extent.bytes.is_some() && **key != (file, start))
                .min_by_key(|(_, extent)| extent.last_used)
                .map(|(key, _)| *key);
            let Some(oldest) = oldest else { return };
            if let Some(extent) = self.extents.remove(&oldest) {
                self.n_bytes -= extent.end - oldest.1;
            }
        }
    }
}

/// A file of known length whose ranges are fetched when they are needed.
#[derive(Debug)]
pub(super) struct RangedFile {
    name: String,
    size_bytes: u64,
    ranges: Box<dyn Ranges>,
    pool: Arc<Pool>,
    /// Number of this file in the pool.
    file: usize,
    /// Why fetching was given up: no further attempt is made.
    failed: Mutex<Option<Box<Fault>>>,
}

impl RangedFile {
    /// A file of which nothing, or only its first bytes, are known.
    pub(super) fn new(
        name: &str,
        size_bytes: u64,
        ranges: Box<dyn Ranges>,
        start: Vec<u8>,
        pool: &Arc<Pool>,
    ) -> RangedFile {
        let file = pool.n_files.fetch_add(1, Ordering::Relaxed);
        if !start.is_empty() {
            let mut held = pool.held();
            held.begin(file, &(0..start.len() as u64));
            held.keep(file, 0, Arc::new(start));
        }
        RangedFile {
            name: name.to_string(),
            size_bytes,
            ranges,
            pool: Arc::clone(pool),
            file,
            failed: Mutex::new(None),
        }
    }

    /// Bytes that are worth fetching of a file before anything is known about it.
    pub(super) fn first_bytes() -> u64 {
        FIRST_BYTES
    }

    fn failed(&self) -> MutexGuard<'_, Option<Box<Fault>>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches a range that was marked as on its way.
    fn load(&self, range: &Range<u64>) -> Result<Arc<Vec<u8>>, Error> {
        let fetched = self.fetched(range);
        let mut held = self.pool.held();
        match &fetched {
            Ok(bytes) => held.keep(self.file, range.start, Arc::clone(bytes)),
            Err(error) => {
                held.extents.remove(&(self.file, range.start));
                if let Error::Remote(fault) = error {
                    self.failed().get_or_insert_with(|| fault.clone());
                }
            }
        }
        drop(held);
        self.pool.arrived.notify_all();
        fetched
    }

    fn fetched(&self, range: &Range<u64>) -> Result<Arc<Vec<u8>>, Error> {
        let mut bytes = Vec::new();
        let n_bytes = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        bytes.try_reserve_exact(n_bytes).map_err(|_| {
            Error::Remote(
                Fault::new("MEMORY", format!("not enough memory for {n_bytes} bytes"))
                    .in_file(self.ranges.path()),
            )
        })?;
        bytes.resize(n_bytes, 0);
        self.ranges.fetch(range.start, &mut bytes)?;
        Ok(Arc::new(bytes))
    }

    /// Ranges to fetch for `wanted`: near ones together, with what stands beside them, without what is here.
    fn missing(&self, wanted: &[Range<u64>], held: &mut Held) -> Vec<Range<u64>> {
        let mut wanted: Vec<Range<u64>> =
            wanted.iter().filter(|range| range.start < range.end).cloned().collect();
        wanted.sort_unstable_by_key(|range| range.start);
        let mut joined: Vec<Range<u64>> = Vec::new();
        for range in wanted {
            let start = range.start.saturating_sub(MARGIN_BYTES).min(self.size_bytes);
            let end = range.end.saturating_add(MARGIN_BYTES).min(self.size_bytes);
            match joined.last_mut() {
                Some(last) if start <= last.end.saturating_add(MAX_GAP_BYTES) => last.end = last.end.max(end),
                _ => joined.push(start..end),
            }
        }
        let mut missing = Vec::new();
        for range in joined {
            let mut byte = range.start;
            while byte < range.end {
                byte = match held.at(self.file, byte, self.size_bytes) {
                    Known::Here(start, bytes) => start + bytes.len() as u64,
                    Known::OnItsWay => held.end_of(self.file, byte),
                    Known::Hole { end, .. } => {
                        let end = end.min(range.end);
                        missing.push(byte..end);
                        end
                    }
                };
            }
        }
        missing
    }
}

impl Held {
    /// End of the extent that holds this byte.
    fn end_of(&self, file: usize, byte: u64) -> u64 {
        let extent = self.extents.range((file, 0)..=(file, byte)).next_back();
        extent.map_or(byte + 1, |(_, extent)| extent.end.max(byte + 1))
    }
}

impl Pool {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for RangedFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let end = offset.saturating_add(buffer.len() as u64);
        if end > self.size_bytes {
            let path = self.ranges.path().to_path_buf();
            return Err(Error::Short { path, first_missing: self.size_bytes, wanted_end: end });
        }
        let mut byte = offset;
        while byte < end {
            if let Some(fault) = self.failed().clone() {
                return Err(Error::Remote(fault));
            }
            let rest = &mut buffer[usize::try_from(byte - offset).unwrap_or(usize::MAX)..];
            let mut held = self.pool.held();
            let (start, bytes) = match held.at(self.file, byte, self.size_bytes) {
                Known::Here(start, bytes) => (start, bytes),
                Known::OnItsWay => {
                    // whoever fetches it wakes us, also when the attempt fails
                    drop(self.pool.arrived.wait(held).unwrap_or_else(PoisonError::into_inner));
                    continue;
                }
                Known::Hole { end: hole_end, before } => {
                    let ahead = (before * 4).clamp(FIRST_BYTES, LONGEST_BYTES);
                    let range = byte..byte.saturating_add(ahead).max(end).min(hole_end);
                    held.begin(self.file, &range);
                    drop(held);
                    (range.start, self.load(&range)?)
                }
            };
            let from = usize::try_from(byte - start).unwrap_or(usize::MAX);
            let n_copied = rest.len().min(bytes.len() - from);
            rest[..n_copied].copy_from_slice(&bytes[from..from + n_copied]);
            byte += n_copied as u64;
        }
        Ok(())
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn expect(&self, ranges: &[Range<u64>]) -> Result<(), Error> {
        let missing = {
            let mut held = self.pool.held();
            let missing = self.missing(ranges, &mut held);
            let n_bytes: u64 = missing.iter().map(|range| range.end - range.start).sum();
            if n_bytes > CAPACITY_BYTES / 4 {
                // it would push out what is needed first
                return Ok(());
            }
            missing.iter().for_each(|range| held.begin(self.file, range));
            missing
        };
        let next = AtomicUsize::new(0);
        let load_all = || {
            let mut outcome = Ok(());
            while let Some(range) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                let loaded = self.load(range);
                outcome = outcome.and(loaded.map(|_| ()));
            }
            outcome
        };
        std::thread::scope(|scope| {
            let others: Vec<_> =
                (1..missing.len().min(MAX_REQUESTS)).map(|_| scope.spawn(load_all)).collect();
            let own = load_all();
            others.into_iter().fold(own, |outcome, other| outcome.and(other.join().unwrap_or(Ok(()))))
        })
    }

    fn verify_unchanged(&self) -> Result<(), Error> {
        // every answer was held against the first one
        Ok(())
    }
}

/// The bytes of a small file that could not be kept on disk.
#[derive(Debug)]
pub(super) struct InMemory {
    pub name: String,
    pub path: std::path::PathBuf,
    pub bytes: Vec<u8>,
}

impl Source for InMemory {
    fn name(&self) -> &str {
        &self.name
    }

    fn size_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let range = start.checked_add(buffer.len()).and_then(|end| self.bytes.get(start..end));
        let Some(bytes) = range else {
            let (path, first_missing) = (self.path.clone(), self.size_bytes());
            let wanted_end = offset.saturating_add(buffer.len() as u64);
            return Err(Error::Short { path, first_missing, wanted_end });
        };
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn verify_unchanged(&self) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Byte i is i modulo 251; counts what is asked of it.
    #[derive(Debug, Default)]
    struct Counted {
        n_requests: AtomicU64,
        n_bytes: AtomicU64,
    }

    #[derive(Debug)]
    struct Far(Arc<Counted>);

    impl Ranges for Far {
        fn fetch(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
            self.0.n_requests.fetch_add(1, Ordering::Relaxed);
            self.0.n_bytes.fetch_add(buffer.len() as u64, Ordering::Relaxed);
            (offset..).zip(buffer).for_each(|(at, byte)| *byte = (at % 251) as u8);
            Ok(())
        }

        fn path(&self) -> &Path {
            Path::new("far")
        }
    }

    fn far(size_bytes: u64) -> (RangedFile, Arc<Counted>) {
        let counted = Arc::new(Counted::default());
        let pool = Arc::new(Pool::default());
        (RangedFile::new("far", size_bytes, Box::new(Far(Arc::clone(&counted))), Vec::new(), &pool), counted)
    }

    fn check(file: &RangedFile, offset: u64, n_bytes: usize) {
        let mut buffer = vec![0; n_bytes];
        file.read_at(offset, &mut buffer).expect("inside");
        assert!((offset..).zip(&buffer).all(|(at, byte)| *byte == (at % 251) as u8), "{offset} {n_bytes}");
    }

    #[test]
    fn bytes_come_whatever_was_read_before() {
        let (file, _) = far(3 * CAPACITY_BYTES / 2);
        let mut state = 7_u64;
        for _ in 0..300 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let n_bytes = usize::try_from(state >> 44).expect("20 bits");
            let offset = (state >> 8) % (file.size_bytes() - n_bytes as u64);
            if state.is_multiple_of(3) {
                let end = offset + n_bytes as u64;
                file.expect(&[offset..end, end + 5..(end + 900_000).min(file.size_bytes())])
                    .expect("fetched");
            }
            check(&file, offset, n_bytes);
            assert!(file.pool.held().n_bytes <= CAPACITY_BYTES);
        }
        check(&file, file.size_bytes() - 1, 1);
        assert!(matches!(file.read_at(file.size_bytes() - 1, &mut [0; 2]), Err(Error::Short { .. })));
    }

    #[test]
    fn many_threads_fetch_a_byte_once() {
        let (file, counted) = far(8 << 20);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..32).for_each(|i| check(&file, i * (256 << 10), 256 << 10)));
            }
        });
        assert_eq!(counted.n_bytes.load(Ordering::Relaxed), 8 << 20);
    }

    #[test]
    fn reading_on_takes_few_requests_and_expected_ranges_come_together() {
        let (file, counted) = far(64 << 20);
        (0..256).for_each(|i| check(&file, i * (256 << 10), 256 << 10));
        // 0.25 + 1 + 4 + 4 + … MiB
        assert!(counted.n_requests.load(Ordering::Relaxed) <= 18, "{counted:?}");

        let (file, counted) = far(64 << 20);
        let rows: Vec<Range<u64>> = (0..64).map(|i| i * 65_536..i * 65_536 + 8192).collect();
        file.expect(&rows).expect("fetched");
        assert_eq!(counted.n_requests.load(Ordering::Relaxed), 1);
        rows.iter().for_each(|row| check(&file, row.start, 8192));
        // the norm beside it
        check(&file, rows[63].end, 8192);
        assert_eq!(counted.n_requests.load(Ordering::Relaxed), 1);
        // nothing is fetched that would push out the rest
        let all: [Range<u64>; 2] = [0..CAPACITY_BYTES, 7..9];
        file.expect(&all).expect("ignored");
        assert_eq!(counted.n_requests.load(Ordering::Relaxed), 1);
    }
}
