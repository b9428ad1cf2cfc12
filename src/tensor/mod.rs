//! What a tensor is, without knowing where it lies: element types, names and strided views.

mod block;
mod cell;
mod codebook;
mod dtype;
mod matrix;
pub mod name;
mod view;

pub use block::BlockType;
pub use cell::Cell;
pub use codebook::{Codebook, IQ4_LEVELS, MXFP4_LEVELS};
pub use dtype::Dtype;
pub use matrix::{Matrix, Values};
pub use name::escape;
pub use view::{RowOrder, View};
