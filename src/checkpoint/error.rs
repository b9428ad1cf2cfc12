//! Why a checkpoint was refused.

use crate::source::Fault;

/// Why a checkpoint was refused: exit code 3, but for `NoWeights` (4) and `Disagreement` (70).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Bytes did not come.
    #[error(transparent)]
    Source(#[from] crate::source::Error),
    /// A rule of the format, of the folder or of a sidecar file is broken.
    #[error("{0}")]
    Refused(Box<Fault>),
    /// An empty folder, or one with only a config: nothing to compare.
    #[error("{0}")]
    NoWeights(Box<Fault>),
    /// Our reader and the safetensors crate read the same bytes differently: a bug on one side.
    #[error("{0}")]
    Disagreement(Box<Fault>),
}

impl From<Box<Fault>> for Error {
    fn from(fault: Box<Fault>) -> Error {
        Error::Refused(fault)
    }
}

impl Error {
    /// Process exit code of this failure.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Source(error) => error.exit_code(),
            Error::Refused(_) => 3,
            Error::NoWeights(_) => 4,
            Error::Disagreement(_) => 70,
        }
    }

    /// The failure in the fields that are shown.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Error::Source(error) => error.fault(),
            Error::Refused(fault) | Error::NoWeights(fault) | Error::Disagreement(fault) => (**fault).clone(),
        }
    }
}

impl Error {
    /// Names the file of a fault that was found in its bytes alone.
    #[must_use]
    pub(super) fn in_file(mut self, path: &std::path::Path) -> Error {
        if let Error::Refused(fault) | Error::NoWeights(fault) | Error::Disagreement(fault) = &mut self
            && fault.file.is_none()
        {
            fault.file = Some(crate::source::shown_path(path));
        }
        self
    }
}
