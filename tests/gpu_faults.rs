//! What goes wrong on a device is a typed error, never a number.
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use cognate::cpu::Cpu;
use cognate::gpu::{Choice, Edit, Error, Fault, FaultPoint, Gpu};
use cognate::kernels::{self, Backend};
use cognate::reductions::{Elements, Keep, PairMoments, Ranking};
use cognate::tensor::{Dtype, Matrix, Values};

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
    assert!(facts.self_test.checks.len() == 8 && facts.self_test.hash.len() == 16, "{facts:?}");
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

/// Elements of the runs that the fault tests compare: many uploads of 64 KiB.
const N_ELEMENTS: usize = 150_000;

/// Whole numbers from −8 to 8 as bf16: every sum is exact, so that equal means equal.
fn whole_numbers(n: usize, seed: u32) -> Vec<u16> {
    let number = |index: usize| {
        let mixed = (index as u32).wrapping_mul(2_654_435_761).wrapping_add(seed.wrapping_mul(40_503)) >> 7;
        half::bf16::from_f32((mixed % 17) as f32 - 8.0).to_bits()
    };
    (0..n).map(number).collect()
}

/// What every kernel returns for some data, on the device and on the CPU.
#[derive(Debug, PartialEq)]
struct Answers {
    moments: PairMoments,
    rows: Vec<cognate::reductions::RowDots>,
    partners: Vec<Option<u32>>,
    traces: Vec<f64>,
}

fn answers(backend: &Backend) -> Result<Answers, Error> {
    let (a, b) = (whole_numbers(N_ELEMENTS, 1), whole_numbers(N_ELEMENTS, 2));
    let bytes = |bits: &[u16]| bits.iter().flat_map(|bits| bits.to_le_bytes()).collect::<Vec<u8>>();
    let (bytes_a, bytes_b) = (bytes(&a), bytes(&b));
    let elements = |bytes| Elements { dtype: Dtype::Bf16, bytes };
    let matrix = |bits: &[u16]| Matrix {
        n_rows: 150,
        n_cols: 1000,
        values: Values::Bf16(bits[..150_000].to_vec()),
        column_scale: None,
    };
    let (a, b) = (matrix(&a), matrix(&b));
    let pairs = kernels::all_pairs::all_pairs(backend, &a, &b, Ranking::Signed, Keep::Partners)?;
    let scores: Vec<f32> = (0..64 * 64).map(|index| (index % 5) as f32).collect();
    let permutation: Vec<u32> = (0..64).rev().collect();
    Ok(Answers {
        moments: kernels::moments::moments(backend, elements(&bytes_a), elements(&bytes_b))?,
        rows: kernels::row_dots::row_dots(backend, &a, &b)?,
        partners: pairs.rows.iter().map(|best| best.index).collect(),
        traces: kernels::permuted_traces::permuted_traces(backend, &scores, 64, &permutation)?,
    })
}

fn on_cpu() -> Answers {
    answers(&Backend::Cpu(Cpu::detect())).expect("the CPU does not fail")
}

/// The points that a new device may pass.
const CURABLE: [FaultPoint; 4] = [FaultPoint::Buffer, FaultPoint::Submit, FaultPoint::Wait, FaultPoint::Map];

/// A fresh device in small uploads; its faults are its own.
fn fresh() -> Option<Gpu> {
    Some(software()?.with_chunk_bytes(0))
}

#[test]
fn one_failure_at_any_call_changes_no_number() {
    let wanted = on_cpu();
    for point in CURABLE {
        let Some(gpu) = fresh() else { return };
        // how many calls there are to fail
        gpu.inject(Fault { point, first: usize::MAX, n_failing: 1 });
        assert_eq!(answers(&Backend::Gpu(gpu.with_chunk_bytes(0))).as_ref(), Ok(&wanted));
        let n_calls = gpu.n_passed();
        assert!(n_calls > 10, "{point:?}: {n_calls}");
        // every one of the first, then spread over the rest
        for first in (0..n_calls).filter(|call| *call < 2 || call.is_multiple_of(n_calls.div_ceil(4))) {
            let Some(gpu) = fresh() else { return };
            gpu.inject(Fault { point, first, n_failing: 1 });
            let backend = Backend::Gpu(gpu.with_chunk_bytes(0));
            assert_eq!(answers(&backend).as_ref(), Ok(&wanted), "{point:?} at call {first}");
            let Backend::Gpu(used) = &backend else { unreachable!() };
            let incidents = used.facts().incidents;
            assert!(incidents.len() == 1 && incidents[0].contains("opened again"), "{incidents:?}");
        }
    }
}

#[test]
fn a_device_that_goes_on_failing_gives_an_error_and_no_number() {
    for point in CURABLE {
        for first in [0, 7] {
            let Some(gpu) = fresh() else { return };
            gpu.inject(Fault { point, first, n_failing: usize::MAX });
            let backend = Backend::Gpu(gpu.with_chunk_bytes(0));
            let error = answers(&backend).expect_err("it fails for good");
            assert!(error.to_string().contains("llvmpipe"), "{point:?}: {error}");
            // and it stays out of use
            gpu.inject(Fault { point, first: usize::MAX, n_failing: 1 });
            assert!(answers(&backend).is_err(), "{point:?}: distrusted");
        }
    }
}

#[test]
fn a_lost_device_that_cannot_be_opened_again_is_an_error() {
    for point in [FaultPoint::Open, FaultPoint::SelfTest] {
        let Some(gpu) = fresh() else { return };
        gpu.lose();
        gpu.inject(Fault { point, first: 0, n_failing: usize::MAX });
        let error = answers(&Backend::Gpu(gpu)).expect_err("no second device");
        let is_right = matches!(error, Error::DeviceLost { .. } | Error::SelfTest { .. });
        assert!(is_right, "{point:?}: {error}");
    }
}

#[test]
fn a_lost_device_is_opened_again_and_said_to_have_been_lost() {
    let Some(gpu) = software() else { return };
    gpu.lose();
    let backend = Backend::Gpu(gpu);
    assert_eq!(answers(&backend), Ok(on_cpu()));
    let Backend::Gpu(gpu) = backend else { unreachable!() };
    let incidents = gpu.facts().incidents;
    assert!(incidents.len() == 1 && incidents[0].contains("was lost"), "{incidents:?}");
}

#[test]
fn a_wrong_self_test_keeps_a_device_out_of_use() {
    let Some(gpu) = software() else { return };
    gpu.inject(Fault { point: FaultPoint::SelfTest, first: 0, n_failing: 1 });
    assert!(matches!(gpu.check(), Err(Error::SelfTest { .. })));
    assert!(gpu.check().is_ok());
}

#[test]
fn one_wrong_bit_of_an_answer_is_noticed_or_changes_nothing() {
    let wanted = on_cpu();
    let Some(gpu) = fresh() else { return };
    gpu.inject(Fault { point: FaultPoint::Answer, first: usize::MAX, n_failing: 1 });
    let backend = Backend::Gpu(gpu.with_chunk_bytes(0));
    assert!(answers(&backend).is_ok());
    let (n_calls, mut n_noticed) = (gpu.n_passed(), 0);
    for first in 0..n_calls {
        gpu.inject(Fault { point: FaultPoint::Answer, first, n_failing: 1 });
        let result = answers(&Backend::Gpu(gpu.with_chunk_bytes(0)));
        match result {
            Err(Error::Canary { .. }) => n_noticed += 1,
            // a score that loses either way
            other => assert_eq!(other.as_ref(), Ok(&wanted), "answer {first} of {n_calls}"),
        }
    }
    assert!(n_noticed * 2 > n_calls, "{n_noticed} of {n_calls}");
}

#[test]
fn uploads_of_any_size_give_the_same_numbers() {
    let Some(gpu) = software() else { return };
    let wanted = on_cpu();
    // one element more and less than whole uploads, and an upload for each row
    for chunk_bytes in [64 << 10, (64 << 10) + 4, 100_000, 300_000, 300_004, usize::MAX] {
        let found = answers(&Backend::Gpu(gpu.with_chunk_bytes(chunk_bytes)));
        assert_eq!(found.as_ref(), Ok(&wanted), "{chunk_bytes}");
    }
    for n in [1, 32_767, 32_768, 32_770] {
        let bits = whole_numbers(n, 3);
        let bytes: Vec<u8> = bits.iter().flat_map(|bits| bits.to_le_bytes()).collect();
        let elements = Elements { dtype: Dtype::Bf16, bytes: &bytes };
        let found = kernels::moments::moments(&Backend::Gpu(gpu.with_chunk_bytes(0)), elements, elements);
        assert_eq!(found.as_ref(), Ok(&Cpu::detect().moments(elements, elements)), "{n}");
    }
    assert!(gpu.ring_bytes() <= 192 << 20, "{}", gpu.ring_bytes());
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
