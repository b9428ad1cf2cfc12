//! One message per fault: code and sentence, then where it is and what was found.

use super::page::{Ink, Page, Style};
use crate::report::wire::Failure;

/// The message for stderr, with its final newline.
#[must_use]
pub fn failure(failure: &Failure, style: Style) -> String {
    let mut page = Page::new(style);
    let head = page.ink(Ink::Error, &format!("error[{}]:", page.name(&failure.code)));
    let message = page.sentence(&failure.message);
    page.line(&format!("{head} {message}"));
    let missing = if failure.code.ends_with("-SHORT") { " is the first one missing" } else { "" };
    let place = [
        failure.file.as_ref().map(|file| page.sentence(file)),
        failure.byte.map(|byte| format!("byte {byte}{missing}")),
        failure.tensor.as_ref().map(|tensor| format!("tensor '{}'", page.sentence(tensor))),
    ];
    let place: Vec<String> = place.into_iter().flatten().collect();
    if !place.is_empty() {
        page.line(&format!("  file:   {}", place.join(", ")));
    }
    let found = [("found:  ", &failure.found), ("wanted: ", &failure.wanted)];
    let found: Vec<String> = found
        .iter()
        .filter_map(|(label, text)| text.as_ref().map(|text| format!("{label}{}", page.sentence(text))))
        .collect();
    if !found.is_empty() {
        page.line(&format!("  {}", found.join("    ")));
    }
    if let Some(hint) = &failure.hint {
        let hint = page.sentence(hint);
        page.line(&format!("  hint:   {hint}"));
    }
    page.finish()
}
