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
}
