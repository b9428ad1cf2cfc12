//! `cognate` compares the weights of neural-network checkpoints and says, with evidence, whether one descends from the other.
//!
//! Modules stand in the order in which data flows; a module knows only those above it (`tests/layers.rs`).

pub mod wording;
pub mod tensor;
pub mod numerics;
pub mod reductions;
pub mod cpu;
pub mod gpu;
pub mod kernels;
pub mod source;
pub mod checkpoint;
pub mod roles;
pub mod stream;
pub mod canonical;
pub mod align;
pub mod transforms;
pub mod measure;
pub mod evidence;
pub mod verdict;
pub mod compare;
pub mod attacks;
pub mod shuffled;
pub mod rivals;
pub mod matrix;
pub mod evaluate;
pub mod convert;
pub mod bench;
pub mod report;
pub mod cli;
