//! The program as a process: exit codes, streams and files, on models of a few kilobytes made here.
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

#[path = "cli/attacks.rs"]
mod attacks;
#[path = "cli/evaluate.rs"]
mod evaluate;
#[path = "cli/matrix.rs"]
mod matrix;
mod schemas;
mod tiny_models;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tiny_models::{Fixture, folder};

/// Runs the program on the CPU with an environment that the developer's own cannot change.
fn cognate(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().expect("the program starts")
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cognate"));
    command.current_dir(folder).args(arguments).env("COGNATE_BACKEND", "cpu").env("LC_ALL", "C.UTF-8");
    for name in ["NO_COLOR", "CLICOLOR_FORCE", "COGNATE_FORMAT", "COGNATE_EFFORT", "COGNATE_GPU", "HF_HOME"] {
        command.env_remove(name);
    }
    command
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("the program ends by itself")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn every_run_ends_with_the_promised_code() {
    let folder = folder();
    let path = folder.path();
    std::fs::write(path.join("broken.safetensors"), b"\x08\0\0\0\0\0\0\0{}").expect("written");
    std::fs::create_dir(path.join("empty")).expect("made");
    std::fs::create_dir(path.join("nan")).expect("made");
    Fixture::trained(1).with_nan().write(&path.join("nan/model.safetensors"));
    for (arguments, wanted) in [
        (&["compare", "a", "copy"][..], 0),
        (&["compare", "a", "b"], 0),
        (&["compare", "a", "copy", "--fail-on", "derived,identical"], 1),
        (&["compare", "a", "copy", "--fail-on", "derived"], 0),
        (&["compare", "a", "copy", "--expect", "no-evidence"], 1),
        (&["compare", "a", "copy", "--expect", "identical"], 0),
        (&[], 2),
        (&["compare", "a"], 2),
        (&["compare", "a", "b", "--no-such-flag"], 2),
        (&["compare", "a", "b", "--only", "plain", "--fail-on", "derived"], 2),
        (&["compare", "a", "b", "--fail-on", "related"], 2),
        (&["compare", "a", "b", "--prior", "1"], 2),
        (&["compare", "a", "b", "--backend", "cpu", "--gpu", "0"], 2),
        (&["compare", "a", "b", "-o", "a/model.safetensors"], 2),
        (&["compare", "a", "b", "-o", "b/report.txt"], 2),
        (&["compare", "a", "broken.safetensors"], 3),
        (&["compare", "a", "no/such/place"], 3),
        (&["compare", "a", "gpt-4o"], 3),
        (&["compare", "a", "b", "-o", "no-folder/report.txt"], 3),
        (&["compare", "--pairs", "no-list.txt"], 3),
        (&["compare", "a", "empty"], 4),
        (&["compare", "a", "nan"], 4),
        (&["compare", "a", "nan", "--allow-partial"], 0),
        (&["compare", "a", "nan", "--fail-on", "identical,derived,requantised"], 4),
        (&["compare", "a", "b", "--gpu", "no such card", "--backend", "gpu"], 6),
        (&["inspect", "a"], 0),
        (&["inspect", "broken.safetensors"], 3),
        (&["schema"], 0),
        (&["schema", "inspect"], 0),
        (&["completions", "bash"], 0),
        (&["--version"], 0),
        (&["compare", "--help"], 0),
    ] {
        let output = cognate(path, arguments);
        assert_eq!(code(&output), wanted, "{arguments:?}\n{}\n{}", stdout(&output), stderr(&output));
        assert_eq!(stderr(&output).is_empty(), wanted == 0, "{arguments:?}\n{}", stderr(&output));
    }
}

#[test]
fn stdout_holds_the_result_alone() {
    let folder = folder();
    let output = cognate(folder.path(), &["compare", "a", "copy"]);
    assert!(stderr(&output).is_empty(), "{}", stderr(&output));
    let text = stdout(&output);
    for word in ["ARCHITECTURE", "WEIGHTS", "identical", "THROUGHPUT"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert!(!text.contains('\u{1b}'));
    assert!(
        stdout(&cognate(folder.path(), &["compare", "a", "copy", "--color", "always"])).contains('\u{1b}')
    );
    assert_eq!(stdout(&cognate(folder.path(), &["compare", "a", "copy", "-q"])), "same identical\n");
    let markdown = stdout(&cognate(folder.path(), &["compare", "a", "copy", "--format", "markdown"]));
    assert!(markdown.starts_with("### ") && markdown.contains("| weights | **identical** |"), "{markdown}");
}

#[test]
fn json_is_valid_whatever_happens() {
    let folder = folder();
    let done = json(&cognate(folder.path(), &["compare", "a", "copy", "--format", "json"]));
    assert_eq!(done["schema_version"], "cognate.compare/1");
    assert_eq!(done["weights"]["verdict"], "identical");
    assert_eq!(done["exit_code"], 0);
    for (arguments, exit_code) in [
        (&["compare", "a", "no/such/place", "--format", "json"][..], 3),
        (&["compare", "a", "b", "--format=json", "--gpu", "no such card", "--backend", "gpu"], 6),
        (&["compare", "a", "--format", "json"], 2),
        (&["inspect", "no/such/place", "--format", "json"], 3),
    ] {
        let output = cognate(folder.path(), arguments);
        let failed = json(&output);
        assert_eq!(failed["error"]["exit_code"], exit_code, "{failed}");
        assert_eq!(code(&output), exit_code);
        assert!(failed["error"]["message"].as_str().is_some_and(|message| !message.is_empty()));
        let in_a_line: Vec<&str> = arguments
            .iter()
            .map(|word| if word.contains("json") { "--format=jsonl" } else { word })
            .collect();
        let in_a_line: Vec<&str> = in_a_line.into_iter().filter(|word| *word != "--format").collect();
        assert_eq!(stdout(&cognate(folder.path(), &in_a_line)).lines().count(), 1, "{in_a_line:?}");
    }
}

#[test]
fn every_document_keeps_to_its_schema() {
    let folder = folder();
    for arguments in [
        &["compare", "a", "b"][..],
        &["compare", "a", "copy", "--digest", "--effort", "quick"],
        &["compare", "a", "copy", "--only", "plain"],
        &["compare", "a", "no/such/place"],
        &["inspect", "a"],
        &["inspect", "a", "--header-only"],
        &["inspect", "no/such/place"],
        &["devices"],
    ] {
        let output =
            command(folder.path(), arguments).args(["--format", "json"]).output().expect("it starts");
        let text = stdout(&output);
        assert_eq!(schemas::check(arguments[0], &text), Ok(()), "{arguments:?}\n{text}");
    }
}

#[test]
fn a_device_can_be_asked_whether_it_computes_correctly() {
    let folder = folder();
    let arguments = ["devices", "--check", "--gpu", "llvmpipe", "--format", "json"];
    let output = cognate(folder.path(), &arguments);
    let text = stdout(&output);
    assert_eq!(schemas::check("devices", &text), Ok(()), "{text}");
    if code(&output) == 6 && json(&output)["error"]["code"] == "GPU-MISSING" {
        let required = std::env::var("COGNATE_REQUIRE_GPU").is_ok_and(|value| value == "1");
        assert!(!required, "COGNATE_REQUIRE_GPU=1: {text}");
        eprintln!("skipped: no software adapter");
        return;
    }
    let check = &json(&output)["devices"][0]["check"];
    assert_eq!((code(&output), &check["passed"]), (0, &Value::Bool(true)), "{text}");
    let lines = check["lines"].as_array().expect("lines");
    for build in ["checked", "unchecked"] {
        for tier in ["tile", "small"] {
            let is_it = |line: &&Value| line["build"] == build && line["tier"] == tier;
            assert!(lines.iter().filter(is_it).count() >= 2, "{build} {tier}: {text}");
        }
    }
    assert!(json(&output)["devices"].as_array().is_some_and(|devices| devices.len() == 1), "{text}");
}

#[test]
fn threads_change_nothing_but_the_throughput() {
    let folder = folder();
    let bytes = |threads: &str| {
        let arguments = ["compare", "a", "b", "--format", "json", "--threads", threads];
        let mut document = json(&cognate(folder.path(), &arguments));
        document.as_object_mut().expect("an object").remove("throughput").expect("throughput");
        document.to_string()
    };
    assert_eq!(bytes("1"), bytes("3"));
}

#[test]
fn one_bad_pair_does_not_stop_the_rest() {
    let folder = folder();
    let path = folder.path();
    let list = "# left right\na copy\n\na no/such/place\njust-one-word\n[\"a\", \"b\"]\n{\"left\": \"b\", \"right\": \"a\"}\n";
    std::fs::write(path.join("pairs.txt"), list).expect("written");
    let output = cognate(path, &["compare", "--pairs", "pairs.txt"]);
    assert_eq!(code(&output), 2, "a malformed line outranks an unreadable model");
    let lines: Vec<Value> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).expect("a document per line"))
        .collect();
    let codes: Vec<i64> = lines.iter().map(|line| line["exit_code"].as_i64().expect("a code")).collect();
    assert_eq!(codes, [0, 3, 2, 0, 0]);
    assert_eq!(lines[0]["weights"]["verdict"], "identical");
    assert_eq!(lines[1]["right"]["reference"], "no/such/place");
    assert_eq!(lines[4]["left"]["reference"], "b");
    std::fs::write(path.join("good.txt"), "a copy\na b\n").expect("written");
    let output = cognate(path, &["compare", "--pairs", "good.txt", "--format", "markdown", "-o", "out.md"]);
    assert_eq!((code(&output), stdout(&output).as_str()), (0, ""));
    let table = std::fs::read_to_string(path.join("out.md")).expect("the output");
    assert_eq!(table.lines().count(), 4, "{table}");
}

#[test]
fn a_closed_stdout_is_quiet_and_keeps_the_code() {
    let folder = folder();
    for arguments in
        [&["compare", "a", "copy"][..], &["compare", "a", "copy", "--fail-on", "identical"], &["schema"]]
    {
        let wanted = code(&cognate(folder.path(), arguments));
        let mut child = command(folder.path(), arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(code(&output), wanted, "{arguments:?}");
        assert!(
            !stderr(&output).contains("panic") && !stderr(&output).contains("pipe"),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn an_output_file_appears_whole_or_not_at_all() {
    let folder = folder();
    let path = folder.path();
    std::fs::write(path.join("report.json"), "old").expect("written");
    let failed = cognate(path, &["compare", "a", "no/such/place", "--format", "json", "-o", "report.json"]);
    assert_eq!(code(&failed), 3);
    assert_eq!(std::fs::read_to_string(path.join("report.json")).expect("kept"), "old");
    let done = cognate(path, &["compare", "a", "copy", "--format", "json", "-o", "report.json"]);
    assert_eq!((code(&done), stdout(&done).as_str()), (0, ""));
    let text = std::fs::read_to_string(path.join("report.json")).expect("the output");
    assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON")["weights"]["verdict"], "identical");
    let names = std::fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    assert!(
        !names.into_iter().any(|name| name.to_string_lossy().ends_with(".tmp")),
        "no temporary file is left"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_never_a_short_report() {
    let folder = folder();
    for arguments in [&["compare", "a", "copy", "-o", "/dev/full"][..], &["inspect", "a"]] {
        let mut command = command(folder.path(), arguments);
        if arguments[0] == "inspect" {
            command.stdout(std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full"));
        }
        let output = command.output().expect("the program starts");
        assert_eq!(code(&output), 3, "{}", stderr(&output));
        assert!(stderr(&output).contains("cannot write"), "{}", stderr(&output));
    }
}

#[cfg(unix)]
#[test]
fn a_link_is_never_followed_by_an_output() {
    let folder = folder();
    let path = folder.path();
    std::fs::write(path.join("precious"), "old").expect("written");
    std::os::unix::fs::symlink("precious", path.join("link")).expect("linked");
    assert_eq!(code(&cognate(path, &["compare", "a", "copy", "-o", "link"])), 2);
    assert_eq!(std::fs::read_to_string(path.join("precious")).expect("kept"), "old");
}

#[test]
fn only_some_statistics_give_no_verdict() {
    let folder = folder();
    let document =
        json(&cognate(folder.path(), &["compare", "a", "copy", "--only", "plain", "--format", "json"]));
    assert_eq!(document["weights"]["verdict"], Value::Null);
    assert_eq!(document["tool"]["selective"], serde_json::json!(["plain"]));
}

#[test]
fn inspect_counts_what_is_not_a_number() {
    let folder = folder();
    Fixture::trained(1).with_nan().write(&folder.path().join("nan.safetensors"));
    let document = json(&cognate(folder.path(), &["inspect", "nan.safetensors", "--format", "json"]));
    assert_eq!(document["values"]["nan"], 1);
    let document =
        json(&cognate(folder.path(), &["inspect", "nan.safetensors", "--format", "json", "--header-only"]));
    assert_eq!(document["values"], Value::Null);
    assert!(document["tensors"].as_array().is_some_and(|tensors| tensors.len() == tiny_models::N_TENSORS));
}

#[cfg(unix)]
#[test]
fn signals_end_with_their_own_codes() {
    let folder = folder();
    // a list of pairs that is never finished keeps the program busy
    let fifo = folder.path().join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
    assert!(made.success());
    for (signal, wanted) in [("INT", 130), ("TERM", 143)] {
        let child = command(folder.path(), &["compare", "--pairs", "fifo"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        // opening the other end succeeds once the program has opened its own, after its handlers are set
        let writer = std::fs::OpenOptions::new().write(true).open(&fifo).expect("opened by both");
        let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().expect("kill");
        assert!(sent.success());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(code(&output), wanted);
        drop(writer);
    }
}

#[test]
fn every_help_ends_with_examples() {
    let folder = folder();
    for verb in ["compare", "inspect", "devices", "bench", "completions", "schema"] {
        let help = stdout(&cognate(folder.path(), &[verb, "--help"]));
        assert!(help.contains("Examples:\n  cognate "), "{verb}: {help}");
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{verb}: {help}");
    }
}

#[test]
fn a_bench_of_a_file_keeps_to_its_schema_and_needs_a_file_and_a_baseline_that_are_some() {
    let folder = folder();
    let noise: Vec<u8> =
        (0..100_000_u32).flat_map(|place| ((place * 7919 % 16000 + 15000) as u16).to_le_bytes()).collect();
    std::fs::write(folder.path().join("noise"), noise).expect("write");
    std::fs::write(folder.path().join("short"), [0; 100]).expect("write");
    std::fs::write(folder.path().join("other.json"), "{\"schema_version\": 1}").expect("write");
    let found = cognate(folder.path(), &["bench", "--io", "noise", "--format", "json"]);
    assert_eq!(found.status.code(), Some(0));
    let document = stdout(&found);
    assert_eq!(schemas::check("bench", &document), Ok(()), "{document}");
    assert!(document.contains("\"moments\""), "{document}");
    for arguments in [
        ["bench", "--io", "short"].as_slice(),
        &["bench", "--io", "missing"],
        &["bench", "--baseline", "missing.json"],
        &["bench", "--io", "noise", "--baseline", "other.json"],
    ] {
        let found = cognate(folder.path(), arguments);
        assert_eq!(found.status.code(), Some(3), "{arguments:?}");
    }
}
