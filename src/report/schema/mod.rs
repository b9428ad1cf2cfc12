//! JSON Schemas of the documents, written by hand; `tests/reports.rs` holds real documents against them.

/// Names of the verbs that have a schema; `attacks` is a mode of `evaluate`.
pub const VERBS: [&str; 7] = ["compare", "evaluate", "attacks", "matrix", "inspect", "devices", "bench"];

/// The schema of a verb's documents, errors included.
#[must_use]
pub fn of(verb: &str) -> Option<&'static str> {
    match verb {
        "compare" => Some(include_str!("compare.json")),
        "evaluate" => Some(include_str!("evaluate.json")),
        "attacks" => Some(include_str!("attacks.json")),
        "matrix" => Some(include_str!("matrix.json")),
        "inspect" => Some(include_str!("inspect.json")),
        "bench" => Some(include_str!("bench.json")),
        "devices" => Some(include_str!("devices.json")),
        _ => None,
    }
}
