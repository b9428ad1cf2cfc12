//! Every shader is valid and can be written for Vulkan, Metal and Direct3D; Rust and WGSL agree on layouts and constants.

use std::collections::HashSet;

use cognate::gpu::{Kernel, Tier};
use cognate::kernels::probes::PROBES;
use cognate::kernels::{KERNELS, SHADER_CODES};
use cognate::tensor::BlockType;
use naga::back::pipeline_constants::process_overrides;
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};

/// Every kernel, those that only measure included.
fn all() -> impl Iterator<Item = &'static Kernel> {
    KERNELS.iter().copied().chain(PROBES)
}

/// What a kernel for matrix units needs beyond plain WGSL; every other kernel needs nothing.
const MATRIX_UNIT_CAPABILITIES: Capabilities = Capabilities::COOPERATIVE_MATRIX
    .union(Capabilities::SHADER_FLOAT16)
    .union(Capabilities::SHADER_FLOAT16_IN_FLOAT32)
    .union(Capabilities::SUBGROUP);

fn has_matrix_units(source: &str) -> bool {
    source.contains("enable wgpu_cooperative_matrix;")
}

fn valid(kernel: &Kernel, source: &str) -> (naga::Module, ModuleInfo) {
    let module = naga::front::wgsl::parse_str(source)
        .unwrap_or_else(|error| panic!("{}: {}", kernel.label, error.emit_to_string(source)));
    let capabilities =
        if has_matrix_units(source) { MATRIX_UNIT_CAPABILITIES } else { Capabilities::empty() };
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .unwrap_or_else(|error| panic!("{}: {}", kernel.label, error.emit_to_string(source)));
    (module, info)
}

fn constants(module: &naga::Module) -> Vec<(String, u32)> {
    let literal = |handle| match module.global_expressions[handle] {
        naga::Expression::Literal(naga::Literal::U32(value)) => Some(value),
        _ => None,
    };
    let named = module
        .constants
        .iter()
        .filter_map(|(_, constant)| Some((constant.name.clone()?, literal(constant.init)?)));
    named.collect()
}

#[test]
fn every_kernel_is_written_as_spirv_msl_and_hlsl() {
    for kernel in all() {
        let (module, info) = valid(kernel, kernel.source);
        let entry = (naga::ShaderStage::Compute, kernel.entry);
        let (module, info) =
            process_overrides(&module, &info, Some(entry), &naga::back::PipelineConstants::default())
                .unwrap_or_else(|error| panic!("{}: {error}", kernel.label));

        let pipeline =
            naga::back::spv::PipelineOptions { shader_stage: entry.0, entry_point: entry.1.to_owned() };
        let spirv =
            naga::back::spv::write_vec(&module, &info, &naga::back::spv::Options::default(), Some(&pipeline));
        assert!(spirv.is_ok_and(|words| words.len() > 100), "{}: SPIR-V", kernel.label);

        let options = naga::back::msl::Options {
            lang_version: (2, 3),
            fake_missing_bindings: true,
            ..Default::default()
        };
        let msl = naga::back::msl::write_string(
            &module,
            &info,
            &options,
            &naga::back::msl::PipelineOptions::default(),
        );
        let (msl, _) = msl.unwrap_or_else(|error| panic!("{}: MSL: {error}", kernel.label));
        assert!(
            msl.contains(&format!("kernel void {}", kernel.entry)),
            "{}: MSL without entry point",
            kernel.label
        );

        if has_matrix_units(kernel.source) {
            // HLSL has no cooperative matrices in naga: Direct3D runs the tiers without matrix units
            continue;
        }
        let mut hlsl = String::new();
        let options = naga::back::hlsl::Options::default();
        naga::back::hlsl::Writer::new(&mut hlsl, &options, &naga::back::hlsl::PipelineOptions::default())
            .write(&module, &info, None)
            .unwrap_or_else(|error| panic!("{}: HLSL: {error}", kernel.label));
        assert!(
            hlsl.contains(&format!("void {}(", kernel.entry)),
            "{}: HLSL without entry point",
            kernel.label
        );
    }
}

#[test]
fn params_are_the_same_in_rust_and_wgsl() {
    for kernel in all() {
        let (module, _) = valid(kernel, kernel.source);
        let (_, params) = module
            .types
            .iter()
            .find(|(_, ty)| ty.name.as_deref() == Some("Params"))
            .expect("a Params struct");
        let naga::TypeInner::Struct { members, span } = &params.inner else { panic!("Params is a struct") };
        let wgsl: Vec<(&str, usize)> = members
            .iter()
            .map(|member| (member.name.as_deref().expect("named"), member.offset as usize))
            .collect();
        assert_eq!(wgsl, kernel.params, "{}", kernel.label);
        assert_eq!(*span as usize, kernel.params.len() * 4, "{}: only 4-byte scalars", kernel.label);
    }
}

#[test]
fn constants_are_the_same_in_rust_and_wgsl() {
    for kernel in KERNELS {
        let found = constants(&valid(kernel, kernel.source).0);
        let value = |name: &str| found.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
        for (code, (name, _)) in (0..).zip(SHADER_CODES) {
            assert_eq!(value(name), Some(code), "{}: {name}", kernel.label);
        }
        assert_eq!(value("BLOCK"), Some(4096), "{}", kernel.label);
        assert_eq!(value("QUADS_PER_BLOCK"), Some(1024), "{}", kernel.label);
        if kernel.label == "decode_blocks" {
            for (code, block) in (0..).zip(BlockType::ALL) {
                assert_eq!(value(block.name()), Some(code), "{}", block.name());
            }
        }
        if let Some(tile) = value("TILE") {
            assert_eq!(tile as usize, tier(kernel).tile(), "{}", kernel.label);
        }
        if kernel.entry == "pack" {
            assert_eq!(value("PACK_ROWS"), Some(cognate::kernels::pack::PACK_ROWS as u32));
            assert_eq!(value("SLAB"), Some(cognate::kernels::pack::SLAB as u32));
        }
    }
}

/// The tier whose product a kernel makes.
fn tier(kernel: &Kernel) -> Tier {
    let product = kernel.label.split('+').next().unwrap_or_default();
    let named = |tier: &&Tier| product.replace("coop8_f32", "coop8-f32") == format!("gemm_{}", tier.name());
    *Tier::ALL.iter().find(named).unwrap_or_else(|| panic!("{} is of no tier", kernel.label))
}

#[test]
fn tiers_need_the_workgroup_memory_that_they_say() {
    for kernel in KERNELS.iter().filter(|kernel| kernel.entry.starts_with("gemm_")) {
        let (module, _) = valid(kernel, kernel.source);
        let mut layouter = naga::proc::Layouter::default();
        layouter.update(module.to_ctx()).expect("sizes are known");
        let shared = module.global_variables.iter().filter(|(_, v)| v.space == naga::AddressSpace::WorkGroup);
        let size_bytes: u32 = shared.map(|(_, variable)| layouter[variable.ty].size).sum();
        assert_eq!(size_bytes, tier(kernel).workgroup_bytes(), "{}", kernel.label);
    }
}

#[test]
fn labels_are_unique_and_entries_are_in_their_source() {
    let labels: HashSet<&str> = KERNELS.iter().map(|kernel| kernel.label).collect();
    assert_eq!(labels.len(), KERNELS.len());
    for kernel in KERNELS {
        let (module, _) = valid(kernel, kernel.source);
        let entries: Vec<&str> = module.entry_points.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(entries, [kernel.entry], "{}", kernel.label);
    }
}

#[test]
fn every_broken_twin_is_a_valid_shader_that_differs() {
    for kernel in KERNELS {
        for edit in kernel.broken {
            let broken = edit
                .apply(kernel.source)
                .unwrap_or_else(|| panic!("{}: '{}' is not unique", kernel.label, edit.find));
            assert_ne!(broken, kernel.source, "{}: '{}'", kernel.label, edit.name);
            valid(kernel, &broken);
        }
    }
}
