//! One fault, in the fields that the terminal and the JSON report show.

use std::fmt;
use std::path::Path;

use crate::tensor::escape;
use crate::wording::agreeing;

/// Longest piece of foreign text inside a message, in characters.
const SHOWN_CHARS: usize = 120;

/// What is wrong with an input. Foreign text in it is already escaped: print it as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Stable code of the rule that was broken, for example `ST-SHORT`.
    pub rule: &'static str,
    /// One sentence, lower case, no full stop.
    pub message: String,
    /// The file, escaped.
    pub file: Option<String>,
    /// The tensor, escaped.
    pub tensor: Option<String>,
    /// Absolute byte offset in the file.
    pub byte: Option<u64>,
    /// What is there.
    pub found: Option<String>,
    /// What should be there.
    pub wanted: Option<String>,
    /// What to do, one line.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault with only a rule and a message; the other fields follow by the methods below.
    #[must_use]
    pub fn new(rule: &'static str, message: impl Into<String>) -> Box<Fault> {
        Box::new(Fault {
            rule,
            message: message.into(),
            file: None,
            tensor: None,
            byte: None,
            found: None,
            wanted: None,
            hint: None,
        })
    }

    /// Names the file.
    #[must_use]
    pub fn in_file(mut self: Box<Fault>, path: &Path) -> Box<Fault> {
        self.file = Some(shown_path(path));
        self
    }

    /// Names the tensor by its stored name.
    #[must_use]
    pub fn of_tensor(mut self: Box<Fault>, name: &str) -> Box<Fault> {
        self.tensor = Some(shown(name));
        self
    }

    /// Names the byte, counted from the start of the file.
    #[must_use]
    pub fn at_byte(mut self: Box<Fault>, byte: u64) -> Box<Fault> {
        self.byte = Some(byte);
        self
    }

    /// States what is there and what should be.
    #[must_use]
    pub fn found_wanted(
        mut self: Box<Fault>,
        found: impl Into<String>,
        wanted: impl Into<String>,
    ) -> Box<Fault> {
        self.found = Some(found.into());
        self.wanted = Some(wanted.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self: Box<Fault>, hint: impl Into<String>) -> Box<Fault> {
        self.hint = Some(hint.into());
        self
    }

    /// The message of up to four lines for a terminal, without a final line break.
    #[must_use]
    pub fn to_lines(&self) -> String {
        let mut lines = format!("error[{}]: {}", self.rule, self.message);
        if let Some(file) = &self.file {
            lines.push_str("\n  file:   ");
            lines.push_str(file);
            if let Some(byte) = self.byte {
                let role = if self.rule.ends_with("-SHORT") { " is the first one missing" } else { "" };
                lines.push_str(&format!(", byte {byte}{role}"));
            }
        }
        match (&self.found, &self.wanted) {
            (Some(found), Some(wanted)) => {
                lines.push_str(&format!("\n  found:  {found}    wanted: {wanted}"));
            }
            (Some(found), None) => lines.push_str(&format!("\n  found:  {found}")),
            (None, Some(wanted)) => lines.push_str(&format!("\n  wanted: {wanted}")),
            (None, None) => {}
        }
        if let Some(hint) = &self.hint {
            lines.push_str("\n  hint:   ");
            lines.push_str(hint);
        }
        lines
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

/// Foreign text as it may be shown: escaped, and cut where it is long.
#[must_use]
pub fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        None => escape(text),
        Some((cut, _)) => format!("{}… ({} bytes)", escape(&text[..cut]), grouped(text.len() as u64)),
    }
}

/// A path as it may be shown; bytes that are not UTF-8 become U+FFFD.
#[must_use]
pub fn shown_path(path: &Path) -> String {
    escape(&path.to_string_lossy())
}

/// A count with thousands separators: `4,991,238,144`.
#[must_use]
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// `1 byte`, `4,096 bytes`.
#[must_use]
pub fn in_bytes(count: u64) -> String {
    format!("{} {}", grouped(count), agreeing(count, "byte", "bytes"))
}

#[cfg(test)]
mod tests {
    use super::{Fault, grouped, shown};
    use std::path::Path;

    #[test]
    fn counts_are_grouped_by_three() {
        for (count, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (4_991_238_144, "4,991,238,144")] {
            assert_eq!(grouped(count), text);
        }
    }

    #[test]
    fn long_and_hostile_text_is_cut_and_escaped() {
        assert_eq!(shown("\u{1b}[2J"), "\\u{1b}[2J");
        assert!(shown(&"x".repeat(1 << 20)).ends_with("… (1,048,576 bytes)"));
    }

    #[test]
    fn a_fault_prints_in_four_lines() {
        let fault = Fault::new("ST-SHORT", "tensor 'w' ends after the end of the file")
            .in_file(Path::new("m.safetensors"))
            .of_tensor("w")
            .at_byte(12)
            .found_wanted("12 bytes", "16")
            .hint("fetch this file again");
        assert_eq!(
            fault.to_lines(),
            "error[ST-SHORT]: tensor 'w' ends after the end of the file\n  \
             file:   m.safetensors, byte 12 is the first one missing\n  \
             found:  12 bytes    wanted: 16\n  \
             hint:   fetch this file again"
        );
    }
}
