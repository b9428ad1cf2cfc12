//! Protocol Buffers read by position: a message is a range of the file, and only what is asked for is fetched.
//!
//! Encoding: protobuf.dev, "Encoding". A field is a key, number · 8 + wire type, and a value; groups are no part of ONNX.

use std::ops::Range;

use crate::checkpoint::Error;
use crate::source::{Fault, Source, grouped, in_bytes};

/// Bytes fetched at a time.
const FETCH_BYTES: u64 = 64 << 10;
/// Most fields that are looked at: a graph of a million nodes has some ten million.
const MAX_FIELDS: u64 = 20_000_000;
/// Longest variable-length integer.
const MAX_VARINT_BYTES: u32 = 10;

/// A field of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub number: u64,
    pub value: Value,
    /// Where it starts.
    pub at: u64,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Number(u64),
    /// A message, a text, packed numbers or bytes: where they lie in the file.
    Bytes(Range<u64>),
    /// Four or eight bytes.
    Fixed,
}

/// A file of messages.
pub(super) struct Wire<'a> {
    file: &'a dyn Source,
    fetched: Vec<u8>,
    fetched_from: u64,
    n_fields: u64,
}

impl<'a> Wire<'a> {
    pub(super) fn new(file: &'a dyn Source) -> Wire<'a> {
        Wire { file, fetched: Vec::new(), fetched_from: 0, n_fields: 0 }
    }

    /// The whole file as one message.
    pub(super) fn whole(&self) -> Range<u64> {
        0..self.file.size_bytes()
    }

    /// The first field of what is left of a message, which then begins behind it; None at its end.
    pub(super) fn next(&mut self, message: &mut Range<u64>) -> Result<Option<Field>, Error> {
        if message.is_empty() {
            return Ok(None);
        }
        self.n_fields += 1;
        if self.n_fields > MAX_FIELDS {
            return Err(Fault::new(
                "ON-FIELDS",
                "the file holds more fields than any graph of a network needs",
            )
            .at_byte(message.start)
            .found_wanted(
                format!("more than {}", grouped(MAX_FIELDS)),
                format!("at most {}", grouped(MAX_FIELDS)),
            )
            .into());
        }
        let at = message.start;
        let key = self.varint(message)?;
        let value = match key & 7 {
            0 => Value::Number(self.varint(message)?),
            1 => self.fixed(message, 8)?,
            2 => {
                let n_bytes = self.varint(message)?;
                Value::Bytes(take(message, n_bytes)?)
            }
            5 => self.fixed(message, 4)?,
            other => {
                return Err(Fault::new(
                    "ON-WIRE",
                    "this is no message of Protocol Buffers, or a damaged one",
                )
                .at_byte(at)
                .found_wanted(format!("a field of wire type {other}"), "wire type 0, 1, 2 or 5")
                .hint(
                    "the download may have saved an error page, or a pointer of git lfs; look into the file",
                )
                .into());
            }
        };
        Ok(Some(Field { number: key >> 3, value, at }))
    }

    fn fixed(&mut self, message: &mut Range<u64>, n_bytes: u64) -> Result<Value, Error> {
        take(message, n_bytes)?;
        Ok(Value::Fixed)
    }

    fn varint(&mut self, message: &mut Range<u64>) -> Result<u64, Error> {
        let at = message.start;
        let mut number = 0_u64;
        for nth in 0..MAX_VARINT_BYTES {
            let byte = self.byte(take(message, 1)?.start)?;
            number |= u64::from(byte & 0x7f).checked_shl(7 * nth).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Fault::new("ON-WIRE", "a number does not end")
            .at_byte(at)
            .found_wanted("more than 10 bytes", "at most 10")
            .into())
    }

    fn byte(&mut self, at: u64) -> Result<u8, Error> {
        let inside = |from: u64| usize::try_from(at.wrapping_sub(from)).unwrap_or(usize::MAX);
        if self.fetched.get(inside(self.fetched_from)).is_none() {
            let n_bytes = (self.file.size_bytes() - at).min(FETCH_BYTES);
            self.fetched.resize(usize::try_from(n_bytes).unwrap_or(0), 0);
            self.fetched_from = at;
            self.file.read_at(at, &mut self.fetched)?;
        }
        Ok(self.fetched.get(inside(self.fetched_from)).copied().unwrap_or(0))
    }

    /// A short text; longer ones and what is no UTF-8 are None.
    pub(super) fn text(&mut self, range: &Range<u64>, max_bytes: u64) -> Result<Option<String>, Error> {
        if range.end - range.start > max_bytes {
            return Ok(None);
        }
        let bytes: Vec<u8> = range.clone().map(|at| self.byte(at)).collect::<Result<_, _>>()?;
        Ok(String::from_utf8(bytes).ok())
    }

    /// Packed integers of a range; at most `max_numbers`.
    pub(super) fn packed(&mut self, mut range: Range<u64>, max_numbers: usize) -> Result<Vec<u64>, Error> {
        let mut numbers = Vec::new();
        while !range.is_empty() && numbers.len() < max_numbers {
            numbers.push(self.varint(&mut range)?);
        }
        Ok(numbers)
    }
}

/// Cuts the first bytes off a message.
fn take(message: &mut Range<u64>, n_bytes: u64) -> Result<Range<u64>, Box<Fault>> {
    let start = message.start;
    let Some(end) = start.checked_add(n_bytes).filter(|end| *end <= message.end) else {
        return Err(Fault::new("ON-LENGTH", "a field reaches past the end of the message that it is in")
            .at_byte(start)
            .found_wanted(in_bytes(n_bytes), format!("at most {}", grouped(message.end - start)))
            .hint("the download looks unfinished; fetch this file again"));
    };
    message.start = end;
    Ok(start..end)
}
