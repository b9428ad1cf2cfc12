//! Opening a device: handlers first, then the shader modules with or without run-time checks.
#![expect(
    unsafe_code,
    reason = "shader modules without run-time checks in release builds, see `shader_module`; matrix units, see `open`; one \
              environment variable, see `quiet_device_select`"
)]

use std::sync::{Arc, Mutex, PoisonError};

use super::{DeviceInfo, Error};

/// Mesa's device-select layer looks for a display and prints four lines of `error:` where there is none; it only reorders
/// adapters, which are chosen by name and type here. Call before any thread starts.
pub fn quiet_device_select() {
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() && std::env::var_os("NODEVICE_SELECT").is_none() {
        // SAFETY: the first statement of the program, while it has one thread: nobody reads the environment meanwhile
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

/// Whether shaders check indices, loops and divisors at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Checks {
    /// As wgpu's safe interface compiles them.
    On,
    /// Without bounds checks, forced loop bounds and division checks, which cost up to a third of the time.
    Off,
}

impl Checks {
    /// On in debug builds, off in release builds.
    pub(super) const OF_BUILD: Checks = if cfg!(debug_assertions) { Checks::On } else { Checks::Off };

    /// `checked` or `unchecked`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Checks::On => "checked",
            Checks::Off => "unchecked",
        }
    }
}

/// A device, its queue, and what went wrong outside of any error scope.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    /// Why the device is gone, once it is.
    lost: Arc<Mutex<Option<String>>>,
    /// First error that no scope caught.
    uncaptured: Arc<Mutex<Option<String>>>,
}

impl Device {
    /// Asks for all that the kernels can use. wgpu panics on an error nobody handles, so handlers come before any use.
    pub(super) fn open(info: &DeviceInfo, adapter: &wgpu::Adapter) -> Result<Device, Error> {
        let wanted = wgpu::Features::SUBGROUP
            | wgpu::Features::SHADER_F16
            | wgpu::Features::TIMESTAMP_QUERY
            | wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
        let features = adapter.features() & wanted;
        let experimental_features = if features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
            // SAFETY: matrix units are the one experimental feature in `wanted`. The tokens' contract is that its
            // interface may have bugs: no number of a kernel that uses it counts before `kernels::settle` has
            // seen it compute known products, and every partner that it finds is scored again on the host.
            unsafe { wgpu::ExperimentalFeatures::enabled() }
        } else {
            wgpu::ExperimentalFeatures::disabled()
        };
        let request = adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("cognate"),
            required_features: features,
            required_limits: adapter.limits(),
            experimental_features,
            ..Default::default()
        });
        let (device, queue) = pollster::block_on(request)
            .map_err(|error| Error::Open { adapter: info.name.clone(), reason: error.to_string() })?;
        let (lost, uncaptured) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(None)));
        let sink = Arc::clone(&uncaptured);
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| remember(&sink, error.to_string())));
        let sink = Arc::clone(&lost);
        device.set_device_lost_callback(move |reason, message| {
            remember(&sink, if message.is_empty() { format!("{reason:?}") } else { message });
        });
        Ok(Device { device, queue, lost, uncaptured })
    }

    /// Why the device is gone, if it is.
    pub(super) fn lost(&self) -> Option<String> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The error that no scope caught, once.
    pub(super) fn take_uncaptured(&self) -> Option<String> {
        self.uncaptured.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Compiles WGSL with or without run-time checks.
    pub(super) fn shader_module(&self, label: &str, source: &str, checks: Checks) -> wgpu::ShaderModule {
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(label),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        };
        match checks {
            Checks::On => self.device.create_shader_module(descriptor),
            // SAFETY: the sources are our own files. Every index is guarded by a count in `Params` that the host sets
            // from the sizes of the very buffers it binds, or stays inside a tile to which `pack` or the upload has
            // padded them; every loop ends on such a count, and no divisor is zero. The tests run the same sources
            // with all checks too, and hold both builds against one definition.
            Checks::Off => unsafe {
                self.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
            },
        }
    }
}

fn remember(slot: &Mutex<Option<String>>, message: String) {
    slot.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
}
