//! Two models become a [`Comparison`]: effort stages and the stopping rule.

mod comparison;

pub use comparison::*;

/// How deep to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "words of the command line")]
pub enum Effort {
    Quick,
    Standard,
    Full,
}

/// What `--only` can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// S0 and S1.
    Plain,
    /// S2.
    Trace,
    /// S3.
    Agreement,
}

/// Choices of the user that change the result.
#[derive(Clone, Debug)]
pub struct Options {
    /// Depth.
    pub effort: Effort,
    /// Seed of all draws.
    pub seed: u64,
    /// Prior of "shares weights".
    pub prior: f64,
    /// Only these statistics; no verdict then.
    pub only: Option<Vec<Statistic>>,
    /// Digests of the files.
    pub digest: bool,
}

/// Failure of a comparison.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Bytes or device.
    #[error(transparent)]
    Stream(#[from] crate::stream::Error),
    /// The models share no comparable tensor. Exit code 4.
    #[error("nothing to compare: {0}")]
    NothingComparable(String),
}

/// Progress for stderr.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Stage name.
    pub stage: &'a str,
    /// Bytes done.
    pub done_bytes: u64,
    /// Bytes of the stage.
    pub total_bytes: u64,
}

/// Compares two opened checkpoints.
///
/// # Errors
/// A read failed, the device failed, or there is nothing to compare.
pub fn compare(
    _backend: &crate::kernels::Backend,
    _left: &crate::checkpoint::Checkpoint,
    _right: &crate::checkpoint::Checkpoint,
    _options: &Options,
    _progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Comparison, Error> {
    todo!()
}
