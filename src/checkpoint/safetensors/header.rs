//! The JSON of a safetensors header, read as a stream: no tree is built, and nothing is accepted twice.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::checkpoint::json;
use crate::checkpoint::{Limits, TensorEntry};
use crate::source::{Fault, grouped, in_bytes, shown};
use crate::tensor::Dtype;

/// Highest rank; no published tensor comes near.
const MAX_RANK: usize = 16;
/// Longest tensor name, bytes.
const MAX_NAME_BYTES: usize = 4096;
/// Most fields of a tensor beside the three that the format knows.
const MAX_UNKNOWN_FIELDS: usize = 16;
/// Longest text of all such fields together: the crate holds it in some 35 times its size.
const MAX_UNKNOWN_BYTES: usize = 1 << 20;

/// What a header says; offsets of the entries still count from the end of the header.
#[derive(Debug, Default)]
pub(super) struct Header {
    /// In the order of the text.
    pub entries: Vec<TensorEntry>,
    /// First byte and length of the value of `__metadata__` in the text.
    pub metadata: Option<(usize, usize)>,
    /// Fields of tensors that the format does not know.
    pub n_unknown_fields: u64,
    /// Bytes of their values.
    pub n_unknown_bytes: usize,
    /// Spaces before the object.
    pub n_leading_spaces: usize,
}

/// Reads the text of a header, all rules checked that need no file size and no other tensor.
pub(super) fn parse(text: &str, limits: &Limits) -> Result<Header, Box<Fault>> {
    let n_leading_spaces = text.len() - text.trim_start_matches(' ').len();
    let mut state = State {
        header: Header { n_leading_spaces, ..Header::default() },
        fault: None,
        current: None,
        limits,
    };
    if let Some((byte, found)) = json::too_deep(text.as_bytes()) {
        return Err(Fault::new("ST-DEPTH", "the header is nested too deeply")
            .at_byte(header_byte(byte))
            .found_wanted(format!("more than {found} levels"), format!("at most {}", json::MAX_DEPTH)));
    }
    let mut parser = serde_json::Deserializer::from_str(text);
    let parsed =
        parser.deserialize_map(HeaderVisitor { state: &mut state, text }).and_then(|()| parser.end());
    if let Err(cause) = parsed {
        return Err(state.fault.take().unwrap_or_else(|| state.json_fault(text, &cause)));
    }
    let after_object = text.rfind('}').map_or(0, |brace| brace + 1);
    if let Some(at) = text[after_object..].find(|c| c != ' ') {
        return Err(Fault::new("ST-PADDING", "the header is padded with something other than spaces")
            .at_byte(header_byte(after_object + at)));
    }
    Ok(state.header)
}

/// Position in the file of a position in the header's text: the length field comes first.
fn header_byte(at: usize) -> u64 {
    at as u64 + 8
}

struct State<'limits> {
    header: Header,
    /// The rule that was broken; the parser's own error only unwinds.
    fault: Option<Box<Fault>>,
    /// Tensor that is being read.
    current: Option<String>,
    limits: &'limits Limits,
}

impl State<'_> {
    fn refuse<E: de::Error>(&mut self, fault: Box<Fault>) -> E {
        self.fault = Some(match &self.current {
            Some(name) if fault.tensor.is_none() => fault.of_tensor(name),
            _ => fault,
        });
        E::custom("refused")
    }

    fn json_fault(&self, text: &str, cause: &serde_json::Error) -> Box<Fault> {
        let at = header_byte(json::position(text, cause));
        let says = json::says(cause);
        let fault = match cause.classify() {
            serde_json::error::Category::Data => {
                Fault::new("ST-FIELD", format!("the header does not have the form of the format: {says}"))
            }
            _ => Fault::new("ST-JSON", format!("the header is not valid JSON: {says}")),
        };
        let fault = fault.at_byte(at).hint("the file is damaged or was not written by a safetensors writer");
        match &self.current {
            Some(name) => fault.of_tensor(name),
            None => fault,
        }
    }
}

struct HeaderVisitor<'state, 'limits, 'text> {
    state: &'state mut State<'limits>,
    text: &'text str,
}

impl<'de> Visitor<'de> for HeaderVisitor<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let HeaderVisitor { state, text } = self;
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                if state.header.metadata.is_some() {
                    return Err(state.refuse(Fault::new("ST-DUPLICATE", "'__metadata__' occurs twice")));
                }
                let raw = map.next_value::<&'de RawValue>()?.get();
                // both are parts of one text, so their distance is a position in it
                let start = raw.as_ptr().addr() - text.as_ptr().addr();
                state.header.metadata = Some((start, raw.len()));
                check_metadata(raw).map_err(|fault| {
                    let fault = fault.at_byte(header_byte(start));
                    state.refuse::<A::Error>(fault)
                })?;
                continue;
            }
            if name.len() > MAX_NAME_BYTES {
                let fault =
                    Fault::new("ST-NAME", "a tensor's name is too long").of_tensor(&name).found_wanted(
                        in_bytes(name.len() as u64),
                        format!("at most {}", grouped(MAX_NAME_BYTES as u64)),
                    );
                return Err(state.refuse(fault));
            }
            if state.header.entries.len() >= state.limits.max_tensors {
                let limit = grouped(state.limits.max_tensors as u64);
                let fault = Fault::new("ST-COUNT", format!("the header names more than {limit} tensors"))
                    .hint("raise --max-tensors if this is intended");
                return Err(state.refuse(fault));
            }
            state.current = Some(name);
            map.next_value_seed(InfoSeed { state })?;
            state.current = None;
        }
        Ok(())
    }
}

/// Reads one tensor's object and appends its entry.
struct InfoSeed<'state, 'limits> {
    state: &'state mut State<'limits>,
}

impl<'de> DeserializeSeed<'de> for InfoSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for InfoSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with dtype, shape and data_offsets")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let state = self.state;
        let (mut dtype, mut shape, mut offsets) = (None, None, None);
        let mut unknown: Vec<String> = Vec::new();
        while let Some(field) = map.next_key::<String>()? {
            let is_twice = match field.as_str() {
                "dtype" => dtype.replace(map.next_value::<String>()?).is_some(),
                "shape" => {
                    shape.replace(map.next_value_seed(Numbers { state, list: List::Shape })?).is_some()
                }
                "data_offsets" => {
                    offsets.replace(map.next_value_seed(Numbers { state, list: List::Offsets })?).is_some()
                }
                _ => {
                    let raw = map.next_value::<&'de RawValue>()?;
                    state.header.n_unknown_bytes =
                        state.header.n_unknown_bytes.saturating_add(raw.get().len());
                    if state.header.n_unknown_bytes > MAX_UNKNOWN_BYTES {
                        let limit = grouped(MAX_UNKNOWN_BYTES as u64);
                        let says =
                            format!("fields that the format does not know take more than {limit} bytes");
                        return Err(state.refuse(Fault::new("ST-FIELD", says)));
                    }
                    if let Err(says) = json::check_ignored(raw.get()) {
                        return Err(state
                            .refuse(Fault::new("ST-FIELD", format!("field '{}': {says}", shown(&field)))));
                    }
                    let is_twice = unknown.contains(&field);
                    unknown.push(field.clone());
                    is_twice
                }
            };
            if is_twice {
                return Err(state
                    .refuse(Fault::new("ST-DUPLICATE", format!("field '{}' occurs twice", shown(&field)))));
            }
            if unknown.len() > MAX_UNKNOWN_FIELDS {
                return Err(
                    state.refuse(Fault::new("ST-FIELD", "too many fields that the format does not know"))
                );
            }
        }
        state.header.n_unknown_fields += unknown.len() as u64;
        let (Some(dtype), Some(shape), Some(offsets)) = (dtype, shape, offsets) else {
            let fault = Fault::new("ST-FIELD", "dtype, shape or data_offsets is missing");
            return Err(state.refuse(fault));
        };
        match entry(&dtype, shape, &offsets) {
            Err(fault) => Err(state.refuse(fault)),
            Ok(mut entry) => {
                entry.name = state.current.take().unwrap_or_default();
                if state.header.entries.try_reserve(1).is_err() {
                    return Err(
                        state.refuse(Fault::new("MEMORY", "not enough memory for the list of tensors"))
                    );
                }
                state.header.entries.push(entry);
                Ok(())
            }
        }
    }
}

/// A nameless entry from the three fields of a tensor.
fn entry(dtype: &str, shape: Vec<u64>, offsets: &[u64]) -> Result<TensorEntry, Box<Fault>> {
    let &[begin, end] = offsets else { return Err(not_two_offsets()) };
    let Some(dtype) = Dtype::from_name(dtype) else {
        let known = Dtype::ALL.map(Dtype::name).join(", ");
        return Err(Fault::new("ST-DTYPE", format!("the format knows no dtype '{}'", shown(dtype)))
            .found_wanted(shown(dtype), known));
    };
    let Some(size_bytes) = end.checked_sub(begin) else {
        return Err(Fault::new("ST-OFFSETS", "the range ends before it begins")
            .found_wanted(format!("{} .. {}", grouped(begin), grouped(end)), "begin ≤ end"));
    };
    let needed = size_of(dtype, &shape)?;
    if needed != size_bytes {
        return Err(Fault::new(
            "ST-SIZE",
            format!("needs {} but its range holds {}", in_bytes(needed), grouped(size_bytes)),
        )
        .found_wanted(in_bytes(size_bytes), grouped(needed)));
    }
    Ok(TensorEntry {
        name: String::new(),
        dtype,
        shape,
        file_idx: 0,
        offset: begin,
        size_bytes,
        encoding: None,
    })
}

/// Bytes that a tensor needs. Dimensions of a tensor without elements count too: loaders disagree about `[0, huge, huge]`.
fn size_of(dtype: Dtype, shape: &[u64]) -> Result<u64, Box<Fault>> {
    let overflow = || {
        Fault::new("ST-OVERFLOW", "the number of elements or bits does not fit into 64 bits")
            .found_wanted(format!("{shape:?}"), "dimensions whose product is at most 2^63")
    };
    let mut n_nonzero: u64 = 1;
    for &dim in shape.iter().filter(|&&dim| dim != 0) {
        n_nonzero = n_nonzero.checked_mul(dim).filter(|&n| n <= 1 << 63).ok_or_else(overflow)?;
    }
    let n_elements = if shape.contains(&0) { 0 } else { n_nonzero };
    let n_bits = n_elements.checked_mul(dtype.size_bits()).ok_or_else(overflow)?;
    if !n_bits.is_multiple_of(8) {
        return Err(Fault::new(
            "ST-SUBBYTE",
            format!("{} elements of {} do not fill whole bytes", grouped(n_elements), dtype.name()),
        )
        .found_wanted(format!("{} bits", grouped(n_bits)), "a multiple of 8"));
    }
    Ok(n_bits / 8)
}

/// The two lists of numbers that a tensor has.
#[derive(Clone, Copy)]
enum List {
    Shape,
    Offsets,
}

/// Reads a list of whole numbers and stops at the first that is too many.
struct Numbers<'state, 'limits> {
    state: &'state mut State<'limits>,
    list: List,
}

impl<'de> DeserializeSeed<'de> for Numbers<'_, '_> {
    type Value = Vec<u64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<u64>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Numbers<'_, '_> {
    type Value = Vec<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.list {
            List::Shape => "a list of dimensions",
            List::Offsets => "a list of two offsets",
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<u64>, A::Error> {
        let most = match self.list {
            List::Shape => MAX_RANK,
            List::Offsets => 2,
        };
        let mut numbers = [0; MAX_RANK];
        let mut n_numbers = 0;
        while let Some(number) = seq.next_element::<u64>()? {
            if n_numbers == most {
                return Err(self.state.refuse(match self.list {
                    List::Shape => Fault::new("ST-RANK", "too many dimensions")
                        .found_wanted(format!("more than {MAX_RANK}"), format!("at most {MAX_RANK}")),
                    List::Offsets => not_two_offsets(),
                }));
            }
            numbers[n_numbers] = number;
            n_numbers += 1;
        }
        // a copy of exact size: growing would double the memory of a long header
        Ok(numbers[..n_numbers].to_vec())
    }
}

fn not_two_offsets() -> Box<Fault> {
    Fault::new("ST-OFFSETS", "data_offsets must be two numbers, begin and end")
}

/// Key of `__metadata__` under which `convert-weights` keeps what the config of the source said.
pub const CONFIG_KEY: &str = "cognate.config";

/// The text of a config in `__metadata__`, which has been checked, if there is one.
pub(super) fn config(metadata: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Known {
        #[serde(rename = "cognate.config")]
        config: Option<String>,
    }
    serde_json::from_str::<Known>(metadata).ok()?.config
}

/// `__metadata__` must be an object of strings without a key that occurs twice.
fn check_metadata(raw: &str) -> Result<(), Box<Fault>> {
    json::string_map_duplicate(raw)
        .map_err(|cause| {
            Fault::new(
                "ST-METADATA",
                format!("'__metadata__' is not an object of strings: {}", json::says(&cause)),
            )
        })
        .and_then(|duplicate| match duplicate {
            None => Ok(()),
            Some(key) => Err(Fault::new(
                "ST-DUPLICATE",
                format!("key '{}' occurs twice in '__metadata__'", shown(&key)),
            )),
        })
}
