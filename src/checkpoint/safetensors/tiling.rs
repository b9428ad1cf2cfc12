//! The ranges of all tensors must tile the data of the file: no hole, no overlap, no byte more or less.

use crate::checkpoint::{TensorEntry, duplicates};
use crate::source::{Fault, grouped, in_bytes, shown};

/// Sorts entries by range and checks that they cover `0..data_bytes` exactly and that no name occurs twice.
///
/// `data_start` is where the data begin in the file: faults speak of the file's bytes.
pub(super) fn check(entries: &mut [TensorEntry], data_start: u64, data_bytes: u64) -> Result<(), Box<Fault>> {
    check_names(entries)?;
    // only tensors without elements can tie, and an unstable sort of the same bytes gives the same order
    entries.sort_unstable_by_key(|entry| (entry.offset, entry.size_bytes));
    let mut end = 0_u64;
    for entry in entries.iter() {
        if entry.offset != end {
            let (rule, says) = match entry.offset > end {
                true => ("ST-HOLE", "bytes before this tensor belong to no tensor"),
                false => ("ST-OVERLAP", "this tensor overlaps the one before it"),
            };
            return Err(Fault::new(rule, says)
                .of_tensor(&entry.name)
                .at_byte(data_start.saturating_add(entry.offset.min(end)))
                .found_wanted(format!("begin {}", grouped(entry.offset)), grouped(end)));
        }
        // header::parse proved begin + size to be the stored end, so this cannot wrap
        end = entry.offset.saturating_add(entry.size_bytes);
    }
    let file_bytes = data_start.saturating_add(data_bytes);
    let wanted_bytes = data_start.saturating_add(end);
    let found_wanted = |fault: Box<Fault>| fault.found_wanted(in_bytes(file_bytes), grouped(wanted_bytes));
    if end < data_bytes {
        let fault = Fault::new("ST-TRAILING", "the file goes on after the last tensor")
            .at_byte(wanted_bytes)
            .hint("something was appended to the file; fetch the original again");
        return Err(found_wanted(fault));
    }
    if end > data_bytes {
        let cut = entries.iter().find(|entry| entry.offset.saturating_add(entry.size_bytes) > data_bytes);
        let name = cut.map_or("", |entry| entry.name.as_str());
        let fault =
            Fault::new("ST-SHORT", format!("tensor '{}' ends after the end of the file", shown(name)))
                .of_tensor(name)
                .at_byte(file_bytes)
                .hint("the download looks unfinished; fetch this file again");
        return Err(found_wanted(fault));
    }
    Ok(())
}

/// No name twice, compared after unescaping, byte by byte.
fn check_names(entries: &[TensorEntry]) -> Result<(), Box<Fault>> {
    match duplicates::find(entries.iter().map(|entry| entry.name.as_str()))? {
        None => Ok(()),
        Some(name) => Err(Fault::new("ST-DUPLICATE", format!("tensor '{}' occurs twice", shown(name)))
            .of_tensor(name)
            .hint("readers disagree on which of the two counts; the file is refused")),
    }
}
