//! Files beside the weights: read whole, but only after their size was checked.

use std::path::Path;

use super::folder::Contents;
use super::{Adapter, Config, Error, Note, Quantisation, Vocabulary, config, json, vocabulary};
use crate::source::{Boundary, Fault, LocalFile, Source, grouped};

/// Longest config that is read; published ones stay below 1 MB.
const MAX_CONFIG_BYTES: u64 = 16 << 20;
/// Longest tokenizer that is read; published ones stay below 40 MB.
const MAX_TOKENIZER_BYTES: u64 = 256 << 20;

/// The text of a JSON file, its size, place and encoding checked.
pub(super) fn read_text(
    path: &Path,
    boundary: &Boundary,
    max_bytes: u64,
    rule: &'static str,
) -> Result<(LocalFile, String), Error> {
    let (file, bytes) = read_bytes(path, boundary, max_bytes, rule)?;
    let text = json::text(bytes, rule).map_err(|fault| fault.in_file(path))?;
    Ok((file, text))
}

fn read_bytes(
    path: &Path,
    boundary: &Boundary,
    max_bytes: u64,
    rule: &'static str,
) -> Result<(LocalFile, Vec<u8>), Error> {
    boundary.check(path)?;
    let file = LocalFile::open(path)?;
    let size = file.size_bytes();
    let memory =
        || Fault::new("MEMORY", format!("not enough memory for {} bytes", grouped(size))).in_file(path);
    if size > max_bytes {
        return Err(Fault::new(rule, "the file is longer than allowed")
            .in_file(path)
            .found_wanted(format!("{} bytes", grouped(size)), format!("at most {}", grouped(max_bytes)))
            .hint("no published model has such a file; fetch the original")
            .into());
    }
    let mut bytes = Vec::new();
    let n_bytes = usize::try_from(size).map_err(|_| memory())?;
    bytes.try_reserve_exact(n_bytes).map_err(|_| memory())?;
    bytes.resize(n_bytes, 0);
    file.read_at(0, &mut bytes)?;
    Ok((file, bytes))
}

/// The config beside the weights, if there is one.
pub(super) fn config(
    contents: &Contents,
    boundary: &Boundary,
    notes: &mut Vec<Note>,
) -> Result<Option<Config>, Error> {
    let path = contents.folder.join("config.json");
    if path.symlink_metadata().is_err() {
        notes.push(Note { rule: "CT-ABSENT", says: "no config.json: shapes decide".to_string() });
        return Ok(None);
    }
    let (_, text) = read_text(&path, boundary, MAX_CONFIG_BYTES, "CT-CONFIG")?;
    let mut config = config::parse(&text, notes).map_err(|fault| fault.in_file(&path))?;
    if config.quantisation == Quantisation::default() {
        config.quantisation = quantisation(contents, boundary)?;
    }
    Ok(Some(config))
}

/// Where old writers of GPTQ put what now stands in the config.
fn quantisation(contents: &Contents, boundary: &Boundary) -> Result<Quantisation, Error> {
    let path = contents.folder.join("quantize_config.json");
    if path.symlink_metadata().is_err() {
        return Ok(Quantisation::default());
    }
    let (_, text) = read_text(&path, boundary, MAX_CONFIG_BYTES, "CT-CONFIG")?;
    Ok(config::parse_quantisation(&text).unwrap_or_default())
}

/// The config of an adapter, where the weights are one.
pub(super) fn adapter(contents: &Contents, boundary: &Boundary) -> Result<Option<Adapter>, Error> {
    let path = contents.folder.join("adapter_config.json");
    let is_adapter = contents.safetensors.iter().any(|name| name == "adapter_model.safetensors")
        && !contents.safetensors.iter().any(|name| name == "model.safetensors");
    if !is_adapter || path.symlink_metadata().is_err() {
        return Ok(None);
    }
    let (_, text) = read_text(&path, boundary, MAX_CONFIG_BYTES, "AD-CONFIG")?;
    Ok(Some(super::adapter::parse(&text).map_err(|fault| fault.in_file(&path))?))
}

/// The vocabulary beside the weights, if there is one: `tokenizer.json`, `vocab.json` or `vocab.txt`.
pub(super) fn vocabulary(
    contents: &Contents,
    boundary: &Boundary,
    notes: &mut Vec<Note>,
) -> Result<Option<Vocabulary>, Error> {
    let readers: [(&str, vocabulary::Reader); 3] = [
        ("tokenizer.json", vocabulary::from_tokenizer),
        ("vocab.json", vocabulary::from_map),
        ("vocab.txt", vocabulary::from_lines),
    ];
    for (name, reader) in readers {
        let path = contents.folder.join(name);
        if path.symlink_metadata().is_err() {
            continue;
        }
        let (_, bytes) = read_bytes(&path, boundary, MAX_TOKENIZER_BYTES, "CT-TOKENIZER")?;
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
