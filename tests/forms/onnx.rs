//! ONNX files of public exporters hold the numbers of the model that was exported, under its names where those can be known.

use std::path::Path;

use super::{index, open, reference, values};
use cognate::checkpoint::Checkpoint;

/// (name, shape, values) of the net as PyTorch stores it.
fn same_tensors(found: &Checkpoint, wanted: &Checkpoint, label: &str) {
    assert_eq!(found.tensors.len(), wanted.tensors.len(), "{label}");
    for (at, tensor) in wanted.tensors.iter().enumerate() {
        let twin = index(found, &tensor.name);
        assert_eq!(found.tensors[twin].shape, tensor.shape, "{label}: {}", tensor.name);
        assert_eq!(values(found, twin), values(wanted, at), "{label}: {}", tensor.name);
    }
}

fn onnx(name: &str) -> Checkpoint {
    open(&reference("onnx").join(name))
}

#[test]
fn exporters_change_names_and_orders_and_no_number() {
    let net = open(&reference("onnx/net.safetensors"));
    for name in ["exported.onnx", "dynamo.onnx", "beside.onnx"] {
        let found = onnx(name);
        assert_eq!(found.format, "onnx");
        same_tensors(&found, &net, name);
        let notes: Vec<&str> = found.notes.iter().map(|note| note.rule).collect();
        assert!(notes.contains(&"ON-NAMES") && notes.contains(&"ON-NUMBERS"), "{name}: {notes:?}");
    }
}

#[test]
fn a_folder_with_one_graph_is_a_model_and_one_with_weights_beside_it_is_those() {
    let folder = tempfile::tempdir().unwrap();
    let copy = |name: &str, to: &str| {
        std::fs::copy(reference("onnx").join(name), folder.path().join(to)).unwrap();
    };
    let format = |path: &Path| open(path).format;
    copy("exported.onnx", "model.onnx");
    assert_eq!(format(folder.path()), "onnx");
    copy("net.safetensors", "model.safetensors");
    let found = open(folder.path());
    assert_eq!(found.format, "safetensors");
    assert!(found.notes.iter().any(|note| note.rule == "DIR-OTHER" && note.says.contains("model.onnx")));
}
