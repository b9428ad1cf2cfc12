//! How alike the units of independent trained models are: what S3, S4 and S5 are held against.

use std::collections::BTreeMap;

use super::Row;
use super::manifest::Split;
use crate::compare::Depth;

/// Which pairs of layers a control speaks of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// `agreement`, `probes` or `heads`.
    pub statistic: String,
    /// Where in the stack.
    pub depth: Depth,
}

/// What was found between layers of independent models.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Control {
    /// Pairs of layers.
    pub n_cells: usize,
    /// Units of all of them.
    pub n_units: usize,
    /// Units that agree, of all of them.
    pub n_agreeing: usize,
    /// The most in one pair of layers.
    pub most_agreeing: usize,
    /// The largest share in one pair of layers.
    pub largest_share: f64,
}

/// Controls of one manifest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Controls {
    /// Independent trained pairs.
    pub n_pairs: usize,
    /// Per statistic and depth.
    pub cells: BTreeMap<Cell, Control>,
    /// Largest share of agreeing MLP units of one statistic over all layers of a pair.
    pub largest_pair_share: f64,
    /// Largest share of attention heads that find each other, over all layers of a pair.
    pub largest_head_share: f64,
    /// Pairs whose token tables were asked, and their largest nearness.
    pub token_span: Option<(usize, f64)>,
}

/// Controls from the independent trained pairs of the fit split.
#[must_use]
pub fn controls(rows: &[Row]) -> Controls {
    let mut found = Controls::default();
    for row in rows {
        let pair = &row.pair;
        let is_control = !pair.label.is_shared() && pair.is_trained && pair.split == Some(Split::Fit);
        let Some(outcome) = row.outcome.as_ref().ok().filter(|_| is_control) else { continue };
        found.n_pairs += 1;
        let mut of_pair: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for layers in &outcome.measures.found {
            let cell = Cell { statistic: layers.statistic.clone(), depth: layers.depth };
            let control = found.cells.entry(cell).or_default();
            control.n_cells += 1;
            control.n_units += layers.n_units;
            control.n_agreeing += layers.n_agreeing;
            control.most_agreeing = control.most_agreeing.max(layers.n_agreeing);
            let share = layers.n_agreeing as f64 / layers.n_units.max(1) as f64;
            control.largest_share = control.largest_share.max(share);
            let (n_agreeing, n_units) = of_pair.entry(&layers.statistic).or_default();
            *n_agreeing += layers.n_agreeing;
            *n_units += layers.n_units;
        }
        for (statistic, (n_agreeing, n_units)) in of_pair {
            let share = n_agreeing as f64 / n_units.max(1) as f64;
            // few heads make large shares: they are held against their own
            let largest = match statistic {
                "heads" => &mut found.largest_head_share,
                _ => &mut found.largest_pair_share,
            };
            *largest = largest.max(share);
        }
        if let Some(nearness) = outcome.measures.token_span {
            let (n, largest) = found.token_span.unwrap_or((0, f64::NEG_INFINITY));
            found.token_span = Some((n + 1, largest.max(nearness)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{ArchitectureVerdict, Direction, Found, Measures, WeightsVerdict};
    use crate::evaluate::{Outcome, read};

    #[test]
    fn layers_count_by_place_and_only_for_independent_trained_pairs_of_the_fit_split() {
        let line = |right: &str, label: &str, split: &str| {
            format!(
                r#"{{"left":"a","right":"{right}","label":"{label}","family_left":"A","family_right":"F{right}","split":"{split}"}}"#
            )
        };
        let text = [
            line("b", "independent", "fit"),
            line("c", "independent", "fit"),
            line("d", "independent", "test"),
            line("e", "derived", "fit"),
        ]
        .join("\n");
        let found =
            |depth, n_agreeing| Found { statistic: "agreement".to_owned(), depth, n_agreeing, n_units: 100 };
        let counts = [(3, 0), (1, 1), (50, 50), (99, 99)];
        let rows: Vec<Row> = read(&text, 0, 0)
            .pairs
            .into_iter()
            .zip(counts)
            .map(|(pair, (first, last))| Row {
                pair,
                outcome: Ok(Outcome {
                    verdict: WeightsVerdict::NoEvidence,
                    architecture: ArchitectureVerdict::Same,
                    direction: Direction::Undetermined,
                    relations: Vec::new(),
                    likelihood: None,
                    strength: None,
                    log10_p: None,
                    measures: Measures {
                        found: vec![found(Depth::First, first), found(Depth::Last, last)],
                        ..Measures::default()
                    },
                    n_skipped: 0,
                    bytes_read: 0,
                    seconds: 0.0,
                }),
            })
            .collect();
        let controls = controls(&rows);
        let cell = |depth| &controls.cells[&Cell { statistic: "agreement".to_owned(), depth }];
        assert_eq!(controls.n_pairs, 2);
        assert_eq!((cell(Depth::First).n_agreeing, cell(Depth::First).most_agreeing), (4, 3));
        assert_eq!((cell(Depth::Last).n_agreeing, cell(Depth::Last).n_units), (1, 200));
        assert!((controls.largest_pair_share - 0.015).abs() < 1e-12);
    }
}
