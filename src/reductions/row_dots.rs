//! Σab, Σa², Σb² of row i of a with row i of b.

/// The three sums of one row pair, f64.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RowDots {
    /// Σab.
    pub ab: f64,
    /// Σa².
    pub aa: f64,
    /// Σb².
    pub bb: f64,
}
