//! One naive f64 definition per kernel: the specification. Not linked into the product.

pub(crate) mod all_pairs;
pub(crate) mod classify;
pub(crate) mod decode_blocks;
pub(crate) mod moments;
pub(crate) mod pack;
pub(crate) mod permuted_traces;
pub(crate) mod row_dots;
pub(crate) mod values;
