//! What can go wrong while bytes are fetched.

use std::path::PathBuf;

use super::fault::{Fault, grouped, in_bytes, shown_path};

/// Failure to find, open or read a source. Exit code 3.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither a path nor a cached model id.
    #[error("'{reference}' is neither a file, a folder nor a model in the local Hub cache")]
    NotFound {
        /// What the user wrote, escaped.
        reference: String,
        /// What to do, one line.
        hint: String,
    },
    /// The name of a model that is served but not published.
    #[error(
        "'{reference}' is the name of a model behind an API: it has no weights here, so there is nothing to compare"
    )]
    ApiModel {
        /// What the user wrote, escaped.
        reference: String,
    },
    /// The operating system refused.
    #[error("cannot {action} '{}': {cause}", shown_path(path))]
    Io {
        /// open, read, stat, list.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Byte offset of a read.
        offset: Option<u64>,
        /// The system's own words.
        cause: std::io::Error,
    },
    /// A pipe, device, socket or folder where a file should be.
    #[error("'{}' is {kind}, not a regular file", shown_path(path))]
    NotRegular {
        /// The file.
        path: PathBuf,
        /// "a folder", "a pipe", ….
        kind: &'static str,
    },
    /// A symbolic link leaves the model's folder.
    #[error("'{}' is a link to '{}', outside the model's folder", shown_path(path), shown_path(target))]
    Outside {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// The file ended before the bytes that were asked for.
    #[error("'{}' ends at byte {first_missing}, inside the range that was asked for", shown_path(path))]
    Short {
        /// The file.
        path: PathBuf,
        /// First byte that is not there.
        first_missing: u64,
        /// End of the range asked for.
        wanted_end: u64,
    },
    /// A server, the way to it, or what it sent.
    #[error("{0}")]
    Remote(Box<Fault>),
    /// Size, time or identity differ from those at opening.
    #[error("'{}' changed while reading", shown_path(path))]
    Changed {
        /// The file.
        path: PathBuf,
        /// Size and identity at opening.
        before: String,
        /// The same now.
        now: String,
    },
    /// A value inside an encoded tensor breaks the rules of its form, which shows only when it is read.
    #[error("{0}")]
    Refused(Box<Fault>),
}

impl Error {
    /// Process exit code of this failure.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        3
    }

    /// The failure in the fields that are shown.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let message = self.to_string();
        let fault = match self {
            Error::Refused(fault) => fault.clone(),
            Error::NotFound { hint, .. } => Fault::new("REF-MISSING", message).hint(hint.clone()),
            Error::ApiModel { .. } => Fault::new("REF-API", message).hint(NO_WEIGHTS),
            Error::Io { path, offset, cause, .. } => {
                let mut fault = Fault::new("IO", message).in_file(path).hint(io_hint(cause));
                fault.byte = *offset;
                fault
            }
            Error::NotRegular { path, kind } => Fault::new("FILE-KIND", message)
                .in_file(path)
                .found_wanted(*kind, "a regular file")
                .hint("name a file that holds the weights themselves"),
            Error::Outside { path, target } => Fault::new("LINK-OUTSIDE", message)
                .in_file(path)
                .found_wanted(shown_path(target), "a file in the model's folder or its own cache folder")
                .hint("pass --follow-symlinks-outside if this is intended"),
            Error::Short { path, first_missing, wanted_end } => Fault::new("READ-SHORT", message)
                .in_file(path)
                .at_byte(*first_missing)
                .found_wanted(in_bytes(*first_missing), grouped(*wanted_end))
                .hint("the file shrank after it was opened; run again when nothing writes to it"),
            Error::Remote(fault) => fault.clone(),
            Error::Changed { path, before, now } => Fault::new("CHANGED", message)
                .in_file(path)
                .found_wanted(now.clone(), before.clone())
                .hint("the result was discarded; run again when nothing writes to it"),
        };
        *fault
    }
}

/// Why a reference without weights cannot be compared, and what that does not show.
pub const NO_WEIGHTS: &str = "only stored weights can be compared, and there are none here; what a model learned \
                              from another's answers leaves no trace in weights, so no comparison could show it";

fn io_hint(cause: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match cause.kind() {
        ErrorKind::NotFound => "the file, or what a link points to, is not there",
        ErrorKind::PermissionDenied => "ask for permission to read it, or copy it",
        ErrorKind::OutOfMemory => "not enough memory for this input",
        _ => "check the path and the disk",
    }
}
