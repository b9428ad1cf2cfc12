//! Opening a device: handlers first, then the shader modules with or without run-time checks.
#![expect(
    unsafe_code,
    reason = "shader modules without run-time checks in release builds, see `shader_module`; one environment variable, see \
              `quiet_device_select`"
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

/// A device, its queue, and what went wrong outside of any error scope.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) info: DeviceInfo,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    /// Why the device is gone, once it is.
    lost: Arc<Mutex<Option<String>>>,
    /// First error that no scope caught.
    uncaptured: Arc<Mutex<Option<String>>>,
}

impl Device {
    /// Asks for all that the adapter can do. wgpu panics on an error nobody handles, so handlers come before any use.
    pub(super) fn open(info: DeviceInfo, adapter: &wgpu::Adapter) -> Result<Device, Error> {
        let request = adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("cognate"),
            required_limits: adapter.limits(),
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
        Ok(Device { info, device, queue, lost, uncaptured })
    }

    /// Why the device is gone, if it is.
    pub(super) fn lost(&self) -> Option<String> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The error that no scope caught, once.
    pub(super) fn take_uncaptured(&self) -> Option<String> {
        self.uncaptured.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Compiles WGSL. Debug builds keep every run-time check; release builds drop bounds checks, forced loop bounds
    /// and division checks, which cost up to a third of the time.
    pub(super) fn shader_module(&self, label: &str, source: &str) -> wgpu::ShaderModule {
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(label),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        };
        if cfg!(debug_assertions) {
            return self.device.create_shader_module(descriptor);
        }
        // SAFETY: the sources are our own files. Every index is guarded by a count in `Params` that the host sets from
        // the sizes of the very buffers it binds, every loop ends on such a count, and no divisor is zero; the same
        // sources run with all checks in debug builds, where the tests compare them with the definition.
        unsafe {
            self.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked())
        }
    }
}

fn remember(slot: &Mutex<Option<String>>, message: String) {
    slot.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
}
