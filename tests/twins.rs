//! oracle = cpu = every gpu, within the derived bound; and every kernel made wrong is noticed.
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod emulation;
mod oracle;

use std::sync::OnceLock;

use cognate::cpu::Cpu;
use cognate::gpu::{Checks, Edit, Gpu, Kernel, Tier, devices};
use cognate::kernels::{self, Backend};
use cognate::reductions::{Best, Elements, Keep, Ranking};
use cognate::tensor::{BlockType, Dtype, Matrix, Values};
use oracle::values::{self, CLASSES, Class};

/// The CPU backend is one row of the table.
const WITH_CPU: bool = true;

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

/// With the run-time checks of wgpu, and as release builds compile them.
const BUILDS: [Checks; 2] = [Checks::On, Checks::Off];

/// Every backend with a name for messages; GPUs with checked and with unchecked shaders.
fn backends() -> Vec<(String, Backend)> {
    let mut all = Vec::new();
    for gpu in gpus() {
        for checks in BUILDS {
            let name = format!("{} {} {}", gpu.info().name, gpu.info().api.name(), checks.name());
            all.push((name, Backend::Gpu(gpu.with_checks(checks))));
        }
    }
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
    let [size_a, size_b, size_ab] = wanted.magnitudes;
    for (what, found, wanted, size) in [
        ("Σa", found.sum_a, wanted.sum_a, size_a),
        ("Σb", found.sum_b, wanted.sum_b, size_b),
        ("Σa²", found.sum_aa, wanted.sum_aa, wanted.sum_aa),
        ("Σb²", found.sum_bb, wanted.sum_bb, wanted.sum_bb),
        ("Σab", found.sum_ab, wanted.sum_ab, size_ab),
        ("Σ(a−b)²", found.sum_squared_diff, wanted.sum_squared_diff, wanted.sum_squared_diff),
        ("max|a−b|", f64::from(found.max_abs_diff), wanted.max_abs_diff, wanted.max_abs_diff),
    ] {
        // beside rounding: a device may read a subnormal as zero, at most 2⁻¹²⁶ an element and 2⁻¹²⁶ · |other| a
        // product (twice that in a squared difference), and flush a product below 2⁻¹²⁶; blocks where that matters (largest below 2⁻⁴⁰) are summed in f64
        let flushed = 2_f64.powi(-126) * (n as f64 + 2.0 * (size_a + size_b));
        let bound = kernels::moments::error_bound(n, size) + flushed;
        // sums of any bits may leave f64, and the largest difference is an f32
        let both_out = !found.is_finite() && (!wanted.is_finite() || wanted > f64::from(f32::MAX));
        let same = found == wanted || both_out;
        if !same && ((found - wanted).abs() > bound || found.is_nan()) {
            complaints.push(format!("{what} is {found:e}, not {wanted:e} ± {bound:e}"));
        }
    }
    complaints
}

fn decodable() -> impl Iterator<Item = Dtype> {
    Dtype::ALL.into_iter().filter(|dtype| dtype.is_decodable())
}

const LENGTHS: [usize; 8] = [1, 3, 255, 256, 771, 4095, 4097, 17_000];
const SHAPES: [(usize, usize); 6] = [(1, 1), (1, 255), (1, 256), (3, 257), (17, 1000), (300, 33)];
/// Types of a [`Matrix`].
const MATRIX_TYPES: [Dtype; 3] = [Dtype::Bf16, Dtype::F16, Dtype::F32];

fn check(what: &str, complaints: &[String]) {
    assert!(complaints.is_empty(), "{what}: {complaints:#?}");
}

#[test]
fn moments_equal_their_definition_for_every_type_and_class() {
    let backends = backends();
    for dtype in decodable() {
        for class in CLASSES {
            let (a, b) = (values::bytes(dtype, class, 4999, 1), values::bytes(dtype, class, 4999, 2));
            for (name, backend) in &backends {
                check(
                    &format!("{name} {dtype:?} {class:?}"),
                    &moments_complaints(backend, (dtype, dtype), &a, &b),
                );
            }
        }
    }
}

#[test]
fn moments_equal_their_definition_for_every_length_and_mixed_types() {
    for (name, backend) in backends() {
        for types in [
            (Dtype::Bf16, Dtype::Bf16),
            (Dtype::F32, Dtype::Bf16),
            (Dtype::F16, Dtype::F8E4m3),
            (Dtype::I8, Dtype::F32),
            (Dtype::F64, Dtype::Bf16),
        ] {
            for n in LENGTHS {
                let (a, b) = (
                    values::bytes(types.0, Class::Specials, n, 3),
                    values::bytes(types.1, Class::Specials, n, 4),
                );
                check(&format!("{name} {types:?} {n}"), &moments_complaints(&backend, types, &a, &b));
                let same = moments_complaints(&backend, (types.0, types.0), &a, &a);
                check(&format!("{name} {types:?} {n} with itself"), &same);
            }
        }
    }
}

fn classify_complaints(backend: &Backend, dtype: Dtype, bytes: &[u8]) -> Vec<String> {
    let wanted = oracle::classify::classify(dtype, bytes);
    match kernels::classify::classify(backend, Elements { dtype, bytes }) {
        Ok(c) if wanted == (c.n_elements, c.n_nan, c.n_inf, c.n_zero, c.n_subnormal, c.checksum) => {
            Vec::new()
        }
        Ok(found) => vec![format!("{found:?}, not {wanted:?}")],
        Err(error) => vec![error.to_string()],
    }
}

#[test]
fn class_counts_equal_their_definition() {
    for (name, backend) in backends() {
        for dtype in decodable() {
            for (class, n) in
                [(Class::Bits, 70_000), (Class::Specials, 1), (Class::Specials, 4097), (Class::Zeros, 33)]
            {
                let bytes = values::bytes(dtype, class, n, 5);
                check(
                    &format!("{name} {dtype:?} {class:?} {n}"),
                    &classify_complaints(&backend, dtype, &bytes),
                );
            }
        }
    }
}

fn row_dots_complaints(backend: &Backend, a: &Matrix, b: &Matrix) -> Vec<String> {
    let found = match kernels::row_dots::row_dots(backend, a, b) {
        Ok(found) => found,
        Err(error) => return vec![error.to_string()],
    };
    let mut complaints = Vec::new();
    for (row, found) in found.iter().enumerate() {
        let [ab, aa, bb, size_ab] = oracle::row_dots::row_dots(a, b, row);
        for (what, found, wanted, size) in
            [("ab", found.ab, ab, size_ab), ("aa", found.aa, aa, aa), ("bb", found.bb, bb, bb)]
        {
            let bound = kernels::row_dots::error_bound(a.n_cols, size);
            let same = found == wanted || (!found.is_finite() && !wanted.is_finite());
            if !same && ((found - wanted).abs() > bound || found.is_nan()) {
                complaints.push(format!("row {row}: {what} is {found:e}, not {wanted:e} ± {bound:e}"));
            }
        }
    }
    if found.len() != a.n_rows {
        complaints.push(format!("{} rows, not {}", found.len(), a.n_rows));
    }
    complaints
}

#[test]
fn row_dots_equal_their_definition() {
    for (name, backend) in backends() {
        for dtype in MATRIX_TYPES {
            for (n_rows, n_cols) in SHAPES.into_iter().chain([(2, 9001)]) {
                for scaled in [false, true] {
                    let a = values::matrix(dtype, Class::Weights, n_rows, n_cols, 6, scaled);
                    let b = values::matrix(Dtype::Bf16, Class::Weights, n_rows, n_cols, 7, scaled);
                    let what = format!("{name} {dtype:?} {n_rows}×{n_cols} scaled {scaled}");
                    check(&what, &row_dots_complaints(&backend, &a, &b));
                }
            }
        }
    }
}

/// Differences between `all_pairs` and its definition.
fn all_pairs_complaints(
    backend: &Backend,
    a: &Matrix,
    b: &Matrix,
    ranking: Ranking,
    keep: Keep,
) -> Vec<String> {
    let found = match kernels::all_pairs::all_pairs(backend, a, b, ranking, keep) {
        Ok(found) => found,
        Err(error) => return vec![error.to_string()],
    };
    let scores = oracle::all_pairs::scores(a, b);
    let tier = match backend {
        Backend::Gpu(gpu) => gpu.tier(),
        // one f32 sum over k, as in registers
        Backend::Cpu(_) => Tier::Tile,
    };
    let bound = kernels::all_pairs::error_bound(tier, a.n_cols);
    let mut complaints = Vec::new();
    let rank = |score: f64| if ranking == Ranking::Magnitude { score.abs() } else { score };
    let line = |index: usize, by_row: bool| -> Vec<f64> {
        let at = |other: usize| {
            if by_row { scores[index * b.n_rows + other] } else { scores[other * b.n_rows + index] }
        };
        (0..if by_row { b.n_rows } else { a.n_rows }).map(|other| rank(at(other))).collect()
    };
    for (side, bests, by_row) in [("row", &found.rows, true), ("column", &found.columns, false)] {
        if bests.len() != if by_row { a.n_rows } else { b.n_rows } {
            complaints.push(format!("{} {side}s", bests.len()));
        }
        for (index, best) in bests.iter().enumerate() {
            complaints.extend(
                best_complaint(best, &line(index, by_row), bound).map(|c| format!("{side} {index}: {c}")),
            );
        }
    }
    let n = scores.len() as f64;
    for (what, found, wanted, bound) in [
        // sums of a tile's column are f32 too: at most 384 terms of magnitude ≤ 1, half an ulp of the sum each
        ("sum", found.sum, scores.iter().sum::<f64>(), n * (bound + 384.0 * 2_f64.powi(-24))),
        (
            "sum of squares",
            found.sum_squares,
            scores.iter().map(|s| s * s).sum(),
            n * (3.0 * bound + 384.0 * 2_f64.powi(-24)),
        ),
    ] {
        if (found - wanted).abs() > bound || found.is_nan() {
            complaints.push(format!("{what} is {found}, not {wanted} ± {bound}"));
        }
    }
    match (&found.scores, keep) {
        (None, Keep::Partners) => {}
        (Some(kept), Keep::Scores) if kept.len() == scores.len() => {
            let off =
                kept.iter().zip(&scores).position(|(&k, &s)| (f64::from(k) - s).abs() > bound || k.is_nan());
            complaints
                .extend(off.map(|at| format!("score {at} is {}, not {} ± {bound}", kept[at], scores[at])));
        }
        _ => complaints.push("scores kept or not as asked".to_owned()),
    }
    complaints
}

/// A partner is right if its score is the largest within the bound.
fn best_complaint(best: &Best, line: &[f64], bound: f64) -> Option<String> {
    let largest = line.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if line.iter().all(|&score| score == 0.0) {
        let right = best.score == 0.0 && best.second == 0.0;
        return (!right).then(|| format!("{best:?} among zeros"));
    }
    let Some(index) = best.index.map(|index| index as usize) else { return Some("no partner".to_owned()) };
    let mut others: Vec<f64> = line.to_vec();
    if index >= others.len() {
        return Some(format!("partner {index} of {}", line.len()));
    }
    others.remove(index);
    let second = others.into_iter().fold(f64::NEG_INFINITY, f64::max);
    let second = if line.len() == 1 { 0.0 } else { second };
    let right = (line[index] - largest).abs() <= 2.0 * bound
        && (f64::from(best.score) - line[index]).abs() <= bound
        && (f64::from(best.second) - second).abs() <= 3.0 * bound;
    (!right).then(|| format!("{best:?}, not {largest}, then {second}"))
}

/// Equal rows tie everywhere: the lowest index is taken.
fn tie_complaints(backend: &Backend, keep: Keep) -> Vec<String> {
    let equal = Matrix::from_f32(140, 3, [1.0, 2.0, 3.0].repeat(140));
    match kernels::all_pairs::all_pairs(backend, &equal, &equal, Ranking::Signed, keep) {
        Ok(found) => (found.rows.iter().chain(&found.columns))
            .filter(|best| best.index != Some(0) || best.score != best.second)
            .map(|best| format!("{best:?} among ties"))
            .collect(),
        Err(error) => vec![error.to_string()],
    }
}

#[test]
fn ties_go_to_the_lower_index() {
    for (name, backend) in tiered_backends() {
        for keep in [Keep::Partners, Keep::Scores] {
            check(&name, &tie_complaints(&backend, keep));
        }
    }
}

/// Rows of b that are permuted, sign-flipped and duplicated rows of a, with some noise; and a row without direction.
fn related(a: &Matrix, n_rows: usize, seed: u64) -> Matrix {
    let mut random = values::Random(seed);
    let mut rows = Vec::with_capacity(n_rows * a.n_cols);
    for row in 0..n_rows {
        let source = (row * 7 + 3) % a.n_rows;
        let sign = if row % 3 == 0 { -1.0 } else { 1.0 };
        let noise = if row % 4 == 0 { 0.0 } else { 0.005 };
        for col in 0..a.n_cols {
            let value = f64::from(a.at(source, col)) * sign + random.bell() * noise;
            rows.push(if row == 2 { 0.0 } else { value as f32 });
        }
    }
    Matrix::from_f32(n_rows, a.n_cols, rows)
}

/// Every backend with every tier that its properties allow, in both builds.
fn tiered_backends() -> Vec<(String, Backend)> {
    let mut all = Vec::new();
    for gpu in gpus() {
        let tiers = gpu.info().tiers();
        for tier in Tier::ALL {
            let name = format!("{} {} {}", gpu.info().name, gpu.info().api.name(), tier.name());
            if !tiers.contains(&tier) {
                eprintln!("skipped: {name}: the adapter has no such matrix units; emulated instead");
                continue;
            }
            for checks in BUILDS {
                let backend = Backend::Gpu(gpu.with_tier(tier).with_checks(checks));
                all.push((format!("{name} {}", checks.name()), backend));
            }
        }
    }
    all.extend(WITH_CPU.then(|| ("cpu".to_owned(), Backend::Cpu(Cpu::detect()))));
    all
}

#[test]
fn partners_and_scores_equal_their_definition() {
    for (name, backend) in tiered_backends() {
        for (index, (n_rows, n_cols)) in SHAPES.into_iter().chain([(130, 64), (64, 16)]).enumerate() {
            let dtype = MATRIX_TYPES[index % 3];
            let a = values::matrix(dtype, Class::Weights, n_rows, n_cols, 8, index % 2 == 0);
            for n_b in [n_rows, 1, 129] {
                let b = related(&a, n_b, 9);
                for (ranking, keep) in [
                    (Ranking::Signed, Keep::Partners),
                    (Ranking::Magnitude, Keep::Partners),
                    (Ranking::Signed, Keep::Scores),
                ] {
                    let what = format!("{name} {dtype:?} {n_rows}×{n_cols} · {n_b} {ranking:?} {keep:?}");
                    check(&what, &all_pairs_complaints(&backend, &a, &b, ranking, keep));
                }
            }
        }
    }
}

#[test]
fn partners_of_extreme_rows_equal_their_definition() {
    for (name, backend) in tiered_backends() {
        for dtype in [Dtype::Bf16, Dtype::F32] {
            for class in [Class::Tiny, Class::Huge, Class::Specials, Class::Zeros] {
                let a = values::matrix(dtype, class, 40, 48, 10, false);
                let b = values::matrix(dtype, Class::Weights, 35, 48, 11, true);
                for (a, b) in [(&a, &b), (&b, &a)] {
                    let what = format!("{name} {dtype:?} {class:?}");
                    check(&what, &all_pairs_complaints(&backend, a, b, Ranking::Magnitude, Keep::Partners));
                }
            }
        }
    }
}

fn permuted_traces_complaints(backend: &Backend, n: usize, n_permutations: usize) -> Vec<String> {
    let mut random = values::Random(12);
    let scores: Vec<f32> = (0..n * n).map(|_| (random.bell() * 0.1) as f32).collect();
    let mut permutations = Vec::new();
    for _ in 0..n_permutations {
        let mut permutation: Vec<u32> = (0..n as u32).collect();
        for i in (1..n).rev() {
            permutation.swap(i, (random.bits() % (i as u64 + 1)) as usize);
        }
        permutations.extend(permutation);
    }
    let found = match kernels::permuted_traces::permuted_traces(backend, &scores, n, &permutations) {
        Ok(found) => found,
        Err(error) => return vec![error.to_string()],
    };
    let mut complaints = Vec::new();
    if found.len() != n_permutations {
        complaints.push(format!("{} traces, not {n_permutations}", found.len()));
    }
    for (index, (&found, permutation)) in found.iter().zip(permutations.chunks(n)).enumerate() {
        let (wanted, size) = oracle::permuted_traces::permuted_trace(&scores, n, permutation);
        let bound = kernels::permuted_traces::error_bound(size);
        if (found - wanted).abs() > bound || found.is_nan() {
            complaints.push(format!("trace {index} is {found}, not {wanted} ± {bound}"));
        }
    }
    complaints
}

#[test]
fn permuted_traces_equal_their_definition() {
    for (name, backend) in backends() {
        for (n, n_permutations) in [(1, 1), (2, 5), (63, 9), (257, 300), (700, 17)] {
            check(&format!("{name} {n}"), &permuted_traces_complaints(&backend, n, n_permutations));
        }
    }
}

fn decode_blocks_complaints(backend: &Backend, block: BlockType) -> Vec<String> {
    const N_BLOCKS: usize = 2000;
    let blocks = oracle::decode_blocks::blocks(block, N_BLOCKS);
    match kernels::decode_blocks::decode_blocks(backend, block, &blocks) {
        Ok(values) => oracle::decode_blocks::complaint(block, N_BLOCKS, &values).into_iter().collect(),
        Err(error) => vec![format!("{}: {error}", block.name())],
    }
}

#[test]
fn blocks_decode_to_the_bits_of_the_reference() {
    let portable = || ("portable cpu".to_owned(), Backend::Cpu(Cpu::portable()));
    for (name, backend) in backends().into_iter().chain([portable()]) {
        let complaints: Vec<String> =
            BlockType::ALL.iter().flat_map(|block| decode_blocks_complaints(&backend, *block)).collect();
        check(&name, &complaints);
    }
}

#[test]
fn inputs_larger_than_an_upload_change_nothing() {
    let wide = |seed| values::matrix(Dtype::F32, Class::Weights, 3, 40_000, seed, true);
    let tall = values::matrix(Dtype::Bf16, Class::Weights, 300, 1500, 13, true);
    for gpu in gpus() {
        let chunked = || Backend::Gpu(gpu.with_tier(Tier::Small).with_chunk_bytes(0));
        let (a, b) = (
            values::bytes(Dtype::Bf16, Class::Specials, 100_000, 1),
            values::bytes(Dtype::F32, Class::Specials, 100_000, 2),
        );
        check("moments", &moments_complaints(&chunked(), (Dtype::Bf16, Dtype::F32), &a, &b));
        check("classify", &classify_complaints(&chunked(), Dtype::F32, &b));
        check("decode_blocks", &decode_blocks_complaints(&chunked(), BlockType::Q6_K));
        check("row_dots", &row_dots_complaints(&chunked(), &wide(1), &wide(2)));
        check("row_dots", &row_dots_complaints(&chunked(), &tall, &tall));
        check("permuted_traces", &permuted_traces_complaints(&chunked(), 257, 200));
        let related = related(&tall, 70, 14);
        for keep in [Keep::Partners, Keep::Scores] {
            check("all_pairs", &all_pairs_complaints(&chunked(), &tall, &related, Ranking::Signed, keep));
            check("all_pairs", &all_pairs_complaints(&chunked(), &related, &tall, Ranking::Magnitude, keep));
        }
    }
}

/// What the twin test of a kernel sees, on inputs that cover it.
fn complaints_of(label: &str, backend: &Backend) -> Vec<String> {
    let bf16 = |n_rows, n_cols, seed, scaled| {
        values::matrix(Dtype::Bf16, Class::Weights, n_rows, n_cols, seed, scaled)
    };
    match label {
        "self_test" => {
            let Backend::Gpu(gpu) = backend else { return Vec::new() };
            gpu.check().err().into_iter().map(|error| error.to_string()).collect()
        }
        "moments" => (LENGTHS.iter())
            .flat_map(|&n| {
                let a = values::bytes(Dtype::Bf16, Class::Specials, n, 1);
                let b = values::bytes(Dtype::Bf16, Class::Specials, n, 2);
                moments_complaints(backend, (Dtype::Bf16, Dtype::Bf16), &a, &b)
            })
            .collect(),
        "classify" => {
            classify_complaints(backend, Dtype::Bf16, &values::bytes(Dtype::Bf16, Class::Specials, 9000, 1))
        }
        "row_dots" => row_dots_complaints(backend, &bf16(17, 1000, 1, true), &bf16(17, 1000, 2, true)),
        "permuted_traces" => permuted_traces_complaints(backend, 257, 9),
        "decode_blocks" => {
            use BlockType::{IQ2_XXS, IQ4_NL, Q2_K, Q8_K, TQ1_0};
            let blocks = [Q2_K, Q8_K, IQ2_XXS, IQ4_NL, TQ1_0];
            blocks.iter().flat_map(|block| decode_blocks_complaints(backend, *block)).collect()
        }
        "pack" => {
            let Backend::Gpu(gpu) = backend else { return Vec::new() };
            let mut complaints =
                pack_complaints(gpu, &values::matrix(Dtype::F32, Class::Weights, 130, 70, 5, true));
            complaints.extend(pack_complaints(gpu, &octaves()));
            complaints
        }
        _ if label.ends_with("energy") => {
            let a = bf16(150, 33, 3, true);
            energy_complaints(backend, &a, &related(&a, 160, 4))
        }
        _ => {
            let keep = if label.ends_with("store") { Keep::Scores } else { Keep::Partners };
            let a = bf16(150, 33, 3, true);
            let mut complaints =
                all_pairs_complaints(backend, &a, &related(&a, 160, 4), Ranking::Signed, keep);
            complaints.extend(tie_complaints(backend, keep));
            complaints
        }
    }
}

/// The device with a kernel whose matrix operations are written out.
fn emulated(gpu: &Gpu, tier: Tier, kernel: &'static Kernel, source: &str) -> Backend {
    let source = emulation::written_out(source);
    Backend::Gpu(gpu.with_tier(tier).with_source(kernel, &source))
}

/// Differences between ΣC² and its definition.
fn energy_complaints(backend: &Backend, a: &Matrix, b: &Matrix) -> Vec<String> {
    let tier = if let Backend::Gpu(gpu) = backend { gpu.tier() } else { Tier::Tile };
    let found = match kernels::all_pairs::energy(backend, a, b) {
        Ok(found) => found,
        Err(error) => return vec![error.to_string()],
    };
    let scores = oracle::all_pairs::scores(a, b);
    let wanted: f64 = scores.iter().map(|s| s * s).sum();
    // as in all_pairs_complaints; the sum of a tile's column has 384 terms of magnitude ≤ 1 at most
    let score_bound = kernels::all_pairs::error_bound(tier, a.n_cols);
    let bound = scores.iter().map(|s| 2.0 * s.abs() * score_bound + score_bound.powi(2)).sum::<f64>()
        + 384.0 * 2_f64.powi(-24) * wanted;
    let is_right = (found - wanted).abs() <= bound;
    (!is_right).then(|| format!("ΣC² is {found}, not {wanted} ± {bound}")).into_iter().collect()
}

#[test]
fn energy_equals_its_definition() {
    for (name, backend) in tiered_backends() {
        for (n_rows, n_cols) in SHAPES {
            let a = values::matrix(Dtype::Bf16, Class::Weights, n_rows, n_cols, 21, false);
            let b = related(&a, 71, 22);
            check(&format!("{name} {n_rows}×{n_cols}"), &energy_complaints(&backend, &a, &b));
        }
    }
}

#[test]
fn packed_rows_are_the_scaled_values_in_f16_bit_for_bit() {
    for gpu in gpus() {
        for checks in BUILDS {
            let gpu = gpu.with_checks(checks);
            for (dtype, class, n_rows, n_cols, scaled) in [
                (Dtype::Bf16, Class::Weights, 3, 257, false),
                (Dtype::Bf16, Class::Weights, 130, 40, true),
                (Dtype::F16, Class::Weights, 1, 1, false),
                (Dtype::F32, Class::Weights, 129, 100, true),
                (Dtype::Bf16, Class::Zeros, 2, 33, false),
            ] {
                let matrix = values::matrix(dtype, class, n_rows, n_cols, 31, scaled);
                check(
                    &format!("{} {dtype:?} {n_rows}×{n_cols}", gpu.info().name),
                    &pack_complaints(&gpu, &matrix),
                );
            }
        }
    }
}

/// Differences between packed rows and their definition, whole and in parts.
fn pack_complaints(gpu: &Gpu, matrix: &Matrix) -> Vec<String> {
    let scales: Vec<f32> = (0..matrix.n_rows)
        .map(|row| {
            let largest = (0..matrix.n_cols).map(|col| matrix.at(row, col).abs()).fold(0.0, f32::max);
            if largest > 0.0 { 2_f32.powi(14 - largest.log2().floor() as i32) } else { 0.0 }
        })
        .collect();
    let mut complaints = Vec::new();
    for in_three in [false, true] {
        let words = match kernels::pack::packed_words(gpu, matrix, &scales, in_three) {
            Ok(words) => words,
            Err(error) => return vec![error.to_string()],
        };
        let part_cols = matrix.n_cols.next_multiple_of(32);
        let n_slabs = part_cols / 32 * if in_three { 3 } else { 1 };
        let wanted_words = matrix.n_rows.next_multiple_of(128) * n_slabs * 16;
        if words.len() != wanted_words {
            complaints.push(format!("{} words, not {wanted_words}", words.len()));
            continue;
        }
        for row in 0..matrix.n_rows.next_multiple_of(128) {
            for packed_col in 0..n_slabs * 32 {
                let (part, col) = (packed_col / part_cols, packed_col % part_cols);
                let scale = scales.get(row).filter(|_| row < matrix.n_rows && col < matrix.n_cols);
                let wanted = scale.map_or(0, |&scale| {
                    // the parts of a left operand: high, high, low
                    oracle::pack::parts(matrix, row, col, scale)[usize::from(part == 2)].to_bits()
                });
                let half = ((row / 128 * n_slabs + packed_col / 32) * 128 + row % 128) * 32 + packed_col % 32;
                let found = (words[half / 2] >> (half % 2 * 16)) as u16;
                // zeros of either sign are one value
                if found != wanted && (found | wanted) & 0x7fff != 0 {
                    complaints.push(format!("[{row}][{packed_col}] is {found:#06x}, not {wanted:#06x}"));
                }
            }
        }
    }
    complaints
}

#[test]
fn bf16_is_exact_in_f16_over_32_octaves() {
    let row = octaves();
    for col in 0..row.n_cols {
        let [high, low] = oracle::pack::parts(&row, 0, col, 2_f32.powi(14));
        assert_eq!(high.to_f32(), row.at(0, col) * 2_f32.powi(14), "column {col}");
        assert_eq!(low.to_f32(), 0.0);
    }
    for gpu in gpus() {
        check(&gpu.info().name, &pack_complaints(gpu, &row));
    }
}

/// All bf16 mantissas of 32 octaves, beside one element that sets the scale.
fn octaves() -> Matrix {
    let mut bits: Vec<u16> = vec![half::bf16::from_f32(1.0).to_bits()];
    bits.extend(
        (0..32_u16).flat_map(|octave| (0..128).map(move |mantissa| ((127 - octave) << 7) | mantissa)),
    );
    Matrix { n_rows: 1, n_cols: bits.len(), values: Values::Bf16(bits), column_scale: None }
}

#[test]
fn matrix_unit_kernels_equal_their_definition_where_units_are_emulated() {
    // one adapter: drivers differ in how they compile loops, not in how tiles are laid out
    for gpu in gpus().iter().take(1) {
        for tier in [Tier::Coop16, Tier::Coop16Wide, Tier::Coop8F32] {
            let [best, store, energy] = emulation::kernels(tier);
            for (index, (n_rows, n_cols)) in [(3, 257), (150, 33), (300, 70)].into_iter().enumerate() {
                let dtype = MATRIX_TYPES[index % 3];
                let a = values::matrix(dtype, Class::Weights, n_rows, n_cols, 41, index % 2 == 0);
                let b = related(&a, n_rows.min(129), 42);
                let what = format!("{} {} {dtype:?} {n_rows}×{n_cols}", gpu.info().name, tier.name());
                let backend = emulated(gpu, tier, best, best.source);
                let ranking = [Ranking::Signed, Ranking::Magnitude][index % 2];
                check(&what, &all_pairs_complaints(&backend, &a, &b, ranking, Keep::Partners));
                let backend = emulated(gpu, tier, store, store.source);
                check(&what, &all_pairs_complaints(&backend, &a, &b, Ranking::Signed, Keep::Scores));
                let backend = emulated(gpu, tier, energy, energy.source);
                check(&what, &energy_complaints(&backend, &a, &b));
            }
            let backend = emulated(gpu, tier, best, best.source);
            check(tier.name(), &tie_complaints(&backend, Keep::Partners));
            for class in [Class::Tiny, Class::Huge, Class::Specials, Class::Zeros] {
                let a = values::matrix(Dtype::Bf16, class, 40, 48, 10, false);
                let b = values::matrix(Dtype::F32, Class::Weights, 35, 48, 11, true);
                let what = format!("{} {class:?}", tier.name());
                check(&what, &all_pairs_complaints(&backend, &a, &b, Ranking::Magnitude, Keep::Partners));
            }
        }
    }
}

/// The tier in which a kernel runs.
fn tier_of(kernel: &Kernel) -> Tier {
    let entry = kernel.label.split('+').next().unwrap_or_default();
    match entry {
        "gemm_coop16" => Tier::Coop16,
        "gemm_coop8" => Tier::Coop8,
        "gemm_coop8_f32" => Tier::Coop8F32,
        "gemm_tile" => Tier::Tile,
        _ => Tier::Small,
    }
}

/// The device with a kernel as it is, or with an edit of it; matrix operations are written out.
fn with_kernel(gpu: &Gpu, kernel: &'static Kernel, edit: Option<&Edit>) -> Backend {
    let source = match edit {
        Some(edit) => edit.apply(kernel.source).expect("the edit fits"),
        None => kernel.source.to_owned(),
    };
    let tier = tier_of(kernel);
    if tier.has_matrix_units() {
        return emulated(gpu, tier, kernel, &source);
    }
    Backend::Gpu(gpu.with_tier(tier).with_source(kernel, &source))
}

#[test]
fn every_broken_kernel_is_noticed() {
    // the mistake is in the source: one adapter is enough to see it
    for gpu in gpus().iter().take(1) {
        for &kernel in kernels::KERNELS {
            if tier_of(kernel) == Tier::Coop8 {
                // written out it is coop8-f32 to the letter
                continue;
            }
            check(kernel.label, &complaints_of(kernel.label, &with_kernel(gpu, kernel, None)));
            assert!(kernel.broken.len() >= 2, "{} has no broken twins", kernel.label);
            for edit in kernel.broken {
                let complaints = complaints_of(kernel.label, &with_kernel(gpu, kernel, Some(edit)));
                assert!(
                    !complaints.is_empty(),
                    "{} {}: '{}' passes",
                    gpu.info().name,
                    kernel.label,
                    edit.name
                );
                let first = &complaints[0];
                assert!(!first.contains("cannot compile"), "{}: {first}", edit.name);
            }
        }
    }
}
