//! Holds documents against the program's own schemas.

use cognate::report::schema;
use serde_json::Value;

/// Whether a document keeps to the schema of its verb, or what it breaks.
pub(crate) fn check(verb: &str, text: &str) -> Result<(), String> {
    let schema: Value = serde_json::from_str(schema::of(verb).expect("a schema")).expect("JSON");
    let document: Value = serde_json::from_str(text).expect("JSON");
    validate(&schema, &schema, &document, "$")
}

/// The part of JSON Schema that our schemas use; an unknown keyword is an error, so that none is ignored.
fn validate(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().expect("a schema is an object") {
        let holds = match keyword.as_str() {
            "$schema" | "$id" | "title" | "description" | "$defs" => Ok(()),
            "$ref" => {
                let name =
                    rule.as_str().and_then(|rule| rule.strip_prefix("#/$defs/")).expect("a local reference");
                validate(root, &root["$defs"][name], value, at)
            }
            "anyOf" => {
                let outcomes: Vec<_> =
                    list(rule).iter().map(|rule| validate(root, rule, value, at)).collect();
                if outcomes.iter().any(Result::is_ok) { Ok(()) } else { Err(format!("{outcomes:?}")) }
            }
            "const" => expect(rule == value, at, rule),
            "enum" => expect(list(rule).contains(value), at, rule),
            "type" => {
                let types = if rule.is_array() { list(rule).to_vec() } else { vec![rule.clone()] };
                expect(types.iter().any(|name| has_type(value, name.as_str().expect("a type"))), at, rule)
            }
            "x-decimals" => {
                let unit =
                    10_f64.powi(-i32::try_from(rule.as_i64().expect("a count")).expect("a small count"));
                // as near to a multiple as f64 can hold
                let holds = |value: f64| {
                    (value / unit - (value / unit).round()).abs() <= 1e-9 * (value / unit).abs().max(1.0)
                };
                expect(value.as_f64().is_none_or(holds), at, rule)
            }
            "minimum" => {
                expect(value.as_f64().is_none_or(|value| value >= rule.as_f64().expect("a number")), at, rule)
            }
            "maximum" => {
                expect(value.as_f64().is_none_or(|value| value <= rule.as_f64().expect("a number")), at, rule)
            }
            "required" => list(rule).iter().try_for_each(|key| {
                let key = key.as_str().expect("a key");
                expect(value.as_object().is_none_or(|object| object.contains_key(key)), at, &key.into())
            }),
            "items" => value
                .as_array()
                .into_iter()
                .flatten()
                .enumerate()
                .try_for_each(|(idx, item)| validate(root, rule, item, &format!("{at}[{idx}]"))),
            "properties" => value.as_object().into_iter().flatten().try_for_each(|(key, item)| {
                rule.get(key).map_or(Ok(()), |rule| validate(root, rule, item, &format!("{at}.{key}")))
            }),
            "additionalProperties" => value.as_object().into_iter().flatten().try_for_each(|(key, item)| {
                let is_known = schema.get("properties").is_some_and(|known| known.get(key).is_some());
                match rule {
                    _ if is_known => Ok(()),
                    Value::Bool(allowed) => expect(*allowed, at, &key.as_str().into()),
                    rule => validate(root, rule, item, &format!("{at}.{key}")),
                }
            }),
            other => Err(format!("{at}: unknown keyword {other}")),
        };
        holds?;
    }
    Ok(())
}

fn expect(holds: bool, at: &str, rule: &Value) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{at}: {rule}")) }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    }
}
