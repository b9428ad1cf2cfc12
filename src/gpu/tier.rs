//! Which of the all-pairs kernels an adapter runs.

use super::{Api, DeviceInfo};

/// How the all-pairs product is made. Chosen by what the adapter can do, a test of its answers, and its time; never by the
/// vendor's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    /// 16 × 16 × 16 matrix units, f16 operands and f32 sums, 128 × 128 tiles by 8 subgroups.
    Coop16,
    /// The same by 4 subgroups of 64 threads.
    Coop16Wide,
    /// 8 × 8 × 8 matrix units, f16 operands and f32 sums, 64 × 64 tiles by 4 subgroups of 32 threads.
    Coop8,
    /// The same with f32 operands.
    Coop8F32,
    /// 128 × 128 register tile, 256 threads, 16 KiB of workgroup memory.
    Tile,
    /// 64 × 64 tile, 64 threads, 8 KiB of workgroup memory: software adapters and small ones.
    Small,
}

/// Workgroup memory in bytes and threads that a tier needs; `tests/layout.rs` measures them.
struct Needs {
    memory_bytes: u32,
    threads: u32,
}

impl Tier {
    /// Every tier, for tests and tables; the fastest to be expected first.
    pub const ALL: [Tier; 6] =
        [Tier::Coop16, Tier::Coop16Wide, Tier::Coop8, Tier::Coop8F32, Tier::Tile, Tier::Small];

    /// `coop16`, `coop16-wide`, `coop8`, `coop8-f32`, `tile` or `small`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Tier::Coop16 => "coop16",
            Tier::Coop16Wide => "coop16-wide",
            Tier::Coop8 => "coop8",
            Tier::Coop8F32 => "coop8-f32",
            Tier::Tile => "tile",
            Tier::Small => "small",
        }
    }

    /// Rows (and columns) of one output tile.
    #[must_use]
    pub fn tile(self) -> usize {
        match self {
            Tier::Coop16 | Tier::Coop16Wide | Tier::Tile => 128,
            Tier::Coop8 | Tier::Coop8F32 | Tier::Small => 64,
        }
    }

    /// Whether it runs on matrix units, and so on packed rows.
    #[must_use]
    pub fn has_matrix_units(self) -> bool {
        !matches!(self, Tier::Tile | Tier::Small)
    }

    /// Workgroup memory in bytes.
    #[must_use]
    pub fn workgroup_bytes(self) -> u32 {
        self.needs().memory_bytes
    }

    fn needs(self) -> Needs {
        let (memory_bytes, threads) = match self {
            Tier::Coop16 | Tier::Coop16Wide => (32 << 10, 256),
            Tier::Coop8 => (11 << 10, 128),
            Tier::Coop8F32 => (19 << 10, 128),
            Tier::Tile => (16 << 10, 256),
            Tier::Small => (8 << 10, 64),
        };
        Needs { memory_bytes, threads }
    }

    /// Whether the adapter's properties allow it: only then is it tried.
    pub(super) fn fits(self, info: &DeviceInfo) -> bool {
        let needs = self.needs();
        let has_room =
            info.workgroup_memory_bytes >= needs.memory_bytes && info.max_workgroup_threads >= needs.threads;
        let has_unit = |size: u32, operand: &str| {
            let is_it = |unit: &super::MatrixUnit| {
                unit.size == size && unit.operand == operand && unit.accumulator == "f32"
            };
            info.matrix_units.iter().any(is_it)
        };
        // a workgroup of `threads` may come in this many subgroups
        let may_have = |n_subgroups: u32| {
            info.subgroup_sizes.is_some_and(|(smallest, largest)| {
                (smallest..=largest).contains(&(needs.threads / n_subgroups))
                    && needs.threads.is_multiple_of(largest)
            })
        };
        has_room
            && match self {
                Tier::Coop16 => has_unit(16, "f16") && info.has_f16 && may_have(8),
                Tier::Coop16Wide => has_unit(16, "f16") && info.has_f16 && may_have(4),
                Tier::Coop8 => has_unit(8, "f16") && info.has_f16 && may_have(4) && info.api == Api::Metal,
                Tier::Coop8F32 => has_unit(8, "f32") && may_have(4) && info.api == Api::Metal,
                Tier::Tile | Tier::Small => true,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::super::MatrixUnit;
    use super::super::info::tests::device;
    use super::*;

    #[test]
    fn tiers_follow_from_properties() {
        let unit = |size, operand, accumulator| MatrixUnit { size, operand, accumulator };
        let nvidia_like = DeviceInfo {
            workgroup_memory_bytes: 48 << 10,
            subgroup_sizes: Some((32, 32)),
            has_f16: true,
            matrix_units: vec![unit(16, "f16", "f16"), unit(16, "f16", "f32")],
            ..device(0, "a", Api::Vulkan)
        };
        let amd_like = DeviceInfo { subgroup_sizes: Some((32, 64)), ..nvidia_like.clone() };
        let apple_like = DeviceInfo {
            workgroup_memory_bytes: 32 << 10,
            matrix_units: vec![unit(8, "f16", "f32"), unit(8, "f32", "f32")],
            ..device(0, "b", Api::Metal)
        };
        let apple_like = DeviceInfo { subgroup_sizes: Some((4, 64)), has_f16: true, ..apple_like };
        let half_sums = DeviceInfo { matrix_units: vec![unit(16, "f16", "f16")], ..nvidia_like.clone() };
        let no_halves = DeviceInfo { has_f16: false, ..nvidia_like.clone() };
        let small = DeviceInfo { workgroup_memory_bytes: 8 << 10, ..device(0, "c", Api::Vulkan) };
        for (info, wanted) in [
            (nvidia_like, vec![Tier::Coop16, Tier::Tile, Tier::Small]),
            (amd_like, vec![Tier::Coop16, Tier::Coop16Wide, Tier::Tile, Tier::Small]),
            (apple_like, vec![Tier::Coop8, Tier::Coop8F32, Tier::Tile, Tier::Small]),
            (half_sums, vec![Tier::Tile, Tier::Small]),
            (no_halves, vec![Tier::Tile, Tier::Small]),
            (small, vec![Tier::Small]),
        ] {
            assert_eq!(info.tiers(), wanted, "{info:?}");
        }
    }
}
