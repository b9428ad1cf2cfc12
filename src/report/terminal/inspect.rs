//! One model's facts.

use super::page::{Page, Style};
use crate::compare::ModelFacts;
use crate::report::quantity::{bytes, count};
use crate::report::wire::{Inspection, Roles, Values};
use crate::wording::counted;

/// The facts of one model, with the final newline.
#[must_use]
pub fn inspection(inspection: &Inspection<'_>, model: &ModelFacts, style: Style) -> String {
    let mut page = Page::new(style);
    let rows = [
        ("model", page.name(&model.reference)),
        ("format", format!("{}, {}", page.name(&model.format), file_list(&page, model))),
        ("family", page.name(&model.family)),
        ("parameters", count(model.n_parameters)),
        ("layers", model.n_layers.map_or("not known".to_owned(), |n_layers| n_layers.to_string())),
        ("bytes", bytes(model.size_bytes)),
        ("dtypes", dtype_list(&page, model)),
        ("tensors", inspection.tensors.len().to_string()),
        ("vocabulary", vocabulary(inspection)),
        ("roles", role_counts(&inspection.roles)),
        ("values", values(&page, inspection)),
    ];
    for (label, text) in rows {
        page.row(label, &text);
    }
    if let Some(commit) = &model.commit {
        let commit = page.name(commit);
        page.row("commit", &commit);
    }
    let notes: Vec<String> = model
        .notes
        .iter()
        .map(|(rule, says)| format!("{}: {}", page.name(rule), page.sentence(says)))
        .collect();
    page.rows("notes", &notes);
    tensors(&mut page, inspection);
    page.finish()
}

fn file_list(page: &Page, model: &ModelFacts) -> String {
    let names: Vec<String> = model.files.iter().take(3).map(|file| page.name(&file.name)).collect();
    let rest = model.files.len().saturating_sub(3);
    if rest == 0 {
        names.join(", ")
    } else {
        format!("{} and {}", names.join(", "), counted(rest, "more file", "more files"))
    }
}

fn dtype_list(page: &Page, model: &ModelFacts) -> String {
    let all: Vec<String> = model
        .dtypes
        .iter()
        .map(|(name, size_bytes)| format!("{} {}", page.name(name), bytes(*size_bytes)))
        .collect();
    all.join(", ")
}

fn vocabulary(inspection: &Inspection<'_>) -> String {
    inspection.vocabulary.map_or("none".to_owned(), |vocabulary| {
        let n_tokens = counted(vocabulary.tokens, "token", "tokens");
        format!("{n_tokens}, blake3 {}", vocabulary.blake3.get(..16).unwrap_or_default())
    })
}

fn role_counts(roles: &Roles) -> String {
    let all = [
        (roles.table, "known by name"),
        (roles.guessed, "guessed from shape and position"),
        (roles.unknown, "unknown"),
        (roles.fixed_by_architecture, "fixed by architecture"),
        (roles.buffers, "buffers"),
        (roles.unknown_layout, "in a fused layout that no table knows"),
    ];
    let shown: Vec<String> =
        all.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
}

fn values(page: &Page, inspection: &Inspection<'_>) -> String {
    match (&inspection.values, &inspection.values_unread) {
        (Some(values), _) => counts(values),
        (None, Some(why)) => format!("not read: {}", page.sentence(why)),
        (None, None) => "not read".to_owned(),
    }
}

fn counts(values: &Values) -> String {
    let undecoded = if values.undecoded == 0 {
        String::new()
    } else {
        format!("; {} of types not decoded", values.undecoded)
    };
    format!(
        "{} NaN, {} Inf, {} zero, {} subnormal of {} read{undecoded}",
        values.nan,
        values.inf,
        values.zero,
        values.subnormal,
        counted(values.elements, "element", "elements")
    )
}

/// Tensors with faults always; all of them under `-v`.
fn tensors(page: &mut Page, inspection: &Inspection<'_>) {
    for tensor in &inspection.tensors {
        let n_bad = tensor.nan.unwrap_or(0) + tensor.inf.unwrap_or(0);
        if n_bad == 0 && !page.style.verbose {
            continue;
        }
        let shape: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
        let roles = if tensor.roles.is_empty() { tensor.how.to_owned() } else { tensor.roles.join(" + ") };
        let bad = match n_bad {
            0 => String::new(),
            n => format!(", {} NaN or Inf", counted(n, "element is", "elements are")),
        };
        let text = format!("{} {} [{}] {roles}{bad}", page.name(tensor.name), tensor.dtype, shape.join(", "));
        page.row(if n_bad == 0 { "" } else { "non-finite" }, &text);
    }
}
