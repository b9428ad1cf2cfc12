//! Reads a header from front to back: nothing is allocated by a number in it, and nothing behind the file's end is asked for.

use crate::checkpoint::Error;
use crate::source::{Fault, Source, grouped, in_bytes};

/// Bytes fetched at a time.
const FETCH_BYTES: u64 = 64 << 10;

/// A position in a file that only moves forward.
pub(super) struct Cursor<'a> {
    file: &'a dyn Source,
    position: u64,
    max_header_bytes: u64,
    /// Bytes from `fetched_from` on.
    fetched: Vec<u8>,
    fetched_from: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(file: &'a dyn Source, max_header_bytes: u64) -> Cursor<'a> {
        Cursor { file, position: 0, max_header_bytes, fetched: Vec::new(), fetched_from: 0 }
    }

    /// Bytes before this point.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.file.size_bytes()
    }

    fn left_bytes(&self) -> u64 {
        self.file.size_bytes() - self.position
    }

    /// That the next `n_bytes` are in the file and in the limits.
    fn require(&self, n_bytes: u64, what: &str) -> Result<(), Box<Fault>> {
        let size = self.file.size_bytes();
        if n_bytes > self.left_bytes() {
            return Err(Fault::new("GG-SHORT", format!("the file ends inside {what}"))
                .at_byte(size)
                .found_wanted(
                    in_bytes(size),
                    format!("at least {}", grouped(self.position.saturating_add(n_bytes))),
                )
                .hint("the download looks unfinished; fetch this file again"));
        }
        if self.position.saturating_add(n_bytes) > self.max_header_bytes {
            let limit = grouped(self.max_header_bytes);
            return Err(Fault::new("GG-HEADER-SIZE", "the header is longer than allowed")
                .at_byte(self.position)
                .found_wanted(format!("{what} beyond byte {limit}"), format!("at most {limit} bytes"))
                .hint("raise --max-header-bytes if this is intended"));
        }
        Ok(())
    }

    /// The next N bytes.
    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, what)?;
        Ok(bytes)
    }

    fn fill(&mut self, out: &mut [u8], what: &str) -> Result<(), Error> {
        self.require(out.len() as u64, what)?;
        let mut n_done = 0;
        while n_done < out.len() {
            let inside = usize::try_from(self.position - self.fetched_from).unwrap_or(usize::MAX);
            let Some(fetched) = self.fetched.get(inside..).filter(|bytes| !bytes.is_empty()) else {
                self.fetch()?;
                continue;
            };
            let n = fetched.len().min(out.len() - n_done);
            out[n_done..n_done + n].copy_from_slice(&fetched[..n]);
            n_done += n;
            self.position += n as u64;
        }
        Ok(())
    }

    fn fetch(&mut self) -> Result<(), Error> {
        let n_bytes = FETCH_BYTES.min(self.left_bytes());
        self.fetched.resize(usize::try_from(n_bytes).unwrap_or(0), 0);
        self.fetched_from = self.position;
        self.file.read_at(self.position, &mut self.fetched)?;
        Ok(())
    }

    /// Passes over bytes that nobody needs.
    pub(super) fn skip(&mut self, n_bytes: u64, what: &str) -> Result<(), Error> {
        self.require(n_bytes, what)?;
        self.position += n_bytes;
        Ok(())
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, Error> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, Error> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A count of the header, which must not be negative where a reader takes it for signed.
    pub(super) fn count(&mut self, what: &str) -> Result<u64, Error> {
        let at = self.position;
        let count = self.u64(what)?;
        if i64::try_from(count).is_err() {
            return Err(Fault::new("GG-COUNT", format!("{what} is negative"))
                .at_byte(at)
                .found_wanted(grouped(count), "a number below 2^63")
                .into());
        }
        Ok(count)
    }

    /// That so many things of at least this size can follow.
    pub(super) fn expect_room(
        &self,
        count: u64,
        min_bytes: u64,
        rule: &'static str,
        what: &str,
        at: u64,
    ) -> Result<(), Box<Fault>> {
        let most = self.left_bytes() / min_bytes;
        if count <= most {
            return Ok(());
        }
        Err(Fault::new(rule, format!("the file is too short for as many {what} as it claims"))
            .at_byte(at)
            .found_wanted(
                format!("{} {what}", grouped(count)),
                format!("at most {} in the {} left", grouped(most), in_bytes(self.left_bytes())),
            ))
    }

    /// The length of a string, which the file must be able to hold.
    pub(super) fn string_bytes(&mut self, what: &str) -> Result<u64, Error> {
        let at = self.position;
        let length = self.u64(what)?;
        if length > self.left_bytes() {
            return Err(Fault::new("GG-STRING", format!("{what} is longer than the rest of the file"))
                .at_byte(at)
                .found_wanted(in_bytes(length), format!("at most {}", grouped(self.left_bytes())))
                .into());
        }
        Ok(length)
    }

    /// The bytes of a string whose length was checked.
    pub(super) fn string(&mut self, n_bytes: u64, what: &str) -> Result<Vec<u8>, Error> {
        self.require(n_bytes, what)?;
        let memory = || Fault::new("MEMORY", format!("not enough memory for {} bytes", grouped(n_bytes)));
        let mut bytes = Vec::new();
        let n_bytes = usize::try_from(n_bytes).map_err(|_| memory())?;
        bytes.try_reserve_exact(n_bytes).map_err(|_| memory())?;
        bytes.resize(n_bytes, 0);
        self.fill(&mut bytes, what)?;
        Ok(bytes)
    }
}
