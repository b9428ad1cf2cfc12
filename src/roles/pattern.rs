//! Matches one tensor name against one line of a family table.

/// The numbers that a pattern took out of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Indices {
    /// At `N`.
    pub(super) layer: Option<u32>,
    /// At `E`.
    pub(super) expert: Option<u32>,
}

/// Numbers at `N` (layer) and `E` (expert) of a dotted pattern, or None where the name is another one.
pub(super) fn matches(pattern: &str, stem: &str) -> Option<Indices> {
    let mut indices = Indices::default();
    let mut segments = stem.split('.');
    for wanted in pattern.split('.') {
        let found = segments.next()?;
        match wanted {
            "N" => indices.layer = Some(index(found)?),
            "E" => indices.expert = Some(index(found)?),
            _ if wanted == found => {}
            _ => return None,
        }
    }
    segments.next().is_none().then_some(indices)
}

/// A segment of digits only; `+1` parses as a number but is none.
fn index(segment: &str) -> Option<u32> {
    segment.bytes().all(|byte| byte.is_ascii_digit()).then(|| segment.parse().ok())?
}

/// What tables leave out at the end of a name, and whether it makes the tensor a bias. Old BERT files say gamma and beta.
const SUFFIXES: [(&str, bool); 6] = [
    (".weight", false),
    (".bias", true),
    (".gamma", false),
    (".beta", true),
    ("_weight", false),
    ("_bias", true),
];

/// The name as a table may write it, with whether it is then a bias: as stored, and without its suffix.
pub(super) fn stems(name: &str) -> impl Iterator<Item = (&str, bool)> {
    let short = SUFFIXES.iter().find_map(|(suffix, is_bias)| Some((name.strip_suffix(suffix)?, *is_bias)));
    std::iter::once((name, false)).chain(short)
}

/// The name with every segment of digits as `N`: equal for the same tensor of two layers.
pub(crate) fn generalised(name: &str) -> String {
    let segment = |segment| if index(segment).is_some() { "N" } else { segment };
    name.split('.').map(segment).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::{Indices, generalised, matches, stems};

    #[test]
    fn a_pattern_takes_out_layer_and_expert() {
        let found = |layer, expert| Some(Indices { layer, expert });
        for (pattern, stem, wanted) in [
            ("layers.N.q", "layers.12.q", found(Some(12), None)),
            ("layers.N.experts.E.w1", "layers.3.experts.7.w1", found(Some(3), Some(7))),
            ("block.N.layer.0.q", "block.5.layer.0.q", found(Some(5), None)),
            ("block.N.layer.0.q", "block.5.layer.1.q", None),
            ("layers.N.q", "layers.12.q.x", None),
            ("layers.N.q", "layers.12", None),
            ("layers.N.q", "layers.+1.q", None),
            ("layers.N.q", "layers..q", None),
            ("layers.N.q", "layers.99999999999.q", None),
            ("norm", "norm", found(None, None)),
        ] {
            assert_eq!(matches(pattern, stem), wanted, "{pattern} on {stem}");
        }
    }

    #[test]
    fn a_suffix_says_whether_it_is_a_bias() {
        for (name, wanted) in [
            ("a.weight", vec![("a.weight", false), ("a", false)]),
            ("a.beta", vec![("a.beta", false), ("a", true)]),
            ("a.in_proj_bias", vec![("a.in_proj_bias", false), ("a.in_proj", true)]),
            ("A_log", vec![("A_log", false)]),
        ] {
            assert_eq!(stems(name).collect::<Vec<_>>(), wanted);
        }
    }

    #[test]
    fn whole_segments_of_digits_are_generalised() {
        assert_eq!(generalised("h.3.mlp.w1.weight"), "h.N.mlp.w1.weight");
    }
}
