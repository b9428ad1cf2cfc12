//! Trees in Newick's format, quoted so that any reader takes a name for a name.

use super::escape;
use crate::matrix::{Matrix, Tree};

/// The tree of a matrix with branch lengths, one line; `;` alone of no model.
#[must_use]
pub fn tree(matrix: &Matrix, tree: Option<&Tree>) -> String {
    let mut text = String::new();
    if let Some(tree) = tree {
        push(&mut text, matrix, tree, tree.height());
    }
    text.push_str(";\n");
    text
}

fn push(text: &mut String, matrix: &Matrix, tree: &Tree, parent_height: f64) {
    match tree {
        Tree::Leaf(model) => {
            let name = matrix.models.get(*model).map_or(String::new(), |name| escape::name(name));
            text.push_str(&format!("'{}'", name.replace('\'', "''")));
        }
        Tree::Join { left, right, height } => {
            text.push('(');
            push(text, matrix, left, *height);
            text.push(',');
            push(text, matrix, right, *height);
            text.push(')');
        }
    }
    // a leaf hangs at height 0, so that a branch is half of nothing: its whole length to the join
    text.push_str(&format!(":{:.4}", (parent_height - tree.height()).max(0.0)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Entry;

    #[test]
    fn names_are_quoted_and_branches_add_up_to_the_heights() {
        let leaf = |k| Box::new(Tree::Leaf(k));
        let inner = Tree::Join { left: leaf(0), right: leaf(1), height: 0.25 };
        let outer = Tree::Join { left: Box::new(inner), right: leaf(2), height: 0.75 };
        let models = ["a", "it's (b)", "c\u{1b}[31m"].map(str::to_owned).to_vec();
        let matrix = Matrix { models, entries: vec![Entry::Failed; 3], n_nearest: None };
        let text = super::tree(&matrix, Some(&outer));
        assert_eq!(text, "(('a':0.2500,'it''s (b)':0.2500):0.5000,'c\\u{1b}[31m':0.7500):0.0000;\n");
    }
}
