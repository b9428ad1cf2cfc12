//! The ranges of all tensors must tile the data of the file: no hole, no overlap, no byte more or less.

use crate::checkpoint::TensorEntry;
use crate::source::{Fault, grouped};

/// Sorts entries by range and checks that they cover `0..data_bytes` exactly and that no name occurs twice.
///
/// `data_start` is where the data begin in the file: faults speak of the file's bytes.
pub(super) fn check(entries: &mut [TensorEntry], data_start: u64, data_bytes: u64) -> Result<(), Fault> {
    check_names(entries)?;
    entries
        .sort_unstable_by(|a, b| (a.offset, a.size_bytes, &a.name).cmp(&(b.offset, b.size_bytes, &b.name)));
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
    let found_wanted =
        |fault: Fault| fault.found_wanted(format!("{} bytes", grouped(file_bytes)), grouped(wanted_bytes));
    if end < data_bytes {
        let fault = Fault::new("ST-TRAILING", "the file goes on after the last tensor")
            .at_byte(wanted_bytes)
            .hint("something was appended to the file; fetch the original again");
        return Err(found_wanted(fault));
    }
    if end > data_bytes {
        let cut = entries.iter().find(|entry| entry.offset.saturating_add(entry.size_bytes) > data_bytes);
        let name = cut.map_or("", |entry| entry.name.as_str());
        let fault = Fault::new(
            "ST-SHORT",
            format!("tensor '{}' ends after the end of the file", crate::source::shown(name)),
        )
        .of_tensor(name)
        .at_byte(file_bytes)
        .hint("the download looks unfinished; fetch this file again");
        return Err(found_wanted(fault));
    }
    Ok(())
}

/// No name twice, compared after unescaping, byte by byte.
fn check_names(entries: &[TensorEntry]) -> Result<(), Fault> {
    let mut names: Vec<&TensorEntry> = Vec::new();
    if names.try_reserve_exact(entries.len()).is_err() {
        return Err(Fault::new("MEMORY", "not enough memory for the list of tensors"));
    }
    names.extend(entries);
    names.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    match names.windows(2).find(|pair| pair[0].name == pair[1].name) {
        None => Ok(()),
        Some(pair) => Err(Fault::new(
            "ST-DUPLICATE",
            format!("tensor '{}' occurs twice", crate::source::shown(&pair[0].name)),
        )
        .of_tensor(&pair[0].name)
        .hint("readers disagree on which of the two counts; the file is refused")),
    }
}
