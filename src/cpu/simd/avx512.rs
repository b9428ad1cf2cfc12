//! Every function here needs AVX-512 F, BW, DQ and VL beside AVX2, FMA and F16C; those that say so, BF16 too.

use std::arch::x86_64::{
    __m256i, __m512, __m512bh, __m512d, __m512i, _CMP_EQ_OQ, _MM_HINT_T0, _mm_prefetch, _mm256_loadu_si256,
    _mm512_abs_ps, _mm512_add_epi16, _mm512_add_pd, _mm512_add_ps, _mm512_and_si512, _mm512_andnot_si512,
    _mm512_castps_si512, _mm512_castps512_ps256, _mm512_castsi512_ps, _mm512_cmp_ps_mask, _mm512_cvtph_ps,
    _mm512_cvtps_pd, _mm512_dpbf16_ps, _mm512_extractf32x8_ps, _mm512_fmadd_ps, _mm512_loadu_ps,
    _mm512_loadu_si512, _mm512_madd_epi16, _mm512_mask_test_epi16_mask, _mm512_mask_test_epi32_mask,
    _mm512_mask_testn_epi16_mask, _mm512_mask_testn_epi32_mask, _mm512_max_ps, _mm512_min_epu16,
    _mm512_or_si512, _mm512_range_ps, _mm512_reduce_add_epi32, _mm512_set1_epi16, _mm512_set1_epi32,
    _mm512_set1_ps, _mm512_setzero_pd, _mm512_setzero_ps, _mm512_setzero_si512, _mm512_slli_epi32,
    _mm512_srli_epi16, _mm512_storeu_pd, _mm512_storeu_ps, _mm512_sub_ps, _mm512_test_epi16_mask,
    _mm512_test_epi32_mask, _mm512_xor_si512,
};

use super::super::BLOCK_ELEMENTS;
use super::{BlockSums, Loop};

/// Rows of the register tile.
pub(super) const TILE_ROWS: usize = 12;
/// Columns of the register tile: two vectors.
pub(super) const TILE_COLUMNS: usize = 32;

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
pub(super) fn run<L: Loop>(body: L) -> L::Output {
    body.run()
}

/// Twenty-four accumulators, two vectors of `b` and one broadcast of `a`: twenty-seven of the thirty-two registers.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
pub(super) fn multiply_tile(k: usize, a: &[f32], b: &[f32], c: &mut [f32], row_stride: usize) {
    let (a_columns, _) = a.as_chunks::<TILE_ROWS>();
    let (b_rows, _) = b.as_chunks::<TILE_COLUMNS>();
    fetch_tile(c, row_stride);
    let mut sums = [[_mm512_setzero_ps(); 2]; TILE_ROWS];
    for (a_column, b_row) in a_columns[..k].iter().zip(&b_rows[..k]) {
        // SAFETY: `b_row` holds thirty-two elements, and the load needs no alignment
        let (left, right) =
            unsafe { (_mm512_loadu_ps(b_row.as_ptr()), _mm512_loadu_ps(b_row.as_ptr().add(16))) };
        for (row_sums, value) in sums.iter_mut().zip(a_column) {
            let value = _mm512_set1_ps(*value);
            row_sums[0] = _mm512_fmadd_ps(value, left, row_sums[0]);
            row_sums[1] = _mm512_fmadd_ps(value, right, row_sums[1]);
        }
    }
    add_to_tile(&sums, c, row_stride);
}

/// The same on words that hold two bf16 each: both products enter the f32 sum, subnormal ones as zeros.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")]
pub(super) fn multiply_tile_bf16(k: usize, a: &[f32], b: &[f32], c: &mut [f32], row_stride: usize) {
    let (a_columns, _) = a.as_chunks::<TILE_ROWS>();
    let (b_rows, _) = b.as_chunks::<TILE_COLUMNS>();
    fetch_tile(c, row_stride);
    let mut sums = [[_mm512_setzero_ps(); 2]; TILE_ROWS];
    for (a_column, b_row) in a_columns[..k].iter().zip(&b_rows[..k]) {
        // SAFETY: `b_row` holds thirty-two words, and the load needs no alignment
        let (left, right) = unsafe {
            (_mm512_loadu_si512(b_row.as_ptr().cast()), _mm512_loadu_si512(b_row.as_ptr().add(16).cast()))
        };
        let (left, right) = (bf16_pairs(left), bf16_pairs(right));
        for (row_sums, value) in sums.iter_mut().zip(a_column) {
            let value = bf16_pairs(_mm512_set1_epi32(value.to_bits().cast_signed()));
            row_sums[0] = _mm512_dpbf16_ps(row_sums[0], value, left);
            row_sums[1] = _mm512_dpbf16_ps(row_sums[1], value, right);
        }
    }
    add_to_tile(&sums, c, row_stride);
}

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn bf16_pairs(words: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes of which every pattern is valid
    unsafe { std::mem::transmute::<__m512i, __m512bh>(words) }
}

/// The scores come from far while the products are summed.
#[inline]
#[target_feature(enable = "avx512f")]
fn fetch_tile(c: &[f32], row_stride: usize) {
    for row in c.chunks(row_stride).take(TILE_ROWS) {
        // SAFETY: a hint; a row holds thirty-two elements, which `multiply_tile` has checked
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(row.as_ptr().cast());
            _mm_prefetch::<_MM_HINT_T0>(row.as_ptr().add(16).cast());
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn add_to_tile(sums: &[[__m512; 2]; TILE_ROWS], c: &mut [f32], row_stride: usize) {
    for (row, row_sums) in sums.iter().enumerate() {
        let row = &mut c[row * row_stride..row * row_stride + TILE_COLUMNS];
        // SAFETY: `row` holds thirty-two elements, and neither load nor store needs alignment
        unsafe {
            let (left, right) = (row.as_mut_ptr(), row.as_mut_ptr().add(16));
            _mm512_storeu_ps(left, _mm512_add_ps(_mm512_loadu_ps(left), row_sums[0]));
            _mm512_storeu_ps(right, _mm512_add_ps(_mm512_loadu_ps(right), row_sums[1]));
        }
    }
}

/// Sixteen lanes of every sum; counts leave the vectors through masks.
struct Sums {
    a: __m512,
    b: __m512,
    aa: __m512,
    bb: __m512,
    ab: __m512,
    squared_diff: __m512,
    max_abs_diff: __m512,
    n_equal: u32,
    n_same_sign: u32,
}

/// Steps of two vectors whose squares are added in f32: sixteen terms of a lane, as in the other paths.
const RUN_STEPS: usize = 8;

impl Sums {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn zero() -> Sums {
        let zero = _mm512_setzero_ps();
        Sums {
            a: zero,
            b: zero,
            aa: zero,
            bb: zero,
            ab: zero,
            squared_diff: zero,
            max_abs_diff: zero,
            n_equal: 0,
            n_same_sign: 0,
        }
    }

    /// Everything but the signs, for sixteen pairs; which of them are equal.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn add(&mut self, a: __m512, b: __m512) -> u32 {
        let difference = _mm512_sub_ps(a, b);
        self.squared_diff = _mm512_fmadd_ps(difference, difference, self.squared_diff);
        self.max_abs_diff = _mm512_max_ps(self.max_abs_diff, _mm512_abs_ps(difference));
        self.a = _mm512_add_ps(self.a, a);
        self.b = _mm512_add_ps(self.b, b);
        self.aa = _mm512_fmadd_ps(a, a, self.aa);
        self.bb = _mm512_fmadd_ps(b, b, self.bb);
        self.ab = _mm512_fmadd_ps(a, b, self.ab);
        u32::from(_mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b))
    }

    /// Thirty-two pairs as two vectors each.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn add_two(&mut self, a: [__m512; 2], b: [__m512; 2]) {
        let equal = self.add(a[0], b[0]) | self.add(a[1], b[1]) << 16;
        self.n_equal += equal.count_ones();
    }

    /// Signs of thirty-two pairs of 16-bit floats: both magnitudes are not 0, and the sign bits are alike.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn add_signs_16(&mut self, a: __m512i, b: __m512i) {
        let (magnitude, sign) = (_mm512_set1_epi16(0x7fff), _mm512_set1_epi16(i16::MIN));
        let nonzero = _mm512_mask_test_epi16_mask(_mm512_test_epi16_mask(a, magnitude), b, magnitude);
        let same = _mm512_mask_testn_epi16_mask(nonzero, _mm512_xor_si512(a, b), sign);
        self.n_same_sign += same.count_ones();
    }

    /// Signs of sixteen pairs of f32.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn add_signs_32(&mut self, a: __m512, b: __m512) {
        let (a, b) = (_mm512_castps_si512(a), _mm512_castps_si512(b));
        let (magnitude, sign) = (_mm512_set1_epi32(i32::MAX), _mm512_set1_epi32(i32::MIN));
        let nonzero = _mm512_mask_test_epi32_mask(_mm512_test_epi32_mask(a, magnitude), b, magnitude);
        let same = _mm512_mask_testn_epi32_mask(nonzero, _mm512_xor_si512(a, b), sign);
        self.n_same_sign += same.count_ones();
    }

    /// Moves Σa², Σb², Σab, Σ(a − b)² to f64.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn empty_into(&mut self, totals: &mut [__m512d; 4]) {
        for (total, sum) in
            totals.iter_mut().zip([&mut self.aa, &mut self.bb, &mut self.ab, &mut self.squared_diff])
        {
            let halves = _mm512_add_pd(
                _mm512_cvtps_pd(_mm512_castps512_ps256(*sum)),
                _mm512_cvtps_pd(_mm512_extractf32x8_ps::<1>(*sum)),
            );
            *total = _mm512_add_pd(*total, halves);
            *sum = _mm512_setzero_ps();
        }
    }

    /// Adds the lanes, in order; `n_padding` zeros that filled the last vectors are equal, and of no sign.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
    fn finish(mut self, mut totals: [__m512d; 4], n_padding: usize) -> BlockSums {
        self.empty_into(&mut totals);
        let [aa, bb, ab, squared_diff] = totals.map(|total| {
            let mut lanes = [0.0; 8];
            // SAFETY: `lanes` is 64 bytes long
            unsafe { _mm512_storeu_pd(lanes.as_mut_ptr(), total) };
            lanes.into_iter().sum()
        });
        let sum = |vector| lanes(vector).into_iter().map(f64::from).sum();
        BlockSums {
            n_equal: self.n_equal - u32::try_from(n_padding).unwrap_or(0),
            n_same_sign: self.n_same_sign,
            a: sum(self.a),
            b: sum(self.b),
            aa,
            bb,
            ab,
            squared_diff,
            max_abs_diff: lanes(self.max_abs_diff).into_iter().fold(0.0, f32::max),
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn lanes(vector: __m512) -> [f32; 16] {
    let mut lanes = [0.0; 16];
    // SAFETY: `lanes` is 64 bytes long
    unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), vector) };
    lanes
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: 64 bytes, and the load needs no alignment
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// Runs `step` on every 32 pairs of a block, as vectors of raw words, the last ones padded with zeros.
macro_rules! over_vectors {
    ($a:ident, $b:ident, $vector_bytes:literal, $run_steps:ident, |$sums:ident, $x:ident, $y:ident| $step:block) => {{
        let element_bytes = $vector_bytes / 32;
        let n_bytes = $a.len().min($b.len()).min(BLOCK_ELEMENTS * element_bytes);
        let (a_vectors, a_tail) = $a[..n_bytes].as_chunks::<$vector_bytes>();
        let (b_vectors, b_tail) = $b[..n_bytes].as_chunks::<$vector_bytes>();
        let mut $sums = Sums::zero();
        let mut totals = [_mm512_setzero_pd(); 4];
        for (a_run, b_run) in a_vectors.chunks($run_steps).zip(b_vectors.chunks($run_steps)) {
            for ($x, $y) in a_run.iter().zip(b_run) {
                $step
            }
            $sums.empty_into(&mut totals);
        }
        let mut n_padding = 0;
        if !a_tail.is_empty() {
            let (mut x, mut y) = ([0; $vector_bytes], [0; $vector_bytes]);
            x[..a_tail.len()].copy_from_slice(a_tail);
            y[..b_tail.len()].copy_from_slice(b_tail);
            n_padding = ($vector_bytes - a_tail.len()) / element_bytes;
            let ($x, $y) = (&x, &y);
            $step
        }
        $sums.finish(totals, n_padding)
    }};
}

/// A bf16 is the upper half of an f32: shifting gives the even elements, masking the odd ones.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
pub(super) fn moments_bf16(a: &[u8], b: &[u8]) -> BlockSums {
    let upper = _mm512_set1_epi32(0xffff_0000_u32.cast_signed());
    let split = |words: __m512i| {
        [
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(words)),
            _mm512_castsi512_ps(_mm512_and_si512(words, upper)),
        ]
    };
    over_vectors!(a, b, 64, RUN_STEPS, |sums, x, y| {
        let (x, y) = (load(x), load(y));
        sums.add_two(split(x), split(y));
        sums.add_signs_16(x, y);
    })
}

/// The same where pairs of bf16 can be multiplied as stored. Subnormal elements count as zeros in its products: their squares
/// vanish in f32 anyway, and a block of nothing larger is summed in f64.
///
/// Counts stay in 16-bit lanes, at most 128 each: masks would go through the units that multiply.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")]
pub(super) fn moments_bf16_pairs(a: &[u8], b: &[u8]) -> BlockSums {
    let upper = _mm512_set1_epi32(0xffff_0000_u32.cast_signed());
    let one = _mm512_set1_epi16(1);
    let ones = bf16_pairs(_mm512_set1_epi16(0x3f80));
    let (mut differ, mut same_sign) = (_mm512_setzero_si512(), _mm512_setzero_si512());
    let split = |words: __m512i| {
        [
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(words)),
            _mm512_castsi512_ps(_mm512_and_si512(words, upper)),
        ]
    };
    let sums = over_vectors!(a, b, 64, PAIR_RUN_STEPS, |sums, x, y| {
        let (x, y) = (load(x), load(y));
        let (x_pairs, y_pairs) = (bf16_pairs(x), bf16_pairs(y));
        sums.a = _mm512_dpbf16_ps(sums.a, x_pairs, ones);
        sums.b = _mm512_dpbf16_ps(sums.b, y_pairs, ones);
        sums.aa = _mm512_dpbf16_ps(sums.aa, x_pairs, x_pairs);
        sums.bb = _mm512_dpbf16_ps(sums.bb, y_pairs, y_pairs);
        sums.ab = _mm512_dpbf16_ps(sums.ab, x_pairs, y_pairs);
        let (x_halves, y_halves) = (split(x), split(y));
        for half in 0..2 {
            let difference = _mm512_sub_ps(x_halves[half], y_halves[half]);
            sums.squared_diff = _mm512_fmadd_ps(difference, difference, sums.squared_diff);
            sums.max_abs_diff = _mm512_range_ps::<LARGER_MAGNITUDE>(sums.max_abs_diff, difference);
        }
        sums.n_equal += 32;
        let (other_bits, either) = (_mm512_xor_si512(x, y), _mm512_or_si512(x, y));
        // 1 where bits differ and one of the magnitudes is not 0; a NaN never counts, its block is summed in f64
        let other = _mm512_min_epu16(other_bits, _mm512_add_epi16(either, either));
        differ = _mm512_add_epi16(differ, _mm512_min_epu16(other, one));
        // 1 where neither magnitude is 0 and the sign bits are alike
        let smaller = _mm512_min_epu16(_mm512_add_epi16(x, x), _mm512_add_epi16(y, y));
        let same = _mm512_andnot_si512(_mm512_srli_epi16::<15>(other_bits), _mm512_min_epu16(smaller, one));
        same_sign = _mm512_add_epi16(same_sign, same);
    });
    BlockSums { n_equal: sums.n_equal - count(differ), n_same_sign: count(same_sign), ..sums }
}

/// The larger magnitude of two, without a sign.
const LARGER_MAGNITUDE: i32 = 0b1011;

/// Steps of the loop above between two moves to f64: a lane has added thirty-two products.
const PAIR_RUN_STEPS: usize = 16;

/// Sum of 16-bit lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn count(lanes: __m512i) -> u32 {
    let pairs = _mm512_madd_epi16(lanes, _mm512_set1_epi16(1));
    _mm512_reduce_add_epi32(pairs).cast_unsigned()
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
pub(super) fn moments_f16(a: &[u8], b: &[u8]) -> BlockSums {
    over_vectors!(a, b, 64, RUN_STEPS, |sums, x, y| {
        sums.add_two(halves(x), halves(y));
        sums.add_signs_16(load(x), load(y));
    })
}

/// Thirty-two f16 as two vectors of f32.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2")]
fn halves(bytes: &[u8; 64]) -> [__m512; 2] {
    // SAFETY: 64 bytes are two vectors of 32, and the loads need no alignment
    let [low, high]: [__m256i; 2] = unsafe {
        [_mm256_loadu_si256(bytes.as_ptr().cast()), _mm256_loadu_si256(bytes.as_ptr().add(32).cast())]
    };
    [_mm512_cvtph_ps(low), _mm512_cvtph_ps(high)]
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
pub(super) fn moments_f32(a: &[u8], b: &[u8]) -> BlockSums {
    over_vectors!(a, b, 128, RUN_STEPS, |sums, x, y| {
        let (a, b) = (two(x), two(y));
        sums.add_two(a, b);
        sums.add_signs_32(a[0], b[0]);
        sums.add_signs_32(a[1], b[1]);
    })
}

/// Thirty-two f32 as two vectors.
#[inline]
#[target_feature(enable = "avx512f")]
fn two(bytes: &[u8; 128]) -> [__m512; 2] {
    // SAFETY: 128 bytes are two vectors, and the loads need no alignment
    unsafe { [_mm512_loadu_ps(bytes.as_ptr().cast()), _mm512_loadu_ps(bytes.as_ptr().add(64).cast())] }
}

/// Twelve chains of fused multiply-adds: more than latency times throughput of any unit so far.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
pub(super) fn fma_chains(n_rounds: u64) -> (u64, f32) {
    let (factor, term) = (_mm512_set1_ps(0.999_9), _mm512_set1_ps(1e-4));
    let mut chains: [__m512; 12] = std::array::from_fn(|idx| _mm512_set1_ps(1.0 + idx as f32 / 10.0));
    for _ in 0..n_rounds {
        for chain in &mut chains {
            *chain = _mm512_fmadd_ps(*chain, factor, term);
        }
    }
    let total: f32 = chains.into_iter().flat_map(|chain| lanes(chain)).sum();
    (n_rounds * 12 * 16 * 2, total)
}

/// The same with pairs of bf16: four operations a lane.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")]
pub(super) fn bf16_chains(n_rounds: u64) -> (u64, f32) {
    // 2⁻¹⁰ twice: sums grow slowly and stay finite
    let pair = bf16_pairs(_mm512_set1_epi32(0x3d00_3d00));
    let mut chains: [__m512; 12] = std::array::from_fn(|idx| _mm512_set1_ps(1.0 + idx as f32 / 10.0));
    for _ in 0..n_rounds {
        for chain in &mut chains {
            *chain = _mm512_dpbf16_ps(*chain, pair, pair);
        }
    }
    let total: f32 = chains.into_iter().flat_map(|chain| lanes(chain)).sum();
    (n_rounds * 12 * 16 * 4, total)
}
