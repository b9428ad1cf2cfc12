//! Which numbers of a document are bounded, and how tightly, by the program's own schemas.

use cognate::report::schema;
use serde_json::Value;

/// Decimals of the bounded number at a path like `$.layers[3].cosine`; None of what is exact.
pub(crate) fn decimals_at(verb: &str, path: &str) -> Option<i32> {
    let root: Value = serde_json::from_str(schema::of(verb).expect("a schema")).expect("JSON");
    let mut at = vec![&root["$defs"]["document"]];
    for step in path
        .trim_start_matches('$')
        .split('.')
        .flat_map(|step| step.split('['))
        .filter(|step| !step.is_empty())
    {
        at = at
            .into_iter()
            .flat_map(|schema| alternatives(&root, schema))
            .filter_map(|schema| match step.strip_suffix(']') {
                Some(_) => schema.get("items"),
                None => schema
                    .get("properties")
                    .and_then(|known| known.get(step))
                    .or(schema.get("additionalProperties")),
            })
            .collect();
    }
    at.into_iter()
        .flat_map(|schema| alternatives(&root, schema))
        .find_map(|schema| schema.get("x-decimals")?.as_i64()?.try_into().ok())
}

/// A schema with its references followed and its alternatives apart.
fn alternatives<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    if let Some(name) =
        schema.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix("#/$defs/"))
    {
        return alternatives(root, &root["$defs"][name]);
    }
    match schema.get("anyOf").and_then(Value::as_array) {
        Some(several) => several.iter().flat_map(|schema| alternatives(root, schema)).collect(),
        None => vec![schema],
    }
}
