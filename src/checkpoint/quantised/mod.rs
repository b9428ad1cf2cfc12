//! Weights stored as packed codes with scales become ordinary F32 tensors that are decoded while they are read.
//!
//! A form is several stored tensors: codes, scales, zero points, order of inputs. Each file here knows one form: it checks
//! the shapes of the pieces against each other and gives the group as one matrix of codes ([`form::Form`]). What does not fit
//! stays as it is, with a note, and is listed as skipped. Layouts and sources: docs/formats.md.

mod awq;
mod bitsandbytes;
mod compressed;
mod form;
mod fp4;
mod gptq;
mod levels;
mod piece;
mod scaled;
mod serve;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use self::form::Found;
use self::piece::Pieces;
use self::serve::{Bands, Decoded, Serve};
use super::{Checkpoint, Encoding, Note, TensorEntry};
use crate::source::{Source, shown};
use crate::tensor::Dtype;
use crate::wording::counted;

/// What a config says about how its weights are quantised and the shapes do not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quantisation {
    /// `quant_method`: `gptq`, `awq`, `bitsandbytes`, `fp8`, `compressed-tensors`, ….
    pub method: Option<String>,
    /// `group_size`: inputs that share a scale.
    pub group_size: Option<u64>,
    /// `weight_block_size`: rows and columns that share a scale.
    pub block: Option<[u64; 2]>,
    /// `checkpoint_format` is `gptq_v2`: zero points are stored as they are, not less one.
    pub is_gptq_v2: bool,
}

/// Most groups that are named one by one in notes.
const MAX_NOTED: usize = 8;

/// A group of stored tensors that may be one weight, by the tensor that leads it.
type Reader = fn(&str, &Pieces<'_>, &Quantisation) -> Result<Found, String>;

/// The form that a tensor of this name and type leads, and the name without its ending.
fn form_of<'a>(tensor: &'a TensorEntry, pieces: &Pieces<'_>) -> Option<(&'a str, Reader)> {
    let name = tensor.name.as_str();
    let has = |name: &str| pieces.has(name);
    if let Some(stem) = name.strip_suffix(".qweight") {
        return Some((stem, if awq::is_awq(stem, pieces) { awq::find } else { gptq::find }));
    }
    if let Some(stem) = name.strip_suffix(".weight_packed") {
        let is_fp4 = tensor.dtype == Dtype::U8;
        return Some((stem, if is_fp4 { fp4::find_nvfp4_packed } else { compressed::find }));
    }
    if let Some(stem) = name.strip_suffix("_blocks").filter(|stem| has(&format!("{stem}_scales"))) {
        return Some((stem, fp4::find_mxfp4));
    }
    if let Some(stem) = name.strip_suffix(".weight") {
        if has(&format!("{name}.absmax")) {
            return Some((stem, bitsandbytes::find_four_bit));
        }
        if has(&format!("{stem}.SCB")) {
            return Some((stem, bitsandbytes::find_eight_bit));
        }
        if tensor.dtype == Dtype::U8 && has(&format!("{name}_scale_2")) {
            return Some((stem, fp4::find_nvfp4_plain));
        }
    }
    let is_scaled = ["_scale_inv", "_scale"].iter().any(|end| has(&format!("{name}{end}")));
    is_scaled.then_some((name, scaled::find as Reader))
}

/// Replaces every group of tensors that one of the forms explains by the weight that it stores.
pub(super) fn decode_groups(checkpoint: &mut Checkpoint) {
    const MARKS: [&str; 7] =
        [".qweight", ".weight_packed", "_blocks", ".absmax", ".SCB", "_scale", "_scale_inv"];
    if !checkpoint.tensors.iter().any(|tensor| MARKS.iter().any(|mark| tensor.name.ends_with(mark))) {
        return;
    }
    let config = checkpoint.config.as_ref().map(|config| config.quantisation.clone()).unwrap_or_default();
    let bands = Arc::new(Bands::default());
    let (mut decoded, mut refused) = (HashMap::new(), Vec::new());
    let mut members: HashSet<usize> = HashSet::new();
    {
        let by_name: HashMap<&str, usize> =
            checkpoint.tensors.iter().enumerate().map(|(idx, tensor)| (tensor.name.as_str(), idx)).collect();
        let pieces = Pieces { files: &checkpoint.files, tensors: &checkpoint.tensors, by_name: &by_name };
        for (idx, tensor) in checkpoint.tensors.iter().enumerate() {
            let Some((stem, find)) = form_of(tensor, &pieces) else { continue };
            let found = find(stem, &pieces, &config).and_then(|found| {
                let clash = pieces.index(&found.name).is_some_and(|other| other != idx);
                if clash { Err(format!("'{}' is stored too", shown(&found.name))) } else { Ok(found) }
            });
            match found {
                Ok(found) => {
                    members.extend(found.members.iter().copied());
                    decoded.insert(idx, entry(tensor, found, &checkpoint.tensors, &checkpoint.files, &bands));
                }
                Err(why) => refused.push((tensor.name.clone(), why)),
            }
        }
    }
    let stored = std::mem::take(&mut checkpoint.tensors);
    checkpoint.tensors = stored
        .into_iter()
        .enumerate()
        .filter_map(|(idx, tensor)| match decoded.remove(&idx) {
            Some(entry) => Some(entry),
            None => (!members.contains(&idx)).then_some(tensor),
        })
        .collect();
    let n_more = refused.len().saturating_sub(MAX_NOTED);
    for (name, why) in refused.into_iter().take(MAX_NOTED) {
        let says = format!("'{}' is not decoded: {why}", shown(&name));
        checkpoint.notes.push(Note { rule: "QT-FORM", says });
    }
    if n_more > 0 {
        let says = format!(
            "{} not decoded",
            counted(n_more, "more quantised weight is", "more quantised weights are")
        );
        checkpoint.notes.push(Note { rule: "QT-FORM", says });
    }
}

/// The one tensor that stands for a group.
fn entry(
    lead: &TensorEntry,
    found: Found,
    stored: &[TensorEntry],
    files: &[Arc<dyn Source>],
    bands: &Arc<Bands>,
) -> TensorEntry {
    let Found { name, shape, says, form, members } = found;
    let size_bytes = members.iter().filter_map(|idx| stored.get(*idx)).map(|piece| piece.size_bytes).sum();
    let values = Decoded {
        form,
        serve: Serve::Values,
        file: Arc::clone(&files[lead.file_idx]),
        bands: Arc::clone(bands),
        number: bands.owner(),
        stored_bytes: size_bytes,
    };
    let bound = |serve| -> Arc<dyn Source> { Arc::new(Decoded { serve, ..values.clone() }) };
    let cells = [bound(Serve::Low), bound(Serve::High)];
    TensorEntry {
        name,
        dtype: Dtype::F32,
        shape,
        file_idx: lead.file_idx,
        offset: lead.offset,
        size_bytes,
        encoding: Some(Encoding { name: says, elements: Arc::new(values), cells: Some(cells) }),
    }
}
