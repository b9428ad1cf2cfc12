//! `cognate evaluate` as a process.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use super::schemas;
use super::tiny_models::{Fixture, folder};

fn evaluate(folder: &Path, arguments: &[&str]) -> Output {
    super::cognate(folder, &[&["evaluate"], arguments].concat())
}

fn document(output: &Output) -> Value {
    let text = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    assert_eq!(schemas::check("evaluate", &text), Ok(()), "{text}");
    serde_json::from_str(&text).expect("JSON")
}

/// A safetensors file of zeros.
fn one_tensor(name: &str, shape: [usize; 2]) -> Vec<u8> {
    let n_bytes = 4 * shape[0] * shape[1];
    let header = json!({name: {"dtype": "F32", "shape": shape, "data_offsets": [0, n_bytes]}}).to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.into_bytes());
    bytes.extend(vec![0; n_bytes]);
    bytes
}

fn pair(left: &str, right: &str, label: &str, families: (&str, &str)) -> String {
    json!({"left": left, "right": right, "label": label, "family_left": families.0, "family_right": families.1})
        .to_string()
}

#[test]
fn pairs_are_counted_and_a_bad_one_stops_nothing() {
    let folder = folder();
    let path = folder.path();
    std::fs::write(path.join("broken.safetensors"), b"\x08\0\0\0\0\0\0\0{}").expect("written");
    std::fs::write(path.join("other.safetensors"), one_tensor("x", [1, 3])).expect("written");
    Fixture::trained(1).with_nan().write(&path.join("nan.safetensors"));
    let lines = [
        pair("a", "copy", "identical", ("A", "A")),
        pair("a", "b", "independent", ("A", "B")),
        pair("b", "a", "independent", ("B", "A")),
        pair("a", "missing", "derived", ("A", "A")),
        pair("a", "broken.safetensors", "derived", ("A", "A")),
        pair("copy", "b", "stolen", ("A", "B")),
        pair("other.safetensors", "b", "independent", ("O", "B")),
        pair("nan.safetensors", "b", "independent", ("A", "B")),
    ];
    std::fs::write(path.join("pairs.jsonl"), lines.join("\n")).expect("written");
    let output = evaluate(path, &["pairs.jsonl", "--format", "json"]);
    let found = document(&output);
    assert_eq!(output.status.code(), Some(2), "usage comes before input and nothing comparable");
    assert_eq!(found["pairs"]["listed"], 8);
    assert_eq!(found["pairs"]["compared"], 3);
    assert_eq!(found["rates"]["false_accusations"], 0);
    assert_eq!(found["rates"]["same_config"], 2);
    assert_eq!(found["false_positive_bound"]["families"], 2);
    let lines: Vec<u64> =
        found["lines"].as_array().expect("lines").iter().filter_map(|l| l["line"].as_u64()).collect();
    assert_eq!(lines, [3, 6], "the pair listed twice, the unknown label");
    let codes: Vec<u64> =
        found["faults"].as_array().expect("faults").iter().filter_map(|f| f["exit_code"].as_u64()).collect();
    assert!(codes.contains(&3) && codes.contains(&4), "{codes:?}");
    for format in ["table", "markdown"] {
        let output = evaluate(path, &["pairs.jsonl", "--format", format]);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(text.contains("3 of 8"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100 || format != "table"), "{text}");
    }
}

#[test]
fn a_run_takes_over_what_an_earlier_one_finished_and_nothing_of_another_kind() {
    let folder = folder();
    let path = folder.path();
    let lines =
        [pair("a", "copy", "identical", ("A", "A")), pair("a", "b", "independent", ("A", "B"))].join("\n");
    std::fs::write(path.join("pairs.jsonl"), lines).expect("written");
    let arguments = ["pairs.jsonl", "--format", "json", "--resume", "done.jsonl"];
    let first = document(&evaluate(path, &arguments));
    // whoever opens a model now would fail
    for name in ["a", "b", "copy"] {
        std::fs::remove_dir_all(path.join(name)).expect("removed");
    }
    let mut done = std::fs::read_to_string(path.join("done.jsonl")).expect("kept");
    assert_eq!(done.lines().count(), 2);
    done.push_str("{\"left\": \"a\", \"ri");
    std::fs::write(path.join("done.jsonl"), done).expect("a line cut short");
    let second = evaluate(path, &arguments);
    assert_eq!(second.status.code(), Some(0));
    assert_eq!(document(&second), first);
    let other_seed = evaluate(path, &[&arguments[..], &["--seed", "9"]].concat());
    assert_eq!(other_seed.status.code(), Some(3));
}

#[test]
fn a_manifest_that_is_missing_or_empty_is_an_error() {
    let folder = folder();
    let path = folder.path();
    std::fs::write(path.join("empty.jsonl"), "# nothing\n").expect("written");
    for (arguments, code) in [
        (&["no.jsonl"][..], 3),
        (&["empty.jsonl"], 2),
        (&["empty.jsonl", "--resume", "empty.jsonl"], 2),
        (&["empty.jsonl", "-o", "empty.jsonl"], 2),
    ] {
        assert_eq!(evaluate(path, arguments).status.code(), Some(code), "{arguments:?}");
    }
}
