//! Which words and relations were said where the manifest says what is true.

use std::collections::BTreeMap;

use super::Row;
use crate::compare::WeightsVerdict;

/// Counts of (truth, said).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Confusion {
    /// (label, verdict) → pairs.
    pub words: BTreeMap<(&'static str, &'static str), usize>,
    /// (relation of the manifest, relation found) → pairs; a pair counts for every relation found, or for "none".
    pub relations: BTreeMap<(String, String), usize>,
    /// Pairs whose manifest lists the words that are right, and of these the wrong ones.
    pub n_words_checked: usize,
    /// Wrong among them.
    pub n_words_wrong: usize,
    /// Pairs whose manifest lists the directions that are right.
    pub n_directions_checked: usize,
    /// Wrong among them.
    pub n_directions_wrong: usize,
    /// Pairs whose manifest names the architecture verdict.
    pub n_architectures_checked: usize,
    /// Wrong among them.
    pub n_architectures_wrong: usize,
}

/// How words are spelled is not known here.
pub struct Spelling {
    /// Weights verdict.
    pub weights: fn(WeightsVerdict) -> &'static str,
    /// Direction.
    pub direction: fn(crate::compare::Direction) -> &'static str,
    /// Architecture verdict.
    pub architecture: fn(crate::compare::ArchitectureVerdict) -> &'static str,
}

/// Counts what was said.
#[must_use]
pub fn confusion(rows: &[Row], spelling: &Spelling) -> Confusion {
    let mut found = Confusion::default();
    for row in rows {
        let Ok(outcome) = &row.outcome else { continue };
        let word = (spelling.weights)(outcome.verdict);
        *found.words.entry((row.pair.label.word(), word)).or_default() += 1;
        if let Some(relation) = &row.pair.relation {
            let mut said = outcome.relations.clone();
            if said.is_empty() {
                said.push("none".to_owned());
            }
            for kind in said {
                *found.relations.entry((relation.clone(), kind)).or_default() += 1;
            }
        }
        let is_wrong = |allowed: &[String], said: &str| !allowed.iter().any(|word| word == said);
        let mut count =
            |allowed: &[String], said, checked: fn(&mut Confusion) -> (&mut usize, &mut usize)| {
                if !allowed.is_empty() {
                    let (n_checked, n_wrong) = checked(&mut found);
                    *n_checked += 1;
                    *n_wrong += usize::from(is_wrong(allowed, said));
                }
            };
        count(&row.pair.verdicts, word, |c| (&mut c.n_words_checked, &mut c.n_words_wrong));
        let direction = (spelling.direction)(outcome.direction);
        count(&row.pair.directions, direction, |c| (&mut c.n_directions_checked, &mut c.n_directions_wrong));
        let architecture = (spelling.architecture)(outcome.architecture);
        let allowed: Vec<String> = row.pair.architecture.iter().cloned().collect();
        count(&allowed, architecture, |c| (&mut c.n_architectures_checked, &mut c.n_architectures_wrong));
    }
    found
}
