//! What goes wrong on a device is a typed error, never a number.
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use cognate::gpu::{Choice, Edit, Error, Gpu};
use cognate::kernels::{self, Backend};
use cognate::reductions::Elements;
use cognate::tensor::Dtype;

/// The software adapter, or None where there is none and none is required.
fn software() -> Option<Gpu> {
    match Gpu::open(&Choice::Named("llvmpipe".to_owned())) {
        Ok(gpu) => Some(gpu),
        Err(error) => {
            let required = std::env::var("COGNATE_REQUIRE_GPU").is_ok_and(|value| value == "1");
            assert!(!required, "COGNATE_REQUIRE_GPU=1: {error}");
            eprintln!("skipped: {error}");
            None
        }
    }
}

fn moments_on(gpu: Gpu) -> Result<cognate::reductions::PairMoments, Error> {
    let bytes = [0x80, 0x3f].repeat(5000);
    let elements = Elements { dtype: Dtype::Bf16, bytes: &bytes };
    kernels::moments::moments(&Backend::Gpu(gpu), elements, elements)
}

fn moments_with(
    find: &'static str,
    replace: &'static str,
) -> Option<Result<cognate::reductions::PairMoments, Error>> {
    let gpu = software()?;
    Some(moments_on(gpu.with_edit(&kernels::moments::KERNEL, &Edit { name: "fault", find, replace })))
}

#[test]
fn an_adapter_that_is_not_there_is_named_in_the_error() {
    let error = Gpu::open(&Choice::Named("no such adapter".to_owned())).expect_err("no such adapter");
    assert!(matches!(&error, Error::NoAdapter { asked, .. } if asked == "no such adapter"), "{error}");
    assert!(Gpu::open_index(usize::MAX).is_err());
}

#[test]
fn a_device_reports_what_it_is_and_what_it_passed() {
    let Some(gpu) = software() else { return };
    let facts = gpu.facts();
    assert!(facts.is_software && facts.name.contains("llvmpipe"), "{facts:?}");
    assert_eq!(facts.tier, "small");
    assert!(facts.self_test.checks.len() == 6, "{facts:?}");
    assert!(moments_on(gpu).is_ok_and(|moments| moments.sum_ab == 5000.0));
}

#[test]
fn output_that_nobody_wrote_is_an_error_and_not_zero() {
    let Some(result) = moments_with("partials[out + 3u] = seen.w;", "") else { return };
    assert!(matches!(result, Err(Error::Unwritten { kernel: "moments", n_words: 2, .. })), "{result:?}");
}

#[test]
fn words_that_the_device_read_wrong_are_an_error() {
    let Some(result) = moments_with("checksum_b += across_count(raw_b);", "checksum_b += 1u;") else {
        return;
    };
    assert!(matches!(result, Err(Error::Canary { what: "checksum of b", .. })), "{result:?}");
}

#[test]
fn a_kernel_that_does_not_compile_is_an_error() {
    let Some(result) = moments_with("let one = vec4(1u);", "let one = vec4(1.0);") else { return };
    assert!(matches!(result, Err(Error::Pipeline { kernel: "moments", .. })), "{result:?}");
}

#[test]
fn a_dispatch_with_an_unused_binding_is_rejected() {
    // the automatic layout loses the binding, so that the host's list no longer fits
    let Some(gpu) = software() else { return };
    let edit = Edit { name: "fault", find: "let raw_b = raw_quad_b(quad);", replace: "let raw_b = raw_a;" };
    let result = moments_on(gpu.with_edit(&kernels::moments::KERNEL, &edit));
    assert!(matches!(result, Err(Error::Dispatch { kernel: "moments", .. })), "{result:?}");
}

#[test]
fn a_lost_device_is_said_to_be_lost() {
    let Some(gpu) = software() else { return };
    gpu.lose();
    let result = moments_on(gpu);
    assert!(matches!(result, Err(Error::DeviceLost { kernel: "moments", .. })), "{result:?}");
}

#[test]
fn threads_share_a_device() {
    let Some(gpu) = software() else { return };
    let backend = Backend::Gpu(gpu);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6_u8)
            .map(|index| {
                let backend = &backend;
                scope.spawn(move || {
                    let bytes = [index; 9000];
                    let elements = Elements { dtype: Dtype::U8, bytes: &bytes };
                    kernels::moments::moments(backend, elements, elements).map(|moments| moments.sum_a)
                })
            })
            .collect();
        for (index, thread) in (0..6_u8).zip(threads) {
            let sum = thread.join().expect("no thread panics");
            assert_eq!(sum.ok(), Some(f64::from(index) * 9000.0), "thread {index}");
        }
    });
}
