//! `cognate` compares the weights of neural-network checkpoints and says, with evidence, whether one descends from the other.
//!
//! Modules stand in the order in which data flows; a module knows only those above it (`tests/layers.rs`).

pub mod align;
pub mod bench;
pub mod canonical;
pub mod checkpoint;
pub mod cli;
pub mod compare;
pub mod cpu;
pub mod evidence;
pub mod gpu;
pub mod kernels;
pub mod measure;
pub mod numerics;
pub mod reductions;
pub mod report;
pub mod roles;
pub mod source;
pub mod stream;
pub mod tensor;
pub mod verdict;
