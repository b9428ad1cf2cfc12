//! JSON from strangers: depth, encoding and duplicate keys are checked before or while a text is read.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};

use super::duplicates::Seen;
use crate::source::Fault;

/// Deepest nesting of objects and lists; serde_json's own limit, which the safetensors crate inherits.
pub(super) const MAX_DEPTH: usize = 127;

/// Position and depth of the first bracket that nests deeper than [`MAX_DEPTH`]. Needs no valid JSON.
pub(super) fn too_deep(text: &[u8]) -> Option<(usize, usize)> {
    let (mut depth, mut is_string, mut is_escaped) = (0_usize, false, false);
    for (at, &byte) in text.iter().enumerate() {
        if is_string {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => is_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => is_string = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Some((at, MAX_DEPTH));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// Position in `text` that a parse error speaks of.
pub(super) fn position(text: &str, cause: &serde_json::Error) -> usize {
    let line = cause.line().saturating_sub(1);
    let line_start = match line {
        0 => 0,
        n => text.match_indices('\n').nth(n - 1).map_or(text.len(), |(at, _)| at + 1),
    };
    (line_start + cause.column().saturating_sub(1)).min(text.len())
}

/// The parser's words without its own position, escaped: they may quote the input.
pub(super) fn says(cause: &serde_json::Error) -> String {
    let text = cause.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    crate::source::shown(&text[..end])
}

/// Whether a value that nobody interprets is valid, its numbers finite and no key in it twice.
pub(super) fn check_ignored(raw: &str) -> Result<(), String> {
    serde_json::Deserializer::from_str(raw).deserialize_any(Ignored).map_err(|cause| says(&cause))
}

/// Visits any value, keeps nothing, refuses a key that occurs twice in one object.
struct Ignored;

/// Most keys of an object inside a field that nobody interprets.
const MAX_IGNORED_KEYS: usize = 4096;

impl<'de> serde::de::DeserializeSeed<'de> for Ignored {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Ignored {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Ignored)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        use serde::de::Error;
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            map.next_value_seed(Ignored)?;
            if keys.len() >= MAX_IGNORED_KEYS {
                return Err(A::Error::custom("an object of too many keys"));
            }
            if !keys.insert(key) {
                return Err(A::Error::custom("a key occurs twice"));
            }
        }
        Ok(())
    }
}

/// Reads an object of strings and gives a key that occurs twice, if any.
pub(super) fn string_map_duplicate(raw: &str) -> Result<Option<String>, serde_json::Error> {
    let mut seen = Seen::default();
    each_key(raw, |key| seen.add(&key).map_err(|fault| fault.message))?;
    let suspects = seen.into_suspects();
    let (mut compared, mut twice) = (HashSet::new(), None);
    if !suspects.is_empty() {
        each_key(raw, |key| {
            if suspects.contains(&key) && !compared.insert(key.clone()) {
                twice = Some(key);
            }
            Ok(())
        })?;
    }
    Ok(twice)
}

fn each_key(raw: &str, visit: impl FnMut(String) -> Result<(), String>) -> Result<(), serde_json::Error> {
    serde_json::Deserializer::from_str(raw).deserialize_map(StringMap { visit })
}

/// Hands on the keys of an object of strings.
struct StringMap<F> {
    visit: F,
}

impl<'de, F: FnMut(String) -> Result<(), String>> Visitor<'de> for StringMap<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        use serde::de::Error;
        while let Some((key, _)) = map.next_entry::<String, StringOnly>()? {
            (self.visit)(key).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

/// A string that is checked and not kept.
struct StringOnly;

impl<'de> serde::Deserialize<'de> for StringOnly {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<StringOnly, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = StringOnly;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E>(self, _: &str) -> Result<StringOnly, E> {
                Ok(StringOnly)
            }
        }
        deserializer.deserialize_str(Any)
    }
}

/// The text of a JSON file, or a fault that names the encoding it is in.
pub(super) fn text(bytes: Vec<u8>, rule: &'static str) -> Result<String, Box<Fault>> {
    let encoding = match bytes.as_slice() {
        [] => Some("an empty file"),
        [0xef, 0xbb, 0xbf, ..] => Some("UTF-8 with a byte order mark"),
        [0xff, 0xfe, ..] | [_, 0, ..] => Some("UTF-16, little endian"),
        [0xfe, 0xff, ..] | [0, _, ..] => Some("UTF-16, big endian"),
        _ => None,
    };
    if let Some(found) = encoding {
        return Err(Fault::new(rule, format!("this is {found}, not a JSON text in UTF-8"))
            .at_byte(0)
            .found_wanted(found, "UTF-8 without a byte order mark"));
    }
    let text = utf8(bytes, rule)?;
    match too_deep(text.as_bytes()) {
        Some((at, depth)) => Err(Fault::new(rule, "the JSON text is nested too deeply")
            .at_byte(at as u64)
            .found_wanted(format!("more than {depth} levels"), format!("at most {MAX_DEPTH}"))),
        None => Ok(text),
    }
}

/// The text of a file that must be UTF-8.
pub(super) fn utf8(bytes: Vec<u8>, rule: &'static str) -> Result<String, Box<Fault>> {
    String::from_utf8(bytes).map_err(|cause| {
        Fault::new(rule, "the text is not valid UTF-8")
            .at_byte(cause.utf8_error().valid_up_to() as u64)
            .found_wanted("another encoding", "UTF-8")
    })
}
