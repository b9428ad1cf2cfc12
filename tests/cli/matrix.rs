//! `cognate matrix` as a process.

use super::tiny_models::{Fixture, folder};
use super::{code, cognate, schemas, stderr, stdout};

#[test]
fn every_pair_of_a_folder_in_four_forms() {
    let folder = folder();
    let path = folder.path();
    let in_form = |form: &str| {
        let output = cognate(path, &["matrix", ".", "--format", form]);
        assert_eq!(code(&output), 0, "{output:?}");
        stdout(&output)
    };
    let json = in_form("json");
    assert_eq!(schemas::check("matrix", &json), Ok(()));
    let document: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(document["models"], serde_json::json!(["./a", "./b", "./copy"]));
    assert_eq!(document["likelihood"][0][2], document["likelihood"][2][0]);
    assert!(document["likelihood"][0][2].as_f64() > document["likelihood"][0][1].as_f64());
    assert!(document["likelihood"][1][1].is_null());
    let csv = in_form("csv");
    assert_eq!(csv.lines().count(), 4);
    assert!(csv.contains("\"./a\",\"./copy\",same,identical,"), "{csv}");
    // the copy joins its original before the other model does
    let newick = in_form("newick");
    assert!(newick.contains("('./a':") && newick.trim_end().ends_with(';'), "{newick}");
    assert!(newick.contains("'./copy':") && !newick.contains("('./a':1"), "{newick}");
    assert!(in_form("table").contains("./copy (identical)"));
}

#[test]
fn a_broken_model_costs_its_own_pairs_alone() {
    let folder = folder();
    let path = folder.path();
    let output = cognate(path, &["matrix", "a", "copy", "missing", "--format", "csv"]);
    assert_eq!(code(&output), 3);
    let text = stdout(&output);
    assert!(text.contains("\"a\",\"copy\",same,identical,"), "{text}");
    assert_eq!(text.matches(",error,").count(), 2, "{text}");
    for (arguments, wanted) in [
        (&["matrix", "a"][..], 2),
        (&["matrix", "a", "a"], 2),
        (&["matrix"], 2),
        (&["matrix", "a", "b", "-o", "a/x.csv"], 2),
    ] {
        assert_eq!(code(&cognate(path, arguments)), wanted, "{arguments:?}");
    }
}

#[test]
fn the_nearest_are_compared_and_the_others_are_said_not_to_be() {
    let folder = folder();
    let path = folder.path();
    let near = |models: &[&str], form: &str| {
        let output = cognate(path, &[&["matrix"], models, &["--nearest", "1", "--format", form]].concat());
        (code(&output), stdout(&output))
    };
    let (exit_code, csv) = near(&["a", "b", "copy"], "csv");
    assert_eq!(exit_code, 0);
    assert!(csv.contains("\"a\",\"copy\",same,identical,"), "{csv}");
    assert_eq!(csv.matches(",not-compared,").count(), 1, "{csv}");
    let json = near(&["a", "b", "copy"], "json").1;
    assert_eq!(schemas::check("matrix", &json), Ok(()));
    let document: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(document["nearest"], 1);
    let left_out =
        document["pairs"].as_array().expect("pairs").iter().filter(|pair| pair["compared"] == false);
    assert_eq!(left_out.count(), 1);
    assert!(near(&["a", "b", "copy"], "table").1.contains("1 pair was not compared"));
    // what has no profile is compared with all, so that its error is heard
    let (exit_code, csv) = near(&["a", "copy", "missing"], "csv");
    assert_eq!((exit_code, csv.matches(",error,").count()), (3, 2), "{csv}");
    assert_eq!(code(&cognate(path, &["matrix", "a", "b", "--nearest", "0"])), 2);
}

#[test]
fn loose_files_of_a_folder_are_models_unless_the_folder_is_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    for (name, seed) in [("a.safetensors", 1), ("b.safetensors", 2)] {
        Fixture::trained(seed).write(&path.join(name));
    }
    std::fs::create_dir(path.join("copy")).expect("made");
    Fixture::trained(1).write(&path.join("copy/model.safetensors"));
    std::fs::write(path.join("optimizer.pt"), "no model").expect("written");
    std::fs::write(path.join("notes.txt"), "no model").expect("written");
    let models = |place: &str| -> serde_json::Value {
        let output = cognate(path, &["matrix", place, "--format", "json"]);
        assert_eq!(code(&output), 0, "{output:?}");
        serde_json::from_str::<serde_json::Value>(&stdout(&output)).expect("JSON")["models"].clone()
    };
    assert_eq!(models("."), serde_json::json!(["./a.safetensors", "./b.safetensors", "./copy"]));
    // a folder with a config is a model: what lies below it counts alone
    std::fs::create_dir(path.join("other")).expect("made");
    Fixture::trained(3).write(&path.join("other/model.safetensors"));
    std::fs::write(path.join("config.json"), "{}").expect("written");
    assert_eq!(models("."), serde_json::json!(["./copy", "./other"]));
}

#[test]
fn a_pair_that_cannot_be_compared_is_one_line_on_stderr() {
    let folder = folder();
    let path = folder.path();
    std::fs::write(path.join("broken.safetensors"), b"\x08\0\0\0\0\0\0\0{}").expect("written");
    let output = cognate(path, &["matrix", "a", "copy", "broken.safetensors"]);
    assert_eq!(code(&output), 3);
    let told = stderr(&output);
    assert_eq!(told.lines().count(), 2, "{told}");
    for (line, pair) in told.lines().zip(["a ~ broken.safetensors: ", "copy ~ broken.safetensors: "]) {
        assert!(line.starts_with("error[") && line.contains("broken.safetensors: "), "{line} of {pair}");
    }
}
