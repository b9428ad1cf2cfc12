//! Average linkage (Sokal & Michener 1958) on 1 − likelihood: models that share weights come together first.
//!
//! A picture of the matrix, not a family tree: it says who is near whom, not who descends from whom.

use super::Matrix;

/// A model, or two groups that were joined.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// Index of a model.
    Leaf(usize),
    /// Two groups and their mean distance.
    Join {
        /// The group with the smaller number.
        left: Box<Tree>,
        /// The other one.
        right: Box<Tree>,
        /// Mean distance of their members.
        height: f64,
    },
}

impl Tree {
    /// 0 of a leaf, else the mean distance at which its parts were joined.
    #[must_use]
    pub fn height(&self) -> f64 {
        match self {
            Tree::Leaf(_) => 0.0,
            Tree::Join { height, .. } => *height,
        }
    }
}

/// The tree of a matrix; None of no model.
#[must_use]
pub fn tree(matrix: &Matrix) -> Option<Tree> {
    let n = matrix.models.len();
    let mut condensed: Vec<f64> = Matrix::pairs(n).map(|(a, b)| matrix.distance(a, b)).collect();
    let mut groups: Vec<Option<Tree>> = (0..n).map(|model| Some(Tree::Leaf(model))).collect();
    for step in kodama::linkage(&mut condensed, n, kodama::Method::Average).steps() {
        let mut take = |cluster: usize| groups.get_mut(cluster).and_then(Option::take);
        let (Some(left), Some(right)) = (take(step.cluster1), take(step.cluster2)) else { return None };
        groups.push(Some(Tree::Join {
            left: Box::new(left),
            right: Box::new(right),
            height: step.dissimilarity,
        }));
    }
    groups.pop().flatten()
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, Entry};
    use super::*;
    use crate::compare::{ArchitectureVerdict, WeightsVerdict};

    #[test]
    fn near_models_join_first_and_groups_at_their_mean_distance() {
        // distances: 0–1 .2, 2–3 .4, between the two groups .5 .7 .9 .7
        let likelihoods = [0.8, 0.5, 0.3, 0.1, 0.3, 0.6];
        let entries = likelihoods.map(|likelihood| {
            Entry::Compared(Cell {
                verdict: WeightsVerdict::Derived,
                architecture: ArchitectureVerdict::Same,
                likelihood: Some(likelihood),
            })
        });
        let of = |n_models: usize, entries: &[Entry]| Matrix {
            models: vec![String::new(); n_models],
            entries: entries.to_vec(),
            n_nearest: None,
        };
        let matrix = of(4, &entries);
        let Some(Tree::Join { left, right, height }) = tree(&matrix) else { panic!("four models") };
        assert!((height - 0.7).abs() < 1e-12 && (left.height() - 0.2).abs() < 1e-12);
        assert!((right.height() - 0.4).abs() < 1e-12);
        assert_eq!(tree(&of(1, &[])), Some(Tree::Leaf(0)));
        assert_eq!(tree(&of(0, &[])), None);
    }
}
