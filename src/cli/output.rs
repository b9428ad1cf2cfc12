//! Where a result goes: stdout, or a file that appears whole or not at all.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::new_file::{NewFile, folder_of};
use super::{exit, failure};
use crate::report::wire::Failure;

/// A destination.
#[derive(Debug)]
pub(super) enum Sink {
    /// Written at once; once its reader has gone, silent.
    Stdout {
        /// The reader has gone (`| head`).
        is_closed: bool,
    },
    /// Kept until [`Sink::finish`].
    File {
        /// Where to.
        path: PathBuf,
        /// What so far.
        text: String,
    },
}

impl Sink {
    /// Stdout.
    pub(super) fn stdout() -> Sink {
        Sink::Stdout { is_closed: false }
    }

    /// The file of `-o`, or stdout. Fails early where the file may not be written: it is one of the inputs, lies inside
    /// a model, is a link, or its folder is missing.
    pub(super) fn open(path: Option<&Path>, inputs: &[&Path]) -> Result<Sink, Box<Failure>> {
        let Some(path) = path else { return Ok(Sink::stdout()) };
        refuse(path, inputs)?;
        Ok(Sink::File { path: path.to_owned(), text: String::new() })
    }

    /// Whether results become visible one by one.
    pub(super) fn is_stdout(&self) -> bool {
        matches!(self, Sink::Stdout { .. })
    }

    /// Adds text; on stdout it is visible when this returns.
    pub(super) fn write(&mut self, addition: &str) -> Result<(), Box<Failure>> {
        match self {
            Sink::File { text, .. } => text.push_str(addition),
            Sink::Stdout { is_closed: true } => {}
            Sink::Stdout { is_closed } => {
                let mut stdout = io::stdout().lock();
                match stdout.write_all(addition.as_bytes()).and_then(|()| stdout.flush()) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => *is_closed = true,
                    Err(error) => return Err(unwritable(Path::new("standard output"), &error.to_string())),
                }
            }
        }
        Ok(())
    }

    /// Makes a file appear.
    pub(super) fn finish(self) -> Result<(), Box<Failure>> {
        match self {
            Sink::Stdout { .. } => Ok(()),
            Sink::File { path, text } => {
                let written = NewFile::create(&path).and_then(|mut file| {
                    file.write(text.as_bytes())?;
                    file.finish()
                });
                written.map_err(|error| unwritable(&path, &error.to_string()))
            }
        }
    }
}

/// Refuses an output that cannot be written, or that would destroy an input.
pub(super) fn refuse(path: &Path, inputs: &[&Path]) -> Result<(), Box<Failure>> {
    refuse_inputs(path, inputs)?;
    if !folder_of(path).is_dir() {
        return Err(unwritable(path, "its folder does not exist"));
    }
    Ok(())
}

/// An output must not destroy what it reports on.
fn refuse_inputs(output: &Path, inputs: &[&Path]) -> Result<(), Box<Failure>> {
    let refuse =
        |why: &str| Err(failure::usage(format!("the output '{}' {why}", failure::shown_path(output))));
    if output.is_symlink() {
        return refuse("is a link: name the file itself");
    }
    let Ok(folder) = folder_of(output).canonicalize() else { return Ok(()) };
    let Some(name) = output.file_name() else { return refuse("has no file name") };
    let target = folder.join(name);
    if target.is_dir() {
        return refuse("is a folder");
    }
    for input in inputs {
        let Ok(input) = input.canonicalize() else { continue };
        if target == input {
            return refuse("is also an input");
        }
        if input.is_dir() && target.starts_with(&input) {
            return refuse("lies inside a model that is read");
        }
    }
    Ok(())
}

/// The failure of an output that cannot be written.
pub(super) fn unwritable(path: &Path, cause: &str) -> Box<Failure> {
    Box::new(Failure {
        code: "OUTPUT".to_owned(),
        exit_code: exit::INPUT,
        message: format!("cannot write '{}': {cause}", failure::shown_path(path)),
        hint: Some("nothing was replaced; name a place that can be written".to_owned()),
        ..Failure::default()
    })
}
