//! One naive f64 definition per kernel: the specification. Not linked into the product.

pub mod moments;
pub mod values;
