//! oracle = cpu = every gpu, within the derived bound; and every kernel made wrong is noticed.

mod oracle;

use std::sync::OnceLock;

use cognate::cpu::Cpu;
use cognate::gpu::{Gpu, devices};
use cognate::kernels::{self, Backend};
use cognate::reductions::Elements;
use cognate::tensor::Dtype;
use oracle::values::{self, CLASSES, Class};

/// The CPU backend is one row of the table.
const WITH_CPU: bool = false;

/// Every adapter of this machine that opens, in its default tier.
fn gpus() -> &'static [Gpu] {
    static GPUS: OnceLock<Vec<Gpu>> = OnceLock::new();
    GPUS.get_or_init(|| {
        let opened = devices().into_iter().filter_map(|info| match Gpu::open_index(info.index) {
            Ok(gpu) => Some(gpu),
            Err(error) => {
                eprintln!("skipped: {} ({}): {error}", info.name, info.api.name());
                None
            }
        });
        let opened: Vec<Gpu> = opened.collect();
        let required = std::env::var("COGNATE_REQUIRE_GPU").is_ok_and(|value| value == "1");
        assert!(!opened.is_empty() || !required, "COGNATE_REQUIRE_GPU=1, but no adapter opens");
        if opened.is_empty() {
            eprintln!("skipped: no GPU adapter");
        }
        opened
    })
}

/// Same device in the same tier, as a backend.
fn on(gpu: &Gpu) -> Backend {
    Backend::Gpu(gpu.with_tier(gpu.tier()))
}

/// Every backend with a name for messages.
fn backends() -> Vec<(String, Backend)> {
    let mut all: Vec<(String, Backend)> = gpus()
        .iter()
        .map(|gpu| (format!("{} {}", gpu.info().name, gpu.info().api.name()), on(gpu)))
        .collect();
    if WITH_CPU {
        all.push(("cpu".to_owned(), Backend::Cpu(Cpu::detect())));
    }
    all
}

/// Differences between `moments` and its definition; empty if there is none.
fn moments_complaints(backend: &Backend, types: (Dtype, Dtype), a: &[u8], b: &[u8]) -> Vec<String> {
    let wanted = oracle::moments::moments(&values::decode(types.0, a), &values::decode(types.1, b));
    let elements = |dtype, bytes| Elements { dtype, bytes };
    let found = match kernels::moments::moments(backend, elements(types.0, a), elements(types.1, b)) {
        Ok(found) => found,
        Err(error) => return vec![error.to_string()],
    };
    let counts = oracle::moments::Counts {
        n_elements: found.n_elements,
        n_non_finite_a: found.n_non_finite_a,
        n_non_finite_b: found.n_non_finite_b,
        n_equal: found.n_equal,
        n_same_sign: found.n_same_sign,
    };
    let mut complaints = Vec::new();
    if counts != wanted.counts {
        complaints.push(format!("counts {counts:?}, not {:?}", wanted.counts));
    }
    let n = a.len() / types.0.size_bytes().expect("whole bytes");
    let [size_a, size_b, size_ab, size_diff] = wanted.magnitudes;
    for (what, found, wanted, size) in [
        ("Σa", found.sum_a, wanted.sum_a, size_a),
        ("Σb", found.sum_b, wanted.sum_b, size_b),
        ("Σa²", found.sum_aa, wanted.sum_aa, wanted.sum_aa),
        ("Σb²", found.sum_bb, wanted.sum_bb, wanted.sum_bb),
        ("Σab", found.sum_ab, wanted.sum_ab, size_ab),
        ("Σ|a−b|", found.sum_abs_diff, wanted.sum_abs_diff, size_diff),
        ("max|a−b|", f64::from(found.max_abs_diff), wanted.max_abs_diff, wanted.max_abs_diff),
    ] {
        // beside rounding: a device may read a subnormal as zero, at most 2⁻¹²⁶ an element and 2⁻¹²⁶ · |other| a
        // product, and flush a product below 2⁻¹²⁶; blocks where that matters (largest below 2⁻⁴⁰) are summed in f64
        let flushed = 2_f64.powi(-126) * (n as f64 + size_a + size_b);
        let bound = kernels::moments::error_bound(n, size) + flushed;
        // the largest difference is an f32: beyond its range both are infinite
        let same = found == wanted || (found.is_infinite() && wanted > f64::from(f32::MAX));
        if !same && ((found - wanted).abs() > bound || found.is_nan()) {
            complaints.push(format!("{what} is {found:e}, not {wanted:e} ± {bound:e}"));
        }
    }
    complaints
}

fn decodable() -> impl Iterator<Item = Dtype> {
    Dtype::ALL.into_iter().filter(|dtype| dtype.is_decodable())
}

const LENGTHS: [usize; 9] = [1, 3, 255, 256, 771, 4095, 4097, 9900, 17_000];

#[test]
fn moments_equal_their_definition_for_every_type_class_and_length() {
    for (name, backend) in backends() {
        for dtype in decodable() {
            for class in CLASSES {
                for n in LENGTHS {
                    let (a, b) = (values::bytes(dtype, class, n, 1), values::bytes(dtype, class, n, 2));
                    let complaints = moments_complaints(&backend, (dtype, dtype), &a, &b);
                    assert!(complaints.is_empty(), "{name} {dtype:?} {class:?} {n}: {complaints:?}");
                }
            }
        }
    }
}

#[test]
fn every_broken_moments_kernel_is_noticed() {
    for gpu in gpus() {
        for edit in kernels::moments::KERNEL.broken {
            let backend = Backend::Gpu(gpu.with_edit(kernels::moments::KERNEL.label, *edit));
            let complaints: Vec<String> = LENGTHS
                .iter()
                .flat_map(|&n| {
                    let a = values::bytes(Dtype::Bf16, Class::Specials, n, 1);
                    let b = values::bytes(Dtype::Bf16, Class::Specials, n, 2);
                    moments_complaints(&backend, (Dtype::Bf16, Dtype::Bf16), &a, &b)
                })
                .collect();
            assert!(!complaints.is_empty(), "{}: '{}' passes", gpu.info().name, edit.name);
            eprintln!("{}: {}", edit.name, complaints[0]);
        }
    }
}
