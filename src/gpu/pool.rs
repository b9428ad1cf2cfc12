//! Device buffers are kept and used again: a fresh one costs an allocation and a clear.

use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of idle buffers that are kept; more are given back to the driver.
const MAX_IDLE_BYTES: u64 = 256 << 20;

/// Idle buffers of one device.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: Mutex<Vec<wgpu::Buffer>>,
}

/// A buffer on loan; it goes back when dropped.
#[derive(Debug)]
pub(super) struct Loan {
    pool: Arc<Pool>,
    buffer: Option<wgpu::Buffer>,
}

impl Pool {
    /// A buffer of at least `size_bytes` for `usage`, with any content.
    pub(super) fn lend(
        self: &Arc<Pool>,
        device: &wgpu::Device,
        usage: wgpu::BufferUsages,
        size_bytes: u64,
    ) -> Loan {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |buffer: &wgpu::Buffer| {
            buffer.usage() == usage
                && buffer.size() >= size_bytes
                && buffer.size() / 4 <= size_bytes.max(4096)
        };
        let found = (0..idle.len()).filter(|&i| fits(&idle[i])).min_by_key(|&i| idle[i].size());
        let buffer = found.map(|position| idle.swap_remove(position));
        drop(idle);
        let buffer = buffer.unwrap_or_else(|| {
            let limit = device.limits().max_buffer_size;
            let size = size_bytes.max(256).next_power_of_two().min(limit.max(size_bytes));
            device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size,
                usage,
                mapped_at_creation: false,
            })
        });
        Loan { pool: Arc::clone(self), buffer: Some(buffer) }
    }
}

impl Loan {
    pub(super) fn buffer(&self) -> &wgpu::Buffer {
        self.buffer.as_ref().expect("the buffer leaves only on drop")
    }

    /// Does not give the buffer back: something went wrong while it was in use.
    pub(super) fn discard(mut self) {
        self.buffer = None;
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let Some(buffer) = self.buffer.take() else { return };
        let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(buffer);
        while idle.iter().map(wgpu::Buffer::size).sum::<u64>() > MAX_IDLE_BYTES {
            idle.remove(0);
        }
    }
}
