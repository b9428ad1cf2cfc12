//! `cognate evaluate --attacks` as a process.

use serde_json::Value;

use super::schemas;
use super::tiny_models::folder;

#[test]
fn a_matrix_is_one_document_and_keeps_its_models_where_it_is_told_to() {
    let folder = folder();
    let run = |arguments: &[&str]| {
        super::cognate(folder.path(), &[&["evaluate", "--attacks", "a", "b"][..], arguments].concat())
    };
    let output =
        run(&["--seeds", "1", "--transforms", "t1,f16,experts-8", "--keep", "kept", "--format", "json"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(schemas::check("attacks", &text), Ok(()), "{text}");
    let found: Value = serde_json::from_str(&text).expect("JSON");
    // two models, three transforms, one seed; each against its own model and against the other one
    assert_eq!((&found["related"]["total"], &found["unrelated"]["total"]), (&6.into(), &6.into()), "{text}");
    assert_eq!(found["unrelated"]["flipped"], 0, "{text}");
    let kept = std::fs::read_dir(folder.path().join("kept")).expect("a folder").count();
    assert_eq!(kept, 6, "each transformed model is left");

    let table = String::from_utf8(run(&["--seeds", "1", "--transforms", "T2"]).stdout).expect("UTF-8");
    assert!(table.contains("not applicable"), "heads are not known without a config: {table}");
    assert_eq!(run(&["--transforms", "T19"]).status.code(), Some(2), "no such transform");
    assert_eq!(run(&["--keep", "a/kept"]).status.code(), Some(2), "inside a model that is read");
}
