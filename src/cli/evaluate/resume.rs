//! Finished pairs as JSON lines: written as they end, taken over by the next run.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::cli::{exit, failure, text_file};
use crate::evaluate::{LabelledPair, Outcome, Row};
use crate::report::json;
use crate::report::wire::{EvaluatedPair, Failure};

/// Longest file of finished pairs: about a million.
const MAX_RESULT_BYTES: u64 = 1 << 30;

/// The file of `--resume`, or none.
pub(super) struct Resume {
    finished: BTreeMap<(String, String), Outcome>,
    file: Option<(PathBuf, Mutex<File>)>,
    run: String,
}

impl Resume {
    /// Reads what an earlier run of the same kind has finished. A line cut short by an interruption is left out.
    pub(super) fn open(path: Option<&Path>, manifest: &Path, run: &str) -> Result<Resume, Box<Failure>> {
        let mut resume = Resume { finished: BTreeMap::new(), file: None, run: run.to_owned() };
        let Some(path) = path else { return Ok(resume) };
        if path == manifest {
            return Err(failure::usage("--resume would overwrite the manifest".to_owned()));
        }
        let text = match text_file::read(path, MAX_RESULT_BYTES) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(unwritable(path, &error)),
        };
        for line in text.lines() {
            let Ok(pair) = serde_json::from_str::<EvaluatedPair>(line) else { continue };
            if let (Some((left, right)), Some(outcome)) = (pair.finished(run), pair.outcome()) {
                resume.finished.insert((left.to_owned(), right.to_owned()), outcome);
            }
        }
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|error| unwritable(path, &error))?;
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"\n").map_err(|error| unwritable(path, &error))?;
        }
        resume.file = Some((path.to_owned(), Mutex::new(file)));
        Ok(resume)
    }

    /// What an earlier run found.
    pub(super) fn outcome(&self, pair: &LabelledPair) -> Option<Outcome> {
        self.finished.get(&(pair.left.clone(), pair.right.clone())).cloned()
    }

    /// Keeps a row.
    pub(super) fn keep(&self, row: &Row) -> Result<(), Box<Failure>> {
        let Some((path, file)) = &self.file else { return Ok(()) };
        let line = json::line(&EvaluatedPair::new(row, &self.run));
        match file.lock() {
            Ok(mut file) => file.write_all(line.as_bytes()).map_err(|error| unwritable(path, &error)),
            Err(_) => Ok(()),
        }
    }

    /// Everything is on the disk.
    pub(super) fn close(self) -> Result<(), Box<Failure>> {
        match self.file {
            Some((path, file)) => match file.into_inner() {
                Ok(file) => file.sync_all().map_err(|error| unwritable(&path, &error)),
                Err(_) => Ok(()),
            },
            None => Ok(()),
        }
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Box<Failure> {
    Box::new(Failure {
        code: "OUTPUT".to_owned(),
        exit_code: exit::INPUT,
        message: format!("cannot use '{}': {error}", failure::shown_path(path)),
        hint: Some("--resume names a file that can be read and written".to_owned()),
        ..Failure::default()
    })
}
