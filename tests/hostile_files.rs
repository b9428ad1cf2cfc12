//! Damaged and hostile files: each row of a table is a file or folder, and what must become of it.
//!
//! The rows carry the ids of the list of bad inputs: ST (safetensors), IX (index and folder), CT (config and tokenizer).

#[path = "common/hostile.rs"]
mod hostile;

use std::path::Path;

use cognate::checkpoint::{self, Checkpoint, Limits};
use cognate::source::{Access, HubCache, Links};
use hostile::{Folder, file, sparse, tensor, tensors};
use proptest::prelude::*;

/// What must become of an input.
#[derive(Clone, Copy, Debug)]
enum Want {
    /// Exit 3, this rule, this fragment in the four lines.
    Refused(&'static str, &'static str),
    /// Exit 4, this fragment.
    NoWeights(&'static str),
    /// So many tensors, and none of the notes that follow from the file itself.
    Accepted(usize),
    /// So many tensors and a note of this rule.
    Noted(usize, &'static str),
}
use Want::{Accepted, NoWeights, Noted, Refused};

/// Notes about what does not lie beside the file.
const ABSENCES: [&str; 1] = ["CT-ABSENT"];

fn check(id: &str, path: &Path, want: Want) {
    let outcome = checkpoint::open(&path.to_string_lossy(), &Limits::default());
    match (want, &outcome) {
        (Refused(rule, fragment), Err(error)) => refused(id, error, 3, rule, fragment),
        (NoWeights(fragment), Err(error)) => refused(id, error, 4, "DIR-NO-WEIGHTS", fragment),
        (Accepted(n_tensors), Ok(checkpoint)) => {
            assert_eq!(checkpoint.tensors.len(), n_tensors, "{id}");
            let notes: Vec<_> =
                checkpoint.notes.iter().filter(|note| !ABSENCES.contains(&note.rule)).collect();
            assert!(notes.is_empty(), "{id}: {notes:?}");
        }
        (Noted(n_tensors, rule), Ok(checkpoint)) => {
            assert_eq!(checkpoint.tensors.len(), n_tensors, "{id}");
            assert!(checkpoint.notes.iter().any(|note| note.rule == rule), "{id}: {:?}", checkpoint.notes);
        }
        (_, Ok(checkpoint)) => panic!("{id}: wanted {want:?}, accepted {checkpoint:?}"),
        (_, Err(error)) => panic!("{id}: wanted {want:?}, got\n{}", error.fault().to_lines()),
    }
}

fn refused(id: &str, error: &checkpoint::Error, exit_code: u8, rule: &str, fragment: &str) {
    let fault = error.fault();
    let lines = fault.to_lines();
    assert_eq!((error.exit_code(), fault.rule), (exit_code, rule), "{id}\n{lines}");
    assert!(lines.contains(fragment), "{id}: no '{fragment}' in\n{lines}");
    assert!(fault.file.is_some(), "{id}: no file in\n{lines}");
    assert!(lines.len() < 4096 && lines.lines().count() <= 4, "{id}:\n{lines}");
    let steers = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!lines.contains(steers), "{id}: {lines:?}");
}

fn check_files(rows: Vec<(&str, Vec<u8>, Want)>) {
    for (id, bytes, want) in rows {
        let folder = Folder::new();
        folder.write("model.safetensors", bytes);
        check(id, &folder.at("model.safetensors"), want);
        check(id, folder.path(), want);
    }
}

/// A file with one tensor object of this text and one byte of data.
fn info(text: &str) -> Vec<u8> {
    file(format!(r#"{{"w":{text}}}"#), 1)
}

/// A file of one U8 tensor with a field of this value that the format does not know.
fn unknown_field(value: &str) -> Vec<u8> {
    info(&format!(r#"{{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":{value}}}"#))
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

fn length_only(length: u64) -> Vec<u8> {
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend_from_slice(b"{}      ");
    bytes
}

#[test]
fn lengths_that_do_not_fit_are_refused() {
    check_files(vec![
        ("ST01", Vec::new(), Refused("ST-SHORT", "found:  0 bytes")),
        ("ST02", vec![7], Refused("ST-SHORT", "found:  1 byte")),
        ("ST03", vec![0; 7], Refused("ST-SHORT", "byte 7 is the first one missing")),
        ("ST04", vec![2, 0, 0, 0, 0, 0, 0, 0], Refused("ST-SHORT", "shorter than its header says")),
        ("ST05", vec![0; 8], Refused("ST-JSON", "header is empty")),
        ("ST06", length_only(9), Refused("ST-SHORT", "shorter than its header says")),
        ("ST07", length_only(100_000_000), Refused("ST-HEADER-SIZE", "--max-header-bytes")),
        ("ST08", length_only(100_000_001), Refused("ST-HEADER-SIZE", "not a safetensors file")),
        ("ST09", length_only(1 << 63), Refused("ST-HEADER-SIZE", "9,223,372,036,854,775,808")),
        ("ST10", length_only(u64::MAX), Refused("ST-HEADER-SIZE", "18,446,744,073,709,551,615")),
    ]);
}

#[test]
fn other_files_are_named_for_what_they_are() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1\nsize 4991238144\n";
    let page = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>";
    check_files(vec![
        ("ST11", pointer.into(), Refused("ST-LFS", "sha256 4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1")),
        ("ST11", pointer.into(), Refused("ST-LFS", "git lfs pull")),
        ("ST12", page.into(), Refused("ST-TYPE", "HTML")),
        ("ST13", b"PK\x03\x04\x14\0\0\0\x08\0archive/data.pkl".to_vec(), Refused("ST-TYPE", "zip archive")),
        ("ST13", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.".to_vec(), Refused("ST-TYPE", "pickle")),
        ("ST13", b"\x80\x02}q\0(X\x01\0\0\0wq\x01K\x01u.".to_vec(), Refused("ST-TYPE", "pickle")),
        ("ST14", b"GGUF\x03\0\0\0\x01\0\0\0\0\0\0\0".to_vec(), Refused("ST-TYPE", "GGUF")),
        ("ST15", b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec(), Refused("ST-TYPE", "gzip")),
        ("text", b"Entry not found".to_vec(), Refused("ST-TYPE", "text file")),
    ]);
}

#[test]
fn the_data_must_be_exactly_as_long_as_the_header_says() {
    let two = format!("{{{},{}}}", tensor("a", "U8", "[4]", 0, 4), tensor("b", "U8", "[4]", 4, 8));
    let whole = file(&two, 8);
    let cut = |n: usize| whole[..whole.len() - n].to_vec();
    let with = |more: &[u8]| [whole.as_slice(), more].concat();
    check_files(vec![
        ("whole", whole.clone(), Accepted(2)),
        ("ST16", cut(1), Refused("ST-SHORT", "tensor 'b' ends after the end of the file")),
        ("ST17", cut(4), Refused("ST-SHORT", "tensor 'b'")),
        ("ST17", cut(5), Refused("ST-SHORT", "tensor 'a'")),
        ("ST18", cut(20), Refused("ST-SHORT", "first one missing")),
        ("ST19", with(b"\0"), Refused("ST-TRAILING", "goes on after the last tensor")),
        ("ST20", with(b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), Refused("ST-TRAILING", "appended")),
    ]);
}

#[test]
fn ranges_must_tile_the_data() {
    let pair = |a: (u64, u64), b: (u64, u64)| {
        let sized =
            |name, (begin, end): (u64, u64)| tensor(name, "U8", &format!("[{}]", end - begin), begin, end);
        file(format!("{{{},{}}}", sized("a", a), sized("b", b)), 8)
    };
    let same: Vec<String> = (0..10).map(|i| tensor(&format!("t{i}"), "U8", "[8]", 0, 8)).collect();
    let bomb: Vec<String> =
        (0..100_000).map(|i| tensor(&format!("t{i}"), "U8", "[160000]", 0, 160_000)).collect();
    check_files(vec![
        ("ST21", pair((1, 4), (4, 8)), Refused("ST-HOLE", "tensor")),
        ("ST22", pair((0, 3), (4, 8)), Refused("ST-HOLE", "found:  begin 4    wanted: 3")),
        ("ST23", pair((0, 5), (4, 8)), Refused("ST-OVERLAP", "found:  begin 4    wanted: 5")),
        ("ST24", file(format!("{{{}}}", same.join(",")), 8), Refused("ST-OVERLAP", "overlaps")),
        ("ST24", file(format!("{{{}}}", bomb.join(",")), 160_000), Refused("ST-OVERLAP", "overlaps")),
        (
            "ST25",
            info(r#"{"dtype":"U8","shape":[1],"data_offsets":[1,0]}"#),
            Refused("ST-OFFSETS", "ends before it begins"),
        ),
        (
            "ST26",
            info(r#"{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}"#),
            Refused("ST-OFFSETS", "two numbers"),
        ),
        (
            "ST26",
            info(r#"{"dtype":"U8","shape":[1],"data_offsets":[0]}"#),
            Refused("ST-OFFSETS", "two numbers"),
        ),
        (
            "ST27",
            info(r#"{"dtype":"U8","shape":[9],"data_offsets":[0,9]}"#),
            Refused("ST-SHORT", "tensor 'w'"),
        ),
        (
            "ST27",
            info(r#"{"dtype":"U8","shape":[1],"data_offsets":[18446744073709551614,18446744073709551615]}"#),
            Refused("ST-HOLE", "18,446,744,073,709,551,614"),
        ),
    ]);
}

#[test]
fn shapes_must_fit_their_ranges_and_64_bits() {
    let shaped = |dtype: &str, shape: &str| {
        info(&format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,1]}}"#))
    };
    let empty =
        |shape: &str| file(format!(r#"{{"w":{{"dtype":"F32","shape":{shape},"data_offsets":[0,0]}}}}"#), 0);
    check_files(vec![
        ("ST28", shaped("U8", "[2]"), Refused("ST-SIZE", "needs 2 bytes but its range holds 1")),
        ("ST28", shaped("U8", "[0]"), Refused("ST-SIZE", "needs 0 bytes but its range holds 1")),
        ("ST29", shaped("U8", "[4294967296,4294967296]"), Refused("ST-OVERFLOW", "64 bits")),
        ("ST30", shaped("U8", "[9223372036854775808,2]"), Refused("ST-OVERFLOW", "64 bits")),
        ("ST30", empty("[0,9223372036854775808,2]"), Refused("ST-OVERFLOW", "2^63")),
        ("ST30", empty("[9223372036854775808,2,0]"), Refused("ST-OVERFLOW", "2^63")),
        // below 2^64 and above 2^63
        ("ST30", empty("[0,4294967296,4294967295]"), Refused("ST-OVERFLOW", "2^63")),
        ("ST31", shaped("F64", "[2305843009213693952]"), Refused("ST-OVERFLOW", "bits")),
        ("ST36", shaped("U8", "[1.0]"), Refused("ST-FIELD", "floating point")),
        ("ST37", shaped("U8", "[1e0]"), Refused("ST-FIELD", "floating point")),
        ("ST38", shaped("U8", "[-1]"), Refused("ST-FIELD", "integer `-1`")),
        ("ST39", shaped("U8", "[-0]"), Refused("ST-FIELD", "floating point")),
        ("ST40", shaped("U8", "[\"1\"]"), Refused("ST-FIELD", "string")),
        ("ST50", shaped("U8", &format!("[{}1]", "1,".repeat(999_999))), Refused("ST-RANK", "more than 16")),
        ("ST50", shaped("U8", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"), Accepted(1)),
        ("ST50", shaped("U8", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"), Refused("ST-RANK", "at most 16")),
    ]);
}

#[test]
fn nothing_may_be_named_twice() {
    let legal = tensor("w", "U8", "[1]", 0, 1);
    check_files(vec![
        (
            "ST32",
            file(format!("{{{legal},{}}}", tensor("w", "I8", "[1]", 0, 1)), 1),
            Refused("ST-DUPLICATE", "tensor 'w' occurs twice"),
        ),
        (
            "ST33",
            file(format!("{{{legal},{}}}", tensor("\\u0077", "U8", "[1]", 1, 2)), 2),
            Refused("ST-DUPLICATE", "tensor 'w'"),
        ),
        (
            "ST34",
            info(r#"{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}"#),
            Refused("ST-DUPLICATE", "'dtype' occurs twice"),
        ),
        (
            "ST34",
            info(r#"{"dtype":"U8","shape":[1],"\u0073hape":[1],"data_offsets":[0,1]}"#),
            Refused("ST-DUPLICATE", "'shape' occurs twice"),
        ),
        ("ST34", unknown_field(r#"{"k":1,"\u006b":2}"#), Refused("ST-FIELD", "a key occurs twice")),
        (
            "ST35",
            file(format!(r#"{{"__metadata__":{{"k":"1","\u006b":"2"}},{legal}}}"#), 1),
            Refused("ST-DUPLICATE", "key 'k'"),
        ),
        (
            "ST35",
            file(format!(r#"{{"__metadata__":{{}},"__metadata__":{{}},{legal}}}"#), 1),
            Refused("ST-DUPLICATE", "'__metadata__' occurs twice"),
        ),
    ]);
}

#[test]
fn the_header_must_be_an_object_of_objects() {
    let with_metadata =
        |value: &str| file(format!(r#"{{"__metadata__":{value},{}}}"#, tensor("w", "U8", "[1]", 0, 1)), 1);
    let legal = format!("{{{}}}", tensor("w", "U8", "[1]", 0, 1));
    check_files(vec![
        ("ST41", file("[]", 0), Refused("ST-ROOT", "not a JSON object")),
        ("ST42", file("12345678", 0), Refused("ST-ROOT", "not a JSON object")),
        ("ST43", file("null", 0), Refused("ST-ROOT", "not a JSON object")),
        ("ST44", info(r#"["U8",[1],[0,1]]"#), Refused("ST-FIELD", "an object with dtype")),
        ("ST44", info("null"), Refused("ST-FIELD", "an object with dtype")),
        ("ST44", info(r#"{"dtype":"U8","shape":[1]}"#), Refused("ST-FIELD", "is missing")),
        ("ST45", with_metadata("null"), Refused("ST-METADATA", "an object of strings")),
        ("ST45", with_metadata("7"), Refused("ST-METADATA", "an object of strings")),
        ("ST45", with_metadata(r#"{"a":{"b":"c"}}"#), Refused("ST-METADATA", "a string")),
        ("ST45", with_metadata(r#"{"format":"pt"}"#), Accepted(1)),
        ("ST46", unknown_field(&nested(125)), Noted(1, "ST-UNKNOWN")),
        ("ST46", unknown_field(&nested(126)), Refused("ST-DEPTH", "nested too deeply")),
        (
            "ST47",
            unknown_field(&format!("\"{}\"", "x".repeat(1 << 20))),
            Refused("ST-FIELD", "1,048,576 bytes"),
        ),
        ("ST47", unknown_field(&nested(129)), Refused("ST-DEPTH", "nested too deeply")),
        ("ST48", unknown_field(&nested(100_000)), Refused("ST-DEPTH", "nested too deeply")),
        ("ST49", unknown_field(&nested(1_000_000)), Refused("ST-DEPTH", "nested too deeply")),
        ("ST53", file([legal.as_bytes(), b"\xff"].concat(), 1), Refused("ST-UTF8", "UTF-8")),
        (
            "ST54",
            file(r#"{"\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, 1),
            Refused("ST-JSON", "hex escape"),
        ),
        ("ST55", file(format!("\u{feff}{legal}"), 1), Refused("ST-BOM", "byte order mark")),
        ("ST56", file(format!("{legal}\0\0"), 1), Refused("ST-JSON", "not valid JSON")),
        ("padding", file(format!("{legal}\n"), 1), Refused("ST-PADDING", "other than spaces")),
        ("padding", file(format!("\n{legal}"), 1), Refused("ST-ROOT", "not a JSON object")),
        ("padding", file(format!("  {legal}"), 1), Noted(1, "ST-LEADING")),
        ("second object", file(format!("{legal}{legal}"), 1), Refused("ST-JSON", "trailing characters")),
        ("cut JSON", file(&legal[..legal.len() - 2], 1), Refused("ST-JSON", "EOF")),
    ]);
}

#[test]
fn strange_names_are_accepted_and_long_ones_refused() {
    let long = "x".repeat(4097);
    check_files(vec![
        ("ST57", tensors(&[""]), Accepted(1)),
        ("ST57", tensors(&["\\u0000"]), Accepted(1)),
        ("ST58", tensors(&["\\u001b[2J"]), Accepted(1)),
        ("ST59", tensors(&["<script>alert(1)</script>"]), Accepted(1)),
        ("ST60", tensors(&["a\u{202e}b"]), Accepted(1)),
        ("ST61", tensors(&[&long[1..]]), Accepted(1)),
        ("ST61", tensors(&[&long]), Refused("ST-NAME", "4,097 bytes")),
        ("ST61", tensors(&[&"\u{1f4a3}".repeat(1 << 18)]), Refused("ST-NAME", "1,048,576 bytes")),
        ("ST62", tensors(&["../../x"]), Accepted(1)),
        ("ST62", tensors(&["\u{e9}", "e\u{301}"]), Accepted(2)),
        ("ST62", tensors(&["w", "W"]), Accepted(2)),
        (
            "hostile name in a message",
            file(format!("{{{}}}", tensor("\\u001b[2J\\n\u{202e}", "F9", "[1]", 0, 1)), 1),
            Refused("ST-DTYPE", "'F9'"),
        ),
    ]);
}

#[test]
fn every_dtype_of_the_format_is_known_and_no_other() {
    let of = |dtype: &str, shape: &str, size: usize| {
        file(format!("{{{}}}", tensor("w", dtype, shape, 0, size as u64)), size)
    };
    check_files(vec![
        ("ST63", of("F32", "[]", 4), Accepted(1)),
        ("ST64", of("F32", "[3,0]", 0), Accepted(1)),
        ("ST65", file("{}", 0), Noted(0, "ST-EMPTY")),
        ("ST66", of("F4", "[3]", 2), Refused("ST-SUBBYTE", "do not fill whole bytes")),
        ("ST66", of("F4", "[4]", 2), Accepted(1)),
        ("ST66", of("F6_E2M3", "[3]", 2), Refused("ST-SUBBYTE", "18 bits")),
        ("ST66", of("F6_E3M2", "[4]", 3), Accepted(1)),
        ("ST67", of("F9", "[1]", 1), Refused("ST-DTYPE", "knows no dtype 'F9'")),
        ("ST67", of("bf16", "[1]", 2), Refused("ST-DTYPE", "'bf16'")),
    ]);
    // name and bits as the format's own documentation lists them
    let dtypes = [
        ("F64", 8),
        ("F32", 4),
        ("F16", 2),
        ("BF16", 2),
        ("F8_E4M3", 1),
        ("F8_E5M2", 1),
        ("F8_E4M3FNUZ", 1),
        ("F8_E5M2FNUZ", 1),
        ("F8_E8M0", 1),
        ("C64", 8),
        ("I64", 8),
        ("I32", 4),
        ("I16", 2),
        ("I8", 1),
        ("U64", 8),
        ("U32", 4),
        ("U16", 2),
        ("U8", 1),
        ("BOOL", 1),
    ];
    for (dtype, size) in dtypes {
        check_files(vec![("ST68", of(dtype, "[1]", size), Accepted(1))]);
    }
}

#[test]
fn alignment_and_padding_change_nothing() {
    let legal = format!("{{{}}}", tensor("w", "F32", "[2]", 0, 8));
    let unaligned = format!("{{{},{}}}", tensor("a", "U8", "[3]", 0, 3), tensor("w", "F32", "[2]", 3, 11));
    let padded = format!("{legal}{}", " ".repeat(4096 - legal.len()));
    check_files(vec![
        ("ST69", file(format!("{legal}{}", " ".repeat(1 - legal.len() % 2 + 1)), 8), Accepted(1)),
        ("ST70", file(unaligned, 11), Accepted(2)),
        ("ST71", file(padded, 8), Accepted(1)),
    ]);
}

#[test]
fn large_headers_and_files_are_bounded() {
    let many = |n: usize| {
        let mut text = String::with_capacity(n * 58);
        for i in 0..n {
            text.push(if i == 0 { '{' } else { ',' });
            text.push_str(&tensor(&i.to_string(), "U8", "[0]", 0, 0));
        }
        text.push('}');
        file(text, 0)
    };
    let mut keys = String::from(r#"{"__metadata__":{"#);
    for i in 0..1_000_000 {
        keys.push_str(&format!(r#""{i}":"","#));
    }
    keys.pop();
    keys.push_str("}}");
    check_files(vec![
        ("ST51", many(1_600_000), Refused("ST-HEADER-SIZE", "--max-header-bytes")),
        ("ST51", many(1_000_001), Refused("ST-COUNT", "--max-tensors")),
        // beyond 20,000 tensors the second reader goes entry by entry
        ("ST51", many(30_000), Accepted(30_000)),
        ("ST52", file(keys, 0), Noted(0, "ST-EMPTY")),
    ]);
    let folder = Folder::new();
    let n_data: u64 = (4 << 40) - 4096;
    let header = format!("{{{}}}", tensor("w", "U8", &format!("[{n_data}]"), 0, n_data));
    let start = file(format!("{header}{}", " ".repeat(4096 - 8 - header.len())), 0);
    sparse(&folder.at("model.safetensors"), &start, 4 << 40);
    check("ST72", folder.path(), Accepted(1));
}

/// A folder of two shards, 'a' in the first and 'b' in the second, and its index.
fn sharded() -> Folder {
    let folder = Folder::new();
    folder.write("1.safetensors", tensors(&["a"])).write("2.safetensors", tensors(&["b"]));
    folder.index(&[("a", "1.safetensors"), ("b", "2.safetensors")]);
    folder
}

#[test]
fn shards_are_plain_names_beside_the_index() {
    check("two shards", sharded().path(), Accepted(2));
    check("the file itself", &sharded().at("model.safetensors.index.json"), Accepted(2));
    for (id, shard, fragment) in [
        ("IX01", "../1.safetensors", "separator"),
        ("IX02", "/etc/passwd", "separator"),
        ("IX03", "C:x.safetensors", "drive"),
        ("IX03", "C:\\\\x", "separator"),
        ("IX04", "a/1.safetensors", "separator"),
        ("IX05", "", "empty"),
        ("IX06", "1.safetensors\\u0000", "NUL"),
        ("IX07", ".", "folder"),
        ("IX07", "..", "folder"),
        ("IX08", "model.safetensors.index.json", "the file itself"),
        ("IX11", "./1.safetensors", "separator"),
    ] {
        let folder = sharded();
        folder.index(&[("a", shard), ("b", "2.safetensors")]);
        check(id, folder.path(), Refused("IX-NAME", fragment));
    }
}

#[test]
fn index_and_shards_must_agree() {
    let folder = sharded();
    std::fs::remove_file(folder.at("2.safetensors")).expect("remove");
    check("IX09", folder.path(), Refused("IX-MISSING", "2.safetensors"));
    folder.write("2.safetensors.incomplete", "");
    check("IX21", folder.path(), Refused("IX-MISSING", "download unfinished"));

    let folder = sharded();
    folder.write("2.safetensors.incomplete", "");
    check("IX21", folder.path(), Noted(2, "IX-INCOMPLETE"));

    let folder = sharded();
    folder.write("2.safetensors", "");
    check("IX10", folder.path(), Refused("ST-SHORT", "2.safetensors"));

    let folder = sharded();
    std::fs::remove_file(folder.at("2.safetensors")).expect("remove");
    std::fs::hard_link(folder.at("1.safetensors"), folder.at("2.safetensors")).expect("link");
    check("IX11", folder.path(), Refused("IX-TWICE", "same file"));

    let folder = sharded();
    folder.index(&[("a", "1.safetensors"), ("b", "2.safetensors"), ("c", "2.safetensors")]);
    check("IX12", folder.path(), Refused("IX-ABSENT", "tensor 'c'"));
    folder.index(&[("a", "2.safetensors"), ("b", "1.safetensors")]);
    check(
        "IX12",
        folder.path(),
        Refused("IX-ABSENT", "found:  in '1.safetensors'    wanted: in '2.safetensors'"),
    );

    let folder = sharded();
    folder.write("2.safetensors", tensors(&["b", "extra"]));
    check("IX13", folder.path(), Noted(3, "IX-UNINDEXED"));
    folder.write("2.safetensors", tensors(&["b", "a"]));
    check("IX14", folder.path(), Refused("IX-DUPLICATE", "tensor 'a' is in two shards"));

    let folder = sharded();
    folder.write("1.SAFETENSORS", tensors(&["b"])).index(&[("a", "1.safetensors"), ("b", "1.SAFETENSORS")]);
    check("IX29", folder.path(), Refused("IX-CASE", "differ only in case"));
}

#[test]
fn the_text_of_an_index_is_checked() {
    let map = r#""weight_map":{"a":"1.safetensors","b":"2.safetensors"}"#;
    for (id, text, want) in [
        ("IX15", format!(r#"{{"metadata":{{"total_size":99}},{map}}}"#), Noted(2, "IX-TOTAL-SIZE")),
        ("IX15", format!(r#"{{"metadata":{{"total_size":2.0}},{map}}}"#), Accepted(2)),
        ("IX16", format!("{{{map}}}"), Noted(2, "IX-TOTAL-SIZE")),
        ("IX17", r#"{"weight_map":{"a":7}}"#.into(), Refused("IX-JSON", "integer `7`")),
        ("IX17", r#"{"weight_map":{"a":["1.safetensors"]}}"#.into(), Refused("IX-JSON", "sequence")),
        ("IX17", r#"{"weight_map":[]}"#.into(), Refused("IX-JSON", "an object of tensor names")),
        ("no map", "{}".into(), Refused("IX-JSON", "names no tensor")),
        ("twice", format!("{{{map},{map}}}"), Refused("IX-JSON", "occurs twice")),
        (
            "twice",
            r#"{"weight_map":{"a":"1.safetensors","\u0061":"2.safetensors"}}"#.into(),
            Refused("IX-DUPLICATE", "tensor 'a'"),
        ),
        ("array", "[]".into(), Refused("IX-JSON", "form of an index")),
        ("empty", String::new(), Refused("IX-JSON", "empty file")),
        ("BOM", format!("\u{feff}{{{map}}}"), Refused("IX-JSON", "byte order mark")),
        ("deep", format!(r#"{{"x":{},{map}}}"#, nested(1_000_000)), Refused("IX-JSON", "too deeply")),
        ("cut", map.into(), Refused("IX-JSON", "form of an index")),
    ] {
        let folder = sharded();
        folder.write("model.safetensors.index.json", text);
        check(id, folder.path(), want);
    }
    let folder = sharded();
    sparse(&folder.at("model.safetensors.index.json"), b"{", 2 << 30);
    check("IX19", folder.path(), Refused("IX-JSON", "longer than allowed"));

    let entries: Vec<String> = (0..1_000_000).map(|i| format!(r#""{i}":"1.safetensors""#)).collect();
    folder.write("model.safetensors.index.json", format!(r#"{{"weight_map":{{{}}}}}"#, entries.join(",")));
    check("IX18", folder.path(), Refused("IX-ABSENT", "tensor '0'"));
}

#[test]
fn a_folder_must_hold_one_set_of_weights() {
    let folder = sharded();
    folder.write("model.safetensors", tensors(&["a"]));
    check(
        "IX20",
        folder.path(),
        Refused("IX-BOTH", "name 'model.safetensors' or 'model.safetensors.index.json' itself"),
    );
    check("IX20", &folder.at("model.safetensors"), Accepted(1));

    let folder = sharded();
    folder.write("consolidated.safetensors", tensors(&["a"]));
    check("IX20", folder.path(), Noted(2, "DIR-OTHER"));

    let folder = Folder::new();
    folder.write("model.safetensors", tensors(&["a"])).write("pytorch_model.bin", "");
    check("other format", folder.path(), Noted(1, "DIR-OTHER"));

    let folder = Folder::new();
    folder.write("any.safetensors", tensors(&["a"])).write("training_args.bin", "");
    check("one file", folder.path(), Accepted(1));
    folder.write("other.safetensors", tensors(&["a"]));
    check("two files", folder.path(), Refused("DIR-AMBIGUOUS", "any.safetensors, other.safetensors"));

    let folder = Folder::new();
    folder.write("model-00001-of-00002.safetensors", tensors(&["a"]));
    check("one shard", &folder.at("model-00001-of-00002.safetensors"), Noted(1, "IX-ONE-SHARD"));
    folder.write("model-00002-of-00002.safetensors", tensors(&["b"]));
    check("no index", folder.path(), Refused("DIR-AMBIGUOUS", "fetch their index"));

    let folder = Folder::new();
    check("empty", folder.path(), NoWeights("leaves no trace in weights"));
    folder.write("config.json", "{}");
    check("config only", folder.path(), NoWeights("a config and no weights"));
    folder.write("flax_model.msgpack", "");
    check("other format only", folder.path(), Refused("DIR-FORMAT", "flax_model.msgpack"));
    folder.write("model.safetensors.incomplete", "");
    check("unfinished", folder.path(), Refused("DIR-UNFINISHED", "fetch the model again"));
}

#[test]
fn a_name_without_weights_says_what_that_means() {
    for (reference, rule) in
        [("gpt-4o", "REF-API"), ("anthropic/claude-3-opus", "REF-API"), ("no/such/model", "REF-MISSING")]
    {
        let error = checkpoint::open(reference, &Limits::default()).expect_err(reference);
        assert_eq!((error.exit_code(), error.fault().rule), (3, rule), "{reference}");
    }
    let error = checkpoint::open("gpt-4o", &Limits::default()).expect_err("no weights");
    assert!(error.fault().to_lines().contains("leaves no trace in weights"));
}

#[cfg(unix)]
#[test]
fn links_and_special_files_are_judged_by_where_they_lead() {
    use std::os::unix::fs::symlink;
    let relink = |folder: &Folder, target: &Path| {
        std::fs::remove_file(folder.at("2.safetensors")).expect("remove");
        symlink(target, folder.at("2.safetensors")).expect("link");
    };

    let cache = Folder::new();
    cache.write("models--o--n/blobs/11", tensors(&["a"])).write("models--o--n/refs/main", "c0ffee");
    std::fs::create_dir_all(cache.at("models--o--n/snapshots/c0ffee")).expect("folder");
    symlink("../../blobs/11", cache.at("models--o--n/snapshots/c0ffee/model.safetensors")).expect("link");
    check("IX22", &cache.at("models--o--n/snapshots/c0ffee"), Accepted(1));
    check("IX22", &cache.at("models--o--n/snapshots/c0ffee/model.safetensors"), Accepted(1));
    let access = Access { cache: HubCache::at(cache.path()), ..Access::default() };
    let opened = checkpoint::open_with("o/n", &Limits::default(), &access).expect("IX22");
    assert_eq!((opened.commit.as_deref(), opened.reference.as_str()), (Some("c0ffee"), "o/n"));

    let folder = sharded();
    relink(&folder, Path::new("/etc/passwd"));
    check("IX23", folder.path(), Refused("LINK-OUTSIDE", "--follow-symlinks-outside"));
    relink(&folder, Path::new("/dev/zero"));
    check("IX24", folder.path(), Refused("LINK-OUTSIDE", "/dev/zero"));
    relink(&folder, Path::new("2.safetensors"));
    check("IX25", folder.path(), Refused("IO", "2.safetensors"));
    relink(&folder, Path::new("nowhere"));
    check("IX25", folder.path(), Refused("IO", "what a link points to"));
    let outside = sharded();
    relink(&folder, &outside.at("2.safetensors"));
    check("outside", folder.path(), Refused("LINK-OUTSIDE", "outside the model's folder"));
    let limits = Limits { links: Links::Anywhere, ..Limits::default() };
    checkpoint::open(&folder.path().to_string_lossy(), &limits).expect("allowed");

    std::fs::remove_file(folder.at("2.safetensors")).expect("remove");
    let made = std::process::Command::new("mkfifo").arg(folder.at("2.safetensors")).status().expect("mkfifo");
    assert!(made.success());
    check("IX26", folder.path(), Refused("FILE-KIND", "a pipe"));
    check("IX26", &folder.at("2.safetensors"), Refused("FILE-KIND", "a pipe"));

    std::fs::remove_file(folder.at("2.safetensors")).expect("remove");
    std::fs::create_dir(folder.at("2.safetensors")).expect("folder");
    check("IX27", folder.path(), Refused("FILE-KIND", "a folder"));

    use std::os::unix::fs::PermissionsExt;
    let folder = sharded();
    let locked = folder.at("2.safetensors");
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o000)).expect("chmod");
    match std::fs::File::open(&locked) {
        // the superuser reads everything
        Ok(_) => check("IX28", folder.path(), Accepted(2)),
        Err(_) => check("IX28", folder.path(), Refused("IO", "permission")),
    }
}

#[test]
fn a_shard_exchanged_between_listing_and_opening_is_noticed() {
    use cognate::source::{LocalFile, Source};
    let folder = sharded();
    let shard = folder.at("2.safetensors");
    let opened = LocalFile::open(&shard).expect("open");
    folder.write("new", tensors(&["b"]));
    std::fs::rename(folder.at("new"), &shard).expect("rename");
    let error = opened.verify_unchanged().expect_err("IX30");
    assert_eq!((error.exit_code(), error.fault().rule), (3, "CHANGED"));
    assert!(error.to_string().contains("changed while reading"));
}

fn with_sidecar(name: &str, bytes: impl AsRef<[u8]>) -> Folder {
    let folder = Folder::new();
    folder.write("model.safetensors", tensors(&["a"])).write(name, bytes);
    folder
}

fn open(folder: &Folder) -> Checkpoint {
    checkpoint::open(&folder.path().to_string_lossy(), &Limits::default()).expect("accepted")
}

#[test]
fn damaged_configs_and_tokenizers_are_refused() {
    for (name, rule) in [("config.json", "CT-CONFIG"), ("tokenizer.json", "CT-TOKENIZER")] {
        let folder = with_sidecar(name, "");
        sparse(&folder.at(name), b"{", 2 << 30);
        check("CT01", folder.path(), Refused(rule, "longer than allowed"));
        let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let model = |inside: &str| format!(r#"{{"model":{inside}}}"#);
        for (id, bytes, fragment) in [
            ("CT02", model(&nested(1_000_000)).into_bytes(), "too deeply"),
            ("CT03", br#"{"model":{},"model":{}}"#.to_vec(), "occurs twice"),
            ("CT16", b"\xef\xbb\xbf{}".to_vec(), "byte order mark"),
            ("CT17", utf16.clone(), "UTF-16"),
            ("CT17", [&b"\xff\xfe"[..], &utf16].concat(), "UTF-16"),
            ("CT18", Vec::new(), "empty file"),
            ("CT19", b"[]".to_vec(), "object"),
            ("not UTF-8", b"{\"a\":\"\xff\"}".to_vec(), "UTF-8"),
            ("cut", b"{\"model\":".to_vec(), "EOF"),
            ("hostile key", b"{\"\\u001b[2J\":1,\"\\u001b[2J\":2}".to_vec(), "occurs twice"),
        ] {
            check(id, with_sidecar(name, bytes).path(), Refused(rule, fragment));
        }
    }
    check(
        "CT11",
        with_sidecar("tokenizer.json", r#"{"model":{"vocab":{"a":-1}}}"#).path(),
        Refused("CT-TOKENIZER", "integer `-1`"),
    );
    check(
        "CT03",
        with_sidecar("tokenizer.json", r#"{"model":{"vocab":{"a":0,"a":1}}}"#).path(),
        Refused("CT-DUPLICATE", "token 'a'"),
    );
    check(
        "CT03",
        with_sidecar("config.json", r#"{"text_config":{"dim":1,"dim":2}}"#).path(),
        Refused("CT-CONFIG", "occurs twice"),
    );
    check("CT20", with_sidecar("README.md", "").path(), Noted(1, "CT-ABSENT"));
}

#[test]
fn numbers_of_a_config_are_never_lengths() {
    for (id, text, rule) in [
        ("CT04", r#"{"hidden_size":1e400}"#, "CT-VALUE"),
        ("CT05", r#"{"hidden_size":0}"#, "CT-VALUE"),
        ("CT06", r#"{"hidden_size":-1}"#, "CT-VALUE"),
        ("CT07", r#"{"hidden_size":9223372036854775808}"#, "CT-VALUE"),
        ("CT08", r#"{"num_layers":1000000000}"#, "CT-CONTRADICTION"),
        ("shape", r#"{"hidden_size":4096}"#, "CT-CONTRADICTION"),
        ("CT10", r#"{"auto_map":{"AutoModel":"modeling_x.X"}}"#, "CT-AUTO-MAP"),
    ] {
        check(id, with_sidecar("config.json", text).path(), Noted(1, rule));
    }
    let folder = with_sidecar("config.json", r#"{"architectures":["<script>x</script>"],"hidden_size":1}"#);
    let config = open(&folder).config.expect("CT09");
    assert_eq!((config.architecture.as_deref(), config.hidden_size), (Some("<script>x</script>"), Some(1)));
}

#[test]
fn tokenizers_are_read_as_data() {
    let text = r#"{"model":{"type":"BPE","vocab":{"a":4294967295,"b":0},"merges":["a b","aaaaaaaaaaaaaaaa b"]},
        "pre_tokenizer":{"type":"Split","pattern":{"Regex":"(a+)+$"}},"chat_template":"{{ cycler.__init__ }}"}"#;
    let vocabulary = open(&with_sidecar("tokenizer.json", text)).vocabulary.expect("CT11, CT13 to CT15");
    assert_eq!(vocabulary.tokens, [("a".to_string(), 4_294_967_295), ("b".to_string(), 0)]);

    let merges = "\"a b\",".repeat(10_000_000);
    let text = format!(r#"{{"model":{{"vocab":{{"a":0}},"merges":[{}]}}}}"#, merges.trim_end_matches(','));
    let vocabulary = open(&with_sidecar("tokenizer.json", text)).vocabulary.expect("CT12");
    assert_eq!(vocabulary.tokens.len(), 1);

    // the digest depends on tokens and ids, and on nothing else
    let digest = |text: &str| open(&with_sidecar("tokenizer.json", text)).vocabulary.expect("tokens").digest;
    let (one, reordered) =
        (r#"{"model":{"vocab":{"a":0,"b":1}}}"#, r#"{"x":1,"model":{"vocab":{"b":1,"a":0}}}"#);
    assert_eq!(digest(one), digest(reordered));
    assert_ne!(digest(one), digest(r#"{"model":{"vocab":{"a":1,"b":0}}}"#));
}

/// Name, dtype, shape, offset and size of a tensor.
type Entry = (String, String, Vec<u64>, u64, u64);

/// Entries of a file as the safetensors crate reads them from the whole file.
fn crate_entries(bytes: &[u8]) -> Result<Vec<Entry>, String> {
    let (header_bytes, metadata) =
        safetensors::SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let start = header_bytes as u64 + 8;
    let mut entries: Vec<_> = metadata
        .tensors()
        .into_iter()
        .map(|(name, info)| {
            let (begin, end) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
            let shape = info.shape.iter().map(|&dim| dim as u64).collect();
            (name, info.dtype.to_string(), shape, start + begin, end - begin)
        })
        .collect();
    entries.sort();
    Ok(entries)
}

/// A small legal file with several dtypes, metadata, an empty tensor and an escaped name.
fn seed_file() -> Vec<u8> {
    let header = format!(
        r#"{{"__metadata__":{{"format":"pt"}},{},{},{},{}}}  "#,
        tensor("a.weight", "BF16", "[2,3]", 0, 12),
        tensor("\\u0062.bias", "F32", "[2]", 12, 20),
        tensor("c", "F4", "[4]", 20, 22),
        tensor("d", "I64", "[0,5]", 22, 22),
    );
    file(header, 22)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_we_accept_of_a_mutated_file_the_crate_reads_alike(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..4, prop::sample::select(
            &b"{}[]\",:0123456789-.eE \\uabtrn\x00\xff\nFU8"[..])), 1..6),
    ) {
        let mut bytes = seed_file();
        for (at, kind, byte) in edits {
            let at = at.index(bytes.len().max(1));
            match kind {
                0 if at < bytes.len() => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 if at < bytes.len() => { bytes.remove(at); }
                _ => bytes.truncate(at),
            }
            // most edits of the text would die at the length field: repair it half of the time
            if kind < 3 && at >= 8 && bytes.len() > 30 && byte.is_ascii_digit() {
                let header_bytes = bytes.len() as u64 - 30;
                bytes[..8].copy_from_slice(&header_bytes.to_le_bytes());
            }
        }
        let folder = Folder::new();
        folder.write("model.safetensors", &bytes);
        let outcome = checkpoint::open(&folder.at("model.safetensors").to_string_lossy(), &Limits::default());
        match outcome {
            Err(error) => prop_assert_eq!(error.exit_code(), 3, "{}", error.fault().to_lines()),
            Ok(checkpoint) => {
                let mut ours: Vec<_> = checkpoint.tensors.iter().map(|tensor| {
                    (tensor.name.clone(), tensor.dtype.name().to_string(), tensor.shape.clone(), tensor.offset, tensor.size_bytes)
                }).collect();
                ours.sort();
                prop_assert_eq!(Ok(ours), crate_entries(&bytes));
            }
        }
    }

    #[test]
    fn mutated_indexes_configs_and_tokenizers_are_read_or_refused(
        name in prop::sample::select(&["model.safetensors.index.json", "config.json", "tokenizer.json"][..]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..3, any::<u8>()), 1..4),
    ) {
        let folder = sharded();
        folder.write("config.json", r#"{"model_type":"llama","hidden_size":1,"rotary_pct":0.25,"text_config":{"n_head":8}}"#);
        folder.write("tokenizer.json", r#"{"added_tokens":[{"id":1,"content":"x"}],"model":{"vocab":{"a":0,"b":7}}}"#);
        let mut bytes = std::fs::read(folder.at(name)).expect("read");
        for (at, kind, byte) in edits {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => bytes.truncate(at + 1),
            }
        }
        folder.write(name, &bytes);
        if let Err(error) = checkpoint::open(&folder.path().to_string_lossy(), &Limits::default()) {
            prop_assert_eq!(error.exit_code(), 3, "{}", error.fault().to_lines());
        }
    }
}
