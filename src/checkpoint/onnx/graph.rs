//! The tensors of a graph that may be weights, and which node reads each.
//!
//! Format: onnx/onnx.proto, messages ModelProto, GraphProto, NodeProto, AttributeProto and TensorProto.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::wire::{Field, Value, Wire};
use crate::checkpoint::{Error, Limits};
use crate::source::{Fault, grouped, in_bytes, shown};
use crate::tensor::Dtype;

/// Longest name of a tensor or node, as in safetensors.
const MAX_NAME_BYTES: u64 = 4096;
/// Most dimensions of a tensor.
const MAX_RANK: usize = 16;
/// Graphs inside nodes inside graphs.
const MAX_DEPTH: usize = 16;
/// Most nodes that read tensors without a name of their own.
const MAX_READERS: usize = 1_000_000;
/// Where the exporter of torch.export says in which modules a node stands: `['', 'layers.0', 'linear']`, the node last.
const SCOPES: &str = "pkg.torch.onnx.name_scopes";

/// Numbers of fields in onnx.proto.
mod field {
    pub(super) const MODEL_GRAPH: u64 = 7;
    pub(super) const GRAPH_NODE: u64 = 1;
    pub(super) const GRAPH_INITIALIZER: u64 = 5;
    pub(super) const GRAPH_SPARSE: u64 = 15;
    pub(super) const NODE_INPUT: u64 = 1;
    pub(super) const NODE_OUTPUT: u64 = 2;
    pub(super) const NODE_NAME: u64 = 3;
    pub(super) const NODE_OP_TYPE: u64 = 4;
    pub(super) const NODE_ATTRIBUTE: u64 = 5;
    pub(super) const NODE_METADATA: u64 = 9;
    pub(super) const ATTRIBUTE_NAME: u64 = 1;
    pub(super) const ATTRIBUTE_I: u64 = 3;
    pub(super) const ATTRIBUTE_T: u64 = 5;
    pub(super) const ATTRIBUTE_G: u64 = 6;
    pub(super) const ATTRIBUTE_GRAPHS: u64 = 11;
    pub(super) const TENSOR_DIMS: u64 = 1;
    pub(super) const TENSOR_TYPE: u64 = 2;
    pub(super) const TENSOR_SEGMENT: u64 = 3;
    pub(super) const TENSOR_FLOATS: u64 = 4;
    pub(super) const TENSOR_INT32S: u64 = 5;
    pub(super) const TENSOR_NAME: u64 = 8;
    pub(super) const TENSOR_RAW: u64 = 9;
    pub(super) const TENSOR_DOUBLES: u64 = 10;
    pub(super) const TENSOR_EXTERNAL: u64 = 13;
    pub(super) const TENSOR_LOCATION: u64 = 14;
    pub(super) const ENTRY_KEY: u64 = 1;
    pub(super) const ENTRY_VALUE: u64 = 2;
}

/// Where the elements of a tensor lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// In the file itself.
    Inside(Range<u64>),
    /// In a file beside it; its whole rest where no length is given.
    Beside { file: String, offset: u64, n_bytes: Option<u64> },
}

/// A tensor that may be a weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Weight {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<u64>,
    pub stored: Stored,
    /// Where its description starts.
    pub at: u64,
}

/// A node that reads a tensor without a name of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reader {
    pub op_type: String,
    /// Path of modules and the operation: `/layers.0/fc/MatMul`.
    pub node: String,
    /// The module that the node stands in, where its metadata say so: `layers.0.fc`.
    pub module: Option<String>,
    /// Which of its inputs the tensor is.
    pub nth_input: usize,
    /// The node multiplies with the transposed tensor (`transB` of Gemm).
    pub is_transposed: bool,
}

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub weights: Vec<Weight>,
    /// By the name of the tensor.
    pub readers: HashMap<String, Vec<Reader>>,
    /// Shapes, indices, scalars and other numbers of the program.
    pub n_numbers: u64,
    /// Tensors that are stored in a form that is not read, and which form.
    pub unread: Vec<(String, &'static str)>,
}

/// Reads the description of every tensor of a file, and nothing of their elements.
pub(super) fn read(wire: &mut Wire<'_>, limits: &Limits) -> Result<Graph, Error> {
    let mut found =
        Finder { wire, max_tensors: limits.max_tensors, names: HashSet::new(), graph: Graph::default() };
    let mut model = found.wire.whole();
    let mut graph = None;
    while let Some(Field { number, value, at }) = found.wire.next(&mut model)? {
        if let (field::MODEL_GRAPH, Value::Bytes(range)) = (number, value)
            && graph.replace(range).is_some()
        {
            return Err(Fault::new("ON-GRAPH", "the file holds two graphs")
                .at_byte(at)
                .found_wanted("a second graph", "one")
                .hint("readers disagree on how two are put together; the file is refused")
                .into());
        }
    }
    let Some(graph) = graph else {
        return Err(Fault::new("ON-GRAPH", "the file holds no graph, so it is no ONNX model")
            .found_wanted("no graph", "one")
            .hint("the download may have saved an error page, or a pointer of git lfs; look into the file")
            .into());
    };
    found.graph(graph, "", 0)?;
    Ok(found.graph)
}

struct Finder<'a, 'f> {
    wire: &'a mut Wire<'f>,
    max_tensors: usize,
    names: HashSet<String>,
    graph: Graph,
}

impl Finder<'_, '_> {
    /// `path` stands before a name that an outer graph has too.
    fn graph(&mut self, mut message: Range<u64>, path: &str, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Fault::new("ON-DEPTH", "graphs are nested too deeply")
                .at_byte(message.start)
                .found_wanted(format!("more than {MAX_DEPTH} levels"), format!("at most {MAX_DEPTH}"))
                .into());
        }
        while let Some(Field { number, value, .. }) = self.wire.next(&mut message)? {
            match (number, value) {
                (field::GRAPH_NODE, Value::Bytes(node)) => self.node(node, path, depth)?,
                (field::GRAPH_INITIALIZER, Value::Bytes(tensor)) => self.tensor(tensor, path, None)?,
                (field::GRAPH_SPARSE, Value::Bytes(_)) => {
                    self.graph.unread.push((String::new(), "a sparse tensor"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn node(&mut self, mut message: Range<u64>, path: &str, depth: usize) -> Result<(), Error> {
        let (mut unnamed, mut n_inputs, mut output) = (Vec::new(), 0, None);
        let (mut node, mut op_type) = (String::new(), String::new());
        let (mut attributes, mut metadata) = (Vec::new(), Vec::new());
        while let Some(Field { number, value, .. }) = self.wire.next(&mut message)? {
            let Value::Bytes(range) = value else { continue };
            match number {
                field::NODE_INPUT => {
                    let name = self.wire.text(&range, MAX_NAME_BYTES)?.unwrap_or_default();
                    if is_unnamed(&name) {
                        unnamed.push((n_inputs, name));
                    }
                    n_inputs += 1;
                }
                field::NODE_OUTPUT if output.is_none() => output = Some(self.name(&range)?),
                field::NODE_NAME => node = self.wire.text(&range, MAX_NAME_BYTES)?.unwrap_or_default(),
                field::NODE_OP_TYPE => op_type = self.wire.text(&range, MAX_NAME_BYTES)?.unwrap_or_default(),
                field::NODE_ATTRIBUTE => attributes.push(range),
                field::NODE_METADATA => metadata.push(range),
                _ => {}
            }
        }
        let mut is_transposed = false;
        for attribute in attributes {
            let found = self.attribute(attribute)?;
            is_transposed |= found.name == "transB" && found.number != 0;
            if op_type == "Constant"
                && found.name == "value"
                && let Some(tensor) = found.tensor
            {
                self.tensor(tensor, path, output.as_deref())?;
            }
            for graph in found.graphs {
                self.graph(graph, &format!("{path}{node}/{}/", found.name), depth + 1)?;
            }
        }
        let mut module = None;
        for property in metadata.into_iter().filter(|_| !unnamed.is_empty()) {
            let (key, text) = self.property(property)?;
            if key == SCOPES {
                module = innermost(&text);
            }
        }
        for (nth_input, name) in unnamed.into_iter().take(MAX_READERS) {
            let (op_type, node, module) = (op_type.clone(), node.clone(), module.clone());
            let readers = self.graph.readers.entry(name).or_default();
            readers.push(Reader { op_type, node, module, nth_input, is_transposed });
        }
        Ok(())
    }

    /// A key and a text; too long ones are empty.
    fn property(&mut self, mut message: Range<u64>) -> Result<(String, String), Error> {
        let (mut key, mut text) = (String::new(), String::new());
        while let Some(Field { number, value, .. }) = self.wire.next(&mut message)? {
            match (number, value) {
                (field::ENTRY_KEY, Value::Bytes(range)) => {
                    key = self.wire.text(&range, MAX_NAME_BYTES)?.unwrap_or_default();
                }
                (field::ENTRY_VALUE, Value::Bytes(range)) => {
                    text = self.wire.text(&range, MAX_NAME_BYTES)?.unwrap_or_default();
                }
                _ => {}
            }
        }
        Ok((key, text))
    }

    fn attribute(&mut self, mut message: Range<u64>) -> Result<Attribute, Error> {
        let mut found = Attribute::default();
        while let Some(Field { number, value, .. }) = self.wire.next(&mut message)? {
            match (number, value) {
                (field::ATTRIBUTE_NAME, Value::Bytes(range)) => {
                    found.name = self.wire.text(&range, MAX_NAME_BYTES)?.unwrap_or_default();
                }
                (field::ATTRIBUTE_I, Value::Number(number)) => found.number = number,
                (field::ATTRIBUTE_T, Value::Bytes(range)) => found.tensor = Some(range),
                (field::ATTRIBUTE_G | field::ATTRIBUTE_GRAPHS, Value::Bytes(range)) => {
                    found.graphs.push(range);
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// A tensor, under the name of the output that it is where a node holds it.
    fn tensor(&mut self, message: Range<u64>, path: &str, output: Option<&str>) -> Result<(), Error> {
        let at = message.start;
        let described = self.description(message)?;
        let Some(name) = output.map(str::to_owned).or_else(|| described.name.clone()) else {
            return Err(Fault::new("ON-NAME", "a tensor has no name").at_byte(at).into());
        };
        let refuse = |fault: Box<Fault>| Error::from(fault.of_tensor(&name).at_byte(at));
        let shown_name = format!("tensor '{}'", shown(&name));
        let n_elements = described.shape.iter().try_fold(1_u64, |product, &dim| product.checked_mul(dim));
        let Some(n_elements) = n_elements else {
            let fault =
                Fault::new("ON-SHAPE", format!("the dimensions of {shown_name} multiply past any size"));
            return Err(refuse(fault.found_wanted(format!("{:?}", described.shape), "fewer elements")));
        };
        let Some(dtype) =
            dtype_of(described.dtype).filter(|dtype| is_weight(*dtype, described.shape.len(), n_elements))
        else {
            self.graph.n_numbers += 1;
            return Ok(());
        };
        if described.is_segment {
            let fault =
                Fault::new("ON-SEGMENT", format!("{shown_name} is cut into segments, which no writer does"));
            return Err(refuse(fault));
        }
        let Some(stored) = described.stored(dtype) else {
            self.graph.unread.push((name, "its elements are a list of numbers"));
            return Ok(());
        };
        let n_bytes = dtype.size_bytes().and_then(|size| n_elements.checked_mul(size as u64));
        if let (Stored::Inside(range), Some(n_bytes)) = (&stored, n_bytes)
            && range.end - range.start != n_bytes
        {
            let fault = Fault::new(
                "ON-SIZE",
                format!("{shown_name} has another number of bytes than its shape asks for"),
            );
            let (found, wanted) = (grouped(range.end - range.start), grouped(n_bytes));
            let fault =
                fault.found_wanted(format!("{found} bytes"), format!("{wanted} for {:?}", described.shape));
            return Err(refuse(fault.hint("the file is damaged; fetch it again")));
        }
        if self.graph.weights.len() >= self.max_tensors {
            let limit = grouped(self.max_tensors as u64);
            let fault = Fault::new("ON-TENSORS", "the file holds more tensors than allowed");
            let fault = fault.found_wanted(format!("more than {limit}"), limit);
            return Err(refuse(fault.hint("raise --max-tensors if this is intended")));
        }
        let name = if self.names.contains(&name) { format!("{path}{name}") } else { name };
        if !self.names.insert(name.clone()) {
            let fault = Fault::new("ON-DUPLICATE", format!("tensor '{}' occurs twice", shown(&name)));
            let fault = fault.of_tensor(&name).at_byte(at);
            return Err(fault
                .hint("readers disagree on which of the two counts; the file is refused")
                .into());
        }
        self.graph.weights.push(Weight { name, dtype, shape: described.shape, stored, at });
        Ok(())
    }

    fn description(&mut self, mut message: Range<u64>) -> Result<Description, Error> {
        let mut found = Description::default();
        while let Some(Field { number, value, at }) = self.wire.next(&mut message)? {
            match (number, value) {
                (field::TENSOR_DIMS, Value::Number(dim)) => found.shape.push(dimension(dim, at)?),
                (field::TENSOR_DIMS, Value::Bytes(range)) => {
                    for dim in self.wire.packed(range, MAX_RANK + 1)? {
                        found.shape.push(dimension(dim, at)?);
                    }
                }
                (field::TENSOR_TYPE, Value::Number(dtype)) => found.dtype = dtype,
                (field::TENSOR_SEGMENT, Value::Bytes(_)) => found.is_segment = true,
                (field::TENSOR_NAME, Value::Bytes(range)) => found.name = Some(self.name(&range)?),
                (field::TENSOR_RAW, Value::Bytes(range)) => found.raw.push(range),
                (field::TENSOR_FLOATS, Value::Bytes(range)) => found.floats.push(range),
                (field::TENSOR_DOUBLES, Value::Bytes(range)) => found.doubles.push(range),
                (field::TENSOR_FLOATS | field::TENSOR_DOUBLES, Value::Fixed) | (field::TENSOR_INT32S, _) => {
                    found.is_list = true
                }
                (field::TENSOR_EXTERNAL, Value::Bytes(range)) => self.external(range, &mut found)?,
                (field::TENSOR_LOCATION, Value::Number(location)) => found.is_beside = location == 1,
                _ => {}
            }
            if found.shape.len() > MAX_RANK {
                return Err(Fault::new("ON-SHAPE", "a tensor has too many dimensions")
                    .at_byte(at)
                    .found_wanted(format!("more than {MAX_RANK}"), format!("at most {MAX_RANK}"))
                    .into());
            }
        }
        Ok(found)
    }

    /// An entry of `external_data`: a key and a text.
    fn external(&mut self, message: Range<u64>, found: &mut Description) -> Result<(), Error> {
        let at = message.start;
        let (key, text) = self.property(message)?;
        let number = || {
            text.parse::<u64>().map_err(|_| {
                Fault::new("ON-EXTERNAL", "the place of a tensor in another file is no number")
                    .at_byte(at)
                    .found_wanted(format!("'{}'", shown(&text)), "a number of bytes")
            })
        };
        match key.as_str() {
            "offset" => found.beside_offset = number()?,
            "length" => found.beside_bytes = Some(number()?),
            "location" => found.beside = Some(text),
            _ => {}
        }
        Ok(())
    }

    fn name(&mut self, range: &Range<u64>) -> Result<String, Error> {
        self.wire.text(range, MAX_NAME_BYTES)?.ok_or_else(|| {
            Fault::new("ON-NAME", "a name is too long, or no text")
                .at_byte(range.start)
                .found_wanted(in_bytes(range.end - range.start), "at most 4,096 bytes of UTF-8")
                .into()
        })
    }
}

/// Whether an exporter made this name, of a parameter that has another one in the model: `onnx::MatMul_12`, `val_12`.
pub(super) fn is_unnamed(name: &str) -> bool {
    let number = name.strip_prefix("val_").filter(|number| !number.is_empty());
    name.starts_with("onnx::")
        || number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The module in a list of scopes: the last one before the node itself.
fn innermost(scopes: &str) -> Option<String> {
    let names: Vec<&str> = scopes.split('\'').skip(1).step_by(2).collect();
    names.iter().rev().nth(1).filter(|name| !name.is_empty()).map(|name| (*name).to_owned())
}

/// What an attribute of a node holds that matters here.
#[derive(Default)]
struct Attribute {
    name: String,
    number: u64,
    tensor: Option<Range<u64>>,
    graphs: Vec<Range<u64>>,
}

/// A TensorProto.
#[derive(Default)]
struct Description {
    name: Option<String>,
    dtype: u64,
    shape: Vec<u64>,
    raw: Vec<Range<u64>>,
    floats: Vec<Range<u64>>,
    doubles: Vec<Range<u64>>,
    /// Elements one by one, in a form that bytes of the type do not have.
    is_list: bool,
    is_segment: bool,
    is_beside: bool,
    beside: Option<String>,
    beside_offset: u64,
    beside_bytes: Option<u64>,
}

impl Description {
    /// Where the elements lie as bytes of their type; None where they lie otherwise.
    fn stored(&self, dtype: Dtype) -> Option<Stored> {
        if self.is_beside {
            let file = self.beside.clone().unwrap_or_default();
            return Some(Stored::Beside { file, offset: self.beside_offset, n_bytes: self.beside_bytes });
        }
        if self.is_list {
            return None;
        }
        let chunks = match dtype {
            _ if !self.raw.is_empty() => &self.raw,
            Dtype::F32 if !self.floats.is_empty() => &self.floats,
            Dtype::F64 if !self.doubles.is_empty() => &self.doubles,
            _ => &self.raw,
        };
        match chunks.as_slice() {
            [] => Some(Stored::Inside(0..0)),
            [one] => Some(Stored::Inside(one.clone())),
            // protobuf joins what is given twice
            _ => None,
        }
    }
}

fn dimension(dim: u64, at: u64) -> Result<u64, Box<Fault>> {
    // numbers are signed in the format
    let is_negative = i64::try_from(dim).is_err();
    if is_negative {
        return Err(Fault::new("ON-SHAPE", "a tensor has a negative dimension")
            .at_byte(at)
            .found_wanted(dim.cast_signed().to_string(), "zero or more"));
    }
    Ok(dim)
}

/// TensorProto.DataType.
fn dtype_of(number: u64) -> Option<Dtype> {
    Some(match number {
        1 => Dtype::F32,
        2 => Dtype::U8,
        3 => Dtype::I8,
        10 => Dtype::F16,
        11 => Dtype::F64,
        16 => Dtype::Bf16,
        17 => Dtype::F8E4m3,
        18 => Dtype::F8E4m3Fnuz,
        19 => Dtype::F8E5m2,
        20 => Dtype::F8E5m2Fnuz,
        _ => return None,
    })
}

/// Vectors and matrices of fractions, and matrices of bytes, which are quantised weights; the rest are the program's numbers.
fn is_weight(dtype: Dtype, rank: usize, n_elements: u64) -> bool {
    match dtype {
        Dtype::U8 | Dtype::I8 => rank >= 2 && n_elements >= 2,
        _ => rank >= 1 && n_elements >= 2,
    }
}
