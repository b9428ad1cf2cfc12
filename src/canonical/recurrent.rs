//! Recurrent layers of PyTorch: the gates of a layer lie one below the other in `weight_ih_l0` [gates · hidden, inputs] and
//! `weight_hh_l0` [gates · hidden, hidden], so that hidden unit i is row i of every gate (documentation of torch.nn.LSTM, GRU, RNN).

use std::collections::HashMap;

use crate::checkpoint::TensorEntry;
use crate::tensor::View;

/// Gates of an RNN, a GRU and an LSTM.
const GATES: [u64; 3] = [1, 3, 4];

/// Tensors of a checkpoint that hold recurrent weights, by name.
pub(super) struct RecurrentLayers<'a> {
    hidden: HashMap<&'a str, &'a TensorEntry>,
}

impl<'a> RecurrentLayers<'a> {
    pub(super) fn of(tensors: &'a [TensorEntry]) -> RecurrentLayers<'a> {
        let hidden =
            tensors.iter().filter(|tensor| split_name(&tensor.name).is_some_and(|name| name.1 == HIDDEN));
        RecurrentLayers { hidden: hidden.map(|tensor| (tensor.name.as_str(), tensor)).collect() }
    }

    /// A view [hidden, inputs] of each gate; None of a tensor that is none of a recurrent layer.
    pub(super) fn gates(&self, tensor: &TensorEntry) -> Option<Vec<View>> {
        let (stem, _, layer) = split_name(&tensor.name)?;
        let hidden = self.hidden.get(format!("{stem}{HIDDEN}{layer}").as_str())?;
        let (&[n_rows, n_cols], &[n_hidden_rows, n_hidden]) = (&tensor.shape[..], &hidden.shape[..]) else {
            return None;
        };
        let is_whole = n_hidden > 0 && n_rows == n_hidden_rows && n_rows % n_hidden == 0;
        (is_whole && GATES.contains(&(n_rows / n_hidden))).then(|| {
            (0..n_rows / n_hidden).map(|gate| View::rows_of(gate * n_hidden, n_hidden, n_cols)).collect()
        })
    }
}

const INPUT: &str = "weight_ih";
const HIDDEN: &str = "weight_hh";

/// `encoder.rnn.weight_ih_l0_reverse` → (`encoder.rnn.`, `weight_ih`, `_l0_reverse`).
fn split_name(name: &str) -> Option<(&str, &str, &str)> {
    let start = name.rfind('.').map_or(0, |dot| dot + 1);
    let kind = [INPUT, HIDDEN].into_iter().find(|kind| name[start..].starts_with(kind))?;
    let layer = &name[start + kind.len()..];
    (layer.is_empty() || layer.starts_with("_l")).then_some((&name[..start], kind, layer))
}

#[cfg(test)]
mod tests {
    use super::RecurrentLayers;
    use crate::checkpoint::TensorEntry;
    use crate::tensor::{Dtype, View};

    #[test]
    fn gates_are_cut_where_the_hidden_matrix_says_how_many_there_are() {
        let entry = |(name, shape): (&str, &[u64])| TensorEntry {
            name: name.into(),
            dtype: Dtype::F32,
            shape: shape.to_vec(),
            file_idx: 0,
            offset: 0,
            size_bytes: 0,
            encoding: None,
        };
        let tensors: Vec<TensorEntry> = [
            ("lstm.weight_ih_l0", &[96, 10][..]),
            ("lstm.weight_hh_l0", &[96, 24]),
            ("lstm.weight_ih_l1_reverse", &[96, 48]),
            ("lstm.weight_hh_l1_reverse", &[96, 24]),
            ("cell.weight_ih", &[24, 10]),
            ("cell.weight_hh", &[24, 24]),
            // projected hidden states, no partner, another number of gates, biases, other tensors
            ("projected.weight_ih_l0", &[96, 10]),
            ("projected.weight_hh_l0", &[96, 7]),
            ("alone.weight_ih_l0", &[96, 10]),
            ("two.weight_ih_l0", &[48, 10]),
            ("two.weight_hh_l0", &[48, 24]),
            ("lstm.bias_ih_l0", &[96]),
            ("weight_ihx", &[96, 10]),
        ]
        .into_iter()
        .map(entry)
        .collect();
        let layers = RecurrentLayers::of(&tensors);
        let n_gates: Vec<usize> =
            tensors.iter().map(|tensor| layers.gates(tensor).map_or(0, |gates| gates.len())).collect();
        assert_eq!(n_gates, [4, 4, 4, 4, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
        let last = layers.gates(&tensors[0]).and_then(|gates| gates.last().copied());
        assert_eq!(last, Some(View::rows_of(72, 24, 10)));
    }
}
