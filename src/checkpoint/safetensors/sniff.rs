//! What a file is that was taken for safetensors and is not.

use crate::source::{Fault, shown};

/// Bytes from the start of a file that are enough to know it.
pub(in crate::checkpoint) const SNIFF_BYTES: u64 = 512;

/// Signature, name of the real type, what to do.
const SIGNATURES: &[(&[u8], &str, &str)] = &[
    (b"PK\x03\x04", "a zip archive, probably a PyTorch .bin or .pt file", CONVERT),
    (b"PK\x05\x06", "an empty zip archive", CONVERT),
    (b"GGUF", "a GGUF file", "give it the ending .gguf, and it is read as what it is"),
    (b"\x1f\x8b", "gzip-compressed data", "decompress it first"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", CONVERT),
    (b"\x93NUMPY", "a NumPy array", CONVERT),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed data", "decompress it first"),
    (b"\x7fELF", "a program", "name a file of weights"),
];

const CONVERT: &str =
    "convert it to safetensors with the tool that wrote it; pickles are never executed here";

/// The fault that names the real type of a file which starts with `start`, or None if it is unknown.
///
/// Only for files that already failed as safetensors: a legal header length may look like a pickle's first bytes.
pub(in crate::checkpoint) fn sniff(start: &[u8]) -> Option<Box<Fault>> {
    if start.starts_with(b"version https://git-lfs") {
        return Some(lfs_pointer(start));
    }
    let (is, hint) = known_type(start)?;
    let fault = Fault::new("ST-TYPE", format!("this is {is}, not safetensors")).at_byte(0);
    Some(fault.found_wanted(is, "a safetensors header").hint(hint))
}

fn known_type(start: &[u8]) -> Option<(&'static str, &'static str)> {
    if let Some((_, is, hint)) = SIGNATURES.iter().find(|(signature, ..)| start.starts_with(signature)) {
        return Some((is, hint));
    }
    // protocol 2 to 5; the next byte is an opcode that these writers use
    if let [0x80, 2..=5, opcode, ..] = start
        && matches!(opcode, 0x8a | 0x95 | b'}' | b']' | b'c' | b'(' | b'X' | 0x8c | b'K' | b'N' | b'q')
    {
        return Some(("a Python pickle, probably a PyTorch .bin or .pt file", CONVERT));
    }
    let text = start.trim_ascii_start().to_ascii_lowercase();
    if [&b"<!doctype"[..], b"<html", b"<head", b"<?xml", b"<body"].iter().any(|tag| text.starts_with(tag)) {
        return Some((
            "an HTML or XML page",
            "the download saved an error or login page; fetch the file again, with a token if it is gated",
        ));
    }
    if text.starts_with(b"{") || text.starts_with(b"[") {
        return Some(("a JSON text", "name the weights, or the folder that holds them"));
    }
    let is_text = start.len() >= 8
        && start.iter().all(|&byte| (b' '..=b'~').contains(&byte) || byte.is_ascii_whitespace());
    is_text.then_some(("a text file", "look into it: it may say why there are no weights"))
}

fn lfs_pointer(start: &[u8]) -> Box<Fault> {
    let text = String::from_utf8_lossy(start);
    let field = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("unknown");
    let (digest, size) = (shown(field("oid sha256:")), shown(field("size ")));
    Fault::new("ST-LFS", format!("this is a Git LFS pointer, sha256 {digest}, not the weights"))
        .at_byte(0)
        .found_wanted("a pointer", format!("{size} bytes of weights"))
        .hint("run git lfs pull")
}

#[cfg(test)]
mod tests {
    use super::sniff;

    #[test]
    fn real_types_are_named() {
        for (start, named) in [
            (&b"PK\x03\x04\x14\0\0\0"[..], "zip"),
            (b"GGUF\x03\0\0\0", "GGUF"),
            (b"\x1f\x8b\x08\0\0\0\0\0", "gzip"),
            (b"\x80\x02\x8a\x0al\xfc\x9cF", "pickle"),
            (b"\x80\x04\x95\x10\0\0\0\0", "pickle"),
            (b"\n <!DOCTYPE html><html>", "HTML"),
            (b"{\"metadata\": {}}", "JSON"),
            (b"Entry not found", "text"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 7\n", "LFS"),
        ] {
            let fault = sniff(start).unwrap_or_else(|| panic!("{named}"));
            assert!(fault.message.contains(named), "{}", fault.message);
        }
        assert!(sniff(b"\xff\xff\xff\xff\xff\xff\xff\xff").is_none());
    }
}
