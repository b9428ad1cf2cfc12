//! The manifest: labelled pairs, or models with their families, one JSON object a line (docs/evaluate.md#manifest).

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::pairs;
use crate::numerics::Rng;

/// What is true of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the words stand in Label::word")]
pub enum Label {
    Independent,
    Identical,
    Requantised,
    Derived,
    PartlyDerived,
    CommonOrigin,
}

impl Label {
    /// Every label.
    pub const ALL: [Label; 6] = [
        Label::Independent,
        Label::Identical,
        Label::Requantised,
        Label::Derived,
        Label::PartlyDerived,
        Label::CommonOrigin,
    ];

    /// The word of the manifest.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Label::Independent => "independent",
            Label::Identical => "identical",
            Label::Requantised => "requantised",
            Label::Derived => "derived",
            Label::PartlyDerived => "partly-derived",
            Label::CommonOrigin => "common-origin",
        }
    }

    /// Whether such a pair shares weights.
    #[must_use]
    pub fn is_shared(self) -> bool {
        self != Label::Independent
    }
}

/// Which pairs a map is fitted on, and which test it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Fitted on.
    Fit,
    /// Never seen by the fit.
    Test,
}

impl Split {
    /// The word of the manifest.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Split::Fit => "fit",
            Split::Test => "test",
        }
    }

    /// The split of a family that the manifest gives none: a seeded coin, the same on every machine.
    #[must_use]
    pub fn of_family(family: &str, seed: u64) -> Split {
        let labels: Vec<u64> = [seed, 0x7370_6c69].into_iter().chain(family.bytes().map(u64::from)).collect();
        if Rng::new(&labels).unit() < 0.5 { Split::Fit } else { Split::Test }
    }
}

/// A pair with its truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledPair {
    /// Reference, as written.
    pub left: String,
    /// Reference, as written.
    pub right: String,
    /// What is true.
    pub label: Label,
    /// Family of the left model: models that may share weights.
    pub family_left: String,
    /// Family of the right model.
    pub family_right: String,
    /// What happened, in the words of the report: `quantised-copy`, `layers-selected`, ….
    pub relation: Option<String>,
    /// Such as people get wrong: small shares, long training, disguises, distillation.
    pub is_hard: bool,
    /// Both models beat the frequencies of their tokens, as far as the manifest gives losses: random models are easy negatives
    /// and no controls.
    pub is_trained: bool,
    /// None where one family is fitted on and the other tests: such a pair is in neither.
    pub split: Option<Split>,
    /// Words that are right; any where empty.
    pub verdicts: Vec<String>,
    /// Directions that are right; any where empty.
    pub directions: Vec<String>,
    /// The right word of the architecture axis.
    pub architecture: Option<String>,
}

/// A line that holds neither a pair nor a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineFault {
    /// From 1 on.
    pub line: usize,
    /// What is wrong with it.
    pub says: String,
    /// The pair, where it could be read.
    pub pair: Option<(String, String)>,
}

/// A manifest that was read.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Pairs: those written first, then those that follow from the models.
    pub pairs: Vec<LabelledPair>,
    /// Lines in error.
    pub faults: Vec<LineFault>,
    /// Lines that hold a model.
    pub n_models: usize,
}

/// A line. Keys that are not known are facts for people (losses, seeds) and are not read.
#[derive(Deserialize)]
struct Line {
    left: Option<String>,
    right: Option<String>,
    label: Option<String>,
    family_left: Option<String>,
    family_right: Option<String>,
    model: Option<String>,
    family: Option<String>,
    #[serde(default)]
    parents: Vec<String>,
    origin: Option<String>,
    relation: Option<String>,
    #[serde(default)]
    hard: bool,
    split: Option<Split>,
    #[serde(default)]
    verdicts: Vec<String>,
    #[serde(default)]
    directions: Vec<String>,
    architecture: Option<String>,
    loss: Option<f64>,
    unigram_loss: Option<f64>,
}

/// A model of the manifest.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) reference: String,
    pub(super) family: String,
    pub(super) parents: Vec<String>,
    pub(super) origin: Option<String>,
    pub(super) relation: Option<String>,
    pub(super) is_hard: bool,
    pub(super) is_trained: bool,
    pub(super) split: Option<Split>,
}

/// Reads a manifest. `most_independent`: at most so many pairs between families follow from the models, drawn by seed.
#[must_use]
pub fn read(text: &str, seed: u64, most_independent: usize) -> Listing {
    let mut listing = Listing::default();
    let mut models: Vec<Model> = Vec::new();
    let mut seen: BTreeSet<(String, String)> = BTreeSet::new();
    let mut names: BTreeSet<String> = BTreeSet::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut refuse = |says: String, pair: Option<(String, String)>| {
            listing.faults.push(LineFault { line: at + 1, says, pair });
        };
        let line: Line = match serde_json::from_str(line) {
            Ok(line) => line,
            Err(error) => {
                refuse(format!("not an object of the manifest: {error}"), None);
                continue;
            }
        };
        match (line.left.clone(), line.right.clone(), line.model.clone()) {
            (Some(left), Some(right), None) => {
                let places = (left.clone(), right.clone());
                let swapped = (right, left);
                if seen.contains(&places) || seen.contains(&swapped) {
                    refuse("the pair is listed twice".to_owned(), Some(places));
                    continue;
                }
                match pair(line, seed) {
                    Ok(pair) => {
                        seen.insert(places);
                        listing.pairs.push(pair);
                    }
                    Err(says) => refuse(says, Some(places)),
                }
            }
            (None, None, Some(model)) => {
                let Some(family) = line.family else {
                    refuse(format!("model '{model}' has no family"), None);
                    continue;
                };
                if !names.insert(model.clone()) {
                    refuse(format!("model '{model}' is listed twice"), None);
                    continue;
                }
                models.push(Model {
                    reference: model,
                    family,
                    parents: line.parents,
                    origin: line.origin,
                    relation: line.relation,
                    is_hard: line.hard,
                    is_trained: !matches!((line.loss, line.unigram_loss), (Some(l), Some(u)) if l >= u),
                    split: line.split,
                });
            }
            _ => refuse("neither left and right nor a model".to_owned(), None),
        }
    }
    listing.n_models = models.len();
    let splits = family_splits(&models, seed);
    listing.pairs.extend(pairs::of_models(&models, &splits, &seen, seed, most_independent));
    listing
}

/// One split per family: what a member says, else the seeded coin.
fn family_splits(models: &[Model], seed: u64) -> BTreeMap<String, Split> {
    let mut splits = BTreeMap::new();
    for model in models {
        if let Some(split) = model.split {
            splits.entry(model.family.clone()).or_insert(split);
        }
    }
    for model in models {
        splits.entry(model.family.clone()).or_insert_with(|| Split::of_family(&model.family, seed));
    }
    splits
}

fn pair(line: Line, seed: u64) -> Result<LabelledPair, String> {
    let word = line.label.ok_or_else(|| "the pair has no label".to_owned())?;
    let label = Label::ALL.into_iter().find(|label| label.word() == word).ok_or_else(|| {
        let known: Vec<&str> = Label::ALL.iter().map(|label| label.word()).collect();
        format!("unknown label '{word}'; known are {}", known.join(", "))
    })?;
    let (Some(left), Some(right)) = (line.left, line.right) else {
        return Err("the pair lacks a model".to_owned());
    };
    if left == right {
        return Err("a model is paired with itself".to_owned());
    }
    let (Some(family_left), Some(family_right)) = (line.family_left, line.family_right) else {
        return Err("the pair lacks family_left or family_right, by which errors are counted".to_owned());
    };
    if label == Label::Independent && family_left == family_right {
        return Err(format!("independent, but both models are of family '{family_left}'"));
    }
    let of = |family: &str| Split::of_family(family, seed);
    let split = line.split.or_else(|| {
        let (left, right) = (of(&family_left), of(&family_right));
        (left == right).then_some(left)
    });
    Ok(LabelledPair {
        left,
        right,
        label,
        family_left,
        family_right,
        relation: line.relation,
        is_hard: line.hard,
        is_trained: true,
        split,
        verdicts: line.verdicts,
        directions: line.directions,
        architecture: line.architecture,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIR: &str =
        r#"{"left":"a","right":"b","label":"independent","family_left":"A","family_right":"B","loss":3.1}"#;

    #[test]
    fn a_pair_is_read_with_its_families_and_unknown_keys_do_not_matter() {
        let listing = read(&format!("# note\n\n{PAIR}\n"), 0, 100);
        assert!(listing.faults.is_empty(), "{:?}", listing.faults);
        let pair = &listing.pairs[0];
        assert_eq!((pair.left.as_str(), pair.family_right.as_str()), ("a", "B"));
        assert_eq!((pair.label, pair.is_hard), (Label::Independent, false));
    }

    #[test]
    fn a_bad_line_is_named_and_the_rest_goes_on() {
        for (bad, says) in [
            ("{", "not an object"),
            (r#"{"left":"a"}"#, "neither left and right"),
            (&PAIR.replace("independent", "related") as &str, "unknown label 'related'"),
            (&PAIR.replace("family_left", "x") as &str, "lacks family_left"),
            (&PAIR.replace(r#""B""#, r#""A""#) as &str, "both models are of family 'A'"),
            (&PAIR.replace(r#""b""#, r#""a""#) as &str, "paired with itself"),
            (r#"{"model":"m"}"#, "has no family"),
        ] {
            let good = PAIR.replace(r#""a""#, r#""z""#);
            let listing = read(&format!("{bad}\n{good}"), 0, 100);
            assert_eq!((listing.faults.len(), listing.pairs.len()), (1, 1), "{bad}");
            assert!(listing.faults[0].says.contains(says), "{}", listing.faults[0].says);
            assert_eq!(listing.faults[0].line, 1);
        }
    }

    #[test]
    fn a_pair_listed_twice_in_either_order_counts_once() {
        let swapped = PAIR.replace(r#""left":"a","right":"b""#, r#""left":"b","right":"a""#);
        let listing = read(&format!("{PAIR}\n{swapped}\n{PAIR}"), 0, 100);
        assert_eq!((listing.pairs.len(), listing.faults.len()), (1, 2));
        assert!(listing.faults.iter().all(|fault| fault.says.contains("twice") && fault.pair.is_some()));
    }

    #[test]
    fn families_are_split_in_halves_by_seed() {
        let n_fit = |seed: u64| {
            let of = |k: &u32| Split::of_family(&format!("family-{k}"), seed) == Split::Fit;
            (0..1000u32).filter(of).count()
        };
        // binomial(1000, 1/2): sd 15.8, six of them
        assert!(n_fit(1).abs_diff(500) < 95, "{}", n_fit(1));
        assert_ne!(
            (0..64u32).map(|k| Split::of_family(&k.to_string(), 1)).collect::<Vec<_>>(),
            (0..64u32).map(|k| Split::of_family(&k.to_string(), 2)).collect::<Vec<_>>()
        );
    }
}
