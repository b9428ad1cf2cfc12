//! Exit codes, frozen at 0.1; README.md lists them.

/// Ran to completion and no gate failed.
pub(super) const OK: u8 = 0;
/// A gate the user asked for failed.
pub(super) const GATE: u8 = 1;
/// Usage.
pub(super) const USAGE: u8 = 2;
/// Input unreadable, malformed or changed while read; output that cannot be written.
pub(super) const INPUT: u8 = 3;
/// Nothing comparable, or coverage incomplete.
pub(super) const PARTIAL: u8 = 4;
/// Inconclusive and a gate was asked.
pub(super) const INCONCLUSIVE: u8 = 5;
/// Requested GPU or backend not available or lost.
pub(super) const BACKEND: u8 = 6;
/// A caught panic.
pub(super) const INTERNAL: u8 = 70;

/// What could not be done outranks a finding, so that green never means "did not look".
const ORDER: [u8; 10] = [130, 143, INTERNAL, USAGE, BACKEND, INPUT, PARTIAL, GATE, INCONCLUSIVE, OK];

/// The code of a run in which several apply; an unknown code counts as internal.
pub(super) fn first_of(codes: impl IntoIterator<Item = u8>) -> u8 {
    let rank = |code: &u8| ORDER.iter().position(|known| known == code).unwrap_or(2);
    codes.into_iter().min_by_key(rank).unwrap_or(OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_done_outranks_a_finding() {
        for (codes, wanted) in [
            (vec![], 0),
            (vec![0, 0], 0),
            (vec![0, 5], 5),
            (vec![5, 1], 1),
            (vec![1, 4], 4),
            (vec![4, 3, 1], 3),
            (vec![3, 6], 6),
            (vec![6, 2], 2),
            (vec![2, 70], 70),
            (vec![70, 143, 0], 143),
            (vec![143, 130], 130),
        ] {
            assert_eq!(first_of(codes.iter().copied()), wanted, "{codes:?}");
        }
    }
}
