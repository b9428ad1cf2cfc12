//! Which of the all-pairs kernels an adapter runs.

/// Size class of the all-pairs product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    /// 128 × 128 register tile, 256 threads, 16 KiB of workgroup memory.
    Tile,
    /// 64 × 64 tile, 64 threads, 8 KiB of workgroup memory: software adapters and small ones.
    Small,
}

impl Tier {
    /// Every tier, for tests and tables.
    pub const ALL: [Tier; 2] = [Tier::Tile, Tier::Small];

    /// `tile` or `small`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Tier::Tile => "tile",
            Tier::Small => "small",
        }
    }

    /// Rows (and columns) of one output tile.
    #[must_use]
    pub fn tile(self) -> usize {
        match self {
            Tier::Tile => 128,
            Tier::Small => 64,
        }
    }
}
