//! One naive f64 definition per kernel: the specification. Not linked into the product.

pub mod all_pairs;
pub mod classify;
pub mod moments;
pub mod permuted_traces;
pub mod row_dots;
pub mod values;
