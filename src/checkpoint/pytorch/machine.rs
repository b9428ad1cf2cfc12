//! The opcodes of a state dict. Whatever else a pickle can do is refused with its name and its byte.
//!
//! Nothing is called: REDUCE on a known name builds the value that the name stands for, every other name is refused, since the
//! loader that this model was made for might run anything there, and then other weights than these.

use std::collections::HashMap;
use std::ops::Range;

use super::value::{Elements, Global, Id, Pickled, StorageRef, TensorRef, Value};
use crate::source::{Fault, grouped, in_bytes, shown};
use crate::tensor::Dtype;

/// Most values of a pickle: some 150,000 tensors, and below 256 MiB of memory.
const MAX_VALUES: usize = 4_000_000;
/// Most dimensions of a tensor.
const MAX_RANK: usize = 16;
/// Longest name of a module or class.
const MAX_GLOBAL_BYTES: usize = 256;

/// What the machine found: a whole pickle, or that the bytes end before it does.
pub(super) enum Outcome {
    /// Values, the root, and how many bytes it took.
    Whole { values: Vec<Value>, root: Id, n_bytes: usize },
    /// More bytes are needed.
    Short,
}

/// Reads one pickle from the start of `bytes`, which lie in the file from `first_byte` on.
pub(super) fn read(bytes: &[u8], first_byte: u64) -> Result<Outcome, Box<Fault>> {
    let mut machine = Machine {
        bytes,
        at: 0,
        op_at: 0,
        first_byte,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        inert: 0,
        empty_tuple: 1,
    };
    machine.values.push(Value::Inert);
    machine.values.push(Value::Tuple(Vec::new()));
    match machine.run() {
        Ok(root) => Ok(Outcome::Whole { values: machine.values, root, n_bytes: machine.at }),
        Err(Stop::Short) => Ok(Outcome::Short),
        Err(Stop::Refused(fault)) => Err(fault),
    }
}

/// One pickle, which must take all of `bytes`.
pub(super) fn read_whole(bytes: Vec<u8>, first_byte: u64) -> Result<Pickled, Box<Fault>> {
    match read(&bytes, first_byte)? {
        Outcome::Whole { values, root, n_bytes } if n_bytes == bytes.len() => {
            Ok(Pickled { bytes, values, root })
        }
        Outcome::Whole { n_bytes, .. } => {
            Err(Fault::new("PK-TRAILING", "bytes stand behind the end of the pickle")
                .at_byte(first_byte + n_bytes as u64)
                .found_wanted(format!("{} more", in_bytes((bytes.len() - n_bytes) as u64)), "none"))
        }
        Outcome::Short => Err(Fault::new("PK-SHORT", "the pickle ends inside an instruction")
            .at_byte(first_byte + bytes.len() as u64)
            .hint("the download looks unfinished; fetch this file again")),
    }
}

enum Stop {
    Short,
    Refused(Box<Fault>),
}

impl From<Box<Fault>> for Stop {
    fn from(fault: Box<Fault>) -> Stop {
        Stop::Refused(fault)
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the instruction at hand starts.
    op_at: usize,
    first_byte: u64,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack at each MARK.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    inert: Id,
    empty_tuple: Id,
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Id, Stop> {
        loop {
            self.op_at = self.at;
            let [opcode] = self.take::<1>()?;
            match opcode {
                b'.' => {
                    let root = self.pop()?;
                    if !self.stack.is_empty() || !self.marks.is_empty() {
                        return Err(self.broken("values are left over at the end").into());
                    }
                    return Ok(root);
                }
                // PROTO, FRAME: a frame only says how far to read ahead
                0x80 => {
                    let [version] = self.take::<1>()?;
                    if !(2..=5).contains(&version) {
                        return Err(self.unsupported(&format!("protocol {version}")).into());
                    }
                }
                0x95 => {
                    let n_bytes = u64::from_le_bytes(self.take()?);
                    if n_bytes > (1 << 40) {
                        return Err(self.broken("a frame claims more than any file holds").into());
                    }
                }
                b'(' => {
                    self.bound(self.marks.len())?;
                    self.marks.push(self.stack.len());
                }
                b'0' => drop(self.pop()?),
                b'1' => drop(self.down_to_mark()?),
                b'2' => {
                    let top = self.top()?;
                    self.push_id(top)?;
                }
                b'N' | 0x88 | 0x89 => self.push_id(self.inert)?,
                b'G' => {
                    self.take::<8>()?;
                    self.push_id(self.inert)?;
                }
                b'J' => {
                    let value = i32::from_le_bytes(self.take()?);
                    self.push(Value::Int(value.into()))?;
                }
                b'K' => {
                    let [value] = self.take::<1>()?;
                    self.push(Value::Int(value.into()))?;
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.take()?);
                    self.push(Value::Int(value.into()))?;
                }
                0x8a => {
                    let [n_bytes] = self.take::<1>()?;
                    self.long(n_bytes.into())?;
                }
                0x8b => {
                    let n_bytes = u32::from_le_bytes(self.take()?);
                    self.long(n_bytes.into())?;
                }
                b'X' => {
                    let n_bytes = u32::from_le_bytes(self.take()?);
                    self.text(n_bytes.into())?;
                }
                0x8c => {
                    let [n_bytes] = self.take::<1>()?;
                    self.text(n_bytes.into())?;
                }
                0x8d => {
                    let n_bytes = u64::from_le_bytes(self.take()?);
                    self.text(n_bytes)?;
                }
                // text of Python 2, and keys of old storages
                b'U' => {
                    let [n_bytes] = self.take::<1>()?;
                    self.text(n_bytes.into())?;
                }
                b'T' => {
                    let n_bytes = u32::from_le_bytes(self.take()?);
                    self.text(n_bytes.into())?;
                }
                b'C' => {
                    let [n_bytes] = self.take::<1>()?;
                    self.raw(n_bytes.into())?;
                }
                b'B' => {
                    let n_bytes = u32::from_le_bytes(self.take()?);
                    self.raw(n_bytes.into())?;
                }
                0x8e => {
                    let n_bytes = u64::from_le_bytes(self.take()?);
                    self.raw(n_bytes)?;
                }
                b')' => self.push_id(self.empty_tuple)?,
                b']' => self.push(Value::List(Vec::new()))?,
                b'}' => self.push(Value::Dict(Vec::new()))?,
                0x8f => self.push_id(self.inert)?,
                b't' => {
                    let items = self.down_to_mark()?;
                    self.push(Value::Tuple(items))?;
                }
                0x85..=0x87 => {
                    let n_items = usize::from(opcode - 0x84);
                    let items = self.pop_many(n_items)?;
                    self.push(Value::Tuple(items))?;
                }
                b'l' => {
                    let items = self.down_to_mark()?;
                    self.push(Value::List(items))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(vec![item])?;
                }
                b'e' => {
                    let items = self.down_to_mark()?;
                    self.append(items)?;
                }
                // ADDITEMS, FROZENSET: sets hold no weights
                0x90 => drop(self.down_to_mark()?),
                0x91 => {
                    self.down_to_mark()?;
                    self.push_id(self.inert)?;
                }
                b's' => {
                    let items = self.pop_many(2)?;
                    self.set_items(&items)?;
                }
                b'u' => {
                    let items = self.down_to_mark()?;
                    self.set_items(&items)?;
                }
                b'q' => {
                    let [index] = self.take::<1>()?;
                    self.put(index.into())?;
                }
                b'r' => {
                    let index = u32::from_le_bytes(self.take()?);
                    self.put(index)?;
                }
                0x94 => self.put(u32::try_from(self.memo.len()).unwrap_or(u32::MAX))?,
                b'h' => {
                    let [index] = self.take::<1>()?;
                    self.get(index.into())?;
                }
                b'j' => {
                    let index = u32::from_le_bytes(self.take()?);
                    self.get(index)?;
                }
                b'c' => {
                    let module = self.line()?;
                    let name = self.line()?;
                    let global = self.global(&module, &name)?;
                    self.push(Value::Global(global))?;
                }
                0x93 => {
                    let names = self.pop_many(2)?;
                    let [module, name] = [self.text_of(names[0])?, self.text_of(names[1])?];
                    let global = self.global(&module, &name)?;
                    self.push(Value::Global(global))?;
                }
                b'Q' => {
                    let id = self.pop()?;
                    let storage = self.storage(id)?;
                    self.push(Value::Storage(storage))?;
                }
                b'R' | 0x81 => {
                    let call = self.pop_many(2)?;
                    self.reduce(call[0], call[1])?;
                }
                b'b' => {
                    self.pop()?;
                    let target = self.top()?;
                    // attributes of an ordered dict (its metadata), of a parameter, of options: none of them is a weight
                    if !matches!(
                        self.value(target),
                        Value::Dict(_) | Value::List(_) | Value::Tensor(_) | Value::Inert
                    ) {
                        return Err(self.unsupported("attributes of another object").into());
                    }
                }
                other => return Err(self.unsupported(opcode_name(other)).into()),
            }
        }
    }

    fn value(&self, id: Id) -> &Value {
        &self.values[id as usize]
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let end = self.at + N;
        let found =
            self.bytes.get(self.at..end).and_then(|bytes| bytes.try_into().ok()).ok_or(Stop::Short)?;
        self.at = end;
        Ok(found)
    }

    fn range(&mut self, n_bytes: u64) -> Result<Range<usize>, Stop> {
        let n_bytes = usize::try_from(n_bytes).map_err(|_| Stop::Short)?;
        let end = self.at.checked_add(n_bytes).filter(|&end| end <= self.bytes.len()).ok_or(Stop::Short)?;
        let range = self.at..end;
        self.at = end;
        Ok(range)
    }

    fn line(&mut self) -> Result<String, Stop> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().take(MAX_GLOBAL_BYTES).position(|&byte| byte == b'\n');
        let Some(length) = length else {
            return Err(if rest.len() < MAX_GLOBAL_BYTES {
                Stop::Short
            } else {
                self.broken("a name without an end").into()
            });
        };
        let line = String::from_utf8_lossy(&rest[..length]).into_owned();
        self.at += length + 1;
        Ok(line)
    }

    fn text(&mut self, n_bytes: u64) -> Result<(), Stop> {
        let range = self.range(n_bytes)?;
        if std::str::from_utf8(&self.bytes[range.clone()]).is_err() {
            return self.push_id(self.inert);
        }
        self.push(Value::Text(range))
    }

    fn raw(&mut self, n_bytes: u64) -> Result<(), Stop> {
        self.range(n_bytes)?;
        self.push_id(self.inert)
    }

    /// A whole number of any length, little endian, two's complement; what i64 cannot hold is no size of anything.
    fn long(&mut self, n_bytes: u64) -> Result<(), Stop> {
        let range = self.range(n_bytes)?;
        let bytes = &self.bytes[range];
        if bytes.len() > 8 {
            return self.push_id(self.inert);
        }
        let is_negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut wide = [if is_negative { 0xff } else { 0 }; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(wide)))
    }

    fn bound(&self, n_values: usize) -> Result<(), Stop> {
        if n_values < MAX_VALUES {
            return Ok(());
        }
        Err(Fault::new("PK-SIZE", "the pickle holds more values than any list of tensors needs")
            .at_byte(self.first_byte + self.op_at as u64)
            .found_wanted(
                format!("more than {}", grouped(MAX_VALUES as u64)),
                format!("at most {}", grouped(MAX_VALUES as u64)),
            )
            .into())
    }

    fn push(&mut self, value: Value) -> Result<(), Stop> {
        self.bound(self.values.len())?;
        let id = Id::try_from(self.values.len()).unwrap_or(Id::MAX);
        self.values.push(value);
        self.push_id(id)
    }

    fn push_id(&mut self, id: Id) -> Result<(), Stop> {
        self.bound(self.stack.len())?;
        self.stack.push(id);
        Ok(())
    }

    /// Height below which the instructions since the last MARK may not reach.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<Id, Stop> {
        if self.stack.len() <= self.floor() {
            return Err(self.broken("a value is asked for where none is").into());
        }
        self.stack.pop().ok_or(Stop::Short)
    }

    fn pop_many(&mut self, n_values: usize) -> Result<Vec<Id>, Stop> {
        if self.stack.len() < self.floor() + n_values {
            return Err(self.broken("a value is asked for where none is").into());
        }
        Ok(self.stack.split_off(self.stack.len() - n_values))
    }

    fn top(&self) -> Result<Id, Stop> {
        match self.stack.last() {
            Some(&top) if self.stack.len() > self.floor() => Ok(top),
            _ => Err(self.broken("a value is asked for where none is").into()),
        }
    }

    fn down_to_mark(&mut self) -> Result<Vec<Id>, Stop> {
        let Some(mark) = self.marks.pop() else {
            return Err(self.broken("the end of a list that was never begun").into());
        };
        Ok(self.stack.split_off(mark))
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), Stop> {
        let target = self.top()?;
        match &mut self.values[target as usize] {
            Value::List(list) => list.extend(items),
            Value::Inert => {}
            _ => return Err(self.broken("something is appended to what is no list").into()),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), Stop> {
        if !items.len().is_multiple_of(2) {
            return Err(self.broken("a key without a value").into());
        }
        let target = self.top()?;
        match &mut self.values[target as usize] {
            Value::Dict(dict) => dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            Value::Inert => {}
            _ => return Err(self.broken("an entry is set in what is no dict").into()),
        }
        Ok(())
    }

    fn put(&mut self, index: u32) -> Result<(), Stop> {
        let top = self.top()?;
        self.bound(self.memo.len())?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn get(&mut self, index: u32) -> Result<(), Stop> {
        match self.memo.get(&index).copied() {
            Some(id) => self.push_id(id),
            None => Err(self.broken(&format!("entry {index} of the memo was never written")).into()),
        }
    }

    fn text_of(&self, id: Id) -> Result<String, Stop> {
        match self.value(id) {
            Value::Text(range) if range.len() <= MAX_GLOBAL_BYTES => {
                Ok(String::from_utf8_lossy(&self.bytes[range.clone()]).into_owned())
            }
            _ => Err(self.broken("a name that is no text").into()),
        }
    }

    fn global(&self, module: &str, name: &str) -> Result<Global, Stop> {
        known_global(module, name).ok_or_else(|| {
            Fault::new("PK-GLOBAL", format!("the pickle refers to '{}', which is no part of a state dict", shown(&format!("{module}.{name}"))))
                .at_byte(self.first_byte + self.op_at as u64)
                .found_wanted(shown(&format!("{module}.{name}")), "tensors, numbers, texts, lists and dicts")
                .hint("nothing was executed; save the model's state_dict() alone, or as safetensors, with the tool that wrote it")
                .into()
        })
    }

    /// A call by name becomes the value that it stands for.
    fn reduce(&mut self, callee: Id, arguments: Id) -> Result<(), Stop> {
        let Value::Tuple(arguments) = self.value(arguments).clone() else {
            return Err(self.broken("arguments that are no tuple").into());
        };
        let global = match self.value(callee) {
            Value::Global(global) => *global,
            Value::Inert => Global::Inert,
            _ => return Err(self.unsupported("a call of something without a name").into()),
        };
        match global {
            Global::Inert => self.push_id(self.inert),
            Global::OrderedDict => {
                let mut entries = Vec::new();
                if let Some(&list) = arguments.first() {
                    let Value::List(pairs) = self.value(list) else {
                        return Err(self.unsupported("a dict made of something else than pairs").into());
                    };
                    for &pair in pairs {
                        match self.value(pair) {
                            Value::Tuple(pair) | Value::List(pair) if pair.len() == 2 => {
                                entries.push((pair[0], pair[1]));
                            }
                            _ => {
                                return Err(self
                                    .unsupported("a dict made of something else than pairs")
                                    .into());
                            }
                        }
                    }
                }
                self.push(Value::Dict(entries))
            }
            Global::Size => match arguments.as_slice() {
                [] => self.push_id(self.empty_tuple),
                [one] if matches!(self.value(*one), Value::Tuple(_) | Value::List(_)) => self.push_id(*one),
                _ => Err(self.broken("a shape that is no tuple").into()),
            },
            Global::RebuildParameter => match arguments.first() {
                Some(&tensor) if matches!(self.value(tensor), Value::Tensor(_)) => self.push_id(tensor),
                _ => Err(self.broken("a parameter that is no tensor").into()),
            },
            Global::RebuildTensor | Global::RebuildTensorV2 => {
                let tensor = self.tensor(&arguments, None)?;
                self.push(Value::Tensor(tensor))
            }
            Global::RebuildTensorV3 => {
                let elements = arguments.get(6).map(|&id| self.value(id));
                let Some(Value::Global(Global::Elements(elements))) = elements else {
                    return Err(self.broken("a tensor without a type of elements").into());
                };
                let tensor = self.tensor(&arguments, Some(*elements))?;
                self.push(Value::Tensor(tensor))
            }
            Global::Elements(_) | Global::Untyped => Err(self.unsupported("a storage made in place").into()),
        }
    }

    /// (storage, offset, shape, strides, …)
    fn tensor(&self, arguments: &[Id], of_tensor: Option<Elements>) -> Result<TensorRef, Stop> {
        let [storage_id, offset, shape, strides, ..] = arguments else {
            return Err(self.broken("a tensor with too few arguments").into());
        };
        let Value::Storage(storage) = self.value(*storage_id) else {
            return Err(self.broken("a tensor whose storage is none").into());
        };
        let Some(elements) = of_tensor.or(storage.elements) else {
            return Err(self.broken("a tensor without a type of elements").into());
        };
        let offset = match self.value(*offset) {
            Value::Int(offset) => self.count("offset", *offset)?,
            _ => return Err(self.broken("an offset that is no number").into()),
        };
        let (shape, strides) = (self.counts("shape", *shape)?, self.counts("stride", *strides)?);
        if shape.len() != strides.len() {
            return Err(self
                .geometry("a tensor has another number of strides than of dimensions")
                .found_wanted(format!("{} strides", strides.len()), shape.len().to_string())
                .into());
        }
        Ok(TensorRef { storage: *storage_id, elements, offset, shape, strides })
    }

    fn counts(&self, what: &str, id: Id) -> Result<Vec<u64>, Stop> {
        let (Value::Tuple(items) | Value::List(items)) = self.value(id) else {
            return Err(self.broken(&format!("a {what} that is no tuple")).into());
        };
        if items.len() > MAX_RANK {
            return Err(self
                .geometry("a tensor has too many dimensions")
                .found_wanted(items.len().to_string(), format!("at most {MAX_RANK}"))
                .into());
        }
        let number = |&id: &Id| match self.value(id) {
            Value::Int(number) => self.count(what, *number),
            _ => Err(self.broken(&format!("a {what} that is no number")).into()),
        };
        items.iter().map(number).collect()
    }

    fn count(&self, what: &str, number: i64) -> Result<u64, Stop> {
        u64::try_from(number).map_err(|_| {
            let fault = self.geometry(&format!("a tensor has a negative {what}"));
            fault.found_wanted(number.to_string(), "zero or more").into()
        })
    }

    /// ('storage', type, key, place, count) or, from old writers, with a view as sixth.
    fn storage(&self, id: Id) -> Result<StorageRef, Stop> {
        let Value::Tuple(parts) = self.value(id) else {
            return Err(self.unsupported("a reference to the outside that is no storage").into());
        };
        let [tag, kind, key, _place, count, rest @ ..] = parts.as_slice() else {
            return Err(self.unsupported("a reference to the outside that is no storage").into());
        };
        if self.text_of(*tag).ok().as_deref() != Some("storage") {
            return Err(self.unsupported("a reference to the outside that is no storage").into());
        }
        if rest.iter().any(|&view| view != self.inert) {
            return Err(self.unsupported("a storage that is a view of another").into());
        }
        let elements = match self.value(*kind) {
            Value::Global(Global::Elements(elements)) => Some(*elements),
            Value::Global(Global::Untyped) => None,
            _ => return Err(self.unsupported("a storage of an unknown type").into()),
        };
        let (Value::Text(key), Value::Int(count)) = (self.value(*key), self.value(*count)) else {
            return Err(self.broken("a storage without a key or a length").into());
        };
        Ok(StorageRef { elements, key: key.clone(), n_elements: self.count("length", *count)? })
    }

    fn broken(&self, says: &str) -> Box<Fault> {
        Fault::new("PK-BROKEN", format!("the pickle is damaged: {says}"))
            .at_byte(self.first_byte + self.op_at as u64)
    }

    fn geometry(&self, says: &str) -> Box<Fault> {
        Fault::new("PK-SHAPE", says).at_byte(self.first_byte + self.op_at as u64)
    }

    fn unsupported(&self, what: &str) -> Box<Fault> {
        Fault::new("PK-UNSUPPORTED", format!("unsupported construct: {what}"))
            .at_byte(self.first_byte + self.op_at as u64)
            .hint("nothing was executed; save the model's state_dict() alone, or as safetensors, with the tool that wrote it")
    }
}

/// What the name means here, if a state dict may hold it.
fn known_global(module: &str, name: &str) -> Option<Global> {
    let known = |dtype| Some(Global::Elements(Elements::Known(dtype)));
    match (module, name) {
        ("collections", "OrderedDict") => Some(Global::OrderedDict),
        ("torch._utils", "_rebuild_tensor") => Some(Global::RebuildTensor),
        ("torch._utils", "_rebuild_tensor_v2") => Some(Global::RebuildTensorV2),
        ("torch._utils", "_rebuild_tensor_v3") => Some(Global::RebuildTensorV3),
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
            Some(Global::RebuildParameter)
        }
        ("torch", "Size") => Some(Global::Size),
        ("torch" | "torch.cuda", "DoubleStorage") | ("torch", "float64" | "double") => known(Dtype::F64),
        ("torch" | "torch.cuda", "FloatStorage") | ("torch", "float32" | "float") => known(Dtype::F32),
        ("torch" | "torch.cuda", "HalfStorage") | ("torch", "float16" | "half") => known(Dtype::F16),
        ("torch" | "torch.cuda", "BFloat16Storage") | ("torch", "bfloat16") => known(Dtype::Bf16),
        ("torch" | "torch.cuda", "LongStorage") | ("torch", "int64" | "long") => known(Dtype::I64),
        ("torch" | "torch.cuda", "IntStorage") | ("torch", "int32" | "int") => known(Dtype::I32),
        ("torch" | "torch.cuda", "ShortStorage") | ("torch", "int16" | "short") => known(Dtype::I16),
        ("torch" | "torch.cuda", "CharStorage") | ("torch", "int8") => known(Dtype::I8),
        ("torch" | "torch.cuda", "ByteStorage") | ("torch", "uint8") => known(Dtype::U8),
        ("torch" | "torch.cuda", "BoolStorage") | ("torch", "bool") => known(Dtype::Bool),
        ("torch" | "torch.cuda", "ComplexFloatStorage") | ("torch", "complex64") => known(Dtype::C64),
        ("torch" | "torch.cuda", "ComplexDoubleStorage") | ("torch", "complex128") => {
            Some(Global::Elements(Elements::ComplexDouble))
        }
        ("torch", "uint16") => known(Dtype::U16),
        ("torch", "uint32") => known(Dtype::U32),
        ("torch", "uint64") => known(Dtype::U64),
        ("torch", "float8_e4m3fn") => known(Dtype::F8E4m3),
        ("torch", "float8_e5m2") => known(Dtype::F8E5m2),
        ("torch", "float8_e4m3fnuz") => known(Dtype::F8E4m3Fnuz),
        ("torch", "float8_e5m2fnuz") => known(Dtype::F8E5m2Fnuz),
        ("torch.storage" | "torch", "UntypedStorage") => Some(Global::Untyped),
        // data beside the weights; making them runs nothing of the file's choice
        ("torch", "device" | "Generator" | "strided")
        | ("torch.serialization", "_get_layout")
        | ("collections", "Counter" | "defaultdict")
        | ("argparse", "Namespace")
        | ("pathlib", "PosixPath" | "WindowsPath" | "PurePosixPath" | "Path")
        | ("numpy", "dtype" | "ndarray")
        | ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar")
        | ("_codecs", "encode")
        | ("typing", "Any")
        // options and callbacks of training frameworks
        | ("omegaconf.listconfig", "ListConfig")
        | ("omegaconf.dictconfig", "DictConfig")
        | ("omegaconf.base", "ContainerMetadata" | "Metadata")
        | ("omegaconf.nodes", "AnyNode" | "BooleanNode" | "FloatNode" | "IntegerNode" | "StringNode")
        | ("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")
        | ("pytorch_lightning.utilities.parsing" | "lightning.fabric.utilities.data", "AttributeDict")
        | (
            "builtins" | "__builtin__",
            "set" | "frozenset" | "list" | "dict" | "tuple" | "int" | "long" | "float" | "bool" | "str" | "unicode" | "bytes"
            | "slice" | "range" | "complex",
        ) => Some(Global::Inert),
        _ => None,
    }
}

fn opcode_name(opcode: u8) -> &'static str {
    match opcode {
        b'i' => "INST, which makes an object of any class",
        b'o' => "OBJ, which makes an object of any class",
        0x92 => "NEWOBJ_EX, which makes an object of any class",
        0x82..=0x84 => "EXT, a name from a registry of the reader",
        b'P' => "PERSID, a reference in text",
        0x96..=0x98 => "a buffer beside the pickle",
        b'I' | b'L' | b'F' | b'S' | b'V' | b'p' | b'g' | b'd' => "an instruction of protocol 0",
        _ => "an instruction that no protocol knows",
    }
}
