//! Files beside the weights: read whole, but only after their size was checked.

use std::path::Path;

use super::{Adapter, Config, Error, Note, Quantisation, Vocabulary, config, json, vocabulary};
use crate::source::{Fault, Place, Source, grouped, in_bytes};

/// Longest config that is read; published ones stay below 1 MB.
const MAX_CONFIG_BYTES: u64 = 16 << 20;
/// Longest tokenizer that is read; published ones stay below 40 MB.
const MAX_TOKENIZER_BYTES: u64 = 256 << 20;

/// The text of a JSON file, its size and encoding checked.
pub(super) fn read_text(
    path: &Path,
    file: &dyn Source,
    max_bytes: u64,
    rule: &'static str,
) -> Result<String, Error> {
    let bytes = read_bytes(path, file, max_bytes, rule)?;
    Ok(json::text(bytes, rule).map_err(|fault| fault.in_file(path))?)
}

fn read_bytes(path: &Path, file: &dyn Source, max_bytes: u64, rule: &'static str) -> Result<Vec<u8>, Error> {
    let size = file.size_bytes();
    let memory =
        || Fault::new("MEMORY", format!("not enough memory for {} bytes", grouped(size))).in_file(path);
    if size > max_bytes {
        return Err(Fault::new(rule, "the file is longer than allowed")
            .in_file(path)
            .found_wanted(in_bytes(size), format!("at most {}", grouped(max_bytes)))
            .hint("no published model has such a file; fetch the original")
            .into());
    }
    let mut bytes = Vec::new();
    let n_bytes = usize::try_from(size).map_err(|_| memory())?;
    bytes.try_reserve_exact(n_bytes).map_err(|_| memory())?;
    bytes.resize(n_bytes, 0);
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// The config beside the weights, if there is one.
pub(super) fn config(place: &dyn Place, notes: &mut Vec<Note>) -> Result<Option<Config>, Error> {
    let name = "config.json";
    if !place.has(name)? {
        notes.push(Note { rule: "CT-ABSENT", says: "no config.json: shapes decide".to_string() });
        return Ok(None);
    }
    let (path, file) = (place.path_of(name), place.open(name)?);
    let text = read_text(&path, &*file, MAX_CONFIG_BYTES, "CT-CONFIG")?;
    let config = config::parse(&text, notes).map_err(|fault| fault.in_file(&path))?;
    Ok(Some(config))
}

/// Where old writers of GPTQ put what now stands in the config.
pub(super) fn quantisation(place: &dyn Place) -> Result<Quantisation, Error> {
    let name = "quantize_config.json";
    if !place.has(name)? {
        return Ok(Quantisation::default());
    }
    let text = read_text(&place.path_of(name), &*place.open(name)?, MAX_CONFIG_BYTES, "CT-CONFIG")?;
    Ok(config::parse_quantisation(&text).unwrap_or_default())
}

/// The config of an adapter, beside its factors.
pub(super) fn adapter(place: &dyn Place) -> Result<Option<Adapter>, Error> {
    let name = "adapter_config.json";
    if !place.has(name)? {
        return Ok(None);
    }
    let path = place.path_of(name);
    let text = read_text(&path, &*place.open(name)?, MAX_CONFIG_BYTES, "AD-CONFIG")?;
    Ok(Some(super::adapter::parse(&text).map_err(|fault| fault.in_file(&path))?))
}

/// The vocabulary beside the weights, if there is one: `tokenizer.json`, `vocab.json` or `vocab.txt`.
pub(super) fn vocabulary(place: &dyn Place, notes: &mut Vec<Note>) -> Result<Option<Vocabulary>, Error> {
    let readers: [(&str, vocabulary::Reader); 3] = [
        ("tokenizer.json", vocabulary::from_tokenizer),
        ("vocab.json", vocabulary::from_map),
        ("vocab.txt", vocabulary::from_lines),
    ];
    for (name, reader) in readers {
        if !place.has(name)? {
            continue;
        }
        let (path, file) = (place.path_of(name), place.open(name)?);
        let bytes = read_bytes(&path, &*file, MAX_TOKENIZER_BYTES, "CT-TOKENIZER")?;
        let text = if name.ends_with(".json") {
            json::text(bytes, "CT-TOKENIZER")
        } else {
            json::utf8(bytes, "CT-TOKENIZER")
        };
        let found = text.and_then(|text| reader(&text, notes)).map_err(|fault| fault.in_file(&path))?;
        if found.is_some() {
            return Ok(found);
        }
    }
    notes.push(Note { rule: "CT-ABSENT", says: "no vocabulary: token ids decide".to_string() });
    Ok(None)
}
