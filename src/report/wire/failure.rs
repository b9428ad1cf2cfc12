//! An error as a document: the same fields as the message on stderr.

use serde::Serialize;

/// What went wrong, for people (stderr) and for machines (`--format json`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Rule or class: `ST-SHORT`, `NOT-FOUND`, `USAGE`, ….
    pub code: String,
    /// Exit code of the process, or of this pair in a batch.
    pub exit_code: u8,
    /// One sentence, lower case, names escaped.
    pub message: String,
    /// File concerned, escaped.
    pub file: Option<String>,
    /// Tensor concerned, escaped.
    pub tensor: Option<String>,
    /// Absolute byte offset in the file.
    pub byte: Option<u64>,
    /// What was found.
    pub found: Option<String>,
    /// What the rule wants.
    pub wanted: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

/// What the user wrote for a model that could not be compared.
#[derive(Clone, Debug, Serialize)]
pub struct Reference<'a> {
    /// The reference.
    pub reference: &'a str,
}

/// A [`Failure`] under the version of the verb that failed.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorDocument<'a> {
    /// Version of the verb's documents.
    pub schema_version: &'static str,
    /// In a batch: the pair's left model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<Reference<'a>>,
    /// In a batch: the pair's right model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub right: Option<Reference<'a>>,
    /// What went wrong.
    pub error: &'a Failure,
    /// As in the error.
    pub exit_code: u8,
}

impl<'a> ErrorDocument<'a> {
    /// The document of a failure outside a batch.
    #[must_use]
    pub fn new(schema_version: &'static str, error: &'a Failure) -> ErrorDocument<'a> {
        ErrorDocument { schema_version, left: None, right: None, error, exit_code: error.exit_code }
    }
}
