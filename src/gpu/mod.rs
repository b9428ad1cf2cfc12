//! The only user of wgpu: list, choose, open, self-test, dispatch, read back, or say why not.

mod error;

pub use error::Error;

/// An open device that passed its self-test.
#[derive(Debug)]
pub struct Gpu {}
