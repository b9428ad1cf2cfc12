//! Upload slots: mapped memory that is written, copied from by the device, and mapped again once the copy is done.
//!
//! wgpu's `write_buffer` allocates and clears staging memory on every call. Slots are made once and used in turn, so
//! that the host fills one while the device copies from another.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Most bytes of all slots together.
pub(super) const MAX_RING_BYTES: u64 = 192 << 20;

/// Smallest slot: all uploads that use one are larger than what `write_buffer` is good for.
const MIN_SLOT_BYTES: u64 = 1 << 20;

/// How often a waiting host looks again.
const GLANCE: Duration = Duration::from_micros(100);

/// Why there is no slot.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoSlot {
    /// None came back in time.
    Timeout,
    /// The device is gone.
    Lost,
}

/// Slots of one device.
#[derive(Debug, Default)]
pub(super) struct Ring {
    slots: Arc<Mutex<Slots>>,
}

#[derive(Debug, Default)]
struct Slots {
    /// Mapped, ready to be written.
    free: VecDeque<wgpu::Buffer>,
    /// Bytes of all slots, wherever they are.
    total_bytes: u64,
}

impl Ring {
    fn slots(&self) -> std::sync::MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A mapped slot of at least `size_bytes`, which is at most a third of the ring.
    pub(super) fn take(
        &self,
        device: &wgpu::Device,
        size_bytes: u64,
        limit: Duration,
    ) -> Result<wgpu::Buffer, NoSlot> {
        let start = Instant::now();
        loop {
            let mut slots = self.slots();
            let fits = slots.free.iter().position(|slot| slot.size() >= size_bytes);
            if let Some(slot) = fits.and_then(|at| slots.free.remove(at)) {
                return Ok(slot);
            }
            let size = size_bytes.max(MIN_SLOT_BYTES).next_power_of_two();
            while slots.total_bytes + size > MAX_RING_BYTES {
                // too small for this upload
                let Some(small) = slots.free.pop_front() else { break };
                slots.total_bytes -= small.size();
            }
            if slots.total_bytes + size <= MAX_RING_BYTES {
                slots.total_bytes += size;
                drop(slots);
                return Ok(device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("upload slot"),
                    size,
                    usage: wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC,
                    mapped_at_creation: true,
                }));
            }
            drop(slots);
            if device.poll(wgpu::PollType::Poll).is_err() {
                return Err(NoSlot::Lost);
            }
            if start.elapsed() > limit {
                return Err(NoSlot::Timeout);
            }
            std::thread::sleep(GLANCE);
        }
    }

    /// Maps the slot again as soon as the device has copied from it; call after the submit that does.
    pub(super) fn give_back(&self, slot: wgpu::Buffer) {
        let slots = Arc::clone(&self.slots);
        let mapped = slot.clone();
        slot.slice(..).map_async(wgpu::MapMode::Write, move |result| {
            let mut slots = slots.lock().unwrap_or_else(PoisonError::into_inner);
            match result {
                Ok(()) => slots.free.push_back(mapped),
                // lost with its device
                Err(_) => slots.total_bytes -= mapped.size(),
            }
        });
    }

    /// Bytes of all slots.
    pub(super) fn size_bytes(&self) -> u64 {
        self.slots().total_bytes
    }
}
