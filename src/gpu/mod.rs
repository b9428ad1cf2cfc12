//! The only user of wgpu: list, choose, open, self-test, dispatch, read back, or say why not.
//!
//! No number leaves this module unless the adapter passed its self-test, every error scope stayed
//! empty, and every output word was written: outputs start as NaN with a payload of ours, never as zero.

mod choice;
mod device;
mod error;
mod info;
mod kernel;
mod pool;
mod run;
mod self_test;
mod tier;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

pub use choice::Choice;
pub use device::quiet_device_select;
pub use error::Error;
pub use info::{Api, DeviceInfo, DeviceType, MatrixUnit, devices};
pub(crate) use kernel::params;
pub use kernel::{Edit, Kernel};
pub(crate) use run::{Call, Resident};
pub use self_test::{KERNEL as SELF_TEST, SelfTest};
pub use tier::Tier;

/// An open device that passed its self-test. Threads may share it; at most two of them use it at a time.
#[derive(Debug)]
pub struct Gpu {
    device: Arc<device::Device>,
    pool: Arc<pool::Pool>,
    turns: Arc<run::Turns>,
    pipelines: Mutex<HashMap<run::PipelineKey, Arc<wgpu::ComputePipeline>>>,
    tier: Tier,
    self_test: SelfTest,
    /// Most bytes of an upload.
    chunk_bytes: usize,
    /// Kernel label and edit; only tests set it.
    edit: Option<(&'static str, Edit)>,
}

/// What a report says about the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceFacts {
    /// Adapter name.
    pub name: String,
    /// Driver name and version.
    pub driver: String,
    /// `vulkan`, `metal`, `dx12` or `gl`.
    pub api: &'static str,
    /// PCI bus id, or empty.
    pub pci_bus_id: String,
    /// `tile` or `small`.
    pub tier: &'static str,
    /// Whether it computes on the CPU: for correctness only.
    pub is_software: bool,
    /// What the self-test checked.
    pub self_test: SelfTest,
}

impl Gpu {
    /// Chooses an adapter, opens it and runs the self-test (at most a second). `WGPU_BACKEND` and, where `choice`
    /// names none, `WGPU_ADAPTER_NAME` are honoured.
    ///
    /// # Errors
    /// Nothing fits, or the one that fits cannot be opened or computes wrongly.
    pub fn open(choice: &Choice) -> Result<Gpu, Error> {
        let name_variable = std::env::var("WGPU_ADAPTER_NAME").ok();
        let choose = |opengl| {
            let adapters = info::adapters(opengl);
            let listed: Vec<DeviceInfo> = adapters.iter().map(|(info, _)| info.clone()).collect();
            let index = choice::choose(&listed, choice, name_variable.as_deref())?.index;
            Ok((adapters, index))
        };
        // OpenGL comes last in the list, so that leaving it out moves no index
        let (adapters, index) =
            choose(info::OpenGl::IfAsked).or_else(|_: Error| choose(info::OpenGl::Listed))?;
        Gpu::open_listed(&adapters[index])
    }

    /// Opens the adapter at this position of [`devices`], whatever it is.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    pub fn open_index(index: usize) -> Result<Gpu, Error> {
        let adapters = info::adapters(info::OpenGl::Listed);
        let found = adapters.len();
        let adapter = adapters.get(index).ok_or_else(|| Error::NoAdapter {
            asked: index.to_string(),
            found: if found == 0 { "none".to_owned() } else { format!("0 to {}", found - 1) },
        })?;
        Gpu::open_listed(adapter)
    }

    fn open_listed((info, adapter): &(DeviceInfo, wgpu::Adapter)) -> Result<Gpu, Error> {
        let tier = info.default_tier();
        let mut gpu = Gpu {
            device: Arc::new(device::Device::open(info.clone(), adapter)?),
            pool: Arc::default(),
            turns: Arc::default(),
            pipelines: Mutex::default(),
            tier,
            chunk_bytes: run::chunk_bytes(info),
            self_test: SelfTest::default(),
            edit: None,
        };
        gpu.self_test = self_test::run(&gpu)?;
        Ok(gpu)
    }

    /// The adapter as its driver describes it.
    #[must_use]
    pub fn info(&self) -> &DeviceInfo {
        &self.device.info
    }

    /// Runs the self-test again: after a doubtful result, or to see how long it takes.
    ///
    /// # Errors
    /// The device gives a wrong answer, or none.
    pub fn check(&self) -> Result<SelfTest, Error> {
        self_test::run(self)
    }

    /// Size class of the all-pairs product.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// What a report says about the device.
    #[must_use]
    pub fn facts(&self) -> DeviceFacts {
        let info = self.info();
        DeviceFacts {
            name: info.name.clone(),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            api: info.api.name(),
            pci_bus_id: info.pci_bus_id.clone(),
            tier: self.tier.name(),
            is_software: info.is_software(),
            self_test: self.self_test.clone(),
        }
    }

    /// The same device with another tier.
    #[must_use]
    pub fn with_tier(&self, tier: Tier) -> Gpu {
        Gpu { tier, ..self.same_device() }
    }

    /// The same device with a kernel made wrong: how tests see that they would notice.
    #[doc(hidden)]
    #[must_use]
    pub fn with_edit(&self, label: &'static str, edit: Edit) -> Gpu {
        Gpu { edit: Some((label, edit)), ..self.same_device() }
    }

    /// The same device with smaller uploads (at least 64 KiB): how tests reach what large inputs reach.
    #[doc(hidden)]
    #[must_use]
    pub fn with_chunk_bytes(&self, chunk_bytes: usize) -> Gpu {
        Gpu { chunk_bytes: chunk_bytes.max(64 << 10), ..self.same_device() }
    }

    /// Ends the device as a driver reset would: how tests see that a loss is reported.
    #[doc(hidden)]
    pub fn lose(&self) {
        self.device.device.destroy();
    }

    fn same_device(&self) -> Gpu {
        Gpu {
            device: Arc::clone(&self.device),
            pool: Arc::clone(&self.pool),
            turns: Arc::clone(&self.turns),
            pipelines: Mutex::default(),
            tier: self.tier,
            chunk_bytes: self.chunk_bytes,
            self_test: self.self_test.clone(),
            edit: self.edit,
        }
    }
}
