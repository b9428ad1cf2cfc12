//! Plain text for people: at most 100 columns, aligned, in an order a first-time reader can follow.

mod attacks;
mod bench;
mod compare;
mod devices;
mod evaluate;
mod failure;
mod inspect;
mod layers;
mod matrix;
mod page;
mod pairs;
mod throughput;

pub use attacks::attacks;
pub use bench::bench;
pub use compare::{comparison, verdict_words};
pub use devices::devices;
pub use evaluate::{evaluation, fitted};
pub use failure::failure;
pub use inspect::inspection;
pub use matrix::matrix;
pub use page::Style;
pub use pairs::{pair_failed, pair_line};
