//! Everything that dies with a device: buffers, upload slots, compiled kernels, time stamps.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::device::Device;
use super::pool::Pool;
use super::ring::Ring;
use super::{Checks, DeviceInfo, Error};

/// What a pipeline is made of: label, edit of a test, pipeline constants by name, run-time checks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PipelineKey {
    pub(super) label: &'static str,
    /// Source in place of the kernel's own; only tests set it.
    pub(super) source: Option<Arc<str>>,
    pub(super) constants: Vec<(&'static str, u32)>,
    pub(super) checks: Checks,
}

/// An open device and what belongs to it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) device: Device,
    pub(super) pool: Arc<Pool>,
    pub(super) ring: Ring,
    pub(super) pipelines: Mutex<HashMap<PipelineKey, Arc<wgpu::ComputePipeline>>>,
    /// Nanoseconds of a tick, where the adapter has time stamps.
    tick_ns: Option<f32>,
    idle_stamps: Mutex<Vec<Stamps>>,
}

/// Time stamps at the beginning and the end of a pass.
#[derive(Debug)]
pub(super) struct Stamps {
    pub(super) set: wgpu::QuerySet,
    pub(super) resolved: wgpu::Buffer,
}

impl Stamps {
    /// Bytes of the two stamps.
    pub(super) const SIZE_BYTES: u64 = 16;
}

impl Opened {
    pub(super) fn open(info: &DeviceInfo, adapter: &wgpu::Adapter) -> Result<Opened, Error> {
        let device = Device::open(info, adapter)?;
        let has_stamps = device.device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        let tick_ns = has_stamps.then(|| device.queue.get_timestamp_period());
        Ok(Opened {
            device,
            pool: Arc::default(),
            ring: Ring::default(),
            pipelines: Mutex::default(),
            tick_ns: tick_ns.filter(|&ns| ns > 0.0),
            idle_stamps: Mutex::default(),
        })
    }

    /// A pair of stamps, where the adapter has them.
    pub(super) fn stamps(&self) -> Option<Stamps> {
        self.tick_ns?;
        let idle = self.idle_stamps.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Some(idle.unwrap_or_else(|| Stamps {
            set: self.device.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: None,
                ty: wgpu::QueryType::Timestamp,
                count: 2,
            }),
            resolved: self.device.device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: wgpu::QUERY_RESOLVE_BUFFER_ALIGNMENT,
                usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            }),
        }))
    }

    pub(super) fn give_back(&self, stamps: Stamps) {
        self.idle_stamps.lock().unwrap_or_else(PoisonError::into_inner).push(stamps);
    }

    /// Nanoseconds between two stamps; None where they make no sense.
    #[expect(clippy::cast_precision_loss, reason = "a time of at most minutes")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as above, and not negative")]
    pub(super) fn elapsed_ns(&self, first: u64, last: u64) -> Option<u64> {
        let ticks = last.checked_sub(first)?;
        Some((ticks as f64 * f64::from(self.tick_ns?)) as u64)
    }
}
