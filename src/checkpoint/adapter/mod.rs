//! Adapters in the folders of PEFT: each targeted matrix becomes W + scale · B·A, formed while it is read.
//!
//! Names: `base_model.model.<module>.lora_A.weight` [r, in], `lora_B.weight` [out, r], `lora_embedding_A` [r, tokens],
//! `lora_embedding_B` [width, r], `lora_magnitude_vector` [out]; any other tensor replaces the base's whole. The scale is α/r, α/√r for
//! rank-stabilised LoRA. DoRA gives each output of the sum the stored length. Layout: `peft.tuners.lora` of PEFT 0.21; docs/formats.md.

mod config;
mod factors;

pub(super) use config::parse;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use self::factors::{Base, Factor, Lora, Orientation};
use super::kept::Kept;
use super::{Checkpoint, Encoding, Error, Note, TensorEntry};
use crate::source::{Fault, shown};
use crate::tensor::Dtype;
use crate::wording::counted;

/// Largest rank that is read: factors of one matrix are held in memory.
const MAX_RANK: u64 = 1024;

/// An adapter's own facts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adapter {
    /// `base_model_name_or_path`.
    pub base: Option<String>,
    /// `lora`, `rslora`, `dora`.
    pub kind: &'static str,
    /// `r`, and other ranks by the end of a module's name.
    pub rank: u64,
    /// `rank_pattern`.
    pub ranks: BTreeMap<String, u64>,
    /// `lora_alpha`.
    pub alpha: f64,
    /// `alpha_pattern`.
    pub alphas: BTreeMap<String, f64>,
    /// `use_rslora`.
    pub is_rank_stabilised: bool,
    /// `fan_in_fan_out`: which way square matrices lie.
    pub is_in_out: bool,
    /// Matrices that it changes.
    pub n_matrices: usize,
    /// No base was found: the tensors are the changes alone.
    pub is_delta: bool,
}

impl Adapter {
    /// "lora, rank 8, 28 matrices".
    #[must_use]
    pub fn describe(&self) -> String {
        let n_matrices = counted(self.n_matrices, "matrix", "matrices");
        format!("{}, rank {}, {n_matrices}", self.kind, self.rank)
    }

    /// Rank and scale of a module.
    fn rank_and_scale(&self, module: &str) -> (u64, f64) {
        let is_of = |key: &str| {
            module.strip_suffix(key).is_some_and(|before| before.is_empty() || before.ends_with('.'))
        };
        let rank = self.ranks.iter().find(|(key, _)| is_of(key)).map_or(self.rank, |(_, rank)| *rank);
        let alpha = self.alphas.iter().find(|(key, _)| is_of(key)).map_or(self.alpha, |(_, alpha)| *alpha);
        let divisor = if self.is_rank_stabilised { (rank as f64).sqrt() } else { rank as f64 };
        (rank, alpha / divisor)
    }
}

/// What an adapter's file holds for one module.
#[derive(Default)]
struct Module {
    a: Option<usize>,
    b: Option<usize>,
    magnitude: Option<usize>,
    is_embedding: bool,
}

/// For names that a model does not have, the indices of its tensors that do the same job: `roles::counterparts`, which stands above this
/// module.
pub type Counterparts = fn(&[&str], &Checkpoint) -> Vec<Option<usize>>;

/// The tensors of an adapter over those of its base; without a base, its changes alone.
pub(super) fn lay_over(
    mut factors: Checkpoint,
    mut adapter: Adapter,
    base: Option<Checkpoint>,
    counterparts: Counterparts,
) -> Result<Checkpoint, Error> {
    let (modules, whole) = sort(&factors)?;
    adapter.n_matrices = modules.len();
    adapter.is_delta = base.is_none();
    if base.is_none() {
        let name = adapter.base.as_deref().map_or("none".to_owned(), shown);
        let says = format!(
            "an adapter without its base ({name}): its tensors are the changes that it makes; name the base with --base"
        );
        factors.notes.push(Note { rule: "AD-BASE", says });
    }
    let mut result = base.unwrap_or_else(|| Checkpoint {
        tensors: Vec::new(),
        files: Vec::new(),
        notes: Vec::new(),
        ..factors.clone()
    });
    let first_file = result.files.len();
    result.files.extend(factors.files.iter().cloned());
    let places = Places::of(&result, counterparts, {
        let of_modules = modules.keys().map(|module| format!("{module}.weight"));
        of_modules.chain(whole.iter().map(|&idx| module_name(&factors.tensors[idx].name))).collect()
    });
    // a whole tensor may be the one that factors change: a token table that grew
    for idx in whole.into_iter().filter(|_| !adapter.is_delta) {
        let stored = &factors.tensors[idx];
        let name = module_name(&stored.name);
        let entry = TensorEntry { file_idx: stored.file_idx + first_file, ..stored.clone() };
        match places.find(&name) {
            Some(idx) => {
                let name = result.tensors[idx].name.clone();
                result.tensors[idx] = TensorEntry { name, ..entry };
            }
            None => result.tensors.push(TensorEntry { name, ..entry }),
        }
    }
    let kept = Arc::new(Kept::default());
    for (name, module) in modules {
        let parts = Parts::of(&factors, &adapter, &name, &module)?;
        match places.find(&format!("{name}.weight")) {
            Some(idx) => {
                let entry = parts.over(&name, &result.tensors[idx], &result, &kept, &adapter)?;
                result.tensors[idx] = entry;
            }
            None if adapter.is_delta => result.tensors.push(parts.alone(&name, &kept, first_file)),
            None => return Err(no_module(&factors, &name)),
        }
    }
    result.reference.clone_from(&factors.reference);
    // "no config" of the adapter's folder is not news beside its base
    let own = factors.notes.into_iter().filter(|note| note.rule != "CT-ABSENT" || adapter.is_delta);
    result.notes.extend(own);
    result.adapter = Some(adapter);
    Ok(result)
}

/// Factors by module, and the tensors that replace others.
fn sort(factors: &Checkpoint) -> Result<(BTreeMap<String, Module>, Vec<usize>), Error> {
    let (mut modules, mut whole) = (BTreeMap::<String, Module>::new(), Vec::new());
    for (idx, tensor) in factors.tensors.iter().enumerate() {
        let name = module_name(&tensor.name);
        let Some((module, part)) = name.split_once(".lora_") else {
            whole.push(idx);
            continue;
        };
        // "A.weight", "A.default.weight", "embedding_A", "magnitude_vector.weight"
        let kind = part.split('.').next().unwrap_or_default();
        let entry = modules.entry(module.to_owned()).or_default();
        let slot = match kind {
            _ if part.ends_with(".bias") => {
                return Err(refused(factors, idx, "a bias inside an adapter's factor is not read").into());
            }
            "A" | "embedding_A" => &mut entry.a,
            "B" | "embedding_B" => &mut entry.b,
            "magnitude_vector" => &mut entry.magnitude,
            _ => return Err(refused(factors, idx, "this part of an adapter is not known").into()),
        };
        if slot.replace(idx).is_some() {
            return Err(refused(factors, idx, "the adapter has two factors of one kind for a module").into());
        }
        entry.is_embedding |= kind.starts_with("embedding");
    }
    if modules.is_empty() {
        let fault = Fault::new("AD-EMPTY", "the adapter holds no factors of a low rank");
        return Err(Error::Refused(in_file_of(factors, 0, fault)));
    }
    Ok((modules, whole))
}

/// A name without what PEFT puts around it.
fn module_name(name: &str) -> String {
    let name = name.strip_prefix("base_model.model.").unwrap_or(name);
    name.replace(".modules_to_save.default.", ".")
        .replace(".modules_to_save.", ".")
        .replace(".base_layer.", ".")
}

/// Where the tensors of a base lie that an adapter names.
struct Places(HashMap<String, usize>);

impl Places {
    /// By name, with or without the outer `model.` or `transformer.`; else by the job that the name means in the base's family, unless
    /// another name of the adapter means the same tensor.
    fn of(base: &Checkpoint, counterparts: Counterparts, wanted: Vec<String>) -> Places {
        let tensors = base.tensors.iter().enumerate();
        let names: HashMap<&str, usize> = tensors.map(|(idx, tensor)| (tensor.name.as_str(), idx)).collect();
        let by_name = |exact: &String| {
            let shorter = exact.split_once('.').map(|(_, rest)| rest.to_owned());
            let longer = ["model.", "transformer.", "language_model."].map(|outer| format!("{outer}{exact}"));
            let candidates = [exact.clone()].into_iter().chain(shorter).chain(longer);
            candidates.filter_map(|name| names.get(name.as_str()).copied()).next()
        };
        let mut found: HashMap<String, usize> =
            wanted.iter().filter_map(|name| Some((name.clone(), by_name(name)?))).collect();
        let missing: Vec<&str> =
            wanted.iter().map(String::as_str).filter(|name| !found.contains_key(*name)).collect();
        if base.tensors.is_empty() || missing.is_empty() {
            return Places(found);
        }
        let mut taken: HashSet<usize> = found.values().copied().collect();
        for (name, idx) in missing.iter().zip(counterparts(&missing, base)) {
            if let Some(idx) = idx.filter(|idx| taken.insert(*idx)) {
                found.insert((*name).to_owned(), idx);
            }
        }
        Places(found)
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.0.get(name).copied()
    }
}

fn no_module(factors: &Checkpoint, module: &str) -> Error {
    let says = format!("the adapter changes '{}', which the base does not hold as a matrix", shown(module));
    let fault = Fault::new("AD-MODULE", says)
        .of_tensor(module)
        .hint("this is not the base that the adapter was trained on; name it with --base");
    Error::Refused(in_file_of(factors, 0, fault))
}

fn refused(factors: &Checkpoint, idx: usize, says: &str) -> Box<Fault> {
    let tensor = &factors.tensors[idx];
    in_file_of(
        factors,
        tensor.file_idx,
        Fault::new("AD-FORM", says).of_tensor(&tensor.name).at_byte(tensor.offset),
    )
}

fn in_file_of(factors: &Checkpoint, file_idx: usize, mut fault: Box<Fault>) -> Box<Fault> {
    fault.file = factors.files.get(file_idx).map(|file| shown(file.name()));
    fault
}

/// The checked factors of one module.
struct Parts {
    a: Factor,
    b: Factor,
    magnitude: Option<Factor>,
    is_embedding: bool,
    rank: u64,
    scale: f32,
    size_bytes: u64,
    kind: &'static str,
    /// Where a refusal points.
    fault: Box<Fault>,
}

impl Parts {
    fn of(factors: &Checkpoint, adapter: &Adapter, name: &str, module: &Module) -> Result<Parts, Error> {
        let (Some(a), Some(b)) = (module.a, module.b) else {
            let idx = module.a.or(module.b).or(module.magnitude).unwrap_or(0);
            return Err(refused(factors, idx, "one of the two factors of this module is missing").into());
        };
        let (rank, scale) = adapter.rank_and_scale(name);
        let shapes = (&factors.tensors[a].shape[..], &factors.tensors[b].shape[..]);
        let (&[rank_a, n_ins], &[n_outs, rank_b]) = shapes else {
            return Err(refused(factors, a, "the factors are not matrices").into());
        };
        if rank_a != rank_b || rank_a != rank {
            let fault = refused(factors, a, "the factors do not have the rank that the config names");
            let found = format!("A has rank {rank_a}, B {rank_b}");
            return Err(fault.found_wanted(found, format!("rank {rank}")).into());
        }
        if rank == 0 || rank > MAX_RANK || n_ins == 0 || n_outs == 0 {
            let fault = refused(factors, a, "the rank is not one that an adapter has");
            return Err(fault.found_wanted(rank.to_string(), format!("1 to {MAX_RANK}")).into());
        }
        let factor = |idx: usize| {
            let tensor = &factors.tensors[idx];
            if !tensor.dtype.is_float() || !tensor.dtype.is_decodable() || tensor.encoding.is_some() {
                return Err(refused(factors, idx, "a factor of this element type is not read"));
            }
            let file = Arc::clone(&factors.files[tensor.file_idx]);
            Ok(Factor { file, offset: tensor.offset, dtype: tensor.dtype, n_elements: tensor.n_elements() })
        };
        let magnitude = match module.magnitude {
            Some(idx) if factors.tensors[idx].n_elements() != n_outs => {
                return Err(refused(factors, idx, "the magnitudes are not one an output").into());
            }
            Some(idx) => Some(factor(idx)?),
            None => None,
        };
        let all = [Some(a), Some(b), module.magnitude].into_iter().flatten();
        Ok(Parts {
            a: factor(a)?,
            b: factor(b)?,
            magnitude,
            is_embedding: module.is_embedding,
            rank,
            scale: factors::narrowed(scale),
            size_bytes: all.map(|idx| factors.tensors[idx].size_bytes).sum(),
            kind: adapter.kind,
            fault: refused(factors, a, "the factors do not fit the matrix of the base"),
        })
    }

    fn n_ins_outs(&self) -> (u64, u64) {
        (self.a.n_elements / self.rank, self.b.n_elements / self.rank)
    }

    fn source(self, base: Option<Base>, orientation: Orientation, kept: &Arc<Kept<factors::Pair>>) -> Lora {
        let (n_ins, n_outs) = self.n_ins_outs();
        Lora::new(
            base,
            [self.a, self.b],
            self.magnitude,
            [n_outs, n_ins],
            orientation,
            self.scale,
            Arc::clone(kept),
        )
    }

    /// The base's matrix with the change added.
    fn over(
        self,
        module: &str,
        entry: &TensorEntry,
        base: &Checkpoint,
        kept: &Arc<Kept<factors::Pair>>,
        adapter: &Adapter,
    ) -> Result<TensorEntry, Error> {
        let (n_ins, n_outs) = self.n_ins_outs();
        let is_square = n_ins == n_outs;
        let orientation = match entry.shape[..] {
            [rows, cols]
                if (rows, cols) == (n_ins, n_outs)
                    && (self.is_embedding || !is_square || adapter.is_in_out) =>
            {
                Orientation::InOut
            }
            [rows, cols] if (rows, cols) == (n_outs, n_ins) && !self.is_embedding => Orientation::OutIn,
            _ => {
                let found = format!("factors for [{n_outs}, {n_ins}]");
                let fault =
                    self.fault.found_wanted(found, format!("'{}' has {:?}", shown(&entry.name), entry.shape));
                return Err(fault.hint("this is not the base that the adapter was trained on").into());
            }
        };
        if !entry.dtype.is_decodable() {
            let says = format!("the base's '{}' cannot be decoded", shown(module));
            return Err(Fault::new("AD-BASE", says).of_tensor(module).into());
        }
        let (size_bytes, kind, rank) = (entry.size_bytes + self.size_bytes, self.kind, self.rank);
        let (file, offset) = base.elements_of(entry);
        let under = Base { file, offset, dtype: entry.dtype };
        let name = format!("{} + {kind} rank {rank}", entry.stored_as());
        let source = self.source(Some(under), orientation, kept);
        let encoding = Encoding { name, elements: Arc::new(source), cells: None };
        Ok(TensorEntry { dtype: Dtype::F32, size_bytes, encoding: Some(encoding), ..entry.clone() })
    }

    /// The change alone, [out, in].
    fn alone(self, module: &str, kept: &Arc<Kept<factors::Pair>>, first_file: usize) -> TensorEntry {
        let (n_ins, n_outs) = self.n_ins_outs();
        let (size_bytes, offset) = (self.size_bytes, self.a.offset);
        let name = format!("{} rank {}", self.kind, self.rank);
        let orientation = if self.is_embedding { Orientation::InOut } else { Orientation::OutIn };
        let shape = if self.is_embedding { vec![n_ins, n_outs] } else { vec![n_outs, n_ins] };
        // lengths of outputs mean nothing without the base
        let source = Parts { magnitude: None, ..self }.source(None, orientation, kept);
        TensorEntry {
            name: format!("{module}.weight"),
            dtype: Dtype::F32,
            shape,
            file_idx: first_file,
            offset,
            size_bytes,
            encoding: Some(Encoding { name, elements: Arc::new(source), cells: None }),
        }
    }
}
