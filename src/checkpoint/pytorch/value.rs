//! What a pickle can hold once it was read: plain data, tensors, and things that mean nothing here.

use crate::tensor::Dtype;

/// Index of a value in [`Pickled::values`].
pub(super) type Id = u32;

/// One value. Containers hold indices, so that a value used a thousand times is stored once.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// A whole number.
    Int(i64),
    /// Text: its byte range in the pickle.
    Text(std::ops::Range<usize>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A name that the pickle refers to.
    Global(Global),
    Storage(StorageRef),
    Tensor(TensorRef),
    /// None, truth values, fractions, bytes, options of a training run: read, kept as nothing.
    Inert,
}

/// Names that a state dict may refer to. None of them is called; each has a meaning of its own in [`super::machine`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildTensorV2,
    RebuildTensorV3,
    RebuildParameter,
    Size,
    /// A typed storage, or a type of elements.
    Elements(Elements),
    /// Storage of bytes, typed by the tensor that uses it.
    Untyped,
    /// Data without weights in it.
    Inert,
}

/// Types of elements as PyTorch names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Elements {
    Known(Dtype),
    /// Two f64 numbers: no type of the kernels.
    ComplexDouble,
}

/// The bytes that tensors share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StorageRef {
    /// None where the tensor says it.
    pub elements: Option<Elements>,
    /// Its key: byte range in the pickle.
    pub key: std::ops::Range<usize>,
    /// Elements, or bytes where it is untyped.
    pub n_elements: u64,
}

/// A tensor: a view of a storage. Counts are in elements.
#[derive(Clone, Debug)]
pub(super) struct TensorRef {
    pub storage: Id,
    pub elements: Elements,
    pub offset: u64,
    pub shape: Vec<u64>,
    pub strides: Vec<u64>,
}

/// A pickle that was read.
#[derive(Debug)]
pub(super) struct Pickled {
    pub bytes: Vec<u8>,
    pub values: Vec<Value>,
    pub root: Id,
}

impl Pickled {
    pub(super) fn value(&self, id: Id) -> &Value {
        &self.values[id as usize]
    }

    /// Text of a value, where it is one.
    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.value(id) {
            Value::Text(range) => std::str::from_utf8(&self.bytes[range.clone()]).ok(),
            _ => None,
        }
    }

    pub(super) fn key(&self, storage: &StorageRef) -> &str {
        std::str::from_utf8(&self.bytes[storage.key.clone()]).unwrap_or_default()
    }
}
