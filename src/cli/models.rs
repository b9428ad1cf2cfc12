//! Models that several pairs share: each opened once, and closed after its last pair.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use super::{failure, panics};
use crate::checkpoint::{self, Checkpoint, Limits};
use crate::report::wire::Failure;

type Opened = Result<Arc<Checkpoint>, Box<Failure>>;

/// A model that is to be opened, and how many pairs still need it.
#[derive(Default)]
struct Slot {
    opened: Arc<OnceLock<Opened>>,
    n_pairs: usize,
}

/// Open models by reference.
pub(super) struct Models {
    slots: Mutex<BTreeMap<String, Slot>>,
    limits: Limits,
    /// References are looked for here first.
    folder: PathBuf,
}

impl Models {
    /// `references` holds a model once for each pair that needs it.
    pub(super) fn new<'a>(
        references: impl Iterator<Item = &'a str>,
        folder: &Path,
        limits: Limits,
    ) -> Models {
        let mut slots: BTreeMap<String, Slot> = BTreeMap::new();
        for reference in references {
            slots.entry(reference.to_owned()).or_default().n_pairs += 1;
        }
        Models { slots: Mutex::new(slots), limits, folder: folder.to_owned() }
    }

    /// The model; the first who asks opens it, a failure is remembered.
    pub(super) fn get(&self, reference: &str) -> Opened {
        let cell = match self.slots.lock() {
            Ok(mut slots) => Arc::clone(&slots.entry(reference.to_owned()).or_default().opened),
            // a thread died while it held the list: open apart
            Err(_) => Arc::default(),
        };
        cell.get_or_init(|| {
            let beside = self.folder.join(reference);
            let path =
                if beside.exists() { beside.to_string_lossy().into_owned() } else { reference.to_owned() };
            panics::caught(|| {
                let mut opened =
                    checkpoint::open(&path, &self.limits).map_err(|error| failure::of_checkpoint(&error))?;
                reference.clone_into(&mut opened.reference);
                Ok(Arc::new(opened))
            })
        })
        .clone()
    }

    /// A pair is done with the model; after the last one it is closed.
    pub(super) fn release(&self, reference: &str) {
        if let Ok(mut slots) = self.slots.lock()
            && let Some(slot) = slots.get_mut(reference)
        {
            slot.n_pairs = slot.n_pairs.saturating_sub(1);
            if slot.n_pairs == 0 {
                slots.remove(reference);
            }
        }
    }
}
