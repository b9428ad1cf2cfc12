//! The container before PyTorch 1.6: magic number, version, facts of the machine, the object and the keys of its storages as
//! five pickles; then, in the order of the keys, each storage as a count of elements and its bytes.

use super::machine::{self, Outcome};
use super::storage::Storages;
use super::value::{Id, Pickled, Value};
use crate::checkpoint::{Error, Limits};
use crate::source::{Fault, Source, grouped, in_bytes};

/// The first pickle: PROTO 2, LONG1 of 0x1950a86a20f9469cfc6c, STOP.
pub(super) const MAGIC: &[u8; 15] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e";

/// Bytes that the pickles are first looked for in; doubled while they do not end.
const FIRST_BYTES: u64 = 1 << 20;

/// Reads the five pickles and finds the storages behind them.
pub(super) fn open(file: &dyn Source, limits: &Limits) -> Result<(Pickled, Storages), Error> {
    let mut n_bytes = FIRST_BYTES.min(file.size_bytes());
    let (object, keys, data_start) = loop {
        let mut bytes = vec![0; usize::try_from(n_bytes).unwrap_or(0)];
        file.read_at(0, &mut bytes)?;
        if let Some(found) = five_pickles(&bytes)? {
            break found;
        }
        if n_bytes == file.size_bytes() {
            return Err(Fault::new("PK-SHORT", "the file ends inside its pickles")
                .at_byte(n_bytes)
                .hint("the download looks unfinished; fetch this file again")
                .into());
        }
        if n_bytes >= limits.max_header_bytes {
            return Err(Fault::new("PK-SIZE", "the pickles before the data are longer than allowed")
                .at_byte(0)
                .found_wanted(
                    format!("more than {} bytes", grouped(n_bytes)),
                    format!("at most {}", grouped(limits.max_header_bytes)),
                )
                .hint("raise --max-header-bytes if this is intended")
                .into());
        }
        n_bytes = (2 * n_bytes).min(file.size_bytes()).min(limits.max_header_bytes);
    };
    let storages = storages(file, &object, &keys, data_start)?;
    Ok((object, storages))
}

type Pickles = (Pickled, Vec<String>, u64);

/// The object, the keys, and where the data starts; None where more bytes are needed.
fn five_pickles(bytes: &[u8]) -> Result<Option<Pickles>, Error> {
    let mut at = 0;
    let mut found = Vec::new();
    for _ in 0..5 {
        match machine::read(&bytes[at..], at as u64)? {
            Outcome::Short => return Ok(None),
            Outcome::Whole { values, root, n_bytes } => {
                found.push(Pickled { bytes: bytes[at..at + n_bytes].to_vec(), values, root });
                at += n_bytes;
            }
        }
    }
    let keys = found.pop().map(|pickled| keys(&pickled)).unwrap_or_default();
    let (Some(object), Some(version)) = (found.pop(), found.get(1)) else { return Ok(None) };
    if !matches!(version.value(version.root), Value::Int(1001)) {
        return Err(Fault::new("PK-VERSION", "the container has a version that is not known")
            .found_wanted("another", "1001")
            .into());
    }
    let is_little = found.get(2).is_none_or(is_little_endian);
    if !is_little {
        return Err(big_endian().into());
    }
    let keys = keys.ok_or_else(|| Fault::new("PK-BROKEN", "the list of storages is no list of texts"))?;
    Ok(Some((object, keys, at as u64)))
}

pub(super) fn big_endian() -> Box<Fault> {
    Fault::new("PK-ENDIAN", "the file was written on a machine of the other byte order")
        .found_wanted("big endian", "little endian")
        .hint("load and save it again on a common machine")
}

/// `little_endian` of the facts of the machine: a truth value is kept as nothing, so only its instruction tells.
fn is_little_endian(facts: &Pickled) -> bool {
    let word = b"little_endian";
    let Some(at) = facts.bytes.windows(word.len()).position(|window| window == word) else { return true };
    // the value follows the key, perhaps behind an instruction that writes it to the memo
    let rest = &facts.bytes[at + word.len()..];
    rest.iter().find(|byte| matches!(byte, 0x88 | 0x89)) != Some(&0x89)
}

fn keys(pickled: &Pickled) -> Option<Vec<String>> {
    let Value::List(items) = pickled.value(pickled.root) else { return None };
    items.iter().map(|&id: &Id| pickled.text(id).map(str::to_owned)).collect()
}

/// Walks over the storages: a count of elements, then their bytes.
fn storages(
    file: &dyn Source,
    object: &Pickled,
    keys: &[String],
    data_start: u64,
) -> Result<Storages, Error> {
    // the size of an element stands in the object alone
    let mut element_bytes = std::collections::HashMap::new();
    for value in &object.values {
        if let Value::Storage(storage) = value {
            let size = match storage.elements {
                Some(super::value::Elements::Known(dtype)) => dtype.size_bytes().unwrap_or(1) as u64,
                Some(super::value::Elements::ComplexDouble) => 16,
                None => 1,
            };
            element_bytes.insert(object.key(storage), size);
        }
    }
    let mut found = Storages::default();
    let mut at = data_start;
    for key in keys {
        let Some(size) = element_bytes.get(key.as_str()) else {
            return Err(Fault::new(
                "PK-STORAGE",
                "a storage belongs to no tensor, so that its length is unknown",
            )
            .at_byte(at)
            .into());
        };
        let short = |wanted: u64| {
            Fault::new("PK-SHORT", "a storage ends after the end of the file")
                .at_byte(file.size_bytes())
                .found_wanted(in_bytes(file.size_bytes()), grouped(wanted))
                .hint("the download looks unfinished; fetch this file again")
        };
        if at.saturating_add(8) > file.size_bytes() {
            return Err(short(at.saturating_add(8)).into());
        }
        let mut count = [0; 8];
        file.read_at(at, &mut count)?;
        let n_bytes = u64::from_le_bytes(count).checked_mul(*size);
        let end = n_bytes.and_then(|n_bytes| (at + 8).checked_add(n_bytes));
        match (n_bytes, end) {
            (Some(n_bytes), Some(end)) if end <= file.size_bytes() => {
                if found.ranges.insert(key.clone(), (at + 8, n_bytes)).is_some() {
                    return Err(Fault::new("PK-DUPLICATE", "a storage is listed twice").at_byte(at).into());
                }
                at = end;
            }
            _ => return Err(short(end.unwrap_or(u64::MAX)).into()),
        }
    }
    if at != file.size_bytes() {
        return Err(Fault::new("PK-TRAILING", "the file goes on after its last storage")
            .at_byte(at)
            .found_wanted(in_bytes(file.size_bytes()), grouped(at))
            .into());
    }
    Ok(found)
}
