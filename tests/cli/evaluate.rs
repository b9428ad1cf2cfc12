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
fn failures_of_one_code_are_told_three_times_and_then_counted() {
    let folder = folder();
    let path = folder.path();
    let lines: Vec<String> =
        (0..8).map(|n| pair("a", &format!("missing-{n}"), "derived", ("A", "A"))).collect();
    std::fs::write(path.join("pairs.jsonl"), lines.join("\n")).expect("written");
    for (arguments, n_told, counts_the_rest) in [(&[][..], 3, true), (&["--verbose"], 8, false)] {
        let output = evaluate(path, &[&["pairs.jsonl"], arguments].concat());
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(said.matches("error[").count(), n_told, "{said}");
        assert_eq!(said.contains("5 more pairs: "), counts_the_rest, "{said}");
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

#[test]
fn a_page_is_offline_and_hostile_names_are_text() {
    let folder = folder();
    let path = folder.path();
    let hostile = "<script>alert(1)</script>\u{1b}[31m";
    let lines = [pair("a", "b", "independent", ("A", "B")), pair("a", hostile, "derived", ("A", "A"))];
    std::fs::write(path.join("pairs.jsonl"), lines.join("\n")).expect("written");
    evaluate(path, &["pairs.jsonl", "--html", "page.html"]);
    let page = std::fs::read_to_string(path.join("page.html")).expect("a page");
    assert!(page.contains("Content-Security-Policy") && page.contains("default-src 'none'"));
    for forbidden in ["<script", "http:", "https:", "src=", "href=", "@import", "url(", "\u{1b}"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && page.contains("<svg"));
}

#[test]
fn rivals_stand_in_one_table_with_ours() {
    let folder = folder();
    let path = folder.path();
    let lines = [pair("a", "copy", "identical", ("A", "A")), pair("a", "b", "independent", ("A", "B"))];
    std::fs::write(path.join("pairs.jsonl"), lines.join("\n")).expect("written");
    let found = document(&evaluate(path, &["pairs.jsonl", "--methods", "all", "--format", "json"]));
    let methods = found["methods"].as_array().expect("methods");
    assert_eq!(methods.len(), 1 + cognate::rivals::RIVALS.len());
    // whatever a method is made of, a copy is more like its original than another model, or the config alone decides
    for method in methods {
        let auc = method["auc"].as_f64().expect("both classes");
        let wanted = if method["name"] == "MPK-like" { 0.5 } else { 1.0 };
        assert_eq!(auc, wanted, "{method}");
        assert_eq!(method["scored"], 2, "{method}");
    }
}

#[test]
fn shuffled_models_have_no_small_p_and_are_no_pairs_of_the_manifest() {
    let folder = folder();
    let path = folder.path();
    std::fs::write(path.join("pairs.jsonl"), pair("a", "b", "independent", ("A", "B"))).expect("written");
    let found = document(&evaluate(path, &["pairs.jsonl", "--null", "12", "--format", "json"]));
    assert_eq!(found["pairs"]["compared"], 1);
    let shuffled = found["null_shuffled"].as_array().expect("kinds");
    let combined = shuffled.iter().find(|kind| kind["kind"] == "combined").expect("combined");
    assert_eq!(combined["tests"], 12);
    // 12 uniform p hold one of 1e-3 or less with probability .012; the draws are seeded
    assert_eq!(combined["at_most_1e_3"], 0);
    let unshuffled = super::json(&super::cognate(path, &["compare", "a", "a", "--format", "json"]));
    assert!(unshuffled["weights"]["log10_p"].as_f64().expect("a p") < -6.0, "in order it rejects");
}

#[test]
fn a_fit_needs_both_classes_and_writes_what_the_next_build_reads() {
    let folder = folder();
    let path = folder.path();
    let split = |line: String| line.replace('{', r#"{"split":"fit","#);
    let independent = split(pair("a", "b", "independent", ("A", "B")));
    std::fs::write(path.join("one.jsonl"), &independent).expect("written");
    let one_class = evaluate(path, &["one.jsonl", "--fit", "."]);
    assert_eq!(one_class.status.code(), Some(2));
    assert!(!one_class.stdout.is_empty() && !path.join("likelihood.json").exists());
    let both = [independent, split(pair("a", "copy", "identical", ("A", "A")))].join("\n");
    std::fs::write(path.join("both.jsonl"), both).expect("written");
    let fitted = evaluate(path, &["both.jsonl", "--fit", ".", "--map-version", "trial"]);
    assert_eq!(fitted.status.code(), Some(0), "{fitted:?}");
    let text = std::fs::read_to_string(path.join("likelihood.json")).expect("a map");
    let map: cognate::evidence::LikelihoodMap = serde_json::from_str(&text).expect("as the build reads it");
    assert_eq!((map.version.as_str(), map.families, map.families_wrong), ("trial", 2, 0));
    assert!(map.points.windows(2).all(|pair| pair[0] <= pair[1]) && map.points.len() >= 2);
    assert_eq!(map.cap(), 0.0, "two families support nothing");
    let text = std::fs::read_to_string(path.join("controls.json")).expect("controls");
    let controls: cognate::evidence::ShippedControls =
        serde_json::from_str(&text).expect("as the build reads it");
    assert!(!controls.cells.is_empty() || text.contains("\"pairs\": 1"));
}

#[test]
fn a_folder_of_fitted_data_is_made_before_a_pair_is_compared_or_is_an_error_at_once() {
    let folder = folder();
    let path = folder.path();
    std::fs::write(path.join("pairs.jsonl"), pair("a", "b", "independent", ("A", "B"))).expect("written");
    std::fs::write(path.join("file"), "").expect("written");
    let output = evaluate(path, &["pairs.jsonl", "--fit", "file/data", "--format", "json"]);
    assert_eq!(output.status.code(), Some(3));
    let says = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(says.contains("cannot make"), "{says}");
    // one document, of the failure alone
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(!text.contains("\"pairs\""), "{text}");
}
