//! The fast paths against naive f64 definitions, on every level, with derived bounds.

use super::Cpu;
use crate::reductions::{ClassCounts, Elements, Keep, PairMoments, Ranking};
use crate::tensor::{Dtype, Matrix, Values};

const LENGTHS: [usize; 10] = [0, 1, 7, 8, 9, 255, 4095, 4096, 4097, 10_000];

/// Unit roundoff of f32.
const ROUNDOFF: f64 = 5.960_464_477_539_063e-8;

fn levels() -> Vec<Cpu> {
    Cpu::all_levels()
}

fn decodable() -> Vec<Dtype> {
    Dtype::ALL.into_iter().filter(|dtype| dtype.is_decodable()).collect()
}

/// splitmix64.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [−1, 1).
    fn value(&mut self) -> f32 {
        ((self.next() >> 40) as f32) / f32::from_bits(0x4b00_0000) - 1.0
    }

    fn matrix(&mut self, n_rows: usize, n_cols: usize) -> Matrix {
        Matrix::from_f32(n_rows, n_cols, (0..n_rows * n_cols).map(|_| self.value()).collect())
    }
}

/// `n` elements of well-behaved noise, one in eleven of them zero, as stored bytes.
fn noise_bytes(dtype: Dtype, n: usize, seed: u64) -> Vec<u8> {
    let mut noise = Noise(seed);
    let mut bytes = Vec::new();
    for _ in 0..n {
        let random = noise.next();
        let value = if random.is_multiple_of(11) { 0.0 } else { noise.value() };
        match dtype {
            Dtype::F64 => bytes.extend(f64::from(value).to_le_bytes()),
            Dtype::F32 => bytes.extend(value.to_le_bytes()),
            Dtype::F16 => bytes.extend(half::f16::from_f32(value).to_le_bytes()),
            Dtype::Bf16 => bytes.extend(half::bf16::from_f32(value).to_le_bytes()),
            Dtype::I64 => bytes.extend(i64::from((value * 1000.0) as i32).to_le_bytes()),
            Dtype::U64 => bytes.extend(u64::from((value.abs() * 1000.0) as u32).to_le_bytes()),
            Dtype::I32 => bytes.extend(((value * 1e9) as i32).to_le_bytes()),
            Dtype::U32 => bytes.extend(((value.abs() * 4e9) as u32).to_le_bytes()),
            Dtype::I16 => bytes.extend(((value * 30000.0) as i16).to_le_bytes()),
            Dtype::U16 => bytes.extend(((value.abs() * 60000.0) as u16).to_le_bytes()),
            Dtype::I8 => bytes.extend(((value * 127.0) as i8).to_le_bytes()),
            Dtype::U8 => bytes.push((value.abs() * 255.0) as u8),
            // 0x00 to 0x5f: finite in all four types
            _ => bytes.push((random >> 8) as u8 & 0x80 | ((random >> 16) % 0x60) as u8),
        }
    }
    bytes
}

/// One element by definition, through `half` and the language's own conversions.
fn value(dtype: Dtype, element: &[u8]) -> f64 {
    fn array<const N: usize>(element: &[u8]) -> [u8; N] {
        element.try_into().unwrap()
    }
    match dtype {
        Dtype::F64 => f64::from_le_bytes(array(element)),
        Dtype::F32 => f32::from_le_bytes(array(element)).into(),
        Dtype::F16 => half::f16::from_le_bytes(array(element)).to_f64(),
        Dtype::Bf16 => half::bf16::from_le_bytes(array(element)).to_f64(),
        Dtype::I64 => i64::from_le_bytes(array(element)) as f64,
        Dtype::U64 => u64::from_le_bytes(array(element)) as f64,
        Dtype::I32 => i32::from_le_bytes(array(element)).into(),
        Dtype::U32 => u32::from_le_bytes(array(element)).into(),
        Dtype::I16 => i16::from_le_bytes(array(element)).into(),
        Dtype::U16 => u16::from_le_bytes(array(element)).into(),
        Dtype::I8 => i8::from_le_bytes(array(element)).into(),
        Dtype::U8 => element[0].into(),
        _ => {
            let (mantissa_bits, bias) = match dtype {
                Dtype::F8E4m3 => (3, 7),
                Dtype::F8E5m2 => (2, 15),
                Dtype::F8E4m3Fnuz => (3, 8),
                _ => (2, 16),
            };
            let code = i32::from(element[0] & 0x7f);
            let (exponent, mantissa) = (code >> mantissa_bits, code & ((1 << mantissa_bits) - 1));
            let sign = if element[0] < 0x80 { 1.0 } else { -1.0 };
            let fraction = f64::from(mantissa) / f64::from(1 << mantissa_bits);
            let has_nan_at_negative_zero = matches!(dtype, Dtype::F8E4m3Fnuz | Dtype::F8E5m2Fnuz);
            if has_nan_at_negative_zero && element[0] == 0x80 {
                f64::NAN
            } else if exponent == 0 {
                sign * fraction * 2f64.powi(1 - bias)
            } else {
                sign * (1.0 + fraction) * 2f64.powi(exponent - bias)
            }
        }
    }
}

fn values(dtype: Dtype, bytes: &[u8]) -> Vec<f64> {
    bytes.chunks_exact(dtype.size_bytes().unwrap()).map(|element| value(dtype, element)).collect()
}

/// The definition, and Σ|a|, Σ|b| for the bounds.
fn naive_moments(a: &[f64], b: &[f64]) -> (PairMoments, [f64; 2]) {
    let mut sums = PairMoments { n_elements: a.len() as u64, ..PairMoments::default() };
    let mut magnitudes = [0.0; 2];
    for (&a, &b) in a.iter().zip(b) {
        sums.n_non_finite_a += u64::from(!a.is_finite());
        sums.n_non_finite_b += u64::from(!b.is_finite());
        if !(a.is_finite() && b.is_finite()) {
            continue;
        }
        sums.n_equal += u64::from(a == b);
        sums.n_same_sign += u64::from(a != 0.0 && b != 0.0 && (a < 0.0) == (b < 0.0));
        sums.sum_a += a;
        sums.sum_b += b;
        sums.sum_aa += a * a;
        sums.sum_bb += b * b;
        sums.sum_ab += a * b;
        sums.sum_squared_diff += (a - b).powi(2);
        sums.max_abs_diff = sums.max_abs_diff.max((a - b).abs() as f32);
        magnitudes[0] += a.abs();
        magnitudes[1] += b.abs();
    }
    (sums, magnitudes)
}

/// A lane adds at most 4,096 terms in f32, each rounded at most three times before: (4096 + 3) roundoffs of Σ|term|.
fn check_moments(found: &PairMoments, a: &[f64], b: &[f64], case: &str) {
    let (wanted, [abs_a, abs_b]) = naive_moments(a, b);
    assert_eq!(found.n_elements, wanted.n_elements, "{case}: n_elements");
    assert_eq!(found.n_non_finite_a, wanted.n_non_finite_a, "{case}: n_non_finite_a");
    assert_eq!(found.n_non_finite_b, wanted.n_non_finite_b, "{case}: n_non_finite_b");
    assert_eq!(found.n_equal, wanted.n_equal, "{case}: n_equal");
    assert_eq!(found.n_same_sign, wanted.n_same_sign, "{case}: n_same_sign");
    let factor = 4099.0 * ROUNDOFF;
    for (name, found, wanted, magnitude) in [
        ("sum_a", found.sum_a, wanted.sum_a, abs_a),
        ("sum_b", found.sum_b, wanted.sum_b, abs_b),
        ("sum_aa", found.sum_aa, wanted.sum_aa, wanted.sum_aa),
        ("sum_bb", found.sum_bb, wanted.sum_bb, wanted.sum_bb),
        // Σ|ab| ≤ (Σa² + Σb²) / 2
        ("sum_ab", found.sum_ab, wanted.sum_ab, (wanted.sum_aa + wanted.sum_bb) / 2.0),
        ("sum_squared_diff", found.sum_squared_diff, wanted.sum_squared_diff, wanted.sum_squared_diff),
        // one rounding of the difference, one to f32
        ("max_abs_diff", found.max_abs_diff.into(), wanted.max_abs_diff.into(), wanted.max_abs_diff.into()),
    ] {
        let bound = factor * magnitude;
        // sums that overflow do so on both sides
        assert!(
            found == wanted || (found - wanted).abs() <= bound,
            "{case}: {name} {found} is not {wanted} ± {bound}"
        );
    }
}

#[test]
fn moments_of_every_pair_of_types_are_those_of_the_definition() {
    for cpu in levels() {
        for a_dtype in decodable() {
            for b_dtype in decodable() {
                for n in if a_dtype == b_dtype { &LENGTHS[..] } else { &[0, 1, 9, 4097][..] } {
                    let (a, b) = (noise_bytes(a_dtype, *n, 1), noise_bytes(b_dtype, *n, 2));
                    let found = cpu.moments(
                        Elements { dtype: a_dtype, bytes: &a },
                        Elements { dtype: b_dtype, bytes: &b },
                    );
                    let case = format!("{} {} {} {n}", cpu.simd, a_dtype.name(), b_dtype.name());
                    check_moments(&found, &values(a_dtype, &a), &values(b_dtype, &b), &case);
                }
            }
        }
    }
}

/// Bytes of one type that are hard: both zeros, both infinities, NaN, the smallest and largest magnitudes.
fn hard_bytes(dtype: Dtype) -> Vec<u8> {
    let words: &[u64] = match dtype {
        Dtype::Bf16 => &[0, 0x8000, 0x7f80, 0xff80, 0x7fc1, 1, 0x8001, 0x7f7f, 0xff7f, 0x0080, 0x3f80],
        Dtype::F16 => &[0, 0x8000, 0x7c00, 0xfc00, 0x7e01, 1, 0x8001, 0x7bff, 0xfbff, 0x0400, 0x3c00],
        Dtype::F32 => &[0, 0x8000_0000, 0x7f80_0000, 0xff80_0000, 0x7f80_0001, 1, 0x8000_0001, 0x7f7f_ffff],
        _ => &[0, 1 << 63, 0x7ff << 52, 0xfff << 52, 0x7ff8 << 48, 1, 0x7fef_ffff_ffff_ffff],
    };
    words.iter().flat_map(|word| word.to_le_bytes()[..dtype.size_bytes().unwrap()].to_vec()).collect()
}

#[test]
fn hard_values_are_counted_and_enter_no_sum_that_they_would_spoil() {
    for cpu in levels() {
        for dtype in [Dtype::Bf16, Dtype::F16, Dtype::F32, Dtype::F64] {
            let size = dtype.size_bytes().unwrap();
            let hard = hard_bytes(dtype);
            for place in [0, 5, 4000, 4090] {
                let mut a = noise_bytes(dtype, 4200, 3);
                let b = noise_bytes(dtype, 4200, 4);
                a[place * size..place * size + hard.len()].copy_from_slice(&hard);
                for (a, b) in [(&a, &b), (&b, &a), (&a, &a)] {
                    let found = cpu.moments(Elements { dtype, bytes: a }, Elements { dtype, bytes: b });
                    let case = format!("{} {} {place}", cpu.simd, dtype.name());
                    check_moments(&found, &values(dtype, a), &values(dtype, b), &case);
                }
            }
        }
    }
}

#[test]
fn tiny_values_keep_their_cosine() {
    for cpu in levels() {
        let tiny = |seed: u64| -> Vec<u8> {
            let mut noise = Noise(seed);
            (0..1000).flat_map(|_| half::bf16::from_f32(noise.value() * 1e-25).to_le_bytes()).collect()
        };
        let (a, b) = (tiny(1), tiny(2));
        let dtype = Dtype::Bf16;
        let found = cpu.moments(Elements { dtype, bytes: &a }, Elements { dtype, bytes: &b });
        check_moments(&found, &values(dtype, &a), &values(dtype, &b), cpu.simd);
        assert!(found.sum_aa > 0.0);
    }
}

#[test]
fn every_16_bit_pattern_decodes_as_in_half() {
    let words: Vec<u16> = (0..=u16::MAX).collect();
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    for cpu in levels() {
        for dtype in [Dtype::F16, Dtype::Bf16] {
            let mut found = vec![0.0_f32; words.len()];
            cpu.decode(Elements { dtype, bytes: &bytes }, &mut found);
            for (&word, found) in words.iter().zip(found) {
                let wanted = match dtype {
                    Dtype::F16 => half::f16::from_bits(word).to_f32(),
                    _ => half::bf16::from_bits(word).to_f32(),
                };
                let is_same = found.to_bits() == wanted.to_bits() || (found.is_nan() && wanted.is_nan());
                assert!(is_same, "{} {word:#x}: {found} is not {wanted}", dtype.name());
            }
        }
    }
}

#[test]
fn missing_elements_decode_to_nan() {
    for cpu in levels() {
        for dtype in Dtype::ALL {
            let mut out = [0.0_f32; 9];
            cpu.decode(Elements { dtype, bytes: &[] }, &mut out);
            assert!(out.iter().all(|value| value.is_nan()), "{}", dtype.name());
        }
    }
}

#[test]
fn classes_are_those_of_the_values() {
    for cpu in levels() {
        for dtype in decodable() {
            let size = dtype.size_bytes().unwrap();
            for n in LENGTHS {
                let mut bytes = noise_bytes(dtype, n, 5);
                if matches!(dtype, Dtype::Bf16 | Dtype::F16 | Dtype::F32 | Dtype::F64) {
                    bytes.extend(hard_bytes(dtype));
                }
                let values = values(dtype, &bytes);
                let smallest_normal = match dtype {
                    Dtype::F64 => f64::MIN_POSITIVE,
                    Dtype::F32 | Dtype::Bf16 => f32::MIN_POSITIVE.into(),
                    Dtype::F16 | Dtype::F8E5m2 => 2f64.powi(-14),
                    Dtype::F8E4m3 => 2f64.powi(-6),
                    Dtype::F8E4m3Fnuz => 2f64.powi(-7),
                    Dtype::F8E5m2Fnuz => 2f64.powi(-15),
                    _ => 0.0,
                };
                let count =
                    |is: &dyn Fn(f64) -> bool| values.iter().filter(|&&value| is(value)).count() as u64;
                let mut padded = bytes.clone();
                padded.resize(bytes.len().next_multiple_of(4), 0);
                let wanted = ClassCounts {
                    n_elements: (bytes.len() / size) as u64,
                    n_nan: count(&f64::is_nan),
                    n_inf: count(&f64::is_infinite),
                    n_zero: count(&|value| value == 0.0),
                    n_subnormal: count(&|value| value != 0.0 && value.abs() < smallest_normal),
                    checksum: padded
                        .chunks_exact(4)
                        .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
                        .fold(0, u32::wrapping_add),
                };
                let found = cpu.classify(Elements { dtype, bytes: &bytes });
                assert_eq!(found, wanted, "{} {} {n}", cpu.simd, dtype.name());
            }
        }
    }
}

/// The same matrix packed as bf16 and as f16, and with column factors.
fn variants(matrix: &Matrix) -> Vec<Matrix> {
    let Values::F32(values) = &matrix.values else { panic!("made of f32") };
    let bf16 = values.iter().map(|&value| half::bf16::from_f32(value).to_bits()).collect();
    let f16 = values.iter().map(|&value| half::f16::from_f32(value).to_bits()).collect();
    let scale = (0..matrix.n_cols).map(|col| 0.5 + col as f32 / 7.0).collect();
    vec![
        matrix.clone(),
        Matrix { values: Values::Bf16(bf16), ..matrix.clone() },
        Matrix { values: Values::F16(f16), ..matrix.clone() },
        Matrix { column_scale: Some(scale), ..matrix.clone() },
    ]
}

fn row(matrix: &Matrix, row: usize) -> Vec<f64> {
    (0..matrix.n_cols).map(|col| matrix.at(row, col).into()).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn row_dots_are_those_of_the_definition() {
    for cpu in levels() {
        for (n_rows, n_cols) in [(0, 5), (1, 1), (3, 9), (2, 4095), (2, 4097), (70, 300)] {
            let mut noise = Noise(7);
            let (a, b) = (noise.matrix(n_rows, n_cols), noise.matrix(n_rows, n_cols));
            for (a, b) in variants(&a).iter().zip(variants(&b).iter().rev()) {
                let found = cpu.row_dots(a, b);
                assert_eq!(found.len(), n_rows);
                for (index, found) in found.iter().enumerate() {
                    let (a, b) = (row(a, index), row(b, index));
                    let magnitude = dot(&a, &a) + dot(&b, &b);
                    // as for the moments
                    let bound = 4098.0 * ROUNDOFF * magnitude;
                    assert!((found.ab - dot(&a, &b)).abs() <= bound);
                    assert!((found.aa - dot(&a, &a)).abs() <= bound);
                    assert!((found.bb - dot(&b, &b)).abs() <= bound);
                }
            }
        }
    }
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let squares = dot(a, a) * dot(b, b);
    if squares == 0.0 || !squares.is_finite() { 0.0 } else { dot(a, b) / squares.sqrt() }
}

/// Each factor of a product is rounded at most four times, and k products are added one after the other:
/// (k + 8) roundoffs of Σ|ab| ≤ 1, the norms being 1.
fn score_bound(n_cols: usize) -> f64 {
    (n_cols + 8) as f64 * ROUNDOFF
}

fn check_all_pairs(cpu: &Cpu, a: &Matrix, b: &Matrix, ranking: Ranking) {
    let case = format!("{} {}×{}×{} {ranking:?}", cpu.simd, a.n_rows, b.n_rows, a.n_cols);
    let found = cpu.all_pairs(a, b, ranking, Keep::Scores);
    let scores = found.scores.unwrap();
    assert_eq!(scores.len(), a.n_rows * b.n_rows, "{case}");
    let bound = score_bound(a.n_cols);
    let rank = |score: f32| if ranking == Ranking::Magnitude { score.abs() } else { score };
    let rows: Vec<Vec<f64>> = (0..a.n_rows).map(|index| row(a, index)).collect();
    let columns: Vec<Vec<f64>> = (0..b.n_rows).map(|index| row(b, index)).collect();
    let (mut sum, mut sum_squares) = (0.0, 0.0);
    for (i, a) in rows.iter().enumerate() {
        for (j, b) in columns.iter().enumerate() {
            let (found, wanted) = (f64::from(scores[i * columns.len() + j]), cosine(a, b));
            // sums that overflow do so on both sides
            assert!(
                found == wanted || (found - wanted).abs() <= bound,
                "{case}: C[{i}][{j}] {found} is not {wanted}"
            );
            sum += found;
            sum_squares += found * found;
        }
    }
    let n = scores.len() as f64;
    // f32 sums of at most 384 / 16 = 24 scores of at most 1, and a rounding of the square
    assert!((found.sum - sum).abs() <= 25.0 * ROUNDOFF * n, "{case}: sum");
    assert!((found.sum_squares - sum_squares).abs() <= 26.0 * ROUNDOFF * n, "{case}: sum of squares");
    // partners by definition from the very scores: no rounding is involved
    let best = |scores: &mut dyn Iterator<Item = f32>, has_direction: bool| {
        let mut ranked: Vec<(f32, u32)> = scores.map(rank).zip(0..).collect();
        ranked.sort_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(&right.1)));
        match (ranked.first(), has_direction) {
            (Some(&(score, index)), true) => {
                (Some(index), score, ranked.get(1).map_or(0.0, |second| second.0))
            }
            _ => (None, 0.0, 0.0),
        }
    };
    let has_direction = |values: &[f64]| dot(values, values) > 0.0 && dot(values, values).is_finite();
    for (i, found) in found.rows.iter().enumerate() {
        let mut of_row = scores[i * columns.len()..(i + 1) * columns.len()].iter().copied();
        let wanted = best(&mut of_row, has_direction(&rows[i]));
        assert_eq!((found.index, found.score, found.second), wanted, "{case}: row {i}");
    }
    for (j, found) in found.columns.iter().enumerate() {
        let mut of_column = (0..rows.len()).map(|i| scores[i * columns.len() + j]);
        let wanted = best(&mut of_column, has_direction(&columns[j]));
        assert_eq!((found.index, found.score, found.second), wanted, "{case}: column {j}");
    }
}

#[test]
fn all_pairs_are_those_of_the_definition_at_edge_shapes() {
    for cpu in levels() {
        for (n, m, k) in [
            (1, 1, 1),
            (1, 17, 255),
            (6, 16, 256),
            (7, 33, 257),
            (40, 5, 600),
            (0, 3, 4),
            (3, 0, 4),
            (193, 385, 70),
            // two panels of a; more than one block of b in each task
            (2100, 30, 8),
            (5, 3100, 8),
        ] {
            let mut noise = Noise(11);
            let (a, b) = (noise.matrix(n, k), noise.matrix(m, k));
            let (of_a, of_b) = (variants(&a), variants(&b));
            let mixed = of_a.iter().zip(of_b.iter().rev());
            // bf16 on both sides may be multiplied as stored
            for (a, b) in mixed.chain([(&of_a[1], &of_b[1])]) {
                for ranking in [Ranking::Signed, Ranking::Magnitude] {
                    check_all_pairs(&cpu, a, b, ranking);
                }
            }
        }
    }
}

#[test]
fn rows_without_direction_match_nothing() {
    for cpu in levels() {
        let mut noise = Noise(13);
        let (mut a, mut b) = (noise.matrix(20, 40), noise.matrix(33, 40));
        if let (Values::F32(a), Values::F32(b)) = (&mut a.values, &mut b.values) {
            a[3 * 40..4 * 40].fill(0.0);
            a[5 * 40 + 7] = f32::NAN;
            b[32 * 40..].fill(0.0);
            b[2] = f32::INFINITY;
        }
        let (of_a, of_b) = (variants(&a), variants(&b));
        for (a, b) in of_a.iter().zip(&of_b) {
            let found = cpu.all_pairs(a, b, Ranking::Signed, Keep::Partners);
            for (row_idx, found) in found.rows.iter().enumerate() {
                assert_eq!(found.index.is_none(), row_idx == 3 || row_idx == 5, "row {row_idx}");
            }
            let columns = found.columns;
            assert!(columns[0].index.is_none() && columns[32].index.is_none());
            assert_eq!(columns.iter().filter(|found| found.index.is_none()).count(), 2);
        }
    }
}

#[test]
fn equal_rows_of_any_size_have_cosine_one() {
    for cpu in levels() {
        for scale in [1e-44_f32, 1e-39, 1e-30, 1.0, 1e30] {
            let values: Vec<f32> = (0..64).map(|index| scale * (index % 8) as f32).collect();
            let bf16 = values.iter().map(|&value| half::bf16::from_f32(value).to_bits()).collect();
            let a = Matrix::from_f32(1, 64, values);
            // the smallest scale is 0 as bf16
            let packed = Matrix { values: Values::Bf16(bf16), ..a.clone() };
            for a in [&a, &packed].into_iter().take(if scale < 1e-40 { 1 } else { 2 }) {
                let found = cpu.all_pairs(a, a, Ranking::Signed, Keep::Partners);
                let error = f64::from(found.rows[0].score) - 1.0;
                assert!(error.abs() <= score_bound(64), "{scale}: {error}");
            }
        }
    }
}

#[test]
fn ties_go_to_the_lower_index() {
    for cpu in levels() {
        let mut noise = Noise(17);
        let one = noise.matrix(1, 24);
        let Values::F32(values) = &one.values else { panic!("made of f32") };
        let same = Matrix::from_f32(400, 24, values.repeat(400));
        let found = cpu.all_pairs(&same, &same, Ranking::Signed, Keep::Partners);
        for best in found.rows.iter().chain(&found.columns) {
            assert_eq!(best.index, Some(0));
            assert_eq!(best.score, best.second);
        }
    }
}

#[test]
fn permuted_traces_are_those_of_the_definition() {
    let n = 300;
    let mut noise = Noise(19);
    let scores: Vec<f32> = (0..n * n).map(|_| noise.value()).collect();
    let mut permutations = Vec::new();
    for shift in 0..200 {
        permutations.extend((0..n).map(|row| ((row * 7 + shift) % n) as u32));
    }
    let found = Cpu::detect().permuted_traces(&scores, n, &permutations);
    let wanted: Vec<f64> = permutations
        .chunks(n)
        .map(|columns| {
            columns.iter().enumerate().map(|(row, &col)| f64::from(scores[row * n + col as usize])).sum()
        })
        .collect();
    for (found, wanted) in found.iter().zip(&wanted) {
        // n terms of at most 1, added in f64 in two different orders
        assert!((found - wanted).abs() <= 2.0 * (n * n) as f64 * f64::EPSILON, "{found} is not {wanted}");
    }
    assert_eq!(found.len(), wanted.len());
    assert!(Cpu::detect().permuted_traces(&[], 0, &[]).is_empty());
}

#[test]
fn one_and_four_threads_give_the_same_bytes() {
    let mut noise = Noise(23);
    let (a, b) = (noise.matrix(700, 300), noise.matrix(900, 300));
    let (x, y) = (noise_bytes(Dtype::Bf16, 3_000_000, 1), noise_bytes(Dtype::Bf16, 3_000_000, 2));
    let with_threads = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| {
            let cpu = Cpu::detect();
            let dtype = Dtype::Bf16;
            let pairs = cpu.all_pairs(&a, &b, Ranking::Signed, Keep::Scores);
            let moments = cpu.moments(Elements { dtype, bytes: &x }, Elements { dtype, bytes: &y });
            let classes = cpu.classify(Elements { dtype, bytes: &x });
            let dots = cpu.row_dots(&a, &a);
            (pairs, moments, classes, dots)
        })
    };
    assert!(with_threads(1) == with_threads(4));
}
