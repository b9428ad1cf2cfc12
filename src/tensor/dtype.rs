//! Element types of checkpoint files.

/// Element type of a stored tensor; the names are those of the safetensors format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the variants are the format's own names")]
pub enum Dtype {
    F64,
    F32,
    F16,
    Bf16,
    F8E4m3,
    F8E5m2,
    F8E4m3Fnuz,
    F8E5m2Fnuz,
    F8E8m0,
    F6E2m3,
    F6E3m2,
    F4,
    C64,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    Bool,
}

impl Dtype {
    /// Every type of safetensors, so that tables and tests cannot forget one.
    pub const ALL: [Dtype; 22] = [
        Dtype::F64,
        Dtype::F32,
        Dtype::F16,
        Dtype::Bf16,
        Dtype::F8E4m3,
        Dtype::F8E5m2,
        Dtype::F8E4m3Fnuz,
        Dtype::F8E5m2Fnuz,
        Dtype::F8E8m0,
        Dtype::F6E2m3,
        Dtype::F6E3m2,
        Dtype::F4,
        Dtype::C64,
        Dtype::I64,
        Dtype::I32,
        Dtype::I16,
        Dtype::I8,
        Dtype::U64,
        Dtype::U32,
        Dtype::U16,
        Dtype::U8,
        Dtype::Bool,
    ];

    /// The safetensors spelling, `BF16`, `F8_E4M3`, ….
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Dtype::F64 => "F64",
            Dtype::F32 => "F32",
            Dtype::F16 => "F16",
            Dtype::Bf16 => "BF16",
            Dtype::F8E4m3 => "F8_E4M3",
            Dtype::F8E5m2 => "F8_E5M2",
            Dtype::F8E4m3Fnuz => "F8_E4M3FNUZ",
            Dtype::F8E5m2Fnuz => "F8_E5M2FNUZ",
            Dtype::F8E8m0 => "F8_E8M0",
            Dtype::F6E2m3 => "F6_E2M3",
            Dtype::F6E3m2 => "F6_E3M2",
            Dtype::F4 => "F4",
            Dtype::C64 => "C64",
            Dtype::I64 => "I64",
            Dtype::I32 => "I32",
            Dtype::I16 => "I16",
            Dtype::I8 => "I8",
            Dtype::U64 => "U64",
            Dtype::U32 => "U32",
            Dtype::U16 => "U16",
            Dtype::U8 => "U8",
            Dtype::Bool => "BOOL",
        }
    }

    /// The type with this safetensors spelling.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Dtype> {
        Dtype::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// Size of one element in bits; F4 and F6 are packed below a byte.
    #[must_use]
    pub fn size_bits(self) -> u64 {
        match self {
            Dtype::F64 | Dtype::I64 | Dtype::U64 | Dtype::C64 => 64,
            Dtype::F32 | Dtype::I32 | Dtype::U32 => 32,
            Dtype::F16 | Dtype::Bf16 | Dtype::I16 | Dtype::U16 => 16,
            Dtype::F6E2m3 | Dtype::F6E3m2 => 6,
            Dtype::F4 => 4,
            _ => 8,
        }
    }

    /// Whole bytes of one element, or None for a packed sub-byte type.
    #[must_use]
    pub fn size_bytes(self) -> Option<usize> {
        let bits = usize::try_from(self.size_bits()).unwrap_or(usize::MAX);
        bits.is_multiple_of(8).then_some(bits / 8)
    }

    /// Whether every kernel can turn an element into a real number.
    #[must_use]
    pub fn is_decodable(self) -> bool {
        !matches!(self, Dtype::F8E8m0 | Dtype::F6E2m3 | Dtype::F6E3m2 | Dtype::F4 | Dtype::C64 | Dtype::Bool)
    }

    /// Whether the type holds fractions (not a whole number or a truth value).
    #[must_use]
    pub fn is_float(self) -> bool {
        !matches!(
            self,
            Dtype::I64
                | Dtype::I32
                | Dtype::I16
                | Dtype::I8
                | Dtype::U64
                | Dtype::U32
                | Dtype::U16
                | Dtype::U8
                | Dtype::Bool
        )
    }
}
