//! Files of none of the formats that are read: what they begin with, and what they may be.

use super::Error;
use super::safetensors::{FORMAT_MAX_HEADER_BYTES, SNIFF_BYTES, sniff};
use crate::source::{Fault, Source, grouped};
use crate::wording::agreeing;

/// First bytes in a message.
const SHOWN_BYTES: usize = 8;
/// What is read.
const KNOWN: &str = "safetensors, GGUF, or a zip or pickles of torch.save (ONNX by its name)";

/// Endings that name a format which is not read, and its name.
const NAMED: &[(&str, &str)] = &[
    (".h5", "a Keras or HDF5 file"),
    (".hdf5", "a Keras or HDF5 file"),
    (".keras", "a Keras file"),
    (".msgpack", "a Flax checkpoint"),
    (".npz", "a NumPy archive"),
    (".npy", "a NumPy array"),
    (".tflite", "a TensorFlow Lite model"),
    (".pb", "a TensorFlow graph"),
];

/// Refuses a file that does not begin like any known format. One that calls itself safetensors, or begins like it, is left to
/// that format's reader, which says in which rule it fails.
pub(super) fn check(file: &dyn Source) -> Result<(), Error> {
    let name = file.name().to_ascii_lowercase();
    let size = file.size_bytes();
    if name.ends_with(".safetensors") {
        return Ok(());
    }
    let mut start = vec![0; usize::try_from(size.min(SNIFF_BYTES)).unwrap_or(0)];
    file.read_at(0, &mut start)?;
    if begins_like_safetensors(&start) {
        return Ok(());
    }
    let named = NAMED.iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, is)| *is);
    // a name may be wrong where the content says something else, so only what has no signature goes by it
    if named.is_none()
        && let Some(fault) = sniff(&start)
    {
        return Err(fault.into());
    }
    let found = match start.len() {
        0 => "an empty file".to_string(),
        _ => format!(
            "{} {} with {}",
            grouped(size),
            agreeing(size, "byte that begins", "bytes that begin"),
            in_hex(&start)
        ),
    };
    let fault = match named {
        Some(is) => Fault::new("FILE-FORMAT", format!("this is named like {is}, which is not read"))
            .hint("convert it to safetensors with the tool that wrote it"),
        None => Fault::new("FILE-FORMAT", "no known checkpoint format was found in this file")
            .hint("the download may be damaged, encrypted or no checkpoint; name a file of weights"),
    };
    Err(fault.at_byte(0).found_wanted(found, KNOWN).into())
}

/// Whether a header length that the format allows is followed by an object, or by spaces before one.
fn begins_like_safetensors(start: &[u8]) -> bool {
    let Some((length, header)) = start.split_first_chunk::<8>() else { return false };
    u64::from_le_bytes(*length) <= FORMAT_MAX_HEADER_BYTES && matches!(header.first(), Some(b'{' | b' '))
}

fn in_hex(start: &[u8]) -> String {
    let bytes = start.iter().take(SHOWN_BYTES).map(|byte| format!("{byte:02x}"));
    bytes.collect::<Vec<_>>().join(" ")
}
