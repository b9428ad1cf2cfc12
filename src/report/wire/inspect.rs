//! `cognate.inspect/1`: one model's facts.

use serde::Serialize;

use super::compare::Model;
use crate::compare::ModelFacts;

/// Version of the document.
pub const INSPECT_VERSION: &str = "cognate.inspect/1";

/// What is known about one model without comparing it.
#[derive(Debug, Serialize)]
pub struct Inspection<'a> {
    schema_version: &'static str,
    model: Model<'a>,
    /// How the tensors' roles were found.
    pub roles: Roles,
    /// Classes of values; None where only the header was read.
    pub values: Option<Values>,
    /// Why the values were not read.
    pub values_unread: Option<String>,
    /// Token strings; None where the model has none.
    pub vocabulary: Option<InspectedVocabulary<'a>>,
    /// Every tensor, in file order.
    pub tensors: Vec<InspectedTensor<'a>>,
}

impl<'a> Inspection<'a> {
    /// A document whose lists are still empty.
    #[must_use]
    pub fn new(model: &'a ModelFacts) -> Inspection<'a> {
        Inspection {
            schema_version: INSPECT_VERSION,
            model: Model::new(model),
            roles: Roles::default(),
            values: None,
            values_unread: None,
            vocabulary: None,
            tensors: Vec::new(),
        }
    }
}

/// Tensors by the way their role was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Roles {
    /// A family table knows the name.
    pub table: u64,
    /// From shape and position.
    pub guessed: u64,
    /// No role: compared by name, then by shape.
    pub unknown: u64,
    /// Constant by construction.
    pub fixed_by_architecture: u64,
    /// Counters and truth values.
    pub buffers: u64,
    /// Fused layouts that no table knows.
    pub unknown_layout: u64,
}

/// Elements by class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Values {
    /// Elements read.
    pub elements: u64,
    /// Not a number.
    pub nan: u64,
    /// Either infinity.
    pub inf: u64,
    /// Zeros of either sign.
    pub zero: u64,
    /// Subnormal in their own format.
    pub subnormal: u64,
    /// Elements of types that cannot be decoded.
    pub undecoded: u64,
}

/// A vocabulary in two facts.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct InspectedVocabulary<'a> {
    /// Different token strings.
    pub tokens: u64,
    /// Of the sorted strings with their ids: equal for the same tokenizer.
    pub blake3: &'a str,
}

/// One stored tensor.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedTensor<'a> {
    /// As stored.
    pub name: &'a str,
    /// Element type.
    pub dtype: &'a str,
    /// Dimensions.
    pub shape: &'a [u64],
    /// Its file.
    pub file: &'a str,
    /// Canonical roles inside it, `text.3.q`; empty where none is known.
    pub roles: Vec<String>,
    /// `table`, `guessed`, `unknown`, `fixed-by-architecture`, `buffer`, `unknown-layout`.
    pub how: &'static str,
    /// NaN elements; None where not read.
    pub nan: Option<u64>,
    /// Infinite elements; None where not read.
    pub inf: Option<u64>,
}
