//! The safetensors crate reads the same header: what it finds must be what we found.

use std::fmt;

use safetensors::tensor::{Metadata, TensorInfo};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::checkpoint::{Error, TensorEntry};
use crate::source::{Fault, shown};

/// Up to here the crate reads the header as a whole. It keeps some 15 bytes a header byte, so longer lists are
/// read entry by entry and checked for tiling in runs of this length.
const MAX_WHOLE: usize = 20_000;

/// Whether so many tensors are read entry by entry: then [`each`] goes before the entries are sorted, and
/// [`tiling`] after; else [`whole`] after.
pub(super) fn is_by_entry(n_entries: usize) -> bool {
    n_entries > MAX_WHOLE
}

fn disagreement(says: String) -> Error {
    let fault = Fault::new("ST-DISAGREE", format!("our reader and the safetensors crate disagree: {says}"))
        .hint("this is a bug: please report it together with the header of this file");
    Error::Disagreement(fault)
}

/// Reads `header` at once with the crate and compares with `entries`, which are sorted by range and count from
/// the end of the header.
pub(super) fn whole(header: &[u8], entries: &[TensorEntry]) -> Result<(), Error> {
    same_as_whole(header, entries).map_err(disagreement)
}

/// Reads `header` with the crate, tensor by tensor; `entries` are in the order of the text.
pub(super) fn each(header: &[u8], entries: &[TensorEntry]) -> Result<(), Error> {
    let mut parser = serde_json::Deserializer::from_slice(header);
    let read = parser.deserialize_map(OneByOne { entries }).map_err(|cause| shown(&cause.to_string()));
    read.map_err(disagreement)
}

/// Hands the crate all entries, sorted by range, in runs that each begin at 0.
pub(super) fn tiling(entries: &[TensorEntry]) -> Result<(), Error> {
    for run in entries.chunks(MAX_WHOLE) {
        let base = run.first().map_or(0, |entry| entry.offset);
        let infos = run.iter().map(|entry| info_of(entry, base)).collect::<Option<Vec<_>>>();
        let infos = infos.ok_or_else(|| disagreement("a number does not fit its addresses".to_string()))?;
        Metadata::new(None, infos).map_err(|cause| disagreement(shown(&cause.to_string())))?;
    }
    Ok(())
}

fn same_as_whole(header: &[u8], entries: &[TensorEntry]) -> Result<(), String> {
    let theirs: Metadata = serde_json::from_slice(header).map_err(|cause| shown(&cause.to_string()))?;
    let n_theirs = theirs.tensors().len();
    if n_theirs != entries.len() {
        return Err(format!("{} tensors against {n_theirs}", entries.len()));
    }
    let end = entries.last().map_or(0, |entry| entry.offset + entry.size_bytes);
    if u64::try_from(theirs.data_len()).ok() != Some(end) {
        return Err(format!("{end} bytes of data against {}", theirs.data_len()));
    }
    for entry in entries {
        let info =
            theirs.info(&entry.name).ok_or_else(|| format!("it has no tensor '{}'", shown(&entry.name)))?;
        same(entry, info)?;
    }
    Ok(())
}

struct OneByOne<'entries> {
    entries: &'entries [TensorEntry],
}

impl<'de> Visitor<'de> for OneByOne<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        use serde::de::Error;
        let mut ours = self.entries.iter();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let info = map.next_value::<TensorInfo>()?;
            match ours.next() {
                Some(entry) if entry.name == name => same(entry, &info).map_err(A::Error::custom)?,
                _ => return Err(A::Error::custom("it has a tensor that we have not")),
            }
        }
        match ours.next() {
            None => Ok(()),
            Some(_) => Err(A::Error::custom("it lacks a tensor that we have")),
        }
    }
}

fn same(entry: &TensorEntry, info: &TensorInfo) -> Result<(), String> {
    let is_same = info_of(entry, 0).is_some_and(|(_, ours)| {
        (ours.dtype, &ours.shape, ours.data_offsets) == (info.dtype, &info.shape, info.data_offsets)
    });
    if is_same { Ok(()) } else { Err(format!("tensor '{}' is {info:?}", shown(&entry.name))) }
}

/// Our entry in the crate's type, its range counted from `base`.
fn info_of(entry: &TensorEntry, base: u64) -> Option<(String, TensorInfo)> {
    let address = |number: u64| usize::try_from(number).ok();
    let begin = entry.offset.checked_sub(base)?;
    let info = TensorInfo {
        dtype: crate_dtype(entry)?,
        shape: entry.shape.iter().map(|&dim| address(dim)).collect::<Option<Vec<_>>>()?,
        data_offsets: (address(begin)?, address(begin.checked_add(entry.size_bytes)?)?),
    };
    Some((entry.name.clone(), info))
}

fn crate_dtype(entry: &TensorEntry) -> Option<safetensors::Dtype> {
    use serde::Deserialize;
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, StrDeserializer};
    let name: StrDeserializer<'_, Error> = entry.dtype.name().into_deserializer();
    safetensors::Dtype::deserialize(name).ok()
}
