//! Names come from files and are hostile text: they are escaped wherever they are shown.

use std::fmt::Write as _;

/// `text` with every character that could steer a terminal or hide itself written as `\u{..}`.
///
/// Printable ASCII and printable letters of other scripts stay; controls, bidirectional marks, zero-width
/// characters, private use and the backslash itself do not, so `unescape(escape(s)) == s`.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\\' {
            shown.push_str("\\\\");
        } else if is_plain(character) {
            shown.push(character);
        } else {
            // writing to a String cannot fail
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
        }
    }
    shown
}

fn is_plain(character: char) -> bool {
    match character {
        ' '..='~' => true,
        '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{2ff}' => true,
        '\u{370}'..='\u{482}' | '\u{48a}'..='\u{590}' => character.is_alphanumeric(),
        '\u{3041}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' => character.is_alphanumeric(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn controls_and_invisible_characters_are_spelled_out() {
        for (text, shown) in [
            ("model.layers.0", "model.layers.0"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("a\\b", "a\\\\b"),
            ("\u{0}", "\\u{0}"),
            ("größe", "größe"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{301}", "a\\u{301}"),
        ] {
            assert_eq!(escape(text), shown);
        }
    }
}
