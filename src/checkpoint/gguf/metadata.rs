//! The key-value pairs of a header: every one is checked, few are kept.

use std::collections::HashMap;

use super::cursor::Cursor;
use crate::checkpoint::Error;
use crate::source::{Fault, grouped, in_bytes, shown};

/// Most keys; published files have fewer than a hundred.
const MAX_KEYS: u64 = 65_536;
/// Key length, value type and the shortest value.
const MIN_PAIR_BYTES: u64 = 8 + 4 + 1;
/// Longest key that the format allows.
const MAX_KEY_BYTES: u64 = 65_535;
/// Longest text value that is kept: names and types, not licences and templates.
const MAX_TEXT_BYTES: u64 = 256;
/// Longest list of numbers that is kept: one a layer.
const MAX_LIST: u64 = 4096;
/// Most tokens; the largest published vocabularies hold about a million.
const MAX_TOKENS: u64 = 4 << 20;
/// Arrays inside arrays: the specification allows them, no writer makes them.
const MAX_DEPTH: u32 = 4;
/// Alignments beyond a page serve nobody, and 2^30 would make every file a gigabyte.
const MAX_ALIGNMENT: u64 = 1 << 16;
const DEFAULT_ALIGNMENT: u64 = 32;

const ALIGNMENT: &str = "general.alignment";
const TOKENS: &str = "tokenizer.ggml.tokens";
const TOKEN_TYPES: &str = "tokenizer.ggml.token_type";

/// A value that is kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    /// Whole numbers, one a layer.
    List(Vec<i64>),
    /// Checked and not kept.
    Other,
}

/// What a header says beside its tensors.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    values: HashMap<String, Value>,
    alignment_at: Option<u64>,
    /// `tokenizer.ggml.tokens`, as stored.
    pub(super) tokens: Option<Vec<Vec<u8>>>,
    /// `tokenizer.ggml.token_type`.
    pub(super) token_types: Vec<i64>,
}

impl Metadata {
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number that is not negative.
    pub(super) fn number(&self, key: &str) -> Option<u64> {
        match self.get(key)? {
            Value::Unsigned(number) => Some(*number),
            Value::Signed(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// Distance of which every tensor's place is a multiple.
    pub(super) fn alignment(&self) -> Result<u64, Box<Fault>> {
        let Some(value) = self.get(ALIGNMENT) else { return Ok(DEFAULT_ALIGNMENT) };
        let refused = |found: String| {
            Fault::new("GG-ALIGNMENT", "general.alignment is not usable")
                .at_byte(self.alignment_at.unwrap_or(0))
                .found_wanted(found, format!("a power of two up to {}", grouped(MAX_ALIGNMENT)))
        };
        match value {
            Value::Unsigned(alignment) if alignment.is_power_of_two() && *alignment <= MAX_ALIGNMENT => {
                Ok(*alignment)
            }
            Value::Unsigned(alignment) => Err(refused(grouped(*alignment))),
            _ => Err(refused("another type than a 32-bit number".to_owned())),
        }
    }
}

/// Reads all pairs.
pub(super) fn read(cursor: &mut Cursor<'_>, n_keys: u64) -> Result<Metadata, Error> {
    if n_keys > MAX_KEYS {
        return Err(Fault::new("GG-COUNT", "the header claims more metadata keys than any model has")
            .at_byte(16)
            .found_wanted(grouped(n_keys), format!("at most {}", grouped(MAX_KEYS)))
            .into());
    }
    cursor.expect_room(n_keys, MIN_PAIR_BYTES, "GG-COUNT", "metadata keys", 16)?;
    let mut metadata = Metadata::default();
    for _ in 0..n_keys {
        let at = cursor.position();
        let key = read_key(cursor)?;
        if metadata.values.contains_key(&key) {
            return Err(Fault::new("GG-DUPLICATE", format!("key '{}' occurs twice", shown(&key)))
                .at_byte(at)
                .into());
        }
        let value_at = cursor.position();
        let kind = Kind::read(cursor, &key)?;
        if key == ALIGNMENT {
            metadata.alignment_at = Some(value_at);
            if kind != Kind::U32 {
                // the type decides how many bytes a lenient reader takes for it
                metadata.values.insert(key.clone(), Value::Other);
                metadata.alignment()?;
            }
        }
        let value = match kind {
            Kind::Array => array(cursor, &key, &mut metadata)?,
            Kind::String => text(cursor, &key)?,
            _ => scalar(cursor, kind, &key)?,
        };
        metadata.values.insert(key, value);
    }
    Ok(metadata)
}

fn read_key(cursor: &mut Cursor<'_>) -> Result<String, Error> {
    let at = cursor.position();
    let length = cursor.string_bytes("a metadata key")?;
    if length == 0 || length > MAX_KEY_BYTES {
        return Err(Fault::new("GG-KEY", "a metadata key has an impossible length")
            .at_byte(at)
            .found_wanted(in_bytes(length), format!("1 to {}", grouped(MAX_KEY_BYTES)))
            .into());
    }
    let bytes = cursor.string(length, "a metadata key")?;
    let refused = |says: &str| Error::from(Fault::new("GG-KEY", says).at_byte(at));
    let key = String::from_utf8(bytes).map_err(|_| refused("a metadata key is not UTF-8"))?;
    if key.contains('\0') {
        return Err(refused("a metadata key holds a zero byte, where C readers end it"));
    }
    Ok(key)
}

/// Types of values, by their numbers in the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    String,
    Array,
    U64,
    I64,
    F64,
}

impl Kind {
    const ALL: [Kind; 13] = [
        Kind::U8,
        Kind::I8,
        Kind::U16,
        Kind::I16,
        Kind::U32,
        Kind::I32,
        Kind::F32,
        Kind::Bool,
        Kind::String,
        Kind::Array,
        Kind::U64,
        Kind::I64,
        Kind::F64,
    ];

    fn read(cursor: &mut Cursor<'_>, key: &str) -> Result<Kind, Error> {
        let at = cursor.position();
        let number = cursor.u32("the type of a metadata value")?;
        let kind = usize::try_from(number).ok().and_then(|number| Kind::ALL.get(number).copied());
        kind.ok_or_else(|| {
            Fault::new("GG-VALUE", format!("the value of '{}' has an unknown type", shown(key)))
                .at_byte(at)
                .found_wanted(grouped(u64::from(number)), "0 to 12")
                .into()
        })
    }

    /// Bytes of a value; at least, where they vary.
    fn min_bytes(self) -> u64 {
        match self {
            Kind::U8 | Kind::I8 | Kind::Bool => 1,
            Kind::U16 | Kind::I16 => 2,
            Kind::U32 | Kind::I32 | Kind::F32 => 4,
            Kind::U64 | Kind::I64 | Kind::F64 | Kind::String => 8,
            Kind::Array => 12,
        }
    }
}

fn scalar(cursor: &mut Cursor<'_>, kind: Kind, key: &str) -> Result<Value, Error> {
    const WHAT: &str = "a metadata value";
    let at = cursor.position();
    Ok(match kind {
        Kind::U8 => Value::Unsigned(u64::from(cursor.array::<1>(WHAT)?[0])),
        Kind::I8 => Value::Signed(i64::from(cursor.array::<1>(WHAT)?[0].cast_signed())),
        Kind::U16 => Value::Unsigned(u64::from(u16::from_le_bytes(cursor.array(WHAT)?))),
        Kind::I16 => Value::Signed(i64::from(i16::from_le_bytes(cursor.array(WHAT)?))),
        Kind::U32 => Value::Unsigned(u64::from(cursor.u32(WHAT)?)),
        Kind::I32 => Value::Signed(i64::from(cursor.u32(WHAT)?.cast_signed())),
        Kind::U64 => Value::Unsigned(cursor.u64(WHAT)?),
        Kind::I64 => Value::Signed(cursor.u64(WHAT)?.cast_signed()),
        Kind::F32 => Value::Float(f64::from(f32::from_le_bytes(cursor.array(WHAT)?))),
        Kind::F64 => Value::Float(f64::from_le_bytes(cursor.array(WHAT)?)),
        Kind::Bool => match cursor.array::<1>(WHAT)? {
            [0] => Value::Bool(false),
            [1] => Value::Bool(true),
            [other] => {
                return Err(Fault::new(
                    "GG-VALUE",
                    format!("the truth value of '{}' is neither 0 nor 1", shown(key)),
                )
                .at_byte(at)
                .found_wanted(other.to_string(), "0 or 1")
                .into());
            }
        },
        Kind::String | Kind::Array => Value::Other,
    })
}

fn text(cursor: &mut Cursor<'_>, key: &str) -> Result<Value, Error> {
    const WHAT: &str = "a text of the metadata";
    let at = cursor.position();
    let length = cursor.string_bytes(WHAT)?;
    if length > MAX_TEXT_BYTES {
        cursor.skip(length, WHAT)?;
        return Ok(Value::Other);
    }
    let bytes = cursor.string(length, WHAT)?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Value::Text(text)),
        Err(_) => Err(Fault::new("GG-VALUE", format!("the text of '{}' is not UTF-8", shown(key)))
            .at_byte(at)
            .into()),
    }
}

fn array(cursor: &mut Cursor<'_>, key: &str, metadata: &mut Metadata) -> Result<Value, Error> {
    let at = cursor.position();
    let (kind, length) = array_head(cursor, key)?;
    let is_list_of_tokens = key == TOKENS;
    if is_list_of_tokens && kind != Kind::String {
        return Err(Fault::new("GG-TOKENS", "tokenizer.ggml.tokens is not a list of strings")
            .at_byte(at)
            .into());
    }
    if (is_list_of_tokens || key == TOKEN_TYPES) && length > MAX_TOKENS {
        return Err(Fault::new("GG-TOKENS", "more tokens than any vocabulary has")
            .at_byte(at)
            .found_wanted(grouped(length), format!("at most {}", grouped(MAX_TOKENS)))
            .into());
    }
    if is_list_of_tokens {
        let mut tokens = Vec::new();
        for _ in 0..length {
            let n_bytes = cursor.string_bytes("a token")?;
            tokens.try_reserve(1).map_err(|_| Fault::new("MEMORY", "not enough memory for the tokens"))?;
            tokens.push(cursor.string(n_bytes, "a token")?);
        }
        metadata.tokens = Some(tokens);
        return Ok(Value::Other);
    }
    if key == TOKEN_TYPES && kind != Kind::String && kind != Kind::Array {
        metadata.token_types = whole_numbers(cursor, kind, length, key)?;
        return Ok(Value::Other);
    }
    if length <= MAX_LIST && !matches!(kind, Kind::String | Kind::Array | Kind::F32 | Kind::F64) {
        return Ok(Value::List(whole_numbers(cursor, kind, length, key)?));
    }
    pass_over(cursor, kind, length, key, 1)?;
    Ok(Value::Other)
}

/// Type and number of elements, which the file must be able to hold.
fn array_head(cursor: &mut Cursor<'_>, key: &str) -> Result<(Kind, u64), Error> {
    let kind = Kind::read(cursor, key)?;
    let at = cursor.position();
    let length = cursor.u64("the length of a metadata array")?;
    cursor.expect_room(length, kind.min_bytes(), "GG-ARRAY", "array elements", at)?;
    Ok((kind, length))
}

fn whole_numbers(cursor: &mut Cursor<'_>, kind: Kind, length: u64, key: &str) -> Result<Vec<i64>, Error> {
    let mut numbers = Vec::new();
    for _ in 0..length {
        let number = match scalar(cursor, kind, key)? {
            Value::Unsigned(number) => i64::try_from(number).unwrap_or(i64::MAX),
            Value::Signed(number) => number,
            Value::Bool(is_true) => i64::from(is_true),
            _ => 0,
        };
        numbers.try_reserve(1).map_err(|_| Fault::new("MEMORY", "not enough memory for the metadata"))?;
        numbers.push(number);
    }
    Ok(numbers)
}

/// Checks an array that is not kept.
fn pass_over(cursor: &mut Cursor<'_>, kind: Kind, length: u64, key: &str, depth: u32) -> Result<(), Error> {
    const WHAT: &str = "a metadata array";
    match kind {
        Kind::String => {
            for _ in 0..length {
                let n_bytes = cursor.string_bytes("a text of the metadata")?;
                cursor.skip(n_bytes, "a text of the metadata")?;
            }
        }
        Kind::Array if depth >= MAX_DEPTH => {
            return Err(Fault::new(
                "GG-DEPTH",
                format!("the value of '{}' is nested too deeply", shown(key)),
            )
            .at_byte(cursor.position())
            .found_wanted("more arrays in arrays", format!("at most {MAX_DEPTH} levels"))
            .into());
        }
        Kind::Array => {
            for _ in 0..length {
                let (kind, length) = array_head(cursor, key)?;
                pass_over(cursor, kind, length, key, depth + 1)?;
            }
        }
        Kind::Bool => {
            for _ in 0..length {
                scalar(cursor, kind, key)?;
            }
        }
        // expect_room has shown that the product is within the file
        _ => cursor.skip(length.saturating_mul(kind.min_bytes()), WHAT)?,
    }
    Ok(())
}
