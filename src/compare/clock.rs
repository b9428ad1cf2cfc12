//! Wall time, bytes and arithmetic of each stage.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Stage;
use crate::stream::ReadMeter;

/// Runs from the start of a comparison; each stage ends where the next begins.
pub(super) struct Clock<'a> {
    meter: &'a ReadMeter,
    started: Instant,
    last: Instant,
    last_bytes: u64,
    stages: Vec<Stage>,
    /// Pairs of layers, MLPs and attentions that were held against each other.
    pub(super) cells_examined: u64,
}

/// What a clock saw.
pub(super) struct Times {
    pub(super) stages: Vec<Stage>,
    pub(super) cells_examined: u64,
    pub(super) seconds: f64,
    pub(super) bytes_read: u64,
    pub(super) page_bytes_read: u64,
    pub(super) past_cache_bytes_read: u64,
}

impl<'a> Clock<'a> {
    pub(super) fn start(meter: &'a ReadMeter) -> Clock<'a> {
        let now = Instant::now();
        Clock { meter, started: now, last: now, last_bytes: 0, stages: Vec::new(), cells_examined: 0 }
    }

    /// Ends a stage that did `flop` floating-point operations in products.
    pub(super) fn stage(&mut self, name: &str, flop: u64) {
        let now = Instant::now();
        let bytes = self.meter.requested_bytes.load(Ordering::Relaxed);
        self.stages.push(Stage {
            name: name.to_owned(),
            seconds: (now - self.last).as_secs_f64(),
            bytes: bytes - self.last_bytes,
            flop,
        });
        self.last = now;
        self.last_bytes = bytes;
    }

    pub(super) fn finish(self) -> Times {
        Times {
            stages: self.stages,
            cells_examined: self.cells_examined,
            seconds: self.started.elapsed().as_secs_f64(),
            bytes_read: self.meter.requested_bytes.load(Ordering::Relaxed),
            page_bytes_read: self.meter.page_bytes.load(Ordering::Relaxed),
            past_cache_bytes_read: self.meter.past_cache_bytes.load(Ordering::Relaxed),
        }
    }
}
