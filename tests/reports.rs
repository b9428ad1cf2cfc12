//! Reports of hand-made comparisons: as approved, within 100 columns, and true to their schemas.
//!
//! `COGNATE_ACCEPT=1 cargo test --test reports` writes the approved files anew; read the difference before committing.

mod samples;

use cognate::compare::{ArchitectureVerdict, Comparison, WeightsVerdict};
use cognate::report::terminal::Style;
use cognate::report::wire::{self, ErrorDocument, Failure};
use cognate::report::{json, markdown, schema, terminal};
use serde_json::Value;

const UNICODE: Style = Style { colour: false, unicode: true, verbose: false };

fn document(comparison: &Comparison) -> String {
    json::document(&wire::Comparison::new(comparison, 4, Some("verdict 'derived' is listed in --fail-on")))
}

#[test]
fn reports_read_as_approved() {
    let related = samples::renamed_fine_tune();
    let independent = independent();
    for (file, text) in [
        ("related.txt", terminal::comparison(&related, UNICODE)),
        ("related.ascii.txt", terminal::comparison(&related, Style::default())),
        ("related.colour.txt", terminal::comparison(&related, Style { colour: true, ..UNICODE })),
        ("related.json", document(&related)),
        ("related.md", markdown::comparison(&related)),
        ("independent.txt", terminal::comparison(&independent, UNICODE)),
    ] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/approved").join(file);
        if std::env::var_os("COGNATE_ACCEPT").is_some() {
            std::fs::write(&path, &text).expect("the approved file can be written");
        }
        let approved = std::fs::read_to_string(&path).expect("an approved file");
        assert_eq!(text, approved, "{file}: COGNATE_ACCEPT=1 accepts the new text");
    }
}

#[test]
fn no_line_is_wider_than_100_columns() {
    let mut wide = samples::renamed_fine_tune();
    wide.left.reference = "r".repeat(4096);
    wide.architecture.differences = vec!["d".repeat(300), "many words ".repeat(60)];
    wide.not_tested = vec![wide.not_tested[0].clone(); 500];
    wide.not_tested[0].tensor = "t".repeat(5000);
    for layer in 4..200 {
        let mut row = wide.layers[1].clone();
        (row.left, row.right) = (Some(layer), Some(layer + 1));
        wide.layers.push(row);
    }
    for comparison in [samples::renamed_fine_tune(), independent(), wide] {
        for line in terminal::comparison(&comparison, UNICODE).lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}

#[test]
fn a_typical_report_fits_a_screen() {
    let n_lines = terminal::comparison(&samples::renamed_fine_tune(), UNICODE).lines().count();
    assert!(n_lines <= 60, "{n_lines} lines");
}

#[test]
fn colour_only_repeats_words() {
    let plain = terminal::comparison(&samples::renamed_fine_tune(), UNICODE);
    let coloured = terminal::comparison(&samples::renamed_fine_tune(), Style { colour: true, ..UNICODE });
    let mut stripped = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        stripped.push_str(before);
        rest = after.split_once('m').expect("a complete sequence").1;
    }
    stripped.push_str(rest);
    assert_eq!(stripped, plain);
}

#[test]
fn a_selective_report_carries_no_verdict() {
    let mut selective = samples::renamed_fine_tune();
    selective.weights.verdict = None;
    selective.tool.selective = Some(vec!["plain".to_owned()]);
    let text = terminal::comparison(&selective, UNICODE);
    assert!(text.contains("SELECTIVE") && text.contains("no verdict"), "{text}");
    let read: Value = serde_json::from_str(&document(&selective)).expect("JSON");
    assert_eq!(read["weights"]["verdict"], Value::Null);
    assert_eq!(read["tool"]["selective"][0], "plain");
}

#[test]
fn documents_keep_to_their_schema() {
    let mut numberless = samples::renamed_fine_tune();
    numberless.weights.log10_p = Some(f64::NEG_INFINITY);
    numberless.weights.likelihood = Some(f64::NAN);
    numberless.weights.direction = None;
    numberless.weights.power = None;
    numberless.shared_tokens = None;
    numberless.layers[0].cosine = Some(f64::NAN);
    let failure = Failure { code: "ST-SHORT".to_owned(), exit_code: 3, byte: Some(7), ..Failure::default() };
    let failed = ErrorDocument::new(wire::COMPARE_VERSION, &failure);
    let in_batch = ErrorDocument {
        left: Some(wire::Reference { reference: "a" }),
        right: Some(wire::Reference { reference: "b" }),
        ..failed.clone()
    };
    for text in [
        document(&samples::renamed_fine_tune()),
        document(&independent()),
        document(&numberless),
        json::document(&failed),
        json::line(&in_batch),
    ] {
        check("compare", &text, "");
    }
}

#[test]
fn the_schema_objects_to_a_lost_renamed_or_mistyped_key() {
    let text = document(&samples::renamed_fine_tune());
    for (from, to) in [
        ("\"decided_by\":", "\"decidedBy\":"),
        ("\"verdict\": \"derived\"", "\"verdict\": \"related\""),
        ("\"seed\": 0", "\"seed\": \"0\""),
        ("\"bytes_read\":", "\"bytes\":"),
        ("\"speaks\": \"for\"", "\"speaks\": 1"),
    ] {
        assert!(text.contains(from), "{from} is in the document");
        check("compare", &text.replacen(from, to, 1), from);
    }
}

/// Two models trained apart.
fn independent() -> Comparison {
    let mut sample = samples::renamed_fine_tune();
    sample.architecture.verdict = ArchitectureVerdict::Same;
    sample.architecture.renamed.clear();
    sample.architecture.differences.clear();
    sample.not_tested.clear();
    for row in &mut sample.layers {
        row.centred_cosine = row.centred_cosine.map(|_| 0.001);
        row.agreement = row.agreement.map(|_| 0.002);
        row.z = row.z.map(|_| 0.4);
    }
    let weights = &mut sample.weights;
    weights.verdict = Some(WeightsVerdict::NoEvidence);
    weights.likelihood = Some(0.0312);
    weights.log10_p = Some(-0.31);
    weights.z = Some(0.44);
    weights.relations.clear();
    weights.direction = None;
    (weights.left_share, weights.right_share) = (0.0, 0.0);
    for (_, share) in &mut weights.inherited_by_component {
        *share = 0.0;
    }
    weights.evidence.retain(|evidence| !evidence.is_for);
    weights.reasons = vec!["no statistic exceeds what independent weights give".to_owned()];
    sample
}

/// Validates a document; with `objection` it must fail.
fn check(verb: &str, text: &str, objection: &str) {
    let schema: Value = serde_json::from_str(schema::of(verb).expect("a schema")).expect("JSON");
    let document: Value = serde_json::from_str(text).expect("JSON");
    let outcome = validate(&schema, &schema, &document, "$");
    assert_eq!(outcome.is_ok(), objection.is_empty(), "{outcome:?} {objection}\n{text}");
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
