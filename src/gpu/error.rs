//! Why a GPU could not be used.

/// Exit code 6 where the GPU was asked for by name; a line in the report under `auto`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No adapter fits the request.
    #[error("no GPU fits '{asked}'; found: {found}")]
    NoAdapter {
        /// The request.
        asked: String,
        /// What there is, or "none".
        found: String,
    },
}
