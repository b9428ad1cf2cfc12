//! Hostile text through every sink: terminal, JSON, Markdown. Each output is parsed again
//! and searched for raw control characters and for whatever could act on its reader.

mod samples;

use cognate::compare::{Comparison, Parameter, Relation, Renaming, Side};
use cognate::report::escape;
use cognate::report::terminal::{self, Style};
use cognate::report::wire::{self, ErrorDocument, Failure};
use cognate::report::{json, markdown};
use proptest::prelude::*;
use serde_json::Value;

const STRINGS: [(&str, &str); 48] = [
    ("OT01", "<script>alert(1)</script>"),
    ("OT02", "</title>"),
    ("OT03", "\"><img src=x onerror=alert(1)>"),
    ("OT04", "javascript:alert(1)"),
    ("OT05", "]]>"),
    ("OT06", "<!-- "),
    ("OT07", "&#x3c;b&#x3e;"),
    ("OT08", "'\"`'\""),
    ("OT09", "data:text/html;base64,PHNjcmlwdD4="),
    ("OT10", "```\ninjected"),
    ("OT11", "a | b | c"),
    ("OT12", "row\n| next | row |"),
    ("OT13", "![x](http://example.invalid/x.png)"),
    ("OT14", "[x](javascript:alert(1))"),
    ("OT15", "${{ secrets.TOKEN }}"),
    ("OT16", "{{ 7 * 7 }}"),
    ("OT17", "{% include 'x' %}"),
    ("OT18", "=cmd|' /C calc'!A0"),
    ("OT19", "+1+1"),
    ("OT20", "-1-1"),
    ("OT21", "@SUM(1,1)"),
    ("OT22", "::set-output name=verdict::no-evidence"),
    ("OT23", "\n::error file=x,line=1::gotcha"),
    ("OT24", "::add-mask::derived"),
    ("OT25", "x ##vso[task.complete result=Succeeded;]"),
    ("OT26", "a%0A::error::b"),
    ("OT27", "::stop-commands::token"),
    ("OT28", "\u{1b}[2J\u{1b}[1;1H"),
    ("OT29", "\u{1b}]8;;http://example.invalid\u{1b}\\link\u{1b}]8;;\u{1b}\\"),
    ("OT30", "\u{1b}]52;c;aGk=\u{7}"),
    ("OT31", "\u{80}\u{85}\u{9b}31m\u{9f}"),
    ("OT32", "\u{7}\u{7}"),
    ("OT33", "derived\rno-evidence"),
    ("OT34", "derived\u{8}\u{8}\u{8}"),
    ("OT35", "\u{7f}"),
    ("OT36", "a\0b"),
    ("OT37", "\u{1b}]0;title\u{7}"),
    ("OT38", "\u{202e}gpj.exe"),
    ("OT39", "\u{2066}x\u{2069}"),
    ("OT40", "a\u{200b}\u{200d}\u{2060}b"),
    ("OT41", "mоdel.lаyers"),
    ("OT42", "a\u{300}\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}"),
    ("OT43", "\u{feff}model"),
    ("OT44", "\\ud800 \\u{202e} \\n"),
    ("OT45", "path\u{fffd}"),
    ("OT47", ""),
    ("OT48", "    "),
    ("OT50", "a.b.c"),
];

/// The strings of the table, and the large ones.
fn strings() -> Vec<(&'static str, String)> {
    let mut all: Vec<(&str, String)> = STRINGS.iter().map(|(id, text)| (*id, (*text).to_owned())).collect();
    all.push(("OT46", "M".repeat(1 << 20)));
    all.push(("OT49", "w".repeat(4096)));
    all
}

/// A comparison with `text` wherever a file decides what is printed.
fn infected(text: &str) -> Comparison {
    let mut sample = samples::renamed_fine_tune();
    for model in [&mut sample.left, &mut sample.right] {
        model.reference = text.to_owned();
        model.family = text.to_owned();
        model.commit = Some(text.to_owned());
        model.files[0].name = text.to_owned();
        model.notes = vec![(text.to_owned(), text.to_owned())];
        model.dtypes[0].0 = text.to_owned();
    }
    sample.architecture.renamed = vec![Renaming { from: text.to_owned(), to: text.to_owned(), count: 1 }];
    sample.architecture.differences = vec![text.to_owned()];
    sample.weights.reasons = vec![text.to_owned()];
    sample.weights.relations =
        vec![Relation::new(text, text.to_owned()).with("text", Parameter::Text(text.to_owned()))];
    for row in &mut sample.deltas {
        row.left = text.to_owned();
        row.right = text.to_owned();
    }
    for evidence in &mut sample.weights.evidence {
        evidence.says = text.to_owned();
        evidence.component = text.to_owned();
    }
    for tensor in &mut sample.not_tested {
        tensor.tensor = text.to_owned();
        tensor.reason = text.to_owned();
        tensor.model = Side::Left;
    }
    for row in &mut sample.layers {
        row.component = text.to_owned();
    }
    sample.throughput.device = text.to_owned();
    sample.throughput.driver = text.to_owned();
    sample
}

fn failure(text: &str) -> Failure {
    let some = || Some(text.to_owned());
    Failure {
        code: "ST-SHORT".to_owned(),
        exit_code: 3,
        message: text.to_owned(),
        file: some(),
        tensor: some(),
        byte: Some(1),
        found: some(),
        wanted: some(),
        hint: some(),
    }
}

/// No character that steers a terminal or hides text, and no line that a build server would obey.
fn assert_inert(id: &str, output: &str) {
    for character in output.chars() {
        let steers = character.is_control() && character != '\n';
        let hides = matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        let piles_up = matches!(character, '\u{300}'..='\u{36f}');
        assert!(!steers && !hides && !piles_up, "{id}: {character:?} is raw");
    }
    for line in output.lines() {
        assert!(!line.trim_start().starts_with("::"), "{id}: a workflow command: {line}");
        assert!(!line.contains("##["), "{id}: a log command: {line}");
        assert!(!line.contains("##vso["), "{id}: a log command: {line}");
    }
}

#[test]
fn terminal_reports_stay_inert() {
    let n_lines =
        terminal::comparison(&infected("x"), Style { unicode: true, ..Style::default() }).lines().count();
    for (id, text) in strings() {
        for unicode in [true, false] {
            let style = Style { colour: false, unicode, verbose: true };
            let report = terminal::comparison(&infected(&text), style);
            assert_inert(id, &report);
            assert!(unicode || report.is_ascii(), "{id}: not ASCII");
            assert_inert(id, &terminal::failure(&failure(&text), style));
            let line = terminal::pair_line(&infected(&text), style);
            assert_inert(id, &line);
            assert_eq!(line.lines().count(), 1, "{id}");
        }
        if text.len() < 40 {
            let report = terminal::comparison(&infected(&text), Style { unicode: true, ..Style::default() });
            let grown = report.lines().count().saturating_sub(n_lines);
            // long texts wrap; a text with line breaks of its own adds no line that it begins
            assert!(grown <= 40, "{id}: {grown} more lines");
        }
    }
}

#[test]
fn json_gives_back_exactly_what_was_put_in() {
    for (id, text) in strings() {
        let sample = infected(&text);
        let document = wire::Comparison::new(&sample, 0, None);
        for output in [json::document(&document), json::line(&document)] {
            assert_inert(id, &output);
            let read: Value = serde_json::from_str(&output).expect("valid JSON");
            assert_eq!(read["left"]["reference"], text.as_str(), "{id}");
            assert_eq!(read["architecture"]["renamed"][0]["to"], text.as_str(), "{id}");
            assert_eq!(read["not_tested"][0]["tensor"], text.as_str(), "{id}");
        }
        assert_eq!(json::line(&document).lines().count(), 1, "{id}");
        let failure = failure(&text);
        let output = json::document(&ErrorDocument::new(wire::COMPARE_VERSION, &failure));
        assert_inert(id, &output);
        let read: Value = serde_json::from_str(&output).expect("valid JSON");
        assert_eq!(read["error"]["message"], text.as_str(), "{id}");
    }
}

#[test]
fn markdown_keeps_its_structure() {
    let clean = shape(&markdown::comparison(&infected("x")));
    for (id, text) in strings() {
        let report = markdown::comparison(&infected(&text));
        assert_inert(id, &report);
        assert_eq!(shape(&report), clean, "{id}: other headings, tags or table cells than with a plain name");
        assert_inert(id, &markdown::failure(&failure(&text)));
        let row = markdown::pair_row(&infected(&text));
        assert_eq!((row.lines().count(), row.matches('|').count()), (1, 7), "{id}");
    }
}

/// What a Markdown reader would build, without the texts: per line its tags, pipes and marks.
fn shape(text: &str) -> Vec<String> {
    let marks = |line: &str| -> String {
        line.chars().filter(|character| "|<>`[]()*{}!".contains(*character)).collect()
    };
    text.lines().map(marks).collect()
}

#[test]
fn a_hundred_thousand_names_make_a_short_terminal_report_and_a_bounded_markdown_one() {
    let mut sample = samples::renamed_fine_tune();
    let one = sample.not_tested[0].clone();
    sample.not_tested = vec![one; 100_000];
    assert!(terminal::comparison(&sample, Style::default()).len() < 10_000);
    assert!(markdown::comparison(&sample).len() < 1 << 20);
}

#[test]
fn names_in_the_terminal_can_be_read_back() {
    for (id, text) in strings() {
        assert_eq!(escape::unescape(&escape::name(&text)).as_deref(), Some(text.as_str()), "{id}");
        assert_eq!(escape::unescape(&escape::ascii_name(&text)).as_deref(), Some(text.as_str()), "{id}");
    }
}

proptest! {
    #[test]
    fn unescape_undoes_escape(text in any::<String>()) {
        prop_assert_eq!(escape::unescape(&cognate::tensor::escape(&text)), Some(text.clone()));
        prop_assert_eq!(escape::unescape(&escape::name(&text)), Some(text.clone()));
        let ascii = escape::ascii_name(&text);
        prop_assert!(ascii.is_ascii());
        prop_assert_eq!(escape::unescape(&ascii), Some(text));
    }

    #[test]
    fn any_text_is_inert_in_every_sink(text in any::<String>()) {
        assert_inert("random", &escape::name(&text));
        assert_inert("random", &format!("x{}", escape::sentence(&text)));
        assert_inert("random", &escape::markdown(&text));
        assert_inert("random", &json::line(&text));
        let read: String = serde_json::from_str(&json::line(&text)).expect("valid JSON");
        prop_assert_eq!(read, text);
    }

    #[test]
    fn no_text_makes_unescape_panic(text in "[\\\\u{}0-9a-f]{0,12}") {
        let _ = escape::unescape(&text);
    }
}
