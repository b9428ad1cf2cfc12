//! Errors of every edge in the fields that people and machines see, with their exit codes.

use std::path::Path;

use super::exit;
use crate::report::escape;
use crate::report::wire::Failure;
use crate::{checkpoint, compare, gpu, source, stream};

/// A mistake on the command line.
pub(super) fn usage(message: String) -> Box<Failure> {
    Box::new(Failure {
        code: "USAGE".to_owned(),
        exit_code: exit::USAGE,
        message,
        hint: Some("see --help".to_owned()),
        ..Failure::default()
    })
}

/// A path as it may be shown.
pub(super) fn shown_path(path: &Path) -> String {
    escape::name(&path.to_string_lossy())
}

/// A model that could not be opened.
pub(super) fn of_checkpoint(error: &checkpoint::Error) -> Box<Failure> {
    of_fault(error.fault(), error.exit_code())
}

/// Bytes that did not come.
pub(super) fn of_source(error: &source::Error) -> Box<Failure> {
    of_fault(error.fault(), error.exit_code())
}

/// A GPU that is missing, fails its test or was lost.
pub(super) fn of_gpu(error: &gpu::Error) -> Box<Failure> {
    let code = match error {
        gpu::Error::NoAdapter { .. } => "GPU-MISSING",
        gpu::Error::SelfTest { .. } => "GPU-SELF-TEST",
        _ => "GPU-LOST",
    };
    Box::new(Failure {
        code: code.to_owned(),
        exit_code: exit::BACKEND,
        message: error.to_string(),
        hint: Some("`cognate devices` lists what there is; software adapters are taken by --gpu NAME only; --backend cpu needs none".to_owned()),
        ..Failure::default()
    })
}

/// Work that broke off.
pub(super) fn of_stream(error: &stream::Error) -> Box<Failure> {
    match error {
        stream::Error::Source(error) => of_source(error),
        stream::Error::Gpu(error) => of_gpu(error),
    }
}

/// A comparison that could not be finished.
pub(super) fn of_compare(error: &compare::Error) -> Box<Failure> {
    match error {
        compare::Error::Stream(error) => of_stream(error),
        compare::Error::NothingComparable(_) => Box::new(Failure {
            code: "NOTHING-COMPARABLE".to_owned(),
            exit_code: exit::PARTIAL,
            message: error.to_string(),
            hint: Some("`cognate inspect` shows what each model holds".to_owned()),
            ..Failure::default()
        }),
    }
}

fn of_fault(fault: source::Fault, exit_code: u8) -> Box<Failure> {
    Box::new(Failure {
        code: fault.rule.to_owned(),
        exit_code,
        message: fault.message,
        file: fault.file,
        tensor: fault.tensor,
        byte: fault.byte,
        found: fault.found,
        wanted: fault.wanted,
        hint: fault.hint,
    })
}
