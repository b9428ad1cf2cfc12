//! Vocabulary rows are matched by token string: two tokenizers may hold the same tokens in another order.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::checkpoint::Vocabulary;

/// Tokens that two vocabularies share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenMatch {
    /// Ids on the left, ascending.
    pub left: Arc<[u64]>,
    /// The id of the same token on the right.
    pub right: Arc<[u64]>,
    /// Tokens of the larger vocabulary.
    pub n_larger: u64,
    /// Same tokens with the same ids.
    pub same_ids: bool,
}

impl TokenMatch {
    /// The same match seen from the other model.
    #[must_use]
    pub fn swapped(self) -> TokenMatch {
        let mut pairs: Vec<(u64, u64)> =
            self.right.iter().zip(self.left.iter()).map(|(right, left)| (*right, *left)).collect();
        pairs.sort_unstable();
        let (left, right): (Vec<u64>, Vec<u64>) = pairs.into_iter().unzip();
        TokenMatch { left: left.into(), right: right.into(), ..self }
    }
}

/// Merges two sorted vocabularies.
#[must_use]
pub fn match_tokens(left: &Vocabulary, right: &Vocabulary) -> TokenMatch {
    let (mut i, mut j, mut shared) = (0, 0, Vec::new());
    while let (Some((token_l, id_l)), Some((token_r, id_r))) = (left.tokens.get(i), right.tokens.get(j)) {
        match token_l.cmp(token_r) {
            Ordering::Less => i += 1,
            Ordering::Greater => j += 1,
            Ordering::Equal => {
                shared.push((*id_l, *id_r));
                i += 1;
                j += 1;
            }
        }
    }
    shared.sort_unstable();
    let same_ids = left.tokens == right.tokens;
    TokenMatch {
        left: shared.iter().map(|pair| pair.0).collect(),
        right: shared.iter().map(|pair| pair.1).collect(),
        n_larger: left.tokens.len().max(right.tokens.len()) as u64,
        same_ids,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary(tokens: &[(&str, u64)]) -> Vocabulary {
        let mut tokens: Vec<(String, u64)> = tokens.iter().map(|(t, id)| ((*t).to_owned(), *id)).collect();
        tokens.sort();
        Vocabulary { tokens, digest: String::new() }
    }

    #[test]
    fn tokens_meet_by_string_whatever_their_ids() {
        let matched = match_tokens(
            &vocabulary(&[("a", 0), ("b", 1), ("c", 2), ("only left", 3)]),
            &vocabulary(&[("c", 0), ("a", 5), ("b", 1)]),
        );
        assert_eq!((&*matched.left, &*matched.right), (&[0, 1, 2][..], &[5, 1, 0][..]));
        assert_eq!((matched.n_larger, matched.same_ids), (4, false));
    }

    #[test]
    fn equal_vocabularies_are_noticed() {
        let one = vocabulary(&[("a", 0), ("b", 1)]);
        assert!(match_tokens(&one, &one).same_ids);
        assert!(match_tokens(&one, &vocabulary(&[])).left.is_empty());
    }
}
