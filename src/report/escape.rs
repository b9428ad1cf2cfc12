//! Text from files is hostile: each sink writes it so that it can neither act nor hide.
//!
//! [`name`] and [`ascii_name`] are reversible ([`unescape`]). [`sentence`] is for text of our own that may hold a
//! name which is escaped already: it neutralises without doubling backslashes.

use crate::tensor::name as tensor_name;
use std::fmt::Write as _;

/// A name for a terminal or a log: controls and invisible characters as `\u{..}`, and neither `::` nor `##`, with which
/// build servers start commands (`::error`, `##vso[`), is left whole.
#[must_use]
pub fn name(text: &str) -> String {
    break_commands(&tensor_name::escape(text))
}

/// As [`name`], with everything outside ASCII spelled out, for terminals that cannot show it.
#[must_use]
pub fn ascii_name(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in name(text).chars() {
        if character.is_ascii() {
            shown.push(character);
        } else {
            push_code(&mut shown, character);
        }
    }
    shown
}

/// A sentence for a terminal: as [`name`], but backslashes and the symbols of our own sentences stay.
#[must_use]
pub fn sentence(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\\' || is_ours(character) || is_shown(character) {
            shown.push(character);
        } else {
            push_code(&mut shown, character);
        }
    }
    break_commands(&shown)
}

/// A name inside a Markdown table or paragraph: [`name`], then every character with a meaning in Markdown or HTML as a
/// numeric entity, which no Markdown reader interprets again.
#[must_use]
pub fn markdown(text: &str) -> String {
    entities(&name(text))
}

/// A name as code inside Markdown, where no service turns it into a mention or a link.
#[must_use]
pub fn markdown_code(text: &str) -> String {
    format!("<code>{}</code>", markdown(text))
}

/// A sentence inside Markdown.
#[must_use]
pub fn markdown_sentence(text: &str) -> String {
    entities(&sentence(text))
}

/// Whether a character may stand in a report as itself.
#[must_use]
pub fn is_shown(character: char) -> bool {
    if matches!(character, ' '..='~') {
        return character != '\\';
    }
    let mut buffer = [0; 4];
    let text: &str = character.encode_utf8(&mut buffer);
    tensor_name::escape(text) == text
}

/// The inverse of [`name`], [`ascii_name`] and [`tensor_name::escape`]; None for text that they cannot have written.
#[must_use]
pub fn unescape(shown: &str) -> Option<String> {
    let mut text = String::with_capacity(shown.len());
    let mut rest = shown;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('\\') {
            text.push('\\');
            rest = after;
        } else {
            let (digits, after) = rest.strip_prefix("u{")?.split_once('}')?;
            text.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
            rest = after;
        }
    }
    text.push_str(rest);
    Some(text)
}

/// Symbols that sentences of the program use and names may not.
fn is_ours(character: char) -> bool {
    "→↔−≤≥≠≈…–—σ‖√∞".contains(character)
}

fn break_commands(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut previous = ' ';
    for character in text.chars() {
        if character == previous && (character == ':' || character == '#') {
            push_code(&mut shown, character);
        } else {
            shown.push(character);
        }
        previous = character;
    }
    shown
}

fn entities(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if "\\`*_{}[]<>()#+!|&~$@:\"'=".contains(character) {
            // writing to a String cannot fail
            let _ = write!(shown, "&#{};", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    shown
}

fn push_code(shown: &mut String, character: char) {
    // writing to a String cannot fail
    let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
}
