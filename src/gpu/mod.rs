//! The only user of wgpu: list, choose, open, self-test, dispatch, read back, or say why not.
//!
//! No number leaves this module unless the adapter passed its self-test, every error scope stayed
//! empty, and every output word was written: outputs start as NaN with a payload of ours, never as zero.

mod choice;
mod device;
mod error;
mod faults;
mod info;
mod kernel;
mod opened;
mod pool;
mod recover;
mod ring;
mod run;
mod self_test;
mod tier;
mod visible;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use choice::Choice;
pub use device::{Checks, quiet_device_select};
pub use error::Error;
pub use faults::{Fault, FaultPoint};
pub use info::{Api, DeviceInfo, DeviceType, MatrixUnit, devices};
pub(crate) use kernel::params;
pub use kernel::{Edit, Kernel};
pub use run::UploadPath;
pub(crate) use run::{Call, Resident, Submitted};
pub use self_test::{KERNEL as SELF_TEST, SelfTest};
pub use tier::Tier;
pub use visible::{Card, Visible, pci_of_uuid, visible};

/// An open device that passed its self-test. Threads may share it; at most two of them use it at a time.
#[derive(Debug)]
pub struct Gpu {
    shared: Arc<recover::Shared>,
    tier: Tier,
    /// How much faster `tier` is than the tier in registers.
    advantage: f64,
    checks: Checks,
    self_test: SelfTest,
    /// Most bytes of an upload, below what the device allows.
    most_chunk_bytes: usize,
    /// Why this handle is not used any more, once it is not.
    distrust: Mutex<Option<Error>>,
    /// Kernel label and the source it runs instead; only tests set it.
    replaced: Option<(&'static str, Arc<str>)>,
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
    /// `coop16`, `coop8`, `tile` or `small`.
    pub tier: &'static str,
    /// Whether it computes on the CPU: for correctness only.
    pub is_software: bool,
    /// What the self-test checked.
    pub self_test: SelfTest,
    /// What went wrong and was made good, in sentences.
    pub incidents: Vec<String>,
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
        let opened = opened::Opened::open(info, adapter)?;
        let mut gpu = Gpu {
            shared: Arc::new(recover::Shared::new(info.clone(), opened, run::chunk_bytes(info))),
            tier: info.default_tier(),
            advantage: f64::INFINITY,
            checks: Checks::OF_BUILD,
            most_chunk_bytes: usize::MAX,
            self_test: SelfTest::default(),
            distrust: Mutex::default(),
            replaced: None,
        };
        gpu.self_test = self_test::run(&gpu)?;
        Ok(gpu)
    }

    /// The adapter as its driver describes it.
    #[must_use]
    pub fn info(&self) -> &DeviceInfo {
        &self.shared.info
    }

    /// Runs the self-test again: after a doubtful result, or to see how long it takes.
    ///
    /// # Errors
    /// The device gives a wrong answer, or none.
    pub fn check(&self) -> Result<SelfTest, Error> {
        self_test::run(self)
    }

    /// Which kernel makes the all-pairs product.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// Whether shaders are compiled with run-time checks.
    #[must_use]
    pub fn checks(&self) -> Checks {
        self.checks
    }

    /// Time that passes took on the device since it was opened; None where the adapter has no time stamps.
    #[must_use]
    pub fn busy_time(&self) -> Option<Duration> {
        self.info().has_timestamps.then(|| Duration::from_nanos(self.shared.busy_ns.load(Ordering::Relaxed)))
    }

    /// Bytes of the upload slots: at most 192 MiB.
    #[must_use]
    pub fn ring_bytes(&self) -> u64 {
        self.shared.opened().ring.size_bytes()
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
            incidents: self.shared.incidents(),
        }
    }

    /// The same device with another tier.
    #[must_use]
    pub fn with_tier(&self, tier: Tier) -> Gpu {
        Gpu { tier, ..self.same_device() }
    }

    /// The same device, whose tier is known to be so many times as fast as the one in registers.
    #[must_use]
    pub(crate) fn with_advantage(&self, advantage: f64) -> Gpu {
        Gpu { advantage, ..self.same_device() }
    }

    /// How many times as fast as the tier in registers this one is.
    pub(crate) fn advantage(&self) -> f64 {
        self.advantage
    }

    /// The same device with shaders compiled in the other way.
    #[must_use]
    pub fn with_checks(&self, checks: Checks) -> Gpu {
        Gpu { checks, ..self.same_device() }
    }

    /// The same device with a kernel made wrong: how tests see that they would notice.
    ///
    /// # Panics
    /// The text to be replaced does not occur exactly once.
    #[doc(hidden)]
    #[must_use]
    pub fn with_edit(&self, kernel: &'static Kernel, edit: &Edit) -> Gpu {
        let source = edit.apply(kernel.source).expect("the edit fits the source exactly once");
        self.with_source(kernel, &source)
    }

    /// The same device with a kernel's source replaced: how tests run what this adapter has no units for.
    #[doc(hidden)]
    #[must_use]
    pub fn with_source(&self, kernel: &'static Kernel, source: &str) -> Gpu {
        Gpu { replaced: Some((kernel.label, source.into())), ..self.same_device() }
    }

    /// The same device with smaller uploads (at least 64 KiB): how tests reach what large inputs reach.
    #[doc(hidden)]
    #[must_use]
    pub fn with_chunk_bytes(&self, chunk_bytes: usize) -> Gpu {
        Gpu { most_chunk_bytes: chunk_bytes.max(64 << 10), ..self.same_device() }
    }

    /// Ends the device as a driver reset would: how tests see that a loss is reported.
    #[doc(hidden)]
    pub fn lose(&self) {
        self.shared.opened().device.device.destroy();
    }

    /// Makes calls of one kind fail from now on, on every handle of this device.
    #[doc(hidden)]
    pub fn inject(&self, fault: Fault) {
        self.shared.faults.plan(fault);
    }

    /// How often the point of the injected fault was passed since.
    #[doc(hidden)]
    #[must_use]
    pub fn n_passed(&self) -> usize {
        self.shared.faults.n_calls()
    }

    fn same_device(&self) -> Gpu {
        Gpu {
            shared: Arc::clone(&self.shared),
            tier: self.tier,
            advantage: self.advantage,
            checks: self.checks,
            most_chunk_bytes: self.most_chunk_bytes,
            self_test: self.self_test.clone(),
            distrust: Mutex::default(),
            replaced: self.replaced.clone(),
        }
    }
}
