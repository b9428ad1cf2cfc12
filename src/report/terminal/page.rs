//! Lines of a plain-text report: headings, labelled rows, wrapped sentences, colour that only repeats words.

use crate::report::escape;

/// Widest line.
const WIDTH: usize = 100;
/// Column at which the text of a row starts.
const INDENT: usize = 14;
/// Longest name shown whole.
const LONGEST_NAME: usize = 64;

/// What the terminal can show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// ANSI colours.
    pub colour: bool,
    /// Characters outside ASCII.
    pub unicode: bool,
    /// Long lists whole.
    pub verbose: bool,
}

/// A colour; its word stands beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Bold,

    Warn,
    Error,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Ink::Bold => "1",

            Ink::Warn => "1;33",
            Ink::Error => "1;31",
        }
    }
}

/// A report that grows line by line.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) style: Style,
    text: String,
}

impl Page {
    pub(super) fn new(style: Style) -> Page {
        Page { style, text: String::new() }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    /// A name from a file: escaped, and shortened in the middle where it is very long.
    pub(super) fn name(&self, text: &str) -> String {
        let n_stored = text.chars().count();
        if n_stored > LONGEST_NAME {
            // a name may be a megabyte long: cut first, then escape what is left
            let start: String = text.chars().take(LONGEST_NAME / 4).collect();
            let end: String = text.chars().skip(n_stored - LONGEST_NAME / 4).collect();
            return format!("{}...{} ({n_stored} characters)", self.short(&start), self.short(&end));
        }
        self.short(text)
    }

    /// An escaped name, shortened where escaping has made it long.
    fn short(&self, text: &str) -> String {
        let shown = if self.style.unicode { escape::name(text) } else { escape::ascii_name(text) };
        let n_characters = shown.chars().count();
        if n_characters <= LONGEST_NAME {
            return shown;
        }
        let half = LONGEST_NAME / 2 - 2;
        let start: String = shown.chars().take(half).collect();
        let end: String = shown.chars().skip(n_characters - half).collect();
        format!("{start}...{end} ({n_characters} characters)")
    }

    /// A sentence of ours that may hold names: neutralised, and in ASCII where the terminal knows no more.
    pub(super) fn sentence(&self, text: &str) -> String {
        let shown = escape::sentence(text);
        if self.style.unicode { shown } else { to_ascii(&shown) }
    }

    /// A symbol of ours, or its ASCII spelling.
    pub(super) fn symbol(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.style.unicode { unicode } else { ascii }
    }

    pub(super) fn ink(&self, ink: Ink, text: &str) -> String {
        if self.style.colour && !text.is_empty() {
            format!("\u{1b}[{}m{text}\u{1b}[0m", ink.code())
        } else {
            text.to_owned()
        }
    }

    pub(super) fn blank(&mut self) {
        self.text.push('\n');
    }

    /// One line as it is.
    pub(super) fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    /// A heading in capitals with a word and a sentence: `WEIGHTS       derived: …`.
    pub(super) fn heading(&mut self, title: &str, word: &str, ink: Ink, sentence: &str) {
        let lead = format!("{}{}", self.ink(Ink::Bold, &format!("{title:<INDENT$}")), self.ink(ink, word));
        let joined = if word.is_empty() || sentence.is_empty() { String::new() } else { ": ".to_owned() };
        let used = INDENT + width(word) + joined.len();
        self.wrap(&format!("{lead}{joined}"), used, sentence);
    }

    /// A labelled row, wrapped: `  decided by  trace, agreement`.
    pub(super) fn row(&mut self, label: &str, text: &str) {
        let lead = format!("  {label:<width$}", width = INDENT - 2);
        let used = width(&lead);
        self.wrap(&lead, used, text);
    }

    /// Several rows under one label.
    pub(super) fn rows(&mut self, label: &str, texts: &[String]) {
        for (idx, text) in texts.iter().enumerate() {
            self.row(if idx == 0 { label } else { "" }, text);
        }
    }

    /// `text` after `lead` (which takes `used` columns), broken at spaces, or anywhere in a word wider than a line.
    fn wrap(&mut self, lead: &str, used: usize, text: &str) {
        let mut line = lead.to_owned();
        let mut column = used;
        let mut is_fresh = true;
        for word in text.split(' ') {
            let needs = width(word) + usize::from(!is_fresh);
            if column + needs > WIDTH && !is_fresh {
                self.line(&line);
                line = " ".repeat(INDENT);
                column = INDENT;
                is_fresh = true;
            }
            if !is_fresh {
                line.push(' ');
                column += 1;
            }
            for character in word.chars() {
                let columns = character_width(character);
                if column + columns > WIDTH {
                    self.line(&line);
                    line = " ".repeat(INDENT);
                    column = INDENT;
                }
                line.push(character);
                column += columns;
            }
            is_fresh = false;
        }
        self.line(&line);
    }
}

/// Columns of a text without escapes.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(character_width).sum()
}

/// East Asian letters take two columns; combining marks never come here, they are escaped.
fn character_width(character: char) -> usize {
    if matches!(character, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}') {
        2
    } else {
        1
    }
}

fn to_ascii(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        let spelled = match character {
            '→' => "->",
            '↔' => "<->",
            '−' | '–' | '—' => "-",
            '≤' => "<=",
            '≥' => ">=",
            '≠' => "!=",
            '≈' => "~",
            '…' => "...",
            '×' => "x",
            '·' => "*",
            '±' => "+-",
            'σ' => "sigma",
            'α' => "alpha",
            '‖' => "||",
            '√' => "sqrt",
            '∞' => "inf",
            _ if character.is_ascii() => {
                shown.push(character);
                continue;
            }
            _ => {
                shown.push_str(&escape::ascii_name(character.encode_utf8(&mut [0; 4])));
                continue;
            }
        };
        shown.push_str(spelled);
    }
    shown
}
