//! Another source at a fixed speed, as a disk or network would give its bytes: for measuring what waits for what.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Error, Source};

/// Gives bytes no faster than a rate that all readers of one [`Line`] share.
#[derive(Debug)]
pub struct Throttled {
    inner: Arc<dyn Source>,
    line: Arc<Line>,
}

/// The line that bytes come over, one read after the other.
#[derive(Debug)]
pub struct Line {
    bytes_per_s: f64,
    free_at: Mutex<Option<Instant>>,
}

impl Line {
    /// A line that is idle.
    #[must_use]
    pub fn new(bytes_per_s: f64) -> Line {
        Line { bytes_per_s, free_at: Mutex::new(None) }
    }

    /// Waits until the line has carried so many bytes after all that was asked for before.
    fn carry(&self, n_bytes: usize) {
        let now = Instant::now();
        let arrives = {
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            let starts = free_at.map_or(now, |free_at| free_at.max(now));
            let arrives = starts + Duration::from_secs_f64(n_bytes as f64 / self.bytes_per_s);
            *free_at = Some(arrives);
            arrives
        };
        std::thread::sleep(arrives.saturating_duration_since(Instant::now()));
    }
}

impl Throttled {
    /// `inner`, its bytes over `line`.
    #[must_use]
    pub fn new(inner: Arc<dyn Source>, line: Arc<Line>) -> Throttled {
        Throttled { inner, line }
    }
}

impl Source for Throttled {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn size_bytes(&self) -> u64 {
        self.inner.size_bytes()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        self.inner.read_at(offset, buffer)?;
        self.line.carry(buffer.len());
        Ok(())
    }

    fn cost_bytes(&self, offset: u64, n_bytes: u64) -> u64 {
        self.inner.cost_bytes(offset, n_bytes)
    }

    fn verify_unchanged(&self) -> Result<(), Error> {
        self.inner.verify_unchanged()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Noise, Seeded};

    #[test]
    fn bytes_are_those_of_the_inner_source_and_never_faster_than_the_line() {
        let noise = Noise { n_elements: 4096, mean: 0.0, spread: 1.0 };
        let inner: Arc<dyn Source> = Arc::new(Seeded::new("noise", 3, &[noise]));
        let throttled = Throttled::new(Arc::clone(&inner), Arc::new(Line::new(1e6)));
        let (mut wanted, mut found) = (vec![0; 8192], vec![0; 8192]);
        inner.read_at(0, &mut wanted).expect("inside");
        let start = Instant::now();
        throttled.read_at(0, &mut found[..4096]).expect("inside");
        throttled.read_at(4096, &mut found[4096..]).expect("inside");
        assert_eq!(wanted, found);
        // a lower bound only: a busy machine may take any time longer
        assert!(start.elapsed() >= Duration::from_micros(8192));
    }
}
