//! Two models paired by role and token string; what could not be paired is part of the result.

mod pair;
mod vocabulary;

pub use pair::{BothSides, NameOf, PairedPart, Unpaired, is_token_table, pair_parts, unnamed_by_shape};
pub use vocabulary::{TokenMatch, match_tokens};

use std::collections::BTreeMap;

use crate::roles::Component;

/// One of the two models, in command-line order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "command-line order")]
pub enum Side {
    Left,
    Right,
}

/// For each layer of the right model the layer of the left one it is compared with, per component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerMap {
    /// (component, right layer) → left layer.
    pub left_of: BTreeMap<(Component, u32), u32>,
}

impl LayerMap {
    /// Layer i with layer i, as far as both go.
    #[must_use]
    pub fn identity(component: Component, left: &[u32], right: &[u32]) -> LayerMap {
        let left_of = right
            .iter()
            .filter(|layer| left.contains(layer))
            .map(|&layer| ((component, layer), layer))
            .collect();
        LayerMap { left_of }
    }

    /// The left layer of a right layer.
    #[must_use]
    pub fn left(&self, component: Component, right_layer: u32) -> Option<u32> {
        self.left_of.get(&(component, right_layer)).copied()
    }
}

/// Everything that can be compared, and everything that cannot.
#[derive(Clone, Debug)]
pub struct Alignment {
    /// Pairs, in the right model's file order.
    pub pairs: Vec<PairedPart>,
    /// Parts without a partner.
    pub unpaired: Vec<Unpaired>,
    /// Which layers were held against which.
    pub layer_map: LayerMap,
    /// Shared tokens, where both models have a vocabulary.
    pub tokens: Option<TokenMatch>,
    /// ln of the number of assignments tried to get here: multiplies every p (docs/methods.md#names).
    pub ln_assignments_tried: f64,
}
