//! All trace tests of a pair become one p, one z, a spread check and a power.

use crate::canonical::Group;
use crate::measure::agreement::Agreement;
use crate::measure::families::Kind;
use crate::measure::trace::Trace;
use crate::numerics::{fisher_ln_p, order_statistic_ln_p, spread_ln_p};
use crate::roles::{Component, Expert};

/// Level of any claim from the trace test (docs/methods.md#combination).
pub const ALPHA: f64 = 1e-6;
/// p above which a test says nothing.
const SILENT_P: f64 = 0.01;
/// Level that must still hold without the strongest tenth of the tests.
pub const SPREAD_ALPHA: f64 = 1e-3;
/// Normal quantile of 1 − [`ALPHA`] plus that of 90 %: the z of the smallest share that is found with 90 %.
pub(super) const DETECTABLE_Z: f64 = 4.753_4 + 1.281_6;

/// One family with its outcome.
#[derive(Clone, Debug)]
pub struct FamilyResult {
    /// What the units are.
    pub kind: Kind,
    /// Report group.
    pub group: Group,
    /// Tower.
    pub component: Component,
    /// Left and right layer.
    pub layers: Option<(u32, u32)>,
    /// Expert.
    pub expert: Expert,
    /// The test.
    pub trace: Trace,
    /// Two disjoint halves of the tokens.
    pub halves: Option<[Trace; 2]>,
    /// Partners named by two matrices.
    pub agreement: Option<Agreement>,
}

/// Tests of one group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupResult {
    /// The group.
    pub group: Group,
    /// Families.
    pub n_tests: usize,
    /// Combined ln p, the price of assignments included.
    pub ln_p: f64,
    /// Combined z.
    pub z: f64,
    /// Smallest share of inherited weights found with 90 % at [`ALPHA`].
    pub smallest_share: Option<f64>,
}

/// Everything the trace tests say together.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceEvidence {
    /// Families tested.
    pub n_tests: usize,
    /// Combined ln p, the price of assignments included.
    pub ln_p: f64,
    /// The smallest ln p that these tests could have given.
    pub ln_p_floor: f64,
    /// Σz / √n.
    pub z: f64,
    /// ln p without the strongest tenth of the tests.
    pub spread_ln_p: f64,
    /// Per group.
    pub groups: Vec<GroupResult>,
    /// Smallest share of inherited weights found with 90 % at [`ALPHA`].
    pub smallest_share: Option<f64>,
}

impl TraceEvidence {
    /// The combined test rejects and does not hang on a few tests.
    #[must_use]
    pub fn rejects(&self) -> bool {
        self.ln_p <= ALPHA.ln() && self.spread_ln_p <= SPREAD_ALPHA.ln()
    }

    /// The smaller of the combined ln p and the best group's, which pays for the choice among groups.
    #[must_use]
    pub fn strongest_ln_p(&self) -> f64 {
        let n_groups = (self.groups.len().max(1) as f64).ln();
        self.groups.iter().map(|group| (group.ln_p + n_groups).min(0.0)).fold(self.ln_p, f64::min)
    }

    /// The tests of one group.
    #[must_use]
    pub fn group(&self, group: Group) -> Option<&GroupResult> {
        self.groups.iter().find(|result| result.group == group)
    }
}

/// Combines families. Those of a known graph permute disjoint sets of units and are independent under H0: Fisher. Outputs of
/// an unknown graph may share a residual stream: an order statistic that stands any dependence.
#[must_use]
pub fn combine(families: &[FamilyResult], ln_assignments_tried: f64) -> TraceEvidence {
    let groups: Vec<GroupResult> = Group::ALL
        .into_iter()
        .filter_map(|group| {
            let members: Vec<&FamilyResult> =
                families.iter().filter(|family| family.group == group).collect();
            (!members.is_empty()).then(|| GroupResult {
                group,
                n_tests: members.len(),
                ln_p: (ln_p_of(&members, |trace| trace.ln_p) + ln_assignments_tried).min(0.0),
                z: z_of(&members),
                smallest_share: smallest_share(&members),
            })
        })
        .collect();
    let all: Vec<&FamilyResult> = families.iter().collect();
    let paid = |ln_p: f64| (ln_p + ln_assignments_tried).min(0.0);
    let spread = if is_unknown_graph(&all) {
        ln_p_of(&all, |trace| trace.ln_p)
    } else {
        spread_ln_p(&all.iter().map(|family| family.trace.ln_p).collect::<Vec<f64>>())
    };
    TraceEvidence {
        n_tests: families.len(),
        ln_p: paid(ln_p_of(&all, |trace| trace.ln_p)),
        ln_p_floor: paid(ln_p_of(&all, |trace| trace.ln_p_floor)),
        z: z_of(&all),
        spread_ln_p: paid(spread),
        groups,
        smallest_share: smallest_share(&all),
    }
}

/// A group was tested in place, and nothing in it stands there.
#[must_use]
pub fn is_silent_in_place(families: &[FamilyResult], group: Group) -> bool {
    let mut of_group = families.iter().filter(|family| family.group == group).peekable();
    of_group.peek().is_some() && of_group.all(|family| family.trace.ln_p > SILENT_P.ln())
}

fn is_unknown_graph(families: &[&FamilyResult]) -> bool {
    families.iter().any(|family| family.kind == Kind::TensorRows)
}

fn ln_p_of(families: &[&FamilyResult], read: impl Fn(&Trace) -> f64) -> f64 {
    let ln_ps: Vec<f64> = families.iter().map(|family| read(&family.trace)).collect();
    if is_unknown_graph(families) { order_statistic_ln_p(&ln_ps) } else { fisher_ln_p(&ln_ps) }
}

fn z_of(families: &[&FamilyResult]) -> f64 {
    let sum: f64 = families.iter().map(|family| family.trace.z).sum();
    sum / (families.len().max(1) as f64).sqrt()
}

/// A share s of every unit moves a trace by s · n · (1 − expected); z grows by that over √Var (docs/methods.md#combination).
fn smallest_share(families: &[&FamilyResult]) -> Option<f64> {
    let gain: f64 = families
        .iter()
        .filter(|family| family.trace.variance > 0.0)
        .map(|family| {
            let trace = &family.trace;
            trace.n_units as f64 * (1.0 - trace.mean_expected).max(0.0) / trace.variance.sqrt()
        })
        .sum();
    (gain > 0.0).then(|| DETECTABLE_Z * (families.len() as f64).sqrt() / gain)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// 1,024 units of one layer with this outcome.
    pub(in crate::evidence) fn family(kind: Kind, ln_p: f64) -> FamilyResult {
        let trace = Trace {
            n_units: 1024,
            mean_diagonal: 0.0,
            mean_expected: 0.0,
            variance: 1024.0 / 2048.0,
            z: 1.0,
            ln_p,
            ln_p_floor: -500.0,
            n_permutations: 0,
        };
        let group = if kind == Kind::TensorRows { Group::Other } else { Group::Mlp };
        FamilyResult {
            kind,
            group,
            component: Component::Text,
            layers: None,
            expert: Expert::None,
            trace,
            halves: None,
            agreement: None,
        }
    }

    #[test]
    fn one_strong_test_among_many_does_not_reject() {
        let mut families: Vec<FamilyResult> = (0..12).map(|_| family(Kind::MlpUnits, -0.7)).collect();
        families[0].trace.ln_p = -300.0;
        let evidence = combine(&families, 0.0);
        assert!(evidence.ln_p < ALPHA.ln() && !evidence.rejects());
        families.iter_mut().for_each(|family| family.trace.ln_p = -20.0);
        assert!(combine(&families, 0.0).rejects());
        assert!(!combine(&families, 500.0).rejects(), "assignments tried are paid for");
    }

    #[test]
    fn an_unknown_graph_needs_a_quarter_of_its_tensors() {
        let mut families: Vec<FamilyResult> = (0..16).map(|_| family(Kind::TensorRows, -0.7)).collect();
        families[..3].iter_mut().for_each(|family| family.trace.ln_p = -300.0);
        assert!(!combine(&families, 0.0).rejects());
        families[..4].iter_mut().for_each(|family| family.trace.ln_p = -300.0);
        assert!(combine(&families, 0.0).rejects());
    }

    #[test]
    fn two_percent_of_one_layer_of_1024_units_is_nearly_visible() {
        // 2 % mixing in one 1024-unit layer gives z 4.8 where unrelated cosines have sd 1/√k
        let evidence = combine(&[family(Kind::MlpUnits, 0.0)], 0.0);
        let share = evidence.smallest_share.expect("one family");
        assert!((share - 6.035 * (1024.0f64 / 2048.0).sqrt() / 1024.0).abs() < 1e-4);
        assert_eq!(combine(&[], 0.0).smallest_share, None);
    }
}
