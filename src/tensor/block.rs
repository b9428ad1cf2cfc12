//! Types of GGUF whose elements share scales in blocks.

/// A block type of GGUF; the names are those of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, non_camel_case_types, reason = "the variants are the format's own names")]
pub enum BlockType {
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q8_1,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
    Q8_K,
    IQ1_S,
    IQ1_M,
    IQ2_XXS,
    IQ2_XS,
    IQ2_S,
    IQ3_XXS,
    IQ3_S,
    IQ4_NL,
    IQ4_XS,
    TQ1_0,
    TQ2_0,
    MXFP4,
}

impl BlockType {
    /// Every type, so that tables and tests cannot forget one.
    pub const ALL: [BlockType; 24] = [
        BlockType::Q4_0,
        BlockType::Q4_1,
        BlockType::Q5_0,
        BlockType::Q5_1,
        BlockType::Q8_0,
        BlockType::Q8_1,
        BlockType::Q2_K,
        BlockType::Q3_K,
        BlockType::Q4_K,
        BlockType::Q5_K,
        BlockType::Q6_K,
        BlockType::Q8_K,
        BlockType::IQ1_S,
        BlockType::IQ1_M,
        BlockType::IQ2_XXS,
        BlockType::IQ2_XS,
        BlockType::IQ2_S,
        BlockType::IQ3_XXS,
        BlockType::IQ3_S,
        BlockType::IQ4_NL,
        BlockType::IQ4_XS,
        BlockType::TQ1_0,
        BlockType::TQ2_0,
        BlockType::MXFP4,
    ];

    /// The format's spelling, `Q4_K`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// Elements of a block.
    #[must_use]
    pub fn n_elements(self) -> usize {
        self.row().1
    }

    /// Bytes of a block.
    #[must_use]
    pub fn size_bytes(self) -> usize {
        self.row().2
    }

    fn row(self) -> (&'static str, usize, usize) {
        match self {
            BlockType::Q4_0 => ("Q4_0", 32, 18),
            BlockType::Q4_1 => ("Q4_1", 32, 20),
            BlockType::Q5_0 => ("Q5_0", 32, 22),
            BlockType::Q5_1 => ("Q5_1", 32, 24),
            BlockType::Q8_0 => ("Q8_0", 32, 34),
            BlockType::Q8_1 => ("Q8_1", 32, 36),
            BlockType::Q2_K => ("Q2_K", 256, 84),
            BlockType::Q3_K => ("Q3_K", 256, 110),
            BlockType::Q4_K => ("Q4_K", 256, 144),
            BlockType::Q5_K => ("Q5_K", 256, 176),
            BlockType::Q6_K => ("Q6_K", 256, 210),
            BlockType::Q8_K => ("Q8_K", 256, 292),
            BlockType::IQ1_S => ("IQ1_S", 256, 50),
            BlockType::IQ1_M => ("IQ1_M", 256, 56),
            BlockType::IQ2_XXS => ("IQ2_XXS", 256, 66),
            BlockType::IQ2_XS => ("IQ2_XS", 256, 74),
            BlockType::IQ2_S => ("IQ2_S", 256, 82),
            BlockType::IQ3_XXS => ("IQ3_XXS", 256, 98),
            BlockType::IQ3_S => ("IQ3_S", 256, 110),
            BlockType::IQ4_NL => ("IQ4_NL", 32, 18),
            BlockType::IQ4_XS => ("IQ4_XS", 256, 136),
            BlockType::TQ1_0 => ("TQ1_0", 256, 54),
            BlockType::TQ2_0 => ("TQ2_0", 256, 66),
            BlockType::MXFP4 => ("MXFP4", 32, 17),
        }
    }
}
