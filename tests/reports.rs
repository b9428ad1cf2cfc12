//! Reports of hand-made comparisons: as approved, within 100 columns, and true to their schemas.
//!
//! `COGNATE_ACCEPT=1 cargo test --test reports` writes the approved files anew; read the difference before committing.

mod samples;
#[path = "schemas/bounds.rs"]
mod bounds;
mod schemas;

use cognate::bench::{
    BenchReport, DeviceReport, IoLine, Line, ModelReport, ModelStage, Outcome, Peak, SHAPES, Timing, Unit,
};
use cognate::compare::{ArchitectureVerdict, Comparison, WeightsVerdict};
use cognate::report::terminal::Style;
use cognate::report::wire::{self, ErrorDocument, Failure};
use cognate::report::{baseline, json, markdown, svg, terminal};
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
        let changed = text.lines().zip(approved.lines()).find(|(now, before)| now != before);
        assert!(text == approved, "{file}: {changed:?}; COGNATE_ACCEPT=1 accepts the new text");
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
fn one_thing_is_counted_in_the_singular() {
    let mut one = samples::renamed_fine_tune();
    one.left.n_layers = Some(1);
    one.left.files.truncate(1);
    one.weights.support.n_families = 1;
    one.shared_tokens = Some((1, 1));
    one.architecture.renamed.iter_mut().for_each(|renaming| renaming.count = 1);
    let text = [terminal::comparison(&one, UNICODE), markdown::comparison(&one)].concat();
    let words: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let plurals = ["layers", "files", "families", "strings", "tensors", "matrices", "tests", "threads"];
    for three in words.windows(3).filter(|three| three[0] == "1") {
        assert!(!plurals.contains(&three[1]) && !plurals.contains(&three[2]), "{three:?} in\n{text}");
    }
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
        assert_eq!(schemas::check("compare", &text), Ok(()), "{text}");
    }
}

#[test]
fn a_bench_document_keeps_to_its_schema_and_withholds_wrong_speeds() {
    let timing = Timing { median_s: 0.5, min_s: 0.4, mad_s: 0.01, n_samples: 20, throttled: false };
    let line =
        |outcome| Line { kernel: "moments", shape: SHAPES[0], n_rows_used: 512, dtype: "BF16", outcome };
    let measured = Outcome::Measured {
        rate: 12.3,
        unit: Unit::GigabytesPerSecond,
        peak: Some(("memory read", 0.8)),
        timing,
        error: 1e-9,
        error_bound: 1e-7,
    };
    let withheld = Outcome::Withheld { error: 0.5, error_bound: 1e-7 };
    let failed = Outcome::Failed { cause: "the device was lost".to_owned() };
    let stage = ModelStage { name: "plain".to_owned(), seconds: 1.0, size_bytes: 100, flop: 7 };
    let model = |is_right| ModelReport {
        name: "7b",
        effort: "standard",
        n_parameters: 25,
        size_bytes: 100,
        bytes_per_s: Some(1e9),
        seconds: 2.0,
        cpu_seconds: Some(3.5),
        peak_resident_bytes: Some(4096),
        bytes_read: 100,
        cells_examined: 5,
        flop: 7,
        stages: vec![stage.clone()],
        error: 1e-9,
        error_bound: 1e-4,
        is_right,
    };
    let read = |error| IoLine {
        what: "read",
        is_warm: true,
        n_threads: 2,
        rate: 9.0,
        share_of_read: None,
        timing,
        error,
        error_bound: 0.0,
    };
    let report = BenchReport {
        version: "0.1.0",
        seed: 1,
        models: vec![model(true), model(false)],
        io: vec![read(0.0), read(1.0)],
        devices: vec![DeviceReport {
            name: "cpu".to_owned(),
            driver: String::new(),
            tier: "avx2+fma".to_owned(),
            is_software: false,
            n_threads: 2,
            peaks: vec![Peak { name: "memory read", rate: 15.0, unit: Unit::GigabytesPerSecond, timing }],
            lines: vec![line(measured), line(withheld), line(failed)],
        }],
    };
    let document = |held| json::document(&wire::Bench::new(&report, held, 6));
    let text = document(None);
    assert_eq!(schemas::check("bench", &text), Ok(()), "{text}");
    let value: Value = serde_json::from_str(&text).expect("JSON");
    // a wrong answer has no speed in any form
    for (path, wanted) in [
        ("/devices/0/lines/0/rate", Some(12.3)),
        ("/devices/0/lines/1/rate", None),
        ("/models/0/seconds", Some(2.0)),
        ("/models/1/seconds", None),
        ("/io/0/rate", Some(9.0)),
        ("/io/1/rate", None),
    ] {
        assert_eq!(value.pointer(path).and_then(Value::as_f64), wanted, "{path}");
    }
    let held = baseline::compare(&value, &value, 0.1).expect("a run against itself");
    assert_eq!(held.slower().count(), 0);
    assert_eq!(schemas::check("bench", &document(Some(&held))), Ok(()));
    let table = terminal::bench(&report, Some(&held), UNICODE);
    assert!(table.contains("12.3 GB/s") && table.contains("1e-9") && table.contains("FAILED"), "{table}");
    // one of each kind
    assert_eq!(table.matches("speed withheld").count(), 3, "{table}");
    assert_eq!(markdown::bench(&report, None).matches("**wrong answer**").count(), 3);
    let picture = svg::roofline(&report);
    assert!(picture.starts_with("<svg ") && picture.trim_end().ends_with("</svg>"), "{picture}");
    // the line that was measured is a point, the others are not
    assert_eq!(picture.matches("<circle").count(), 1, "{picture}");
}

#[test]
fn the_schema_tells_bounded_numbers_from_exact_ones() {
    for (path, wanted) in [
        ("$.layers[3].cosine", Some(5)),
        ("$.weights.z", Some(2)),
        ("$.weights.power.smallest_share", Some(4)),
        ("$.weights.inherited.by_component.mlp", Some(4)),
        ("$.left.parameters", None),
        ("$.weights.power.alpha", None),
    ] {
        assert_eq!(bounds::decimals_at("compare", path), wanted, "{path}");
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
        assert!(schemas::check("compare", &text.replacen(from, to, 1)).is_err(), "{from}");
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
