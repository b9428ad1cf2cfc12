//! The safetensors crate reads the same header: what it finds must be what we found.

use std::fmt;

use safetensors::tensor::{Metadata, TensorInfo};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::checkpoint::{Error, TensorEntry};
use crate::source::{Fault, shown};

/// Up to here the crate reads the header as a whole. It keeps some 15 bytes a header byte, so longer lists are
/// read entry by entry and checked for tiling in runs of this length.
const MAX_WHOLE: usize = 20_000;

/// Reads `header` with the crate and compares with `entries`, which are sorted by range and count from the end
/// of the header.
pub(super) fn confirm(header: &[u8], entries: &[TensorEntry]) -> Result<(), Error> {
    let outcome = if entries.len() <= MAX_WHOLE { whole(header, entries) } else { in_runs(header, entries) };
    outcome.map_err(|says| {
        let fault =
            Fault::new("ST-DISAGREE", format!("our reader and the safetensors crate disagree: {says}"))
                .hint("this is a bug: please report it together with the header of this file");
        Error::Disagreement(Box::new(fault))
    })
}

fn whole(header: &[u8], entries: &[TensorEntry]) -> Result<(), String> {
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

fn in_runs(header: &[u8], entries: &[TensorEntry]) -> Result<(), String> {
    let mut by_name: Vec<u32> = Vec::new();
    let n_entries = u32::try_from(entries.len()).map_err(|_| "too many tensors".to_string())?;
    by_name.try_reserve_exact(entries.len()).map_err(|_| "not enough memory".to_string())?;
    by_name.extend(0..n_entries);
    by_name.sort_unstable_by(|&a, &b| entries[a as usize].name.cmp(&entries[b as usize].name));
    let mut parser = serde_json::Deserializer::from_slice(header);
    let n_theirs = parser
        .deserialize_map(OneByOne { entries, by_name: &by_name })
        .map_err(|cause| shown(&cause.to_string()))?;
    if n_theirs != entries.len() {
        return Err(format!("{} tensors against {n_theirs}", entries.len()));
    }
    for run in entries.chunks(MAX_WHOLE) {
        let base = run.first().map_or(0, |entry| entry.offset);
        let infos = run.iter().map(|entry| info_of(entry, base)).collect::<Option<Vec<_>>>();
        let infos = infos.ok_or("a number does not fit this machine's addresses")?;
        Metadata::new(None, infos).map_err(|cause| shown(&cause.to_string()))?;
    }
    Ok(())
}

struct OneByOne<'entries> {
    entries: &'entries [TensorEntry],
    /// Indices of the entries, sorted by name.
    by_name: &'entries [u32],
}

impl<'de> Visitor<'de> for OneByOne<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<usize, A::Error> {
        use serde::de::Error;
        let mut n_tensors = 0;
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let info = map.next_value::<TensorInfo>()?;
            let found = self.by_name.binary_search_by(|&i| self.entries[i as usize].name.as_str().cmp(&name));
            let Ok(position) = found else {
                return Err(A::Error::custom("it has a tensor that we have not"));
            };
            same(&self.entries[self.by_name[position] as usize], &info).map_err(A::Error::custom)?;
            n_tensors += 1;
        }
        Ok(n_tensors)
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
