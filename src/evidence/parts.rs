//! The trace tests by tower and group: which parts of a model are shared, and which are its own.

use std::collections::BTreeSet;

use super::trace::{ALPHA, DETECTABLE_Z, FamilyResult, TraceEvidence, combine};
use crate::canonical::Group;
use crate::roles::Component;

/// p above which a part says nothing of shared weights.
const SILENT_P: f64 = 0.01;
/// Part of the largest share inherited elsewhere that would have shown in a part that is called the model's own.
const OWN_POWER: f64 = 0.25;

/// One group of one tower.
#[derive(Clone, Debug, PartialEq)]
pub struct PartTrace {
    /// Tower.
    pub component: Component,
    /// Group.
    pub group: Group,
    /// Its tests.
    pub trace: TraceEvidence,
}

impl PartTrace {
    /// Its units are those of the other model, in place.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.trace.rejects() || self.trace.n_tests == 1 && self.trace.ln_p <= ALPHA.ln()
    }

    /// Share of its weights that is inherited, as its z says; 0 where it is silent.
    fn inherited(&self) -> f64 {
        // z grows in proportion
        let share = self.trace.smallest_share.unwrap_or(0.0) * self.trace.z / DETECTABLE_Z;
        if self.is_shared() { share.min(1.0) } else { 0.0 }
    }

    /// Nothing is shared in place, where a quarter of the largest share of another part would have shown.
    fn is_own(&self, largest: f64) -> bool {
        self.trace.ln_p > SILENT_P.ln()
            && self.trace.smallest_share.is_some_and(|smallest| smallest <= OWN_POWER * largest)
    }
}

/// Parts of known graphs that were tested, by tower.
#[must_use]
pub fn parts(families: &[FamilyResult]) -> Vec<PartTrace> {
    let components: BTreeSet<Component> = families.iter().map(|family| family.component).collect();
    let places = components.into_iter().flat_map(|component| {
        [Group::Embeddings, Group::Attention, Group::Mlp].map(|group| (component, group))
    });
    let part = |(component, group)| {
        let is_of_part = |family: &&FamilyResult| (family.component, family.group) == (component, group);
        let families: Vec<FamilyResult> = families.iter().filter(is_of_part).cloned().collect();
        (!families.is_empty()).then(|| PartTrace { component, group, trace: combine(&families, 0.0) })
    };
    places.filter_map(part).collect()
}

/// Parts in which nothing is shared in place although other parts are. Projectors are left out: they are trained for each pair of towers.
#[must_use]
pub fn own_parts(parts: &[PartTrace]) -> Vec<&PartTrace> {
    let largest = parts.iter().map(PartTrace::inherited).fold(0.0, f64::max);
    let is_tower = |part: &&PartTrace| part.component != Component::Projector;
    parts.iter().filter(is_tower).filter(|part| part.is_own(largest)).collect()
}

/// Towers all of whose parts are their own.
#[must_use]
pub fn own_towers(parts: &[PartTrace]) -> BTreeSet<Component> {
    let own = own_parts(parts);
    let is_own = |component: &Component| {
        let of_tower = parts.iter().filter(|part| part.component == *component);
        of_tower.clone().count() == own.iter().filter(|part| part.component == *component).count()
    };
    own.iter().map(|part| part.component).filter(is_own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::trace::tests::family;
    use crate::measure::families::Kind;

    fn of(component: Component, group: Group, z: f64) -> FamilyResult {
        let mut family = family(Kind::MlpUnits, if z > 5.0 { -100.0 } else { -0.7 });
        (family.component, family.group, family.trace.z) = (component, group, z);
        family
    }

    #[test]
    fn a_tower_without_anything_shared_is_its_own_and_a_projector_is_no_tower() {
        let towers = |z_vision: f64, z_mlp: f64| {
            let found = [
                of(Component::Text, Group::Attention, 150.0),
                of(Component::Text, Group::Mlp, z_mlp),
                of(Component::Vision, Group::Attention, z_vision),
                of(Component::Vision, Group::Mlp, z_vision),
                of(Component::Projector, Group::Mlp, 0.0),
            ];
            parts(&found)
        };
        let none = BTreeSet::new();
        assert_eq!(own_towers(&towers(150.0, 150.0)), none);
        assert!(own_parts(&towers(150.0, 150.0)).is_empty());
        assert_eq!(own_towers(&towers(0.5, 150.0)), BTreeSet::from([Component::Vision]));
        let some = towers(150.0, 0.5);
        assert_eq!(own_parts(&some).iter().map(|part| part.group).collect::<Vec<_>>(), [Group::Mlp]);
        assert_eq!(own_towers(&some), none, "attention of the text tower is shared");
        assert!(own_parts(&towers(0.5, 0.5)).len() == 3);
        // nothing is a quarter of a share that is nowhere
        assert!(own_parts(&parts(&[of(Component::Text, Group::Mlp, 0.5)])).is_empty());
    }
}
