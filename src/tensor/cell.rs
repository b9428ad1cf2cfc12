//! What a quantiser may have seen where a stored value stands.

/// The open interval of originals for which a stored value is the nearest level of its grid; infinite beyond the first and
/// last level, empty (`low > high`) where nothing can be said, as under a scale of zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Lower end.
    pub low: f32,
    /// Upper end.
    pub high: f32,
}

impl Cell {
    /// A cell that says nothing.
    pub const UNKNOWN: Cell = Cell { low: f32::INFINITY, high: f32::NEG_INFINITY };

    /// Distance between two levels at this place; None where the cell says nothing. `value` is the stored value.
    #[must_use]
    pub fn width(&self, value: f32) -> Option<f64> {
        let (low, high, value) = (f64::from(self.low), f64::from(self.high), f64::from(value));
        let width = match (low.is_finite(), high.is_finite()) {
            (true, true) => high - low,
            (true, false) => 2.0 * (value - low),
            (false, true) => 2.0 * (high - value),
            (false, false) => return None,
        };
        (width > 0.0).then_some(width)
    }
}
