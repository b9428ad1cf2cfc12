//! The per-layer picture: one character per layer and component.

use super::page::{Ink, Page};
use crate::compare::LayerRow;

/// Components in reading order.
const ORDER: [&str; 5] = ["embeddings", "attention", "mlp", "norms", "other"];
/// Cells in one line.
const COLUMNS: usize = 80;
/// Upper ends of the shades but the last: how much of a layer the other model explains.
const STEPS: [f64; 4] = [0.05, 0.3, 0.7, 0.99];
/// One shade more than steps.
const SHADES: [char; 5] = ['·', '░', '▒', '▓', '█'];
const ASCII_SHADES: [char; 5] = ['.', '-', '+', '*', '#'];
/// z from which on a layer is no longer drawn as empty, whatever its cosine; the level of 10⁻⁶ of one test.
const Z_IS_A_SIGN: f64 = 4.75;

/// Draws the picture; nothing where there are no layers.
pub(super) fn picture(page: &mut Page, rows: &[LayerRow]) {
    let mut columns: Vec<(Option<u32>, Option<u32>)> =
        rows.iter().filter(|row| in_stack(row)).map(pair).collect();
    columns.sort_unstable();
    columns.dedup();
    if rows.is_empty() {
        return;
    }
    page.blank();
    let shades = if page.style.unicode { SHADES } else { ASCII_SHADES };
    let [none, faint, part, most, all] = shades;
    page.heading(
        "LAYERS",
        "",
        Ink::Bold,
        "a column per layer; shade: centred cosine or share of matched units, the larger",
    );
    page.row(
        "",
        &format!(
            "{none} <.05   {faint} <.3   {part} <.7   {most} <.99   {all} .99 to 1   blank: not compared"
        ),
    );
    let components = in_order(rows);
    for (chunk_idx, chunk) in columns.chunks(COLUMNS).enumerate() {
        if columns.len() > 10 {
            page.row("", &scale(chunk, chunk_idx * COLUMNS));
        }
        for component in &components {
            if !rows.iter().any(|row| row.component == *component && in_stack(row)) {
                continue;
            }
            let cells: String = chunk
                .iter()
                .map(|column| {
                    rows.iter()
                        .find(|row| row.component == *component && pair(row) == *column)
                        .and_then(shade)
                        .map_or(' ', |shade| shades[shade])
                })
                .collect();
            let name = page.name(component);
            page.line(&format!("  {name:<12}{cells}"));
        }
    }
    for row in rows.iter().filter(|row| !in_stack(row)) {
        let cell = shade(row).map_or(' ', |shade| shades[shade]);
        let name = page.name(&row.component);
        page.line(&format!("  {name:<12}{cell}  (outside the layers)"));
    }
    partners(page, &columns);
}

/// Components in reading order, the known ones first.
fn in_order(rows: &[LayerRow]) -> Vec<&str> {
    let rank = |component: &str| ORDER.iter().position(|known| *known == component).unwrap_or(ORDER.len());
    let mut components: Vec<&str> = rows.iter().map(|row| row.component.as_str()).collect();
    components.sort_by_key(|component| (rank(component), *component));
    components.dedup();
    components
}

/// Which layer was held against which, where it is not the same number.
fn partners(page: &mut Page, columns: &[(Option<u32>, Option<u32>)]) {
    if columns.iter().all(|(left, right)| left == right) {
        return;
    }
    let arrow = page.symbol("→", "->");
    let number = |layer: &Option<u32>| layer.map_or("none".to_owned(), |layer| layer.to_string());
    let shown: Vec<String> =
        columns.iter().map(|(left, right)| format!("{}{arrow}{}", number(left), number(right))).collect();
    page.row("partners", &shown.join(" "));
}

/// A tick and a number at every tenth column.
fn scale(chunk: &[(Option<u32>, Option<u32>)], first: usize) -> String {
    let mut line = String::new();
    for (idx, (left, right)) in chunk.iter().enumerate() {
        if (first + idx).is_multiple_of(10) && line.len() <= idx {
            line.push_str(&left.or(*right).map_or("?".to_owned(), |layer| layer.to_string()));
        } else if line.len() <= idx {
            line.push(' ');
        }
    }
    line
}

fn in_stack(row: &LayerRow) -> bool {
    row.left.is_some() || row.right.is_some()
}

fn pair(row: &LayerRow) -> (Option<u32>, Option<u32>) {
    (row.left, row.right)
}

/// Index of the shade; None where nothing was computed.
fn shade(row: &LayerRow) -> Option<usize> {
    let cosine = row.centred_cosine.or(row.cosine).map(f64::abs);
    let explained = [cosine, row.agreement].into_iter().flatten().filter(|value| value.is_finite());
    let largest = explained.fold(None, |most: Option<f64>, value| Some(most.map_or(value, |m| m.max(value))));
    let by_value = largest.map(|value| STEPS.iter().filter(|step| value >= **step).count());
    let by_z = row.z.filter(|z| *z >= Z_IS_A_SIGN).map(|_| 1);
    by_value.max(by_z).or(row.z.map(|_| 0))
}
