//! Parameters that the exporter of PyTorch left without a name are called after the node that reads them.
//!
//! A folded batch norm makes `onnx::Conv_193` of `layer1.0.conv1.weight`, and a linear layer's matrix is stored transposed as
//! `onnx::MatMul_812`; the node is still called `/layer1/layer1.0/conv1/Conv`.

use std::collections::{HashMap, HashSet};

use super::graph::{Reader, Weight, is_unnamed};

/// A weight under the name that it has in the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Renamed {
    pub name: String,
    /// It is stored [in, out] and has to be turned.
    pub is_transposed: bool,
}

/// The name and orientation of every weight, and how many were named after their node.
pub(super) fn rename(weights: &[Weight], readers: &HashMap<String, Vec<Reader>>) -> (Vec<Renamed>, usize) {
    let mut taken: HashSet<String> = weights.iter().map(|weight| weight.name.clone()).collect();
    let mut n_renamed = 0;
    let names = weights.iter().map(|weight| {
        let found = readers.get(&weight.name).map_or(&[][..], Vec::as_slice);
        let is_transposed = weight.shape.len() == 2
            && !found.is_empty()
            && found.iter().all(|reader| match reader.op_type.as_str() {
                "MatMul" => reader.nth_input == 1,
                "Gemm" => reader.nth_input == 1 && !reader.is_transposed,
                _ => false,
            });
        let name = match found.first().and_then(name_after) {
            Some(name) if is_unnamed(&weight.name) && taken.insert(name.clone()) => {
                n_renamed += 1;
                name
            }
            _ => weight.name.clone(),
        };
        Renamed { name, is_transposed }
    });
    let names = names.collect();
    (names, n_renamed)
}

/// The parameter's name by its module: None of a node that says nothing.
fn name_after(reader: &Reader) -> Option<String> {
    let module = reader.module.clone().or_else(|| module_of(&reader.node))?;
    let parameter = match (reader.op_type.as_str(), reader.nth_input) {
        ("MatMul" | "Gemm" | "Conv" | "ConvTranspose", 1) => "weight",
        ("Gemm" | "Conv" | "ConvTranspose", 2) | ("Add", _) => "bias",
        ("LSTM" | "GRU" | "RNN", 1) => "weight_ih",
        ("LSTM" | "GRU" | "RNN", 2) => "weight_hh",
        ("LSTM" | "GRU" | "RNN", 3) => "bias",
        _ => return None,
    };
    Some(format!("{module}.{parameter}"))
}

/// The module in a path of modules that ends with an operation.
fn module_of(node: &str) -> Option<String> {
    let (path, _) = node.strip_prefix('/')?.rsplit_once('/')?;
    let mut module = String::new();
    let mut last = "";
    for part in path.split('/').filter(|part| !part.is_empty()) {
        // modules of a list are called by the list's name and theirs
        let own =
            part.strip_prefix(last).and_then(|rest| rest.strip_prefix('.')).filter(|_| !last.is_empty());
        if !module.is_empty() {
            module.push('.');
        }
        module.push_str(own.unwrap_or(part));
        last = part;
    }
    (!module.is_empty()).then_some(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named_after(op_type: &str, node: &str, nth_input: usize) -> Option<String> {
        let (op_type, node) = (op_type.to_owned(), node.to_owned());
        name_after(&Reader { op_type, node, module: None, nth_input, is_transposed: false })
    }

    #[test]
    fn a_path_of_modules_is_a_name() {
        for (op_type, node, nth_input, wanted) in [
            (
                "MatMul",
                "/model/layers.0/mlp/gate_proj/MatMul",
                1,
                Some("model.layers.0.mlp.gate_proj.weight"),
            ),
            ("Conv", "/layer1/layer1.0/conv1/Conv", 2, Some("layer1.0.conv1.bias")),
            ("Conv", "/model/model.22/cv2.0/cv2.0.0/conv/Conv", 1, Some("model.22.cv2.0.0.conv.weight")),
            ("LSTM", "/decoder/rnn/LSTM", 2, Some("decoder.rnn.weight_hh")),
            ("MatMul", "MatMul_12", 1, None),
            ("MatMul", "/MatMul", 1, None),
            ("Mul", "/a/Mul", 1, None),
        ] {
            assert_eq!(named_after(op_type, node, nth_input).as_deref(), wanted, "{node}");
        }
    }
}
