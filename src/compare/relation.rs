//! What happened between two models, as a word with parameters.

/// One relation; several may hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Relation {
    /// `fine-tune`, `lora`, `quantised-copy`, `depth-pruned`, … (docs/methods.md#relations).
    pub kind: String,
    /// Parameters in words: "rank 4 in 28 of 28 changed matrices".
    pub detail: String,
    /// The same for programs, in a fixed order.
    pub parameters: Vec<(&'static str, Parameter)>,
}

/// A value of a relation.
#[derive(Clone, Debug, PartialEq)]
pub enum Parameter {
    /// Nothing: a layer that continues none.
    None,
    /// A count or an index.
    Count(u64),
    /// A measured number.
    Number(f64),
    /// A word.
    Text(String),
    /// Several.
    List(Vec<Parameter>),
}

impl Parameter {
    /// Indices or counts.
    pub fn counts(counts: impl IntoIterator<Item = u64>) -> Parameter {
        Parameter::List(counts.into_iter().map(Parameter::Count).collect())
    }

    /// Words.
    pub fn texts(texts: impl IntoIterator<Item = String>) -> Parameter {
        Parameter::List(texts.into_iter().map(Parameter::Text).collect())
    }
}

impl Relation {
    /// A relation without parameters yet.
    #[must_use]
    pub fn new(kind: &str, detail: String) -> Relation {
        Relation { kind: kind.to_owned(), detail, parameters: Vec::new() }
    }

    /// The same with one more parameter.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Parameter) -> Relation {
        self.parameters.push((name, value));
        self
    }
}
