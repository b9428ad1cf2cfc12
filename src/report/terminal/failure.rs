//! One message per fault, as reliability.md section 3 lays it out.

use super::page::{Ink, Page, Style};
use crate::report::wire::Failure;

/// The message for stderr, with its final newline.
#[must_use]
pub fn failure(failure: &Failure, style: Style) -> String {
    let mut page = Page::new(style);
    let head = page.ink(Ink::Error, &format!("error[{}]:", page.name(&failure.code)));
    let message = page.sentence(&failure.message);
    page.line(&format!("{head} {message}"));
    let place = [
        failure.file.as_ref().map(|file| page.name(file)),
        failure.byte.map(|byte| format!("byte {byte}")),
        failure.tensor.as_ref().map(|tensor| format!("tensor '{}'", page.name(tensor))),
    ];
    let place: Vec<String> = place.into_iter().flatten().collect();
    if !place.is_empty() {
        page.line(&format!("  file:   {}", place.join(", ")));
    }
    for (label, text) in [("found:", &failure.found), ("wanted:", &failure.wanted), ("hint:", &failure.hint)]
    {
        if let Some(text) = text {
            let text = page.sentence(text);
            page.line(&format!("  {label:<8}{text}"));
        }
    }
    page.finish()
}
