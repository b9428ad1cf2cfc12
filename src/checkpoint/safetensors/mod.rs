//! One safetensors file: eight bytes of length, a JSON header, data that the tensors tile exactly.

mod header;
mod second_reader;
mod sniff;
mod tiling;

pub(super) use self::sniff::{SNIFF_BYTES, sniff};

pub use self::header::CONFIG_KEY;
use super::{Config, Error, Limits, Note, TensorEntry, config};
use crate::source::{Fault, Source, grouped, in_bytes};

/// Bytes before the header: its length, little endian.
const LENGTH_BYTES: u64 = 8;
/// Longest header that the format allows.
pub(super) const FORMAT_MAX_HEADER_BYTES: u64 = 100_000_000;

/// The tensors of a file with absolute offsets, what is to be noted, and the config that the file itself holds.
pub(super) type Header = (Vec<TensorEntry>, Vec<Note>, Option<Config>);

/// Reads and checks the header of a file. Nothing of the data is read.
pub(super) fn admit(file: &dyn Source, limits: &Limits) -> Result<Header, Error> {
    let header_bytes = header_length(file, limits)?;
    let mut bytes = Vec::new();
    let n_bytes = usize::try_from(header_bytes).map_err(|_| memory(header_bytes))?;
    bytes.try_reserve_exact(n_bytes).map_err(|_| memory(header_bytes))?;
    bytes.resize(n_bytes, 0);
    file.read_at(LENGTH_BYTES, &mut bytes)?;
    if !matches!(bytes.first(), Some(b'{' | b' ')) {
        return Err(not_an_object(file, &bytes)?.into());
    }
    let text = std::str::from_utf8(&bytes).map_err(|cause| {
        Fault::new("ST-UTF8", "the header is not valid UTF-8")
            .at_byte(LENGTH_BYTES + cause.valid_up_to() as u64)
    })?;
    let header::Header { mut entries, metadata, n_unknown_fields, n_leading_spaces, .. } =
        header::parse(text, limits)?;
    let data_start = LENGTH_BYTES + header_bytes;
    let own_config = metadata.and_then(|(start, length)| header::config(&text[start..start + length]));
    if let Some((start, length)) = metadata {
        // checked above, compared by nobody, and the crate would hold it in some 14 times its size
        blank_object(&mut bytes[start..start + length]);
    }
    let is_by_entry = second_reader::is_by_entry(entries.len());
    if is_by_entry {
        second_reader::each(&bytes, &entries)?;
    }
    tiling::check(&mut entries, data_start, file.size_bytes() - data_start)?;
    if is_by_entry {
        second_reader::tiling(&entries)?;
    } else {
        second_reader::whole(&bytes, &entries)?;
    }
    for entry in &mut entries {
        entry.offset += data_start;
    }
    let mut notes = Vec::new();
    let config = own_config.map(|text| config::parse(&text, &mut notes)).transpose()?;
    let mut note = |rule, says| notes.push(Note { rule, says });
    if n_leading_spaces > 0 {
        note("ST-LEADING", format!("{} spaces stand before the header", grouped(n_leading_spaces as u64)));
    }
    if n_unknown_fields > 0 {
        note(
            "ST-UNKNOWN",
            format!(
                "{} fields of tensors are unknown to the format and were ignored",
                grouped(n_unknown_fields)
            ),
        );
    }
    if entries.is_empty() {
        note("ST-EMPTY", "the file holds no tensors".to_string());
    }
    Ok((entries, notes, config))
}

/// The header's length, checked against the file and the limits.
fn header_length(file: &dyn Source, limits: &Limits) -> Result<u64, Error> {
    let size = file.size_bytes();
    if size < LENGTH_BYTES {
        if let Some(fault) = sniff(&start_of(file, size)?) {
            return Err(fault.into());
        }
        return Err(Fault::new(
            "ST-SHORT",
            "the file is shorter than the length field of a safetensors header",
        )
        .at_byte(size)
        .found_wanted(in_bytes(size), "at least 8")
        .hint("the download looks unfinished; fetch this file again")
        .into());
    }
    let mut length = [0; 8];
    file.read_at(0, &mut length)?;
    let length = u64::from_le_bytes(length);
    let available = size - LENGTH_BYTES;
    let is_short = length > available;
    if (length > limits.max_header_bytes || is_short)
        && let Some(fault) = sniff(&start_of(file, size.min(SNIFF_BYTES))?)
    {
        return Err(fault.into());
    }
    if length > limits.max_header_bytes {
        let fault = Fault::new("ST-HEADER-SIZE", "the header is longer than allowed")
            .at_byte(0)
            .found_wanted(in_bytes(length), format!("at most {}", grouped(limits.max_header_bytes)));
        return Err(match length <= FORMAT_MAX_HEADER_BYTES {
            true => fault.hint("the format allows it: raise --max-header-bytes if this is intended"),
            false => {
                fault.hint("no writer of the format makes such a header; this is not a safetensors file")
            }
        }
        .into());
    }
    if is_short {
        return Err(Fault::new("ST-SHORT", "the file is shorter than its header says")
            .at_byte(size)
            .found_wanted(in_bytes(size), format!("at least {}", grouped(LENGTH_BYTES + length)))
            .hint("the download looks unfinished; fetch this file again")
            .into());
    }
    if length == 0 {
        return Err(Fault::new("ST-JSON", "the header is empty")
            .at_byte(0)
            .found_wanted("0 bytes", "a JSON object")
            .into());
    }
    Ok(length)
}

/// The fault of a header that does not begin like an object.
fn not_an_object(file: &dyn Source, header: &[u8]) -> Result<Box<Fault>, Error> {
    if header.starts_with(b"\xef\xbb\xbf") {
        return Ok(Fault::new("ST-BOM", "the header begins with a byte order mark").at_byte(LENGTH_BYTES));
    }
    // a JSON value of another type is a fault of a safetensors file, not another kind of file
    let is_json = matches!(
        header.first(),
        Some(b'[' | b'"' | b'-' | b'0'..=b'9' | b'n' | b't' | b'f' | b'\t' | b'\n' | b'\r')
    );
    if !is_json && let Some(fault) = sniff(&start_of(file, file.size_bytes().min(SNIFF_BYTES))?) {
        return Ok(fault);
    }
    let found = String::from_utf8_lossy(&header[..header.len().min(16)]).into_owned();
    Ok(Fault::new("ST-ROOT", "the header is not a JSON object")
        .at_byte(LENGTH_BYTES)
        .found_wanted(format!("'{}'", crate::source::shown(&found)), "'{'"))
}

fn start_of(file: &dyn Source, n_bytes: u64) -> Result<Vec<u8>, Error> {
    let mut start = vec![0; usize::try_from(n_bytes).unwrap_or(0)];
    file.read_at(0, &mut start)?;
    Ok(start)
}

fn memory(wanted_bytes: u64) -> Box<Fault> {
    Fault::new("MEMORY", format!("not enough memory for a header of {} bytes", grouped(wanted_bytes)))
}

/// Turns the text of an object into that of an empty one of the same length.
fn blank_object(text: &mut [u8]) {
    if let [b'{', inside @ .., b'}'] = text {
        inside.fill(b' ');
    }
}
