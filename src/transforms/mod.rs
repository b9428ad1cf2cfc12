//! Eighteen ways to change a checkpoint while its weights stay its own: what a disguise, a conversion or a derivation does.
//!
//! A model in memory, seeded, in f64; [`apply`] one [`Variant`] and [`write()`] the folder.

mod container;
mod dense;
mod dtypes;
mod experts;
mod grids;
mod head_bases;
mod heads;
mod layers;
mod layers_doubled;
mod layers_dropped;
mod low_rank;
mod merge;
mod mlp_units;
mod model;
mod noise;
mod read;
mod residual;
mod residual_basis;
mod residual_order;
mod together;
mod unit_scales;
mod vocabulary;
mod width;
mod write;

use std::path::PathBuf;

use crate::numerics::Rng;
use crate::roles::{Part, Role};
use crate::tensor::Dtype;

pub use dense::Dense;
pub use model::{Heads, LooseTensor, Mlp, Model, StoredTensor};
pub use read::{MAX_ELEMENTS, read};
pub use together::Clothes;
pub use write::{remove, write};

/// Why a transform cannot be made of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotApplicable(pub &'static str);

/// Failure of reading or writing a model.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not fit in memory.
    #[error("{name} holds {n_elements} elements; models of at most {limit} are transformed in memory")]
    TooLarge {
        /// The model.
        name: String,
        /// Found.
        n_elements: u64,
        /// Allowed.
        limit: u64,
    },
    /// Bytes did not come.
    #[error(transparent)]
    Stream(#[from] crate::stream::Error),
    /// The folder could not be written.
    #[error("cannot write '{}': {cause}", path.display())]
    Write {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
}

/// What one variant does.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "the module of each says what it does")]
pub enum Change {
    MlpUnits,
    Heads,
    ResidualOrder,
    ResidualBasis,
    UnitScales,
    HeadBases,
    Noise { share: f64 },
    StoreAs(Dtype),
    Fp8Trip,
    Grid { bits: u32 },
    Renamed,
    Nameless,
    Fused,
    Split,
    Transposed,
    Resharded,
    TokensShuffled,
    TokensAdded,
    TokensCut,
    LayersDropped,
    LayersDoubled,
    WidthCut { share: f64 },
    LowRank { rank: usize },
    Merge { share: f64, n_models: usize },
    Experts,
    Together { bits: u32, clothes: Clothes },
}

/// Whether a transform leaves every output as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// Up to rounding.
    Kept,
    /// Another model, made from this one.
    Changed,
}

/// One of the eighteen transforms, in one of its forms.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// `T1` to `T18`.
    pub code: &'static str,
    /// A word for folders and tables.
    pub name: &'static str,
    /// What becomes of the function.
    pub function: Function,
    /// What is done.
    pub change: Change,
    /// Relations that name it, as kinds of docs/methods.md#relations; none where it leaves nothing to name.
    pub relations: &'static [&'static str],
}

impl Variant {
    /// Whether this is its code, in any case, or its name.
    #[must_use]
    pub fn is_called(&self, word: &str) -> bool {
        word.eq_ignore_ascii_case(self.code) || word == self.name
    }
}

const fn kept(
    code: &'static str,
    name: &'static str,
    change: Change,
    relations: &'static [&'static str],
) -> Variant {
    Variant { code, name, function: Function::Kept, change, relations }
}

const fn changed(
    code: &'static str,
    name: &'static str,
    change: Change,
    relations: &'static [&'static str],
) -> Variant {
    Variant { code, name, function: Function::Changed, change, relations }
}

/// Every variant, in the order of the table.
pub const VARIANTS: &[Variant] = &[
    kept("T1", "mlp-units-permuted", Change::MlpUnits, &["units-permuted"]),
    kept("T2", "heads-permuted", Change::Heads, &["heads-permuted"]),
    kept("T3", "residual-permuted", Change::ResidualOrder, &["residual-permuted"]),
    kept("T4", "residual-rotated", Change::ResidualBasis, &["residual-rotated"]),
    kept("T5", "units-rescaled", Change::UnitScales, &["units-rescaled"]),
    kept("T6", "heads-rotated", Change::HeadBases, &["heads-rotated"]),
    changed("T7", "noise-0.1", Change::Noise { share: 0.1 }, &["noise-added"]),
    changed("T7", "noise-1.0", Change::Noise { share: 1.0 }, &["noise-added"]),
    changed("T8", "f32", Change::StoreAs(Dtype::F32), &["cast"]),
    changed("T8", "f16", Change::StoreAs(Dtype::F16), &["cast"]),
    changed("T8", "bf16", Change::StoreAs(Dtype::Bf16), &["cast"]),
    changed("T8", "fp8-trip", Change::Fp8Trip, &[]),
    changed("T9", "int8", Change::Grid { bits: 8 }, &["quantised-copy"]),
    changed("T9", "int4", Change::Grid { bits: 4 }, &["quantised-copy"]),
    kept("T10", "renamed", Change::Renamed, &[]),
    kept("T10", "nameless", Change::Nameless, &[]),
    kept("T10", "fused", Change::Fused, &[]),
    kept("T10", "split", Change::Split, &[]),
    kept("T10", "transposed", Change::Transposed, &[]),
    kept("T10", "resharded", Change::Resharded, &[]),
    kept("T11", "tokens-shuffled", Change::TokensShuffled, &[]),
    kept("T11", "tokens-added", Change::TokensAdded, &["vocabulary-extended"]),
    kept("T11", "tokens-cut", Change::TokensCut, &["vocabulary-cut"]),
    changed("T12", "layers-dropped", Change::LayersDropped, &["depth-pruned"]),
    changed("T13", "layers-doubled", Change::LayersDoubled, &["up-scaled"]),
    changed("T14", "width-3-4", Change::WidthCut { share: 0.75 }, &["width-pruned"]),
    changed("T14", "width-1-2", Change::WidthCut { share: 0.5 }, &["width-pruned"]),
    changed("T15", "lora-r8", Change::LowRank { rank: 8 }, &["lora"]),
    changed("T16", "merge-2-50", Change::Merge { share: 0.5, n_models: 2 }, &["merge"]),
    changed("T16", "merge-2-20", Change::Merge { share: 0.2, n_models: 2 }, &["merge"]),
    changed("T16", "merge-2-5", Change::Merge { share: 0.05, n_models: 2 }, &["merge"]),
    changed("T16", "merge-3-33", Change::Merge { share: 1.0 / 3.0, n_models: 3 }, &["merge"]),
    changed("T16", "merge-3-5", Change::Merge { share: 0.05, n_models: 3 }, &["merge"]),
    kept("T17", "experts-8", Change::Experts, &["up-cycled"]),
    changed(
        "T18",
        "together-int8-renamed",
        Change::Together { bits: 8, clothes: Clothes::Renamed },
        &["units-permuted", "units-rescaled", "heads-permuted", "residual-rotated"],
    ),
    changed(
        "T18",
        "together-int4-fused",
        Change::Together { bits: 4, clothes: Clothes::FusedAndResharded },
        &["units-permuted", "units-rescaled", "heads-permuted", "residual-rotated"],
    ),
];

/// A transformed model.
#[derive(Clone, Debug)]
pub struct Transformed {
    /// The model.
    pub model: Model,
    /// Names of the partners whose weights it holds as well.
    pub partners: Vec<String>,
    /// Relations that name what was done: those of the variant, of a chain those of the steps that fit.
    pub relations: Vec<&'static str>,
}

/// Makes one variant of a model; `partners` are independent models that a merge may take.
///
/// # Errors
/// The transform does not fit the graph: the reason, for the list of what was not applied.
pub fn apply(
    variant: &Variant,
    model: &Model,
    partners: &[&Model],
    seed: u64,
) -> Result<Transformed, NotApplicable> {
    let number = VARIANTS.iter().position(|other| other.name == variant.name).unwrap_or_default();
    let mut rng = Rng::new(&[seed, number as u64]);
    let mut model = model.clone();
    let (mut taken, mut relations) = (Vec::new(), variant.relations.to_vec());
    match variant.change {
        Change::MlpUnits => mlp_units::permute(&mut model, &mut rng)?,
        Change::Heads => heads::permute(&mut model, &mut rng)?,
        Change::ResidualOrder => residual_order::permute(&mut model, &mut rng)?,
        Change::ResidualBasis => residual_basis::rotate(&mut model, &mut rng)?,
        Change::UnitScales => unit_scales::rescale(&mut model, &mut rng)?,
        Change::HeadBases => head_bases::rotate(&mut model, &mut rng)?,
        Change::Noise { share } => noise::add(&mut model, share, &mut rng)?,
        Change::StoreAs(dtype) => dtypes::store_as(&mut model, dtype)?,
        Change::Fp8Trip => dtypes::trip_through_fp8(&mut model)?,
        Change::Grid { bits } => grids::round(&mut model, bits)?,
        Change::Renamed => container::rename(&mut model, &mut rng),
        Change::Nameless => container::take_names(&mut model, &mut rng),
        Change::Fused => container::fuse(&mut model)?,
        Change::Split => container::split(&mut model)?,
        Change::Transposed => container::transpose(&mut model)?,
        Change::Resharded => container::reshard(&mut model),
        Change::TokensShuffled => vocabulary::shuffle(&mut model, &mut rng)?,
        Change::TokensAdded => vocabulary::extend(&mut model, &mut rng)?,
        Change::TokensCut => vocabulary::cut(&mut model, &mut rng)?,
        Change::LayersDropped => layers_dropped::drop(&mut model, &mut rng)?,
        Change::LayersDoubled => layers_doubled::double(&mut model, &mut rng)?,
        Change::WidthCut { share } => width::cut(&mut model, share, &mut rng)?,
        Change::LowRank { rank } => low_rank::merge(&mut model, rank, &mut rng)?,
        Change::Merge { share, n_models } => {
            taken = merge::merge(&mut model, share, n_models, partners, &mut rng)?;
        }
        Change::Experts => experts::upcycle(&mut model, &mut rng)?,
        Change::Together { bits, clothes } => {
            relations = together::apply(&mut model, bits, clothes, &mut rng)?;
        }
    }
    Ok(Transformed { model, partners: taken, relations })
}

/// A model of the same shapes, every tensor drawn with the mean and spread of its own: independent by construction.
#[must_use]
pub fn draw_like(model: &Model, rng: &mut Rng) -> Model {
    let mut drawn = model.clone();
    drawn.name = format!("{} drawn anew", model.name);
    for matrix in drawn.parts.values_mut() {
        let (mean, std) = matrix.mean_and_std();
        *matrix = Dense::normal(matrix.n_rows, matrix.n_cols, mean, std, rng);
    }
    drawn
}

/// A random order of 0..n.
fn permutation(n: usize, rng: &mut Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    rng.shuffle(&mut order);
    order
}

/// Rows of the given blocks of `n` rows, in the order of the blocks.
fn blocks(order: &[usize], n: usize) -> Vec<usize> {
    order.iter().flat_map(|block| block * n..(block + 1) * n).collect()
}

/// Factors between ½ and 2, uniform in their logarithm.
fn random_scales(n: usize, rng: &mut Rng) -> Vec<f64> {
    (0..n).map(|_| (2.0 * rng.unit() - 1.0).exp2()).collect()
}

/// More than a vector.
fn is_matrix(role: &Role, matrix: &Dense) -> bool {
    !role.is_bias && matrix.n_rows > 1 && matrix.n_cols > 1
}

/// A matrix of attention or MLP, as quantisers and adapters take them.
fn is_block_matrix(role: &Role, matrix: &Dense) -> bool {
    let parts = [Part::Q, Part::K, Part::V, Part::O, Part::Gate, Part::Up, Part::Down];
    is_matrix(role, matrix) && role.layer.is_some() && parts.contains(&role.part)
}
