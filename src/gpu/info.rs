//! What adapters this machine has.

use super::Tier;

/// Graphics interface through which an adapter is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Api {
    /// Vulkan.
    Vulkan,
    /// Metal.
    Metal,
    /// Direct3D 12.
    Dx12,
    /// OpenGL, never chosen unasked.
    Gl,
}

impl Api {
    /// `vulkan`, `metal`, `dx12`, `gl`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Api::Vulkan => "vulkan",
            Api::Metal => "metal",
            Api::Dx12 => "dx12",
            Api::Gl => "gl",
        }
    }
}

/// Kind of hardware behind an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceType {
    /// Own memory.
    Discrete,
    /// Shares memory with the CPU.
    Integrated,
    /// Passed through to a virtual machine.
    Virtual,
    /// A driver that computes on the CPU.
    Software,
    /// The driver does not say.
    Unknown,
}

/// Square matrix units that WGSL can use: m = n = k.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatrixUnit {
    /// m, n and k.
    pub size: u32,
    /// Operand type, `f16` or `f32`.
    pub operand: &'static str,
    /// Accumulator type, `f16` or `f32`.
    pub accumulator: &'static str,
}

/// One adapter as its driver describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Position in the list of [`devices`]; not stable across machines or drivers.
    pub index: usize,
    /// As the driver spells it.
    pub name: String,
    /// Interface.
    pub api: Api,
    /// Kind of hardware.
    pub device_type: DeviceType,
    /// Driver name; empty under OpenGL.
    pub driver: String,
    /// Driver version.
    pub driver_info: String,
    /// `0000:3b:00.0`, or empty where the interface does not tell.
    pub pci_bus_id: String,
    /// Largest single buffer binding in bytes.
    pub max_binding_bytes: u64,
    /// Largest buffer in bytes.
    pub max_buffer_bytes: u64,
    /// Workgroup memory in bytes.
    pub workgroup_memory_bytes: u32,
    /// Threads of one workgroup.
    pub max_workgroup_threads: u32,
    /// Workgroups per dimension of a dispatch.
    pub max_workgroups: u32,
    /// Smallest and largest subgroup, or None without subgroup operations.
    pub subgroup_sizes: Option<(u32, u32)>,
    /// Half-precision arithmetic in shaders.
    pub has_f16: bool,
    /// GPU time stamps.
    pub has_timestamps: bool,
    /// Matrix units expressible in WGSL.
    pub matrix_units: Vec<MatrixUnit>,
}

impl DeviceInfo {
    /// Whether the "GPU" is a driver that computes on the CPU: chosen by name only, for correctness only.
    #[must_use]
    pub fn is_software(&self) -> bool {
        let name = self.name.to_lowercase();
        self.device_type == DeviceType::Software
            || ["llvmpipe", "softpipe", "swiftshader", "basic render"]
                .iter()
                .any(|known| name.contains(known))
    }

    /// The tiers that the properties allow, the fastest to be expected first.
    #[must_use]
    pub fn tiers(&self) -> Vec<Tier> {
        Tier::ALL.into_iter().filter(|tier| tier.fits(self)).collect()
    }

    /// The tier without matrix units that fits the properties: what every other has to beat.
    #[must_use]
    pub fn default_tier(&self) -> Tier {
        let fits = self.tiers().contains(&Tier::Tile);
        if fits && !self.is_software() { Tier::Tile } else { Tier::Small }
    }
}

/// All adapters, in the order in which `--gpu INDEX` counts them. `WGPU_BACKEND` (`vulkan`, `metal`, `dx12`, `gl`,
/// several with commas) narrows the list.
#[must_use]
pub fn devices() -> Vec<DeviceInfo> {
    adapters(OpenGl::Listed).into_iter().map(|(info, _)| info).collect()
}

/// Whether OpenGL is looked at: its libraries write to the terminal where there is no display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpenGl {
    /// After the others.
    Listed,
    /// Only if `WGPU_BACKEND` asks for it.
    IfAsked,
}

impl OpenGl {
    /// What is enough to see an adapter of this interface.
    pub(super) fn of(api: Api) -> OpenGl {
        if api == Api::Gl { OpenGl::Listed } else { OpenGl::IfAsked }
    }
}

/// The adapters themselves beside their descriptions.
pub(super) fn adapters(opengl: OpenGl) -> Vec<(DeviceInfo, wgpu::Adapter)> {
    let variable = std::env::var("WGPU_BACKEND").ok().filter(|list| !list.trim().is_empty());
    let mut backends = wanted_backends(variable.as_deref());
    if variable.is_none() && opengl == OpenGl::IfAsked {
        backends -= wgpu::Backends::GL;
    }
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = backends;
    let instance = wgpu::Instance::new(descriptor);
    let found = pollster::block_on(instance.enumerate_adapters(backends));
    let known =
        found.into_iter().filter_map(|adapter| api_of(adapter.get_info().backend).map(|api| (api, adapter)));
    known.enumerate().map(|(index, (api, adapter))| (describe(index, api, &adapter), adapter)).collect()
}

fn wanted_backends(variable: Option<&str>) -> wgpu::Backends {
    let all = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12 | wgpu::Backends::GL;
    match variable {
        None => all,
        Some(list) => list.split(',').fold(wgpu::Backends::empty(), |wanted, word| {
            wanted
                | match word.trim().to_lowercase().as_str() {
                    "vulkan" | "vk" => wgpu::Backends::VULKAN,
                    "metal" | "mtl" => wgpu::Backends::METAL,
                    "dx12" | "d3d12" => wgpu::Backends::DX12,
                    "gl" | "gles" | "opengl" => wgpu::Backends::GL,
                    _ => wgpu::Backends::empty(),
                }
        }),
    }
}

fn api_of(backend: wgpu::Backend) -> Option<Api> {
    match backend {
        wgpu::Backend::Vulkan => Some(Api::Vulkan),
        wgpu::Backend::Metal => Some(Api::Metal),
        wgpu::Backend::Dx12 => Some(Api::Dx12),
        wgpu::Backend::Gl => Some(Api::Gl),
        _ => None,
    }
}

fn describe(index: usize, api: Api, adapter: &wgpu::Adapter) -> DeviceInfo {
    let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
    DeviceInfo {
        index,
        name: info.name,
        api,
        device_type: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => DeviceType::Discrete,
            wgpu::DeviceType::IntegratedGpu => DeviceType::Integrated,
            wgpu::DeviceType::VirtualGpu => DeviceType::Virtual,
            wgpu::DeviceType::Cpu => DeviceType::Software,
            wgpu::DeviceType::Other => DeviceType::Unknown,
        },
        driver: info.driver,
        driver_info: info.driver_info,
        pci_bus_id: info.device_pci_bus_id,
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        max_buffer_bytes: limits.max_buffer_size,
        workgroup_memory_bytes: limits.max_compute_workgroup_storage_size,
        max_workgroup_threads: limits.max_compute_invocations_per_workgroup,
        max_workgroups: limits.max_compute_workgroups_per_dimension,
        subgroup_sizes: features
            .contains(wgpu::Features::SUBGROUP)
            .then_some((info.subgroup_min_size, info.subgroup_max_size)),
        has_f16: features.contains(wgpu::Features::SHADER_F16),
        has_timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
        matrix_units: adapter.cooperative_matrix_properties().iter().filter_map(matrix_unit).collect(),
    }
}

/// Only what WGSL can write: 8 and 16 cubed, floats; other shapes are listed by drivers but not expressible.
fn matrix_unit(listed: &wgpu::CooperativeMatrixProperties) -> Option<MatrixUnit> {
    let float = |scalar| match scalar {
        wgpu::CooperativeScalarType::F16 => Some("f16"),
        wgpu::CooperativeScalarType::F32 => Some("f32"),
        _ => None,
    };
    let size = listed.m_size;
    let is_square = [8, 16].contains(&size) && listed.n_size == size && listed.k_size == size;
    is_square.then_some(())?;
    Some(MatrixUnit { size, operand: float(listed.ab_type)?, accumulator: float(listed.cr_type)? })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A card with the least that wgpu guarantees.
    pub(in super::super) fn device(index: usize, name: &str, api: Api) -> DeviceInfo {
        DeviceInfo {
            index,
            name: name.to_owned(),
            api,
            device_type: DeviceType::Discrete,
            driver: String::new(),
            driver_info: String::new(),
            pci_bus_id: String::new(),
            max_binding_bytes: 1 << 27,
            max_buffer_bytes: 1 << 28,
            workgroup_memory_bytes: 32 << 10,
            max_workgroup_threads: 1024,
            max_workgroups: 65_535,
            subgroup_sizes: None,
            has_f16: false,
            has_timestamps: false,
            matrix_units: Vec::new(),
        }
    }
}
