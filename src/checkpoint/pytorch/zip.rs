//! The zip archive of `torch.save`: stored entries `NAME/data.pkl` and `NAME/data/KEY`.
//!
//! Format: PKWARE APPNOTE 6.3, sections 4.3 and 4.5.3 (zip64). Only what `torch` writes is accepted: nothing compressed, nothing
//! encrypted, the central directory directly before its end, every entry that is used the same in its local header. A data descriptor
//! with sizes of zero in the local header is legal: the central directory tells the sizes.

use std::collections::HashMap;

use super::legacy::big_endian;
use super::machine;
use super::storage::Storages;
use super::value::{Pickled, Value};
use crate::checkpoint::{Error, Limits};
use crate::source::{Fault, Source, grouped, in_bytes, shown};

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;

const END_BYTES: usize = 22;
const CENTRAL_BYTES: usize = 46;
const LOCAL_BYTES: usize = 30;
/// The end of the directory with the longest comment, and what zip64 puts before it.
const TAIL_BYTES: u64 = 65_535 + 22 + 20 + 56;
/// Sizes up to 32 bits that stand in the zip64 extra instead.
const IN_EXTRA: u64 = 0xffff_ffff;

/// One entry of the central directory.
#[derive(Clone, Debug)]
struct Entry {
    crc: u32,
    size_bytes: u64,
    header_at: u64,
    /// Neither compressed nor changed otherwise; only such entries are used.
    is_stored: bool,
}

/// Where the central directory lies.
struct Directory {
    n_entries: u64,
    offset: u64,
    size_bytes: u64,
}

/// Reads the directory and the pickle; every entry that the pickle uses is checked against its local header.
pub(super) fn open(file: &dyn Source, limits: &Limits) -> Result<(Pickled, Storages), Error> {
    let directory = find_directory(file)?;
    let entries = read_directory(file, &directory, limits)?;
    let pickles: Vec<&String> =
        entries.keys().filter(|name| *name == "data.pkl" || name.ends_with("/data.pkl")).collect();
    let name = match pickles.as_slice() {
        [one] => one.as_str(),
        [] => return Err(no_pickle(&entries).into()),
        several => {
            return Err(Fault::new("PK-ZIP-TWO", "the archive holds several pickles of tensors")
                .found_wanted(format!("{} entries data.pkl", several.len()), "one")
                .into());
        }
    };
    let root = name.strip_suffix("data.pkl").unwrap_or_default().to_owned();
    if entries.contains_key(&format!("{root}constants.pkl")) {
        return Err(Fault::new(
            "PK-TORCHSCRIPT",
            "this is a TorchScript archive: a program with its weights",
        )
        .hint("save the state_dict() of the module that it was made from")
        .into());
    }
    if let Some(entry) = entries.get(&format!("{root}byteorder")) {
        let order = read_entry(file, &directory, &format!("{root}byteorder"), entry, 16)?;
        if order.starts_with(b"big") {
            return Err(big_endian().into());
        }
    }
    let entry = &entries[name];
    let bytes = read_entry(file, &directory, name, entry, limits.max_header_bytes)?;
    let first_byte = data_start(file, &directory, name, entry)?;
    let pickled = machine::read_whole(bytes, first_byte)?;
    let mut storages = Storages::default();
    for value in &pickled.values {
        let Value::Storage(storage) = value else { continue };
        let key = pickled.key(storage);
        if storages.ranges.contains_key(key) {
            continue;
        }
        let entry_name = format!("{root}data/{key}");
        let Some(entry) = entries.get(&entry_name) else { continue };
        let start = data_start(file, &directory, &entry_name, entry)?;
        storages.ranges.insert(key.to_owned(), (start, entry.size_bytes));
    }
    check_apart(&storages)?;
    Ok((pickled, storages))
}

fn no_pickle(entries: &HashMap<String, Entry>) -> Box<Fault> {
    let mut names: Vec<&String> = entries.keys().collect();
    names.sort_unstable();
    let shown: Vec<String> = names.iter().take(4).map(|name| shown(name)).collect();
    Fault::new("PK-ZIP-NONE", "the archive holds no pickle of tensors")
        .found_wanted(shown.join(", "), "an entry NAME/data.pkl")
        .hint("this is another kind of zip archive")
}

fn u16_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]).into())
}

/// As [`u16_at`], for lengths of what lies in memory.
fn length_at(bytes: &[u8], at: usize) -> usize {
    usize::try_from(u16_at(bytes, at)).unwrap_or(usize::MAX)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | (u64::from(u32_at(bytes, at + 4)) << 32)
}

/// The end record must end the file: whatever stands behind an archive is not part of it.
fn find_directory(file: &dyn Source) -> Result<Directory, Error> {
    let size = file.size_bytes();
    let n_tail = size.min(TAIL_BYTES);
    let tail_at = size - n_tail;
    let mut tail = vec![0; usize::try_from(n_tail).unwrap_or(0)];
    file.read_at(tail_at, &mut tail)?;
    let end_at = (0..=tail.len().saturating_sub(END_BYTES)).rev().find(|&at| {
        tail.len() >= at + END_BYTES
            && u32_at(&tail, at) == END
            && at as u64 + END_BYTES as u64 + u16_at(&tail, at + 20) == n_tail
    });
    let Some(end_at) = end_at else {
        return Err(Fault::new("PK-ZIP-END", "the archive has no directory at its end")
            .at_byte(size)
            .hint("the download looks unfinished, or something was appended; fetch this file again")
            .into());
    };
    let end = &tail[end_at..];
    if u16_at(end, 4) != 0 || u16_at(end, 6) != 0 || u16_at(end, 8) != u16_at(end, 10) {
        return Err(damaged(tail_at + end_at as u64, "it is split over several files").into());
    }
    let mut directory = Directory {
        n_entries: u16_at(end, 10),
        size_bytes: u32_at(end, 12).into(),
        offset: u32_at(end, 16).into(),
    };
    let mut directory_end = tail_at + end_at as u64;
    let is_64 =
        directory.n_entries == 0xffff || directory.size_bytes == IN_EXTRA || directory.offset == IN_EXTRA;
    // a locator may stand there although nothing needs it
    let has_locator = end_at >= 20 && u32_at(&tail, end_at - 20) == LOCATOR_64;
    if is_64 && !has_locator {
        return Err(damaged(directory_end, "its zip64 locator is missing").into());
    }
    if has_locator {
        let record_at = u64_at(&tail, end_at - 20 + 8);
        let inside = record_at.checked_sub(tail_at).and_then(|at| usize::try_from(at).ok());
        let record =
            inside.and_then(|at| tail.get(at..)?.get(..56)).filter(|record| u32_at(record, 0) == END_64);
        let Some(record) = record else {
            return Err(damaged(directory_end, "its zip64 record is not where it should be").into());
        };
        directory = Directory {
            n_entries: u64_at(record, 32),
            size_bytes: u64_at(record, 40),
            offset: u64_at(record, 48),
        };
        directory_end = record_at;
    }
    if directory.offset.checked_add(directory.size_bytes) != Some(directory_end) {
        return Err(damaged(directory_end, "its directory does not end where its end record starts").into());
    }
    Ok(directory)
}

fn damaged(byte: u64, says: &str) -> Box<Fault> {
    Fault::new("PK-ZIP", format!("the archive is damaged: {says}")).at_byte(byte)
}

fn read_directory(
    file: &dyn Source,
    directory: &Directory,
    limits: &Limits,
) -> Result<HashMap<String, Entry>, Error> {
    if directory.size_bytes > limits.max_header_bytes {
        return Err(Fault::new("PK-SIZE", "the archive's directory is longer than allowed")
            .at_byte(directory.offset)
            .found_wanted(
                in_bytes(directory.size_bytes),
                format!("at most {}", grouped(limits.max_header_bytes)),
            )
            .hint("raise --max-header-bytes if this is intended")
            .into());
    }
    let mut bytes = vec![0; usize::try_from(directory.size_bytes).unwrap_or(0)];
    file.read_at(directory.offset, &mut bytes)?;
    let mut entries = HashMap::new();
    let mut at = 0;
    while at < bytes.len() {
        let byte = directory.offset + at as u64;
        let rest = &bytes[at..];
        if rest.len() < CENTRAL_BYTES || u32_at(rest, 0) != CENTRAL {
            return Err(damaged(byte, "an entry of its directory is none").into());
        }
        let lengths = [28, 30, 32].map(|at| length_at(rest, at));
        let n_bytes = CENTRAL_BYTES + lengths.iter().sum::<usize>();
        if rest.len() < n_bytes {
            return Err(damaged(byte, "an entry of its directory is cut off").into());
        }
        let name = std::str::from_utf8(&rest[CENTRAL_BYTES..CENTRAL_BYTES + lengths[0]])
            .map_err(|_| damaged(byte, "a name in it is not UTF-8"))?;
        let extra = &rest[CENTRAL_BYTES + lengths[0]..CENTRAL_BYTES + lengths[0] + lengths[1]];
        let entry = entry(rest, extra, name, byte)?;
        if entries.insert(name.to_owned(), entry).is_some() {
            return Err(Fault::new("PK-ZIP-TWICE", format!("the archive holds '{}' twice", shown(name)))
                .at_byte(byte)
                .found_wanted("two entries of one name", "one")
                .into());
        }
        at += n_bytes;
    }
    if entries.len() as u64 != directory.n_entries {
        return Err(
            damaged(directory.offset, "its directory holds another number of entries than it says").into()
        );
    }
    Ok(entries)
}

fn entry(central: &[u8], extra: &[u8], name: &str, byte: u64) -> Result<Entry, Box<Fault>> {
    let refused = |says: &str, found: &str, wanted: &str| {
        Fault::new("PK-ZIP-ENTRY", format!("the entry '{}' {says}", shown(name)))
            .at_byte(byte)
            .found_wanted(found, wanted)
    };
    if u16_at(central, 8) & 1 != 0 {
        return Err(refused("is encrypted", "an encrypted entry", "a stored one"));
    }
    if (u32_at(central, 38) >> 16) & 0o170_000 == 0o120_000 {
        return Err(refused("is a symbolic link", "a link", "a file"));
    }
    let mut sizes = [u32_at(central, 24).into(), u32_at(central, 20).into(), u32_at(central, 42).into()];
    wide(&mut sizes, extra).ok_or_else(|| refused("has no sizes", "a broken zip64 field", "its sizes"))?;
    let [size_bytes, packed_bytes, header_at] = sizes;
    let is_stored = u16_at(central, 10) == 0;
    if is_stored && size_bytes != packed_bytes {
        return Err(refused("has two sizes", &grouped(packed_bytes), &grouped(size_bytes)));
    }
    Ok(Entry { crc: u32_at(central, 16), size_bytes, header_at, is_stored })
}

/// Fills sizes that stand in the zip64 field (id 1), in their order.
fn wide(sizes: &mut [u64], mut extra: &[u8]) -> Option<()> {
    let mut missing: Vec<&mut u64> = sizes.iter_mut().filter(|size| **size == IN_EXTRA).collect();
    if missing.is_empty() {
        return Some(());
    }
    while extra.len() >= 4 {
        let (id, n_bytes) = (u16_at(extra, 0), length_at(extra, 2));
        let field = extra.get(4..4 + n_bytes)?;
        if id == 1 {
            for (i, size) in missing.iter_mut().enumerate() {
                **size = field.get(8 * i..8 * i + 8).map(|field| u64_at(field, 0))?;
            }
            return Some(());
        }
        extra = &extra[4 + n_bytes..];
    }
    None
}

/// Where the bytes of an entry start, its local header checked against the directory.
fn data_start(file: &dyn Source, directory: &Directory, name: &str, entry: &Entry) -> Result<u64, Error> {
    let mismatch = |says: &str| {
        Fault::new("PK-ZIP-LOCAL", format!("'{}' {says}", shown(name)))
            .at_byte(entry.header_at)
            .found_wanted("two descriptions of one entry", "one")
            .hint("readers disagree on what such an archive holds; save the model again")
    };
    if !entry.is_stored {
        return Err(Fault::new("PK-ZIP-ENTRY", format!("the entry '{}' is compressed", shown(name)))
            .at_byte(entry.header_at)
            .found_wanted("a compressed entry", "a stored one")
            .hint("torch.save never compresses; unpack the archive and save the model again")
            .into());
    }
    let in_data = |end: Option<u64>| end.is_some_and(|end| end <= directory.offset);
    let n_header = (LOCAL_BYTES + name.len()) as u64;
    if !in_data(entry.header_at.checked_add(n_header)) {
        return Err(mismatch("has its header outside the archive's data").into());
    }
    let mut header = vec![0; LOCAL_BYTES + name.len()];
    file.read_at(entry.header_at, &mut header)?;
    if u32_at(&header, 0) != LOCAL || u16_at(&header, 8) != 0 || length_at(&header, 26) != name.len() {
        return Err(mismatch("has another header than the directory says").into());
    }
    if &header[LOCAL_BYTES..] != name.as_bytes() {
        return Err(mismatch("has another name in its header than in the directory").into());
    }
    let n_extra = u16_at(&header, 28);
    let start = entry.header_at + n_header + n_extra;
    if !in_data(start.checked_add(entry.size_bytes)) {
        return Err(mismatch("ends after the archive's data").into());
    }
    // a descriptor behind the data stands for sizes and sum that were not known in front of it
    let has_descriptor = u16_at(&header, 6) & 8 != 0;
    let (crc, packed, size) = (u32_at(&header, 14), u32_at(&header, 18), u32_at(&header, 22));
    let same = |field: u32| u64::from(field) == entry.size_bytes || u64::from(field) == IN_EXTRA;
    let is_unknown = has_descriptor && (crc, packed, size) == (0, 0, 0);
    if !is_unknown && (!same(packed) || !same(size) || (crc != entry.crc && !(has_descriptor && crc == 0))) {
        return Err(mismatch("has another size or sum in its header than in the directory").into());
    }
    Ok(start)
}

/// A small entry, whole, its sum checked.
fn read_entry(
    file: &dyn Source,
    directory: &Directory,
    name: &str,
    entry: &Entry,
    max_bytes: u64,
) -> Result<Vec<u8>, Error> {
    if entry.size_bytes > max_bytes {
        return Err(Fault::new("PK-SIZE", format!("'{}' is longer than allowed", shown(name)))
            .at_byte(entry.header_at)
            .found_wanted(in_bytes(entry.size_bytes), format!("at most {}", grouped(max_bytes)))
            .hint("raise --max-header-bytes if this is intended")
            .into());
    }
    let start = data_start(file, directory, name, entry)?;
    let n_bytes = usize::try_from(entry.size_bytes).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(n_bytes).map_err(|_| {
        Fault::new("MEMORY", format!("not enough memory for {} bytes", grouped(entry.size_bytes)))
    })?;
    bytes.resize(n_bytes, 0);
    file.read_at(start, &mut bytes)?;
    let crc = crc32(&bytes);
    if crc != entry.crc {
        return Err(Fault::new(
            "PK-ZIP-CRC",
            format!("'{}' does not have the sum that the archive says", shown(name)),
        )
        .at_byte(start)
        .found_wanted(format!("{crc:08x}"), format!("{:08x}", entry.crc))
        .hint("the file is damaged; fetch it again")
        .into());
    }
    Ok(bytes)
}

/// CRC-32 of the archive format (polynomial 0xedb88320), by nibbles.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |mut sum: u32| {
        for _ in 0..4 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
        }
        sum
    };
    let table: Vec<u32> = (0..16).map(step).collect();
    let sum = bytes.iter().fold(!0_u32, |sum, &byte| {
        let sum = sum ^ u32::from(byte);
        let sum = table[(sum & 15) as usize] ^ (sum >> 4);
        table[(sum & 15) as usize] ^ (sum >> 4)
    });
    !sum
}

/// No two storages share bytes: a few bytes could else claim to be a thousand tensors.
fn check_apart(storages: &Storages) -> Result<(), Error> {
    let mut ranges: Vec<(u64, u64)> = storages.ranges.values().copied().filter(|range| range.1 > 0).collect();
    ranges.sort_unstable();
    match ranges.windows(2).find(|pair| pair[0].0 + pair[0].1 > pair[1].0) {
        None => Ok(()),
        Some(pair) => Err(Fault::new("PK-ZIP-OVERLAP", "two storages of the archive share bytes")
            .at_byte(pair[1].0)
            .found_wanted("entries that overlap", "entries apart")
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::crc32;

    #[test]
    fn sums_are_those_of_the_format() {
        // the check value of CRC-32 in its catalogues
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }
}
