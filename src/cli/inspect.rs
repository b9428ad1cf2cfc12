//! `cognate inspect`.

use super::args::{Inspect as Args, ShortFormat};
use super::output::Sink;
use super::screen::Screen;
use super::{exit, failure};
use crate::checkpoint::{self, Checkpoint};
use crate::compare;
use crate::cpu::Cpu;
use crate::kernels::Backend;
use crate::reductions::ClassCounts;
use crate::report::wire::{Failure, InspectedTensor, InspectedVocabulary, Inspection, Roles, Values};
use crate::report::{json, quantity, terminal};
use crate::roles::{self, Assignment, Expert, How, Role, RoleMap};
use crate::stream::{self, ReadMeter, StoredView};
use crate::tensor::View;

/// Values are counted up to here unless all are asked for: about a second of reading.
const MOST_COUNTED_BYTES: u64 = 2 << 30;

/// Runs the verb.
pub(super) fn run(args: &Args, screen: &Screen) -> Result<u8, Box<Failure>> {
    let checkpoint = checkpoint::open_over(
        &args.model,
        args.reading.base.as_deref(),
        &args.reading.limits(),
        roles::counterparts,
    )
    .map_err(|error| failure::of_checkpoint(&error))?;
    let roles = roles::assign(&checkpoint);
    let facts = compare::model_facts(&checkpoint, &roles);
    let mut inspection = Inspection::new(&facts);
    inspection.roles = role_counts(&roles);
    inspection.vocabulary = checkpoint.vocabulary.as_ref().map(|vocabulary| InspectedVocabulary {
        tokens: vocabulary.tokens.len() as u64,
        blake3: &vocabulary.digest,
    });
    let counts = match unread(args, &checkpoint) {
        Some(why) => {
            inspection.values_unread = Some(why);
            None
        }
        None => Some(count(&checkpoint)?),
    };
    inspection.values = counts.as_ref().map(|counts| sum(&checkpoint, counts));
    inspection.tensors = tensors(&checkpoint, &roles, counts.as_deref());
    let text = match args.format {
        ShortFormat::Json => json::document(&inspection),
        ShortFormat::Table => terminal::inspection(&inspection, &facts, screen.style),
    };
    Sink::stdout().write(&text)?;
    Ok(exit::OK)
}

/// Why the values are not read; None where they are.
fn unread(args: &Args, checkpoint: &Checkpoint) -> Option<String> {
    let size_bytes = checkpoint.size_bytes();
    if args.header_only {
        Some("--header-only".to_owned())
    } else if checkpoint.files.iter().any(|file| file.is_remote()) && !args.all_values {
        Some("they lie behind the network; --all-values counts them".to_owned())
    } else if size_bytes > MOST_COUNTED_BYTES && !args.all_values {
        Some(format!(
            "{} are more than a second's reading; --all-values counts them",
            quantity::bytes(size_bytes)
        ))
    } else {
        None
    }
}

/// Classes of every tensor's values, None for types that are not decoded.
fn count(checkpoint: &Checkpoint) -> Result<Vec<Option<ClassCounts>>, Box<Failure>> {
    let decodable = || checkpoint.tensors.iter().filter(|tensor| tensor.dtype.is_decodable());
    let views: Vec<StoredView> = decodable()
        .map(|tensor| {
            let (file, offset) = checkpoint.elements_of(tensor);
            StoredView { file, offset, dtype: tensor.dtype, view: View::whole(1, tensor.n_elements()) }
        })
        .collect();
    let backend = Backend::Cpu(Cpu::detect());
    let counted = stream::class_counts(&backend, &views, &ReadMeter::default(), &|_| ())
        .map_err(|error| failure::of_stream(&error))?;
    let mut counted = counted.into_iter();
    Ok(checkpoint
        .tensors
        .iter()
        .map(|tensor| tensor.dtype.is_decodable().then(|| counted.next()).flatten())
        .collect())
}

fn sum(checkpoint: &Checkpoint, counts: &[Option<ClassCounts>]) -> Values {
    let mut values = Values::default();
    for (tensor, counts) in checkpoint.tensors.iter().zip(counts) {
        match counts {
            Some(counts) => {
                values.elements += counts.n_elements;
                values.nan += counts.n_nan;
                values.inf += counts.n_inf;
                values.zero += counts.n_zero;
                values.subnormal += counts.n_subnormal;
            }
            None => values.undecoded += tensor.n_elements(),
        }
    }
    values
}

fn tensors<'a>(
    checkpoint: &'a Checkpoint,
    roles: &RoleMap,
    counts: Option<&[Option<ClassCounts>]>,
) -> Vec<InspectedTensor<'a>> {
    let assigned = checkpoint.tensors.iter().zip(&roles.assignments);
    assigned
        .enumerate()
        .map(|(idx, (tensor, (assignment, how)))| {
            let counts = counts.and_then(|counts| counts.get(idx).copied().flatten());
            InspectedTensor {
                name: &tensor.name,
                dtype: tensor.stored_as(),
                shape: &tensor.shape,
                file: checkpoint.files[tensor.file_idx].name(),
                roles: role_words(assignment),
                how: how_word(assignment, *how),
                nan: counts.map(|counts| counts.n_nan),
                inf: counts.map(|counts| counts.n_inf),
            }
        })
        .collect()
}

fn role_words(assignment: &Assignment) -> Vec<String> {
    match assignment {
        Assignment::Views(views) => views.iter().map(|(role, _)| role_word(role)).collect(),
        _ => Vec::new(),
    }
}

/// `text.3.q`, `text.0.expert5.up`, `encoder.2.norm1.bias`.
fn role_word(role: &Role) -> String {
    let mut word = format!("{:?}", role.component).to_lowercase();
    if let Some(layer) = role.layer {
        word.push_str(&format!(".{layer}"));
    }
    match role.expert {
        Expert::None => {}
        Expert::Routed(number) => word.push_str(&format!(".expert{number}")),
        Expert::Shared(number) => word.push_str(&format!(".shared{number}")),
    }
    word.push_str(&format!(".{:?}", role.part).to_lowercase());
    if role.is_bias {
        word.push_str(".bias");
    }
    word
}

fn how_word(assignment: &Assignment, how: How) -> &'static str {
    match (assignment, how) {
        (Assignment::FixedByArchitecture(_), _) => "fixed-by-architecture",
        (Assignment::Buffer(_), _) => "buffer",
        (Assignment::UnknownLayout(_), _) => "unknown-layout",
        (Assignment::Packed(_), _) => "packed",
        (_, How::Table) => "table",
        (_, How::Guessed) => "guessed",
        (_, How::Unknown) => "unknown",
    }
}

fn role_counts(roles: &RoleMap) -> Roles {
    let mut counts = Roles::default();
    for (assignment, how) in &roles.assignments {
        let count = match (assignment, how) {
            (Assignment::FixedByArchitecture(_), _) => &mut counts.fixed_by_architecture,
            (Assignment::Buffer(_), _) => &mut counts.buffers,
            (Assignment::UnknownLayout(_) | Assignment::Packed(_), _) => &mut counts.unknown_layout,
            (_, How::Table) => &mut counts.table,
            (_, How::Guessed) => &mut counts.guessed,
            (_, How::Unknown) => &mut counts.unknown,
        };
        *count += 1;
    }
    counts
}
