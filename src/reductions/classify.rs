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

impl ClassCounts {
    /// Adds the counts of another run. The checksum is that of both runs end to end if the first one ended on a
    /// whole 32-bit word.
    pub fn add(&mut self, other: &ClassCounts) {
        self.n_elements += other.n_elements;
        self.n_nan += other.n_nan;
        self.n_inf += other.n_inf;
        self.n_zero += other.n_zero;
        self.n_subnormal += other.n_subnormal;
        self.checksum = self.checksum.wrapping_add(other.checksum);
    }
}
