//! Damaged and hostile ONNX files: each row of a table is a file, and what must become of it.

use cognate::checkpoint::{self, Limits};

use crate::hostile::{Folder, sparse};

/// What must become of an input.
#[derive(Clone, Copy, Debug)]
enum Want {
    /// Exit 3, this rule, this fragment in the four lines.
    Refused(&'static str, &'static str),
    /// So many tensors and a note of this rule.
    Noted(usize, &'static str),
    /// So many tensors.
    Accepted(usize),
}
use Want::{Accepted, Noted, Refused};

fn check(id: &str, folder: &Folder, want: Want, limits: &Limits) {
    match (want, checkpoint::open(&folder.at("model.onnx").to_string_lossy(), limits)) {
        (Refused(rule, fragment), Err(error)) => {
            let fault = error.fault();
            let lines = fault.to_lines();
            assert_eq!((error.exit_code(), fault.rule), (3, rule), "{id}\n{lines}");
            assert!(lines.contains(fragment), "{id}: no '{fragment}' in\n{lines}");
            assert!(fault.file.is_some(), "{id}: no file in\n{lines}");
            assert!(lines.len() < 4096 && lines.lines().count() <= 4, "{id}:\n{lines}");
            assert!(!lines.contains(|c: char| c.is_control() && c != '\n'), "{id}: {lines:?}");
        }
        (Noted(n_tensors, rule), Ok(found)) => {
            assert_eq!(found.tensors.len(), n_tensors, "{id}");
            assert!(found.notes.iter().any(|note| note.rule == rule), "{id}: {:?}", found.notes);
        }
        (Accepted(n_tensors), Ok(found)) => assert_eq!(found.tensors.len(), n_tensors, "{id}"),
        (_, Ok(found)) => panic!("{id}: wanted {want:?}, accepted {:?}", found.tensors),
        (_, Err(error)) => panic!("{id}: wanted {want:?}, got\n{}", error.fault().to_lines()),
    }
}

fn check_files(rows: &[(&str, Vec<u8>, Want)]) {
    for (id, bytes, want) in rows {
        let folder = Folder::new();
        folder.write("model.onnx", bytes);
        check(id, &folder, *want, &Limits::default());
    }
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn bytes(field: u64, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    [&varint(field << 3 | 2)[..], &varint(content.len() as u64), content].concat()
}

/// An f32 tensor with its data in `raw_data`.
fn tensor(name: &str, dims: &[u64], n_bytes: usize) -> Vec<u8> {
    let mut message: Vec<u8> = dims.iter().flat_map(|dim| number(1, *dim)).collect();
    message.extend([number(2, 1), bytes(8, name), bytes(9, vec![0; n_bytes])].concat());
    message
}

fn external(name: &str, entries: &[(&str, &str)]) -> Vec<u8> {
    let entries = entries.iter().map(|(key, value)| bytes(13, [bytes(1, key), bytes(2, value)].concat()));
    [number(1, 4), number(2, 1), bytes(8, name), entries.collect::<Vec<_>>().concat(), number(14, 1)].concat()
}

fn model(initialisers: &[Vec<u8>]) -> Vec<u8> {
    let graph: Vec<u8> = initialisers.iter().flat_map(|tensor| bytes(5, tensor)).collect();
    [number(1, 8), bytes(7, graph)].concat()
}

#[test]
fn messages_that_are_none() {
    let good = model(&[tensor("w", &[2, 2], 16)]);
    let deep = (0..17).fold(Vec::new(), |graph, _| bytes(1, bytes(5, bytes(6, graph))));
    check_files(&[
        ("good", good.clone(), Accepted(1)),
        ("empty", Vec::new(), Refused("ON-GRAPH", "no graph")),
        ("text", b"<html>not found</html>".to_vec(), Refused("ON-WIRE", "wire type")),
        ("lfs", b"version https://git-lfs.github.com/spec/v1\n".to_vec(), Refused("ON-WIRE", "wire type 6")),
        ("cut", good[..good.len() - 3].to_vec(), Refused("ON-LENGTH", "unfinished")),
        ("no graph", number(1, 8), Refused("ON-GRAPH", "no graph")),
        ("two graphs", [good.clone(), bytes(7, b"")].concat(), Refused("ON-GRAPH", "second graph")),
        ("group", vec![0x3b, 0x3c], Refused("ON-WIRE", "wire type 3")),
        ("long varint", [vec![0x08], vec![0xff; 11]].concat(), Refused("ON-WIRE", "10 bytes")),
        (
            "length past all",
            [vec![0x3a], varint(u64::MAX)].concat(),
            Refused("ON-LENGTH", "18,446,744,073,709,551,615"),
        ),
        ("deep", [number(1, 8), bytes(7, deep)].concat(), Refused("ON-DEPTH", "16")),
        ("graph that is a number", [number(1, 8), number(7, 1)].concat(), Refused("ON-GRAPH", "no graph")),
    ]);
}

#[test]
fn tensors_that_do_not_hold_together() {
    let huge =
        [number(1, 1 << 40), number(1, 1 << 40), number(2, 1), bytes(8, "w"), bytes(9, [0; 4])].concat();
    let packed = bytes(1, [varint(2), varint(2)].concat());
    let floats = [number(1, 2), number(2, 1), bytes(8, "w"), bytes(4, [0; 8])].concat();
    let twice = [number(1, 4), number(2, 1), bytes(8, "w"), bytes(9, [0; 8]), bytes(9, [0; 8])].concat();
    let halves = [number(1, 2), number(2, 10), bytes(8, "w"), bytes(5, [1, 2])].concat();
    let segment = [tensor("w", &[2], 8), bytes(3, number(1, 0))].concat();
    check_files(&[
        (
            "packed dims",
            model(&[[packed, number(2, 1), bytes(8, "w"), bytes(9, [0; 16])].concat()]),
            Accepted(1),
        ),
        ("float_data", model(&[floats]), Accepted(1)),
        ("raw data too short", model(&[tensor("w", &[2, 2], 15)]), Refused("ON-SIZE", "15 bytes")),
        ("raw data too long", model(&[tensor("w", &[2, 2], 17)]), Refused("ON-SIZE", "17 bytes")),
        (
            "no data",
            model(&[[number(1, 4), number(2, 1), bytes(8, "w")].concat()]),
            Refused("ON-SIZE", "0 bytes"),
        ),
        ("huge", model(&[huge]), Refused("ON-SHAPE", "multiply past")),
        ("negative", model(&[tensor("w", &[u64::MAX, 2], 16)]), Refused("ON-SHAPE", "-1")),
        ("rank 17", model(&[tensor("w", &[1; 17], 4)]), Refused("ON-SHAPE", "at most 16")),
        (
            "no name",
            model(&[[number(1, 2), number(2, 1), bytes(9, [0; 8])].concat()]),
            Refused("ON-NAME", "no name"),
        ),
        (
            "name of 5,000 bytes",
            model(&[tensor(&"n".repeat(5000), &[2], 8)]),
            Refused("ON-NAME", "5,000 bytes"),
        ),
        (
            "name that is no text",
            model(&[[number(1, 2), number(2, 1), bytes(8, [0xff]), bytes(9, [0; 8])].concat()]),
            Refused("ON-NAME", "UTF-8"),
        ),
        ("control characters", model(&[tensor("a\x1b[2J\n", &[2, 2], 15)]), Refused("ON-SIZE", "\\u{1b}")),
        (
            "twice",
            model(&[tensor("w", &[2], 8), tensor("w", &[2], 8)]),
            Refused("ON-DUPLICATE", "occurs twice"),
        ),
        ("segment", model(&[segment]), Refused("ON-SEGMENT", "segments")),
        ("two chunks", model(&[twice]), Noted(0, "ON-UNREAD")),
        ("halves as numbers", model(&[halves]), Noted(0, "ON-UNREAD")),
        ("sparse", [number(1, 8), bytes(7, bytes(15, []))].concat(), Noted(0, "ON-UNREAD")),
        ("a scalar", model(&[tensor("w", &[], 4)]), Noted(0, "ON-NUMBERS")),
        (
            "an unknown type",
            model(&[[number(1, 2), number(2, 99), bytes(8, "w")].concat()]),
            Noted(0, "ON-NUMBERS"),
        ),
    ]);
    let folder = Folder::new();
    folder.write("model.onnx", model(&[tensor("a", &[2], 8), tensor("b", &[2], 8)]));
    let limits = Limits { max_tensors: 1, ..Limits::default() };
    check("max tensors", &folder, Refused("ON-TENSORS", "--max-tensors"), &limits);
}

#[test]
fn tensors_in_files_beside_the_graph() {
    for (id, entries, want) in [
        ("beside", &[("location", "w.bin"), ("offset", "16"), ("length", "16")][..], Accepted(1)),
        ("beside, the rest", &[("location", "w.bin"), ("offset", "16")], Accepted(1)),
        ("no location", &[("offset", "0")], Refused("ON-EXTERNAL", "is empty")),
        ("above the folder", &[("location", "../w.bin")], Refused("ON-EXTERNAL", "separator")),
        ("absolute", &[("location", "/etc/passwd")], Refused("ON-EXTERNAL", "separator")),
        ("a parent", &[("location", "..")], Refused("ON-EXTERNAL", "is a folder")),
        ("itself", &[("location", "model.onnx")], Refused("ON-EXTERNAL", "the file itself")),
        ("missing", &[("location", "x.bin")], Refused("ON-MISSING", "not there")),
        (
            "past its end",
            &[("location", "w.bin"), ("offset", "17"), ("length", "16")],
            Refused("ON-EXTERNAL", "byte 17"),
        ),
        (
            "past all",
            &[("location", "w.bin"), ("offset", "18446744073709551615")],
            Refused("ON-EXTERNAL", "of 32"),
        ),
        ("another length", &[("location", "w.bin"), ("length", "15")], Refused("ON-EXTERNAL", "15 bytes")),
        (
            "no number",
            &[("location", "w.bin"), ("offset", "-1")],
            Refused("ON-EXTERNAL", "a number of bytes"),
        ),
    ] {
        let folder = Folder::new();
        folder.write("model.onnx", model(&[external("w", entries)])).write("w.bin", [0; 32]);
        check(id, &folder, want, &Limits::default());
    }
}

#[test]
fn a_file_without_end_is_given_up() {
    // unknown fields of two bytes each, in a file that takes no room
    let folder = Folder::new();
    sparse(&folder.at("model.onnx"), &number(1, 8), 1 << 32);
    check("zeros", &folder, Refused("ON-FIELDS", "at most 20,000,000"), &Limits::default());
}
