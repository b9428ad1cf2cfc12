//! Descriptions of tensors, and the proof that they tile the data of the file.

use std::sync::Arc;

use super::blocks;
use super::cursor::Cursor;
use crate::checkpoint::{Error, Note, TensorEntry};
use crate::source::{Fault, Source, grouped, in_bytes, shown};
use crate::tensor::{BlockType, Dtype};

/// Name length, rank, type and offset of a scalar without a name.
pub(super) const MIN_INFO_BYTES: u64 = 8 + 4 + 4 + 8;
/// Highest rank of the format.
const MAX_RANK: u32 = 4;
/// Longest name that the format allows; some writers of image models exceed it.
const FORMAT_NAME_BYTES: usize = 64;
/// Longest name that is read.
const MAX_NAME_BYTES: u64 = 4096;

/// How a type of the format is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stored {
    Plain(Dtype),
    Blocks(BlockType),
}

/// Numbers of `enum ggml_type`. Numbers 4, 5, 31 to 33 and 36 to 38 stood for types that the format has given up.
fn stored(number: u32) -> Option<Stored> {
    use BlockType::*;
    let block = match number {
        0 => return Some(Stored::Plain(Dtype::F32)),
        1 => return Some(Stored::Plain(Dtype::F16)),
        24 => return Some(Stored::Plain(Dtype::I8)),
        25 => return Some(Stored::Plain(Dtype::I16)),
        26 => return Some(Stored::Plain(Dtype::I32)),
        27 => return Some(Stored::Plain(Dtype::I64)),
        28 => return Some(Stored::Plain(Dtype::F64)),
        30 => return Some(Stored::Plain(Dtype::Bf16)),
        2 => Q4_0,
        3 => Q4_1,
        6 => Q5_0,
        7 => Q5_1,
        8 => Q8_0,
        9 => Q8_1,
        10 => Q2_K,
        11 => Q3_K,
        12 => Q4_K,
        13 => Q5_K,
        14 => Q6_K,
        15 => Q8_K,
        16 => IQ2_XXS,
        17 => IQ2_XS,
        18 => IQ3_XXS,
        19 => IQ1_S,
        20 => IQ4_NL,
        21 => IQ3_S,
        22 => IQ2_S,
        23 => IQ4_XS,
        29 => IQ1_M,
        34 => TQ1_0,
        35 => TQ2_0,
        39 => MXFP4,
        _ => return None,
    };
    Some(Stored::Blocks(block))
}

/// One description as it stands in the header; `offset` counts from the start of the data.
struct Info {
    name: String,
    /// Row-major: the reverse of the stored order.
    shape: Vec<u64>,
    stored: Stored,
    size_bytes: u64,
    offset: u64,
    offset_at: u64,
}

/// Reads all descriptions and checks that the tensors follow each other in the file, each at a multiple of the alignment.
pub(super) fn read(
    cursor: &mut Cursor<'_>,
    n_tensors: u64,
    alignment: u64,
    file: &Arc<dyn Source>,
    file_idx: usize,
    notes: &mut Vec<Note>,
) -> Result<Vec<TensorEntry>, Error> {
    let mut infos = Vec::new();
    for _ in 0..n_tensors {
        infos
            .try_reserve(1)
            .map_err(|_| Fault::new("MEMORY", "not enough memory for the list of tensors"))?;
        infos.push(info(cursor)?);
    }
    let n_long = infos.iter().filter(|info| info.name.len() > FORMAT_NAME_BYTES).count() as u64;
    if n_long > 0 {
        let says = format!(
            "{} tensor names are longer than the {FORMAT_NAME_BYTES} bytes that the format allows",
            grouped(n_long)
        );
        notes.push(Note { rule: "GG-NAME", says });
    }
    let data_start = cursor
        .position()
        .checked_next_multiple_of(alignment)
        .filter(|start| infos.is_empty() || *start <= cursor.size_bytes())
        .ok_or_else(|| {
            Fault::new("GG-SHORT", "the file ends before the data of its tensors")
                .at_byte(cursor.size_bytes())
        })?;
    tile(&infos, alignment, data_start, cursor.size_bytes())?;
    let entry = |info: Info| {
        let offset = data_start + info.offset;
        let (dtype, encoding) = match info.stored {
            Stored::Plain(dtype) => (dtype, None),
            Stored::Blocks(block) => {
                let n_elements = info.shape.iter().product();
                (Dtype::F32, Some(blocks::encoding(file, offset, block, n_elements)))
            }
        };
        let Info { name, shape, size_bytes, .. } = info;
        TensorEntry { name, dtype, shape, file_idx, offset, size_bytes, encoding }
    };
    Ok(infos.into_iter().map(entry).collect())
}

fn info(cursor: &mut Cursor<'_>) -> Result<Info, Error> {
    const WHAT: &str = "the description of a tensor";
    let name = name(cursor)?;
    let of_tensor = |error: Error| match error {
        Error::Refused(fault) if fault.tensor.is_none() => Error::Refused(fault.of_tensor(&name)),
        other => other,
    };
    let refuse = |fault: Box<Fault>| Error::from(fault.of_tensor(&name));
    let at = cursor.position();
    let rank = cursor.u32(WHAT).map_err(of_tensor)?;
    if rank > MAX_RANK {
        return Err(refuse(
            Fault::new("GG-RANK", "too many dimensions")
                .at_byte(at)
                .found_wanted(grouped(u64::from(rank)), format!("at most {MAX_RANK}")),
        ));
    }
    let dims_at = cursor.position();
    let mut dims = Vec::new();
    for _ in 0..rank {
        dims.push(cursor.u64(WHAT).map_err(of_tensor)?);
    }
    let type_at = cursor.position();
    let number = cursor.u32(WHAT).map_err(of_tensor)?;
    let offset_at = cursor.position();
    let offset = cursor.u64(WHAT).map_err(of_tensor)?;
    // the shape is judged before the type: an unknown type must not hide what else is wrong
    let n_elements = n_elements(&dims).ok_or_else(|| {
        refuse(
            Fault::new("GG-OVERFLOW", "the number of elements does not fit into 63 bits")
                .at_byte(dims_at)
                .found_wanted(format!("{dims:?}"), "dimensions whose product is at most 2^63"),
        )
    })?;
    let stored = stored(number).ok_or_else(|| refuse(unknown_type(number).at_byte(type_at)))?;
    let size_bytes = size_of(stored, &dims, n_elements).map_err(|fault| refuse(fault.at_byte(dims_at)))?;
    dims.reverse();
    Ok(Info { name, shape: dims, stored, size_bytes, offset, offset_at })
}

fn name(cursor: &mut Cursor<'_>) -> Result<String, Error> {
    let at = cursor.position();
    let length = cursor.string_bytes("the name of a tensor")?;
    if length > MAX_NAME_BYTES {
        return Err(Fault::new("GG-NAME", "a tensor's name is too long")
            .at_byte(at)
            .found_wanted(in_bytes(length), format!("at most {}", grouped(MAX_NAME_BYTES)))
            .into());
    }
    let bytes = cursor.string(length, "the name of a tensor")?;
    let refused = |says: &str, bytes: &[u8]| {
        Error::from(Fault::new("GG-NAME", says).at_byte(at).of_tensor(&String::from_utf8_lossy(bytes)))
    };
    if bytes.contains(&0) {
        return Err(refused("a tensor's name holds a zero byte, where C readers end it", &bytes));
    }
    String::from_utf8(bytes).map_err(|error| refused("a tensor's name is not UTF-8", error.as_bytes()))
}

fn unknown_type(number: u32) -> Box<Fault> {
    let (says, hint) = match number {
        4 | 5 | 31..=33 | 36..=38 => {
            ("the tensor has a type that the format has given up", "convert it with a llama.cpp of its time")
        }
        40 | 41 => (
            "the tensor has a type that is not decoded yet (NVFP4 or Q1_0)",
            "compare another quantisation of the model",
        ),
        _ => ("the tensor has an unknown type", "the file is damaged, or newer than this program"),
    };
    Fault::new("GG-DTYPE", says).found_wanted(format!("type {number}"), "0 to 39").hint(hint)
}

/// Product of the dimensions, where zeros do not hide an overflow.
fn n_elements(dims: &[u64]) -> Option<u64> {
    let mut product: u64 = 1;
    for &dim in dims.iter().filter(|&&dim| dim != 0) {
        product = product.checked_mul(dim).filter(|&product| product <= 1 << 63)?;
    }
    Some(if dims.contains(&0) { 0 } else { product })
}

fn size_of(stored: Stored, dims: &[u64], n_elements: u64) -> Result<u64, Box<Fault>> {
    let (block_elements, block_bytes, name) = match stored {
        Stored::Plain(dtype) => (1, dtype.size_bits() / 8, dtype.name()),
        Stored::Blocks(block) => (block.n_elements() as u64, block.size_bytes() as u64, block.name()),
    };
    let row = dims.first().copied().unwrap_or(1);
    if !row.is_multiple_of(block_elements) {
        return Err(Fault::new("GG-BLOCK", format!("a row does not hold whole blocks of {name}"))
            .found_wanted(
                format!("rows of {}", grouped(row)),
                format!("a multiple of {}", grouped(block_elements)),
            ));
    }
    (n_elements / block_elements).checked_mul(block_bytes).ok_or_else(|| {
        Fault::new("GG-OVERFLOW", "the number of bytes does not fit into 64 bits")
            .found_wanted(format!("{} elements of {name}", grouped(n_elements)), "fewer than 2^64 bytes")
    })
}

/// Each tensor begins where the one before ended, rounded up to the alignment; behind the last nothing but its padding.
fn tile(infos: &[Info], alignment: u64, data_start: u64, file_bytes: u64) -> Result<(), Box<Fault>> {
    let mut padded_end = 0_u64;
    for info in infos {
        let refuse = |rule, says: String, wanted: String| {
            Fault::new(rule, says)
                .of_tensor(&info.name)
                .at_byte(info.offset_at)
                .found_wanted(format!("offset {}", grouped(info.offset)), wanted)
        };
        if !info.offset.is_multiple_of(alignment) {
            let says = "the tensor does not begin at a multiple of the alignment".to_owned();
            return Err(refuse("GG-OFFSET", says, format!("a multiple of {alignment}")));
        }
        if info.offset < padded_end {
            let says = "the tensor overlaps the one before it".to_owned();
            return Err(refuse("GG-OVERLAP", says, grouped(padded_end)));
        }
        if info.offset > padded_end {
            let says = "bytes before this tensor belong to no tensor".to_owned();
            return Err(refuse("GG-HOLE", says, grouped(padded_end)));
        }
        let ends = info.offset.checked_add(info.size_bytes).and_then(|end| {
            // where the data begin must fit as well
            end.checked_add(data_start)?;
            Some((end, end.checked_next_multiple_of(alignment)?))
        });
        let (end, next) = ends.ok_or_else(|| {
            refuse("GG-OVERFLOW", "the tensor ends beyond 2^64".to_owned(), "fewer bytes".to_owned())
        })?;
        padded_end = next;
        if data_start + end > file_bytes {
            return Err(Fault::new(
                "GG-SHORT",
                format!("tensor '{}' ends after the end of the file", shown(&info.name)),
            )
            .of_tensor(&info.name)
            .at_byte(file_bytes)
            .found_wanted(in_bytes(file_bytes), format!("at least {}", grouped(data_start + end)))
            .hint("the download looks unfinished; fetch this file again"));
        }
    }
    let most = data_start.saturating_add(padded_end);
    if file_bytes > most {
        return Err(Fault::new("GG-TRAILING", "the file goes on after the last tensor")
            .at_byte(most)
            .found_wanted(in_bytes(file_bytes), format!("at most {}", grouped(most)))
            .hint("something was appended to the file; fetch the original again"));
    }
    Ok(())
}
