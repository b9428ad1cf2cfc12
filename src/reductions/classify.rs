//! Counts NaN, Inf, zero and subnormal elements by integer tests on the raw words.

/// Counts over a run of elements; add them up with [`ClassCounts::add`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassCounts {
    /// Elements seen.
    pub n_elements: u64,
    /// NaN of any payload.
    pub n_nan: u64,
    /// Either infinity.
    pub n_inf: u64,
    /// Positive or negative zero.
    pub n_zero: u64,
    /// Subnormal in their own format.
    pub n_subnormal: u64,
    /// Wrapping sum of the raw 32-bit little-endian words (a short tail is zero-padded): the canary of uploads.
    pub checksum: u32,
}
