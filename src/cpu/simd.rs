//! The innermost loops, once for every machine, once with AVX2, FMA and F16C, and where it pays with AVX-512; the choice
//! is made at run time.
//!
//! The only module of the CPU backend with `unsafe`: calls of functions that need instructions (a [`Level`] is proof
//! that the machine has them) and loads through pointers (each preceded by the length check that covers it).
#![expect(unsafe_code, reason = "instructions chosen at run time; each block gives its reason")]

use super::moments::BlockSums;
use super::{decode, portable};

/// Rows of the register tile of the portable and AVX2 product.
pub(super) const TILE_ROWS: usize = 6;
/// Columns of that register tile.
pub(super) const TILE_COLUMNS: usize = 16;

/// Scores that are summed in registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// What a word of a packed panel holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// One f32.
    F32,
    /// Two consecutive bf16 of a row, the first in the lower half.
    Bf16Pairs,
}

/// What the machine can run. Only [`Level::detect`] makes the fast ones, so holding one is proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// With products of bf16.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
}

impl Level {
    /// The best that this machine has.
    pub(super) fn detect() -> Level {
        Level::all().into_iter().next_back().unwrap_or(Level(Kind::Portable))
    }

    /// Everything that this machine can run, the best last.
    pub(super) fn all() -> Vec<Level> {
        #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "one level elsewhere"))]
        let mut all = vec![Level(Kind::Portable)];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
        {
            all.push(Level(Kind::Avx2));
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
            {
                all.push(Level(Kind::Avx512));
                if is_x86_feature_detected!("avx512bf16") {
                    all.push(Level(Kind::Avx512Bf16));
                }
            }
        }
        all
    }

    pub(super) fn portable() -> Level {
        Level(Kind::Portable)
    }

    pub(super) fn name(self) -> &'static str {
        match self.0 {
            // the vector unit that every 64-bit Arm has; the compiler uses it for the portable loops
            Kind::Portable if cfg!(target_arch = "aarch64") => "neon",
            Kind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2+fma",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Bf16 => "avx512+bf16",
        }
    }

    /// The register tile of the product.
    pub(super) fn tile(self) -> Tile {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 | Kind::Avx512Bf16 => {
                Tile { rows: avx512::TILE_ROWS, columns: avx512::TILE_COLUMNS }
            }
            _ => Tile { rows: TILE_ROWS, columns: TILE_COLUMNS },
        }
    }

    /// Whether bf16 can be multiplied as stored.
    pub(super) fn multiplies_bf16(self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Bf16 => true,
            _ => false,
        }
    }
}

/// A loop in plain Rust that the compiler may vectorise with everything the machine has.
///
/// `run` must be `#[inline(always)]`: only then is it compiled a second time, with the wider instructions.
pub trait Loop {
    /// What it returns.
    type Output;
    /// Runs it.
    fn run(self) -> Self::Output;
}

/// Runs a loop with the instructions of this machine.
pub(super) fn vectorised<L: Loop>(level: Level, body: L) -> L::Output {
    match level.0 {
        Kind::Portable => body.run(),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `Kind::Avx2` exists only where `all` found the features
        Kind::Avx2 => unsafe { avx2::run(body) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `Kind::Avx512…` exists only where `all` found the features
        Kind::Avx512 | Kind::Avx512Bf16 => unsafe { avx512::run(body) },
    }
}

/// Calls the AVX2 or the portable version of a function of the same name.
macro_rules! by_level {
    ($level:expr, $name:ident ( $($argument:expr),* )) => {
        match $level.0 {
            Kind::Portable => portable::$name($($argument),*),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: kinds above `Portable` exist only where `all` found the features of AVX2 and theirs
            _ => unsafe { avx2::$name($($argument),*) },
        }
    };
}

/// Calls the AVX-512, AVX2 or portable version of a function of the same name.
macro_rules! by_level_512 {
    ($level:expr, $name:ident ( $($argument:expr),* )) => {
        match $level.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Kind::Avx512…` exists only where `all` found the features
            Kind::Avx512 | Kind::Avx512Bf16 => unsafe { avx512::$name($($argument),*) },
            _ => by_level!($level, $name($($argument),*)),
        }
    };
}

/// Sums over a block of at most 4,096 pairs of packed bf16.
pub(super) fn moments_bf16(level: Level, a: &[u8], b: &[u8]) -> BlockSums {
    match level.0 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `Kind::Avx512Bf16` exists only where `all` found the features
        Kind::Avx512Bf16 => unsafe { avx512::moments_bf16_pairs(a, b) },
        _ => by_level_512!(level, moments_bf16(a, b)),
    }
}

/// Sums over a block of at most 4,096 pairs of packed f16.
pub(super) fn moments_f16(level: Level, a: &[u8], b: &[u8]) -> BlockSums {
    by_level_512!(level, moments_f16(a, b))
}

/// Sums over a block of at most 4,096 pairs of f32 as stored.
pub(super) fn moments_f32(level: Level, a: &[u8], b: &[u8]) -> BlockSums {
    by_level_512!(level, moments_f32(a, b))
}

/// Sums over a block of at most 4,096 pairs of f32 in memory.
pub(super) fn moments_values(level: Level, a: &[f32], b: &[f32]) -> BlockSums {
    by_level_512!(level, moments_f32(bytemuck::cast_slice(a), bytemuck::cast_slice(b)))
}

/// Σab, Σa², Σb² of at most 4,096 pairs.
pub(super) fn dots(level: Level, a: &[f32], b: &[f32]) -> [f64; 3] {
    by_level!(level, dots(a, b))
}

/// Packed f16 elements to f32; NaN where `bytes` ends before `out`.
pub(super) fn decode_f16(level: Level, bytes: &[u8], out: &mut [f32]) {
    by_level!(level, decode_f16(bytes, out));
}

/// f16 bit patterns to f32, as many as both slices have.
pub(super) fn decode_f16_words(level: Level, words: &[u16], out: &mut [f32]) {
    let n = words.len().min(out.len());
    if cfg!(target_endian = "little") {
        decode_f16(level, bytemuck::cast_slice(&words[..n]), &mut out[..n]);
    } else {
        for (value, &bits) in out.iter_mut().zip(words) {
            *value = decode::f16(bits);
        }
    }
}

/// Adds A·Bᵀ of two packed strips to a register tile of `c`.
///
/// `a` holds k × rows, `b` k × columns words of [`Level::tile`]; row i of the tile starts at `c[i * row_stride]`.
pub(super) fn multiply_tile(
    level: Level,
    packing: Packing,
    a: &[f32],
    b: &[f32],
    c: &mut [f32],
    row_stride: usize,
) {
    let tile = level.tile();
    let k = a.len() / tile.rows;
    assert!(b.len() >= k * tile.columns, "the strips of a tile are equally deep");
    assert!(c.len() >= (tile.rows - 1) * row_stride + tile.columns, "a tile lies inside its matrix");
    match packing {
        Packing::F32 => by_level_512!(level, multiply_tile(k, a, b, c, row_stride)),
        Packing::Bf16Pairs => match level.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Kind::Avx512Bf16` exists only where `all` found the features
            Kind::Avx512Bf16 => unsafe { avx512::multiply_tile_bf16(k, a, b, c, row_stride) },
            _ => portable::multiply_tile_bf16(tile, a, b, c, row_stride),
        },
    }
}

/// Independent chains of fused multiply-adds; returns the operations done and the sum of the chains.
pub(super) fn fma_chains(level: Level, n_rounds: u64) -> (u64, f32) {
    by_level_512!(level, fma_chains(n_rounds))
}

/// The same with products of bf16; None where the machine has none.
pub(super) fn bf16_chains(level: Level, n_rounds: u64) -> Option<(u64, f32)> {
    match level.0 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `Kind::Avx512Bf16` exists only where `all` found the features
        Kind::Avx512Bf16 => Some(unsafe { avx512::bf16_chains(n_rounds) }),
        _ => {
            let _ = n_rounds;
            None
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
