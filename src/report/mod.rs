//! Results become bytes: versioned wire types for machines, plain text for people.
//!
//! Everything here takes the waist of the program ([`crate::compare::Comparison`] and its smaller relatives) and
//! returns a string; nothing here reads, prints or measures.

pub mod baseline;
pub mod csv;
pub mod escape;
pub mod html;
pub mod json;
pub mod markdown;
pub mod newick;
pub mod quantity;
pub mod rates;
pub mod schema;
pub mod svg;
pub mod terminal;
pub mod wire;
pub mod words;
