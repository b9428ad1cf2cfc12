//! Every function here needs AVX2, FMA and F16C.

use std::arch::x86_64::{
    __m256, __m256d, __m256i, _CMP_EQ_OQ, _mm_loadu_si128, _mm256_add_epi16, _mm256_add_epi32, _mm256_add_pd,
    _mm256_add_ps, _mm256_and_ps, _mm256_and_si256, _mm256_broadcast_ss, _mm256_castps_si256,
    _mm256_castps256_ps128, _mm256_castsi256_ps, _mm256_castsi256_si128, _mm256_cmp_ps, _mm256_cmpeq_epi16,
    _mm256_cmpeq_epi32, _mm256_cvtph_ps, _mm256_cvtps_pd, _mm256_extractf128_ps, _mm256_extracti128_si256,
    _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_max_ps, _mm256_min_epu16,
    _mm256_min_epu32, _mm256_or_si256, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps,
    _mm256_setzero_pd, _mm256_setzero_ps, _mm256_setzero_si256, _mm256_slli_epi32, _mm256_srai_epi16,
    _mm256_srai_epi32, _mm256_storeu_pd, _mm256_storeu_ps, _mm256_storeu_si256, _mm256_sub_ps,
    _mm256_xor_si256,
};

use super::super::{BLOCK_ELEMENTS, portable};
use super::{BlockSums, Loop, TILE_COLUMNS, TILE_ROWS};

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn run<L: Loop>(body: L) -> L::Output {
    body.run()
}

/// Eight lanes of every sum: eight registers, so that nothing is spilled inside the loop.
///
/// A sum of squares grows until most squares are below half its last digit and vanish, every one of them: 512 of
/// them in a lane lost 6e-7 of a trained matrix. So every [`RUN_VECTORS`] vectors they move to f64.
struct Sums {
    a: __m256,
    b: __m256,
    aa: __m256,
    bb: __m256,
    ab: __m256,
    squared_diff: __m256,
    max_abs_diff: __m256,
    /// Two counters in 32 bits, counting down: pairs of equal value in the lower [`EQUAL_BITS`] bits, pairs of
    /// different sign or with a zero above. 4,096 pairs are at most 512 in a lane.
    counts: __m256i,
}

const EQUAL_BITS: i32 = 12;

/// Vectors of eight whose squares are added in f32.
const RUN_VECTORS: usize = 16;

impl Sums {
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn zero() -> Sums {
        let zero = _mm256_setzero_ps();
        Sums {
            a: zero,
            b: zero,
            aa: zero,
            bb: zero,
            ab: zero,
            squared_diff: zero,
            max_abs_diff: zero,
            counts: _mm256_setzero_si256(),
        }
    }

    /// Everything but the signs, for eight pairs.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn add(&mut self, a: __m256, b: __m256) {
        let magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fff_ffff));
        let difference = _mm256_sub_ps(a, b);
        self.squared_diff = _mm256_fmadd_ps(difference, difference, self.squared_diff);
        self.max_abs_diff = _mm256_max_ps(self.max_abs_diff, _mm256_and_ps(difference, magnitude));
        self.a = _mm256_add_ps(self.a, a);
        self.b = _mm256_add_ps(self.b, b);
        self.aa = _mm256_fmadd_ps(a, a, self.aa);
        self.bb = _mm256_fmadd_ps(b, b, self.bb);
        self.ab = _mm256_fmadd_ps(a, b, self.ab);
        let equal = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_EQ_OQ>(a, b));
        self.counts = _mm256_add_epi32(self.counts, equal);
    }

    /// Signs of sixteen pairs of 16-bit floats.
    ///
    /// Shifting out the sign leaves 0 only for zeros; a sign that differs stays in bit 15 of the xor.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn add_signs_16(&mut self, a: __m256i, b: __m256i) {
        let smaller = _mm256_min_epu16(_mm256_add_epi16(a, a), _mm256_add_epi16(b, b));
        let has_zero = _mm256_cmpeq_epi16(smaller, _mm256_setzero_si256());
        let other = _mm256_srai_epi16::<15>(_mm256_or_si256(_mm256_xor_si256(a, b), has_zero));
        // 16-bit truth values (−1) times the unit of the upper counter, added in pairs
        let pairs = _mm256_madd_epi16(other, _mm256_set1_epi16(1 << EQUAL_BITS));
        self.counts = _mm256_add_epi32(self.counts, pairs);
    }

    /// Signs of eight pairs of f32.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn add_signs_32(&mut self, a: __m256i, b: __m256i) {
        let smaller = _mm256_min_epu32(_mm256_add_epi32(a, a), _mm256_add_epi32(b, b));
        let has_zero = _mm256_cmpeq_epi32(smaller, _mm256_setzero_si256());
        let other = _mm256_srai_epi32::<31>(_mm256_or_si256(_mm256_xor_si256(a, b), has_zero));
        self.counts = _mm256_add_epi32(self.counts, _mm256_slli_epi32::<EQUAL_BITS>(other));
    }

    /// Moves Σa², Σb², Σab, Σ(a − b)² to f64.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn empty_into(&mut self, totals: &mut [[__m256d; 2]; 4]) {
        for (total, sum) in
            totals.iter_mut().zip([&mut self.aa, &mut self.bb, &mut self.ab, &mut self.squared_diff])
        {
            total[0] = _mm256_add_pd(total[0], _mm256_cvtps_pd(_mm256_castps256_ps128(*sum)));
            total[1] = _mm256_add_pd(total[1], _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(*sum)));
            *sum = _mm256_setzero_ps();
        }
    }

    /// Adds the lanes, in order; `n_pairs` without the `n_padding` zeros that filled the last vector.
    #[inline]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn finish(mut self, mut totals: [[__m256d; 2]; 4], n_pairs: usize, n_padding: usize) -> BlockSums {
        self.empty_into(&mut totals);
        let [aa, bb, ab, squared_diff] = totals.map(|total| sum_f64(total));
        let (mut n_equal, mut n_other_sign) = (0, 0);
        for lane in count_lanes(self.counts) {
            n_equal += lane & ((1 << EQUAL_BITS) - 1);
            n_other_sign += lane >> EQUAL_BITS;
        }
        let n_padding = u32::try_from(n_padding).unwrap_or(0);
        let n_pairs = u32::try_from(n_pairs).unwrap_or(u32::MAX);
        BlockSums {
            n_equal: n_equal - n_padding,
            n_same_sign: n_pairs + n_padding - n_other_sign,
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
#[target_feature(enable = "avx2,fma,f16c")]
fn lanes(vector: __m256) -> [f32; 8] {
    let mut lanes = [0.0; 8];
    // SAFETY: `lanes` is 32 bytes long
    unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), vector) };
    lanes
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn sum(vector: __m256) -> f64 {
    lanes(vector).into_iter().map(f64::from).sum()
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn sum_f64(halves: [__m256d; 2]) -> f64 {
    let mut lanes = [0.0; 4];
    // SAFETY: `lanes` is 32 bytes long
    unsafe { _mm256_storeu_pd(lanes.as_mut_ptr(), _mm256_add_pd(halves[0], halves[1])) };
    lanes.into_iter().sum()
}

/// Counters that count down, as what they counted.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn count_lanes(vector: __m256i) -> [u32; 8] {
    let mut lanes = [0_i32; 8];
    // SAFETY: `lanes` is 32 bytes long
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), vector) };
    lanes.map(|lane| lane.unsigned_abs())
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: 32 bytes, and the load needs no alignment
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load_two(bytes: &[u8; 64]) -> [__m256i; 2] {
    // SAFETY: 64 bytes are two vectors, and the loads need no alignment
    unsafe { [_mm256_loadu_si256(bytes.as_ptr().cast()), _mm256_loadu_si256(bytes.as_ptr().add(32).cast())] }
}

/// Runs `step` on every 16 pairs of a block, as vectors of raw words, the last ones padded with zeros.
macro_rules! over_vectors {
    ($a:ident, $b:ident, $vector_bytes:literal, |$sums:ident, $x:ident, $y:ident| $step:block) => {{
        let element_bytes = $vector_bytes / 16;
        let n_bytes = $a.len().min($b.len()).min(BLOCK_ELEMENTS * element_bytes);
        let (a_vectors, a_tail) = $a[..n_bytes].as_chunks::<$vector_bytes>();
        let (b_vectors, b_tail) = $b[..n_bytes].as_chunks::<$vector_bytes>();
        let mut $sums = Sums::zero();
        let mut totals = [[_mm256_setzero_pd(); 2]; 4];
        // a step adds two vectors
        for (a_run, b_run) in a_vectors.chunks(RUN_VECTORS / 2).zip(b_vectors.chunks(RUN_VECTORS / 2)) {
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
        $sums.finish(totals, n_bytes / element_bytes, n_padding)
    }};
}

/// A bf16 is the upper half of an f32: shifting gives the even elements, masking the odd ones.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn moments_bf16(a: &[u8], b: &[u8]) -> BlockSums {
    let upper = _mm256_set1_epi32(0xffff_0000_u32.cast_signed());
    over_vectors!(a, b, 32, |sums, x, y| {
        let (x, y) = (load(x), load(y));
        let a_even = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(x));
        let b_even = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(y));
        sums.add(a_even, b_even);
        let a_odd = _mm256_castsi256_ps(_mm256_and_si256(x, upper));
        let b_odd = _mm256_castsi256_ps(_mm256_and_si256(y, upper));
        sums.add(a_odd, b_odd);
        sums.add_signs_16(x, y);
    })
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn moments_f16(a: &[u8], b: &[u8]) -> BlockSums {
    over_vectors!(a, b, 32, |sums, x, y| {
        let (x, y) = (load(x), load(y));
        let (a, b) = (halves(x), halves(y));
        sums.add(a[0], b[0]);
        sums.add(a[1], b[1]);
        sums.add_signs_16(x, y);
    })
}

/// Sixteen f16 as two vectors of f32.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn halves(words: __m256i) -> [__m256; 2] {
    [_mm256_cvtph_ps(_mm256_castsi256_si128(words)), _mm256_cvtph_ps(_mm256_extracti128_si256::<1>(words))]
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn moments_f32(a: &[u8], b: &[u8]) -> BlockSums {
    over_vectors!(a, b, 64, |sums, x, y| {
        let (x, y) = (load_two(x), load_two(y));
        for half in 0..2 {
            sums.add(_mm256_castsi256_ps(x[half]), _mm256_castsi256_ps(y[half]));
            sums.add_signs_32(x[half], y[half]);
        }
    })
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn dots(a: &[f32], b: &[f32]) -> [f64; 3] {
    let n = a.len().min(b.len());
    let (a_chunks, a_tail) = a[..n].as_chunks::<16>();
    let (b_chunks, b_tail) = b[..n].as_chunks::<16>();
    let mut sums = [[_mm256_setzero_ps(); 3]; 2];
    for (x, y) in a_chunks.iter().zip(b_chunks) {
        for (half, [ab, aa, bb]) in sums.iter_mut().enumerate() {
            // SAFETY: each array holds sixteen elements, and the load needs no alignment
            let (x, y) = unsafe {
                (_mm256_loadu_ps(x.as_ptr().add(8 * half)), _mm256_loadu_ps(y.as_ptr().add(8 * half)))
            };
            *ab = _mm256_fmadd_ps(x, y, *ab);
            *aa = _mm256_fmadd_ps(x, x, *aa);
            *bb = _mm256_fmadd_ps(y, y, *bb);
        }
    }
    let mut totals = [0, 1, 2].map(|which| sum(sums[0][which]) + sum(sums[1][which]));
    for (&x, &y) in a_tail.iter().zip(b_tail) {
        let (x, y) = (f64::from(x), f64::from(y));
        totals[0] += x * y;
        totals[1] += x * x;
        totals[2] += y * y;
    }
    totals
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn decode_f16(bytes: &[u8], out: &mut [f32]) {
    let (vectors, _) = bytes.as_chunks::<16>();
    let (eights, _) = out.as_chunks_mut::<8>();
    let n_vectors = vectors.len().min(eights.len());
    for (eight, vector) in eights.iter_mut().zip(vectors) {
        // SAFETY: 16 bytes are read and 32 written, without need of alignment
        unsafe {
            let words = _mm_loadu_si128(vector.as_ptr().cast());
            _mm256_storeu_ps(eight.as_mut_ptr(), _mm256_cvtph_ps(words));
        }
    }
    portable::decode_f16(&bytes[n_vectors * 16..], &mut out[n_vectors * 8..]);
}

/// Twelve accumulators, two vectors of `b` and one broadcast of `a`: fifteen of the sixteen registers.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn multiply_tile(k: usize, a: &[f32], b: &[f32], c: &mut [f32], row_stride: usize) {
    let (a_columns, _) = a.as_chunks::<TILE_ROWS>();
    let (b_rows, _) = b.as_chunks::<TILE_COLUMNS>();
    let mut sums = [[_mm256_setzero_ps(); 2]; TILE_ROWS];
    for (a_column, b_row) in a_columns[..k].iter().zip(&b_rows[..k]) {
        // SAFETY: `b_row` holds sixteen elements, and the load needs no alignment
        let (left, right) =
            unsafe { (_mm256_loadu_ps(b_row.as_ptr()), _mm256_loadu_ps(b_row.as_ptr().add(8))) };
        for (row_sums, value) in sums.iter_mut().zip(a_column) {
            let value = _mm256_broadcast_ss(value);
            row_sums[0] = _mm256_fmadd_ps(value, left, row_sums[0]);
            row_sums[1] = _mm256_fmadd_ps(value, right, row_sums[1]);
        }
    }
    for (row, row_sums) in sums.iter().enumerate() {
        let row = &mut c[row * row_stride..row * row_stride + TILE_COLUMNS];
        // SAFETY: `row` holds sixteen elements, and neither load nor store needs alignment
        unsafe {
            let (left, right) = (row.as_mut_ptr(), row.as_mut_ptr().add(8));
            _mm256_storeu_ps(left, _mm256_add_ps(_mm256_loadu_ps(left), row_sums[0]));
            _mm256_storeu_ps(right, _mm256_add_ps(_mm256_loadu_ps(right), row_sums[1]));
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn fma_chains(n_rounds: u64) -> (u64, f32) {
    let (factor, term) = (_mm256_set1_ps(0.999_9), _mm256_set1_ps(1e-4));
    let mut chains = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9].map(|start| _mm256_set1_ps(start));
    for _ in 0..n_rounds {
        for chain in &mut chains {
            *chain = _mm256_fmadd_ps(*chain, factor, term);
        }
    }
    let total: f64 = chains.into_iter().map(|chain| sum(chain)).sum();
    (n_rounds * 10 * 8 * 2, total as f32)
}
