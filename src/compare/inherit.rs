//! Which share of each model's parameters the other explains: "100 % of the architecture, 0 % of the weights".

use super::stages::PlainStage;
use super::{ByComponent, Pair, Side};
use crate::align::Alignment;
use crate::canonical::Group;
use crate::evidence::agrees;
use crate::measure::agreement::Agreement;
use crate::verdict::weights::{Decision, Facts};

/// Explained shares.
pub(super) struct Inherited {
    pub(super) left_share: f64,
    pub(super) right_share: f64,
    pub(super) by_component: ByComponent,
}

/// Explained parameters: R² (squared centred cosine; plain where a side is constant) of each pair of an explained group,
/// weighted by elements. Units that were found in another place count by their agreeing share.
pub(super) fn inherited(
    pair: &Pair<'_>,
    alignment: &Alignment,
    plain: &PlainStage,
    facts: &Facts<'_>,
    decision: &Decision,
) -> Inherited {
    let agreeing = mean_agreement(facts);
    let mut explained: Vec<(Group, f64)> = Vec::new();
    for (idx, paired) in alignment.pairs.iter().enumerate() {
        if !decision.explained.contains(&paired.group) {
            continue;
        }
        let Some(picture) = plain.picture(idx) else { continue };
        let cosine = picture.centred_cosine.or(picture.cosine).unwrap_or(0.0);
        let all_equal = picture.equal_share >= 1.0;
        let by_place = if all_equal { 1.0 } else { cosine.max(0.0).powi(2) };
        let share = if paired.group == Group::Mlp { by_place.max(agreeing) } else { by_place };
        explained.push((paired.group, share * pair.n_compared(paired) as f64));
    }
    let total = |side: Side, group: Option<Group>| -> f64 {
        let model = match side {
            Side::Left => &pair.canonical.0,
            Side::Right => &pair.canonical.1,
        };
        model
            .parts
            .iter()
            .filter(|part| group.is_none_or(|group| Group::of(part.role.as_ref()) == group))
            .map(|part| part.stored.view.n_elements() as f64)
            .sum()
    };
    let sum = |group: Option<Group>| -> f64 {
        explained
            .iter()
            .filter(|(of, _)| group.is_none_or(|group| *of == group))
            .map(|(_, n)| n)
            .fold(0.0, |sum, n| sum + n)
    };
    let share = |sum: f64, total: f64| if total > 0.0 { (sum / total).min(1.0) } else { 0.0 };
    Inherited {
        left_share: share(sum(None), total(Side::Left, None)),
        right_share: share(sum(None), total(Side::Right, None)),
        by_component: Group::ALL
            .into_iter()
            .filter(|group| total(Side::Right, Some(*group)) > 0.0)
            .map(|group| (group.name().to_owned(), share(sum(Some(group)), total(Side::Right, Some(group)))))
            .collect(),
    }
}

/// Mean agreeing share of the layers in which units find each other, in the stored or in the token basis.
fn mean_agreement(facts: &Facts<'_>) -> f64 {
    let mean = |found: &[(u32, u32, Agreement)]| {
        let shares = found.iter().filter(|(_, _, a)| agrees(a)).map(|(_, _, a)| a.share());
        shares.sum::<f64>() / found.len().max(1) as f64
    };
    mean(facts.agreements).max(mean(facts.probes))
}
