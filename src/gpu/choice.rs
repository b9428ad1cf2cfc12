//! Which adapter to take: a pure function of the list, the request and the environment.

use super::{Api, DeviceInfo, DeviceType, Error};

/// What the caller asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The best real GPU, if there is one: the caller falls back to the CPU.
    Auto,
    /// The best real GPU; its absence is an error.
    Any,
    /// `pci:0000:3b:00.0`, a part of the name (any case), or an index of [`super::devices`]. The only way to a
    /// software or OpenGL adapter.
    Named(String),
}

/// Picks the adapter. `name_variable` is `WGPU_ADAPTER_NAME`: it stands in for a name where none was given.
///
/// # Errors
/// Nothing fits.
pub(super) fn choose<'a>(
    devices: &'a [DeviceInfo],
    choice: &Choice,
    name_variable: Option<&str>,
) -> Result<&'a DeviceInfo, Error> {
    let asked = match (choice, name_variable) {
        (Choice::Named(name), _) => Some(name.as_str()),
        (_, Some(name)) if !name.trim().is_empty() => Some(name),
        _ => None,
    };
    let best = match asked {
        None => {
            devices.iter().filter(|device| !device.is_software() && device.api != Api::Gl).min_by_key(rank)
        }
        Some(asked) => devices.iter().filter(|device| matches(device, asked.trim())).min_by_key(rank),
    };
    best.ok_or_else(|| Error::NoAdapter {
        asked: asked.unwrap_or("any GPU").to_owned(),
        found: listed(devices),
    })
}

/// Real before software, OpenGL last, discrete before integrated, then the order of the list.
fn rank(device: &&DeviceInfo) -> (bool, bool, u8, usize) {
    let kind = match device.device_type {
        DeviceType::Discrete => 0,
        DeviceType::Integrated => 1,
        DeviceType::Virtual => 2,
        DeviceType::Unknown => 3,
        DeviceType::Software => 4,
    };
    (device.api == Api::Gl, device.is_software(), kind, device.index)
}

fn matches(device: &DeviceInfo, asked: &str) -> bool {
    if let Some(bus_id) = asked.strip_prefix("pci:") {
        return !device.pci_bus_id.is_empty() && normal_bus_id(bus_id) == normal_bus_id(&device.pci_bus_id);
    }
    if let Ok(index) = asked.parse::<usize>() {
        return device.index == index;
    }
    !asked.is_empty() && device.name.to_lowercase().contains(&asked.to_lowercase())
}

/// Some tools print an eight-digit domain in upper case: `00000000:3B:00.0`.
fn normal_bus_id(text: &str) -> String {
    let text = text.trim().to_lowercase();
    match text.split_once(':') {
        Some((domain, rest)) if rest.contains(':') => format!("{}:{rest}", domain.trim_start_matches('0')),
        _ => format!(":{text}"),
    }
}

fn listed(devices: &[DeviceInfo]) -> String {
    if devices.is_empty() {
        return "none".to_owned();
    }
    let shown = devices.iter().map(|device| {
        let software = if device.is_software() { ", software" } else { "" };
        format!("{} '{}' ({}{software})", device.index, device.name, device.api.name())
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(index: usize, name: &str, api: Api, device_type: DeviceType, pci_bus_id: &str) -> DeviceInfo {
        DeviceInfo {
            device_type,
            pci_bus_id: pci_bus_id.to_owned(),
            ..super::super::info::tests::device(index, name, api)
        }
    }

    fn machine() -> Vec<DeviceInfo> {
        vec![
            device(0, "llvmpipe (LLVM 15)", Api::Gl, DeviceType::Unknown, ""),
            device(1, "llvmpipe (LLVM 15)", Api::Vulkan, DeviceType::Software, ""),
            device(2, "Iris Xe", Api::Vulkan, DeviceType::Integrated, "0000:00:02.0"),
            device(3, "GeForce RTX 4090", Api::Vulkan, DeviceType::Discrete, "0000:3b:00.0"),
            device(4, "GeForce RTX 4090", Api::Vulkan, DeviceType::Discrete, "0000:af:00.0"),
            device(5, "GeForce RTX 4090", Api::Gl, DeviceType::Unknown, ""),
        ]
    }

    #[test]
    fn the_request_decides_which_adapter_is_taken() {
        let named = |name: &str| Choice::Named(name.to_owned());
        for (choice, variable, wanted) in [
            (Choice::Auto, None, Some(3)),
            (Choice::Any, None, Some(3)),
            (Choice::Any, Some(""), Some(3)),
            (Choice::Auto, Some("llvmpipe"), Some(1)),
            (named("iris"), Some("llvmpipe"), Some(2)),
            (named("llvmpipe"), None, Some(1)),
            (named("geforce"), None, Some(3)),
            (named("4"), None, Some(4)),
            (named("pci:0000:af:00.0"), None, Some(4)),
            (named("pci:00000000:AF:00.0"), None, Some(4)),
            (named("pci:af:00.0"), None, Some(4)),
            (named("pci:0001:af:00.0"), None, None),
            (named("pci:"), None, None),
            (named(""), None, None),
            (named("6"), None, None),
            (named("radeon"), None, None),
        ] {
            let devices = machine();
            let found = choose(&devices, &choice, variable).ok().map(|device| device.index);
            assert_eq!(found, wanted, "{choice:?}, WGPU_ADAPTER_NAME={variable:?}");
        }
    }

    #[test]
    fn software_and_opengl_are_never_taken_unasked() {
        let devices: Vec<_> = machine().into_iter().filter(|d| d.is_software() || d.api == Api::Gl).collect();
        for choice in [Choice::Auto, Choice::Any] {
            let error = choose(&devices, &choice, None).expect_err("only software and OpenGL");
            assert!(error.to_string().contains("0 'llvmpipe (LLVM 15)' (gl, software)"), "{error}");
        }
        assert!(choose(&[], &Choice::Any, None).expect_err("nothing").to_string().ends_with("found: none"));
    }
}
