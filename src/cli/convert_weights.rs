//! `cognate convert-weights`.

use std::path::Path;

use super::args::ConvertWeights as Args;
use super::new_file::NewFile;
use super::output::{self, Sink};
use super::screen::Screen;
use super::signals::Deferred;
use super::{exit, failure};
use crate::checkpoint;
use crate::convert::{self, Plan};
use crate::report::escape;
use crate::report::quantity;
use crate::report::wire::Failure;
use crate::roles;
use crate::stream::{self, ReadMeter};
use crate::wording::{agreeing, counted};

/// Why writing broke off.
enum Broken {
    Read(stream::Error),
    Write(std::io::Error),
    Signal(u8),
}

impl From<stream::Error> for Broken {
    fn from(error: stream::Error) -> Broken {
        Broken::Read(error)
    }
}

/// Runs the verb.
pub(super) fn run(args: &Args, screen: &Screen) -> Result<u8, Box<Failure>> {
    let inputs: Vec<&Path> = [Some(args.model.as_str()), args.reading.base.as_deref()]
        .into_iter()
        .flatten()
        .map(Path::new)
        .collect();
    output::refuse(&args.output, &inputs)?;
    let checkpoint = checkpoint::open_over(
        &args.model,
        args.reading.base.as_deref(),
        &args.reading.limits(),
        roles::counterparts,
    )
    .map_err(|error| failure::of_checkpoint(&error))?;
    let roles = roles::assign(&checkpoint);
    let plan = convert::plan(&checkpoint, &roles, args.dtype.map(Into::into));
    if plan.tensors.is_empty() || (!plan.skipped.is_empty() && !args.allow_partial) {
        return Err(partial(&plan));
    }
    let header = convert::header(&plan, &checkpoint);
    let unwritable = |error: &std::io::Error| output::unwritable(&args.output, &error.to_string());
    let deferred = Deferred::begin();
    let mut file = NewFile::create(&args.output).map_err(|error| unwritable(&error))?;
    let meter = ReadMeter::default();
    let written = file.write(&header).map_err(Broken::Write).and_then(|()| {
        plan.tensors.iter().try_for_each(|tensor| {
            convert::chunks(tensor, &meter, |bytes| match deferred.signal() {
                Some(code) => Err(Broken::Signal(code)),
                None => file.write(bytes).map_err(Broken::Write),
            })
        })
    });
    // what was read must still be what is there, or the copy is of no model
    let unchanged = || checkpoint.files.iter().try_for_each(|file| file.verify_unchanged());
    let written =
        written.and_then(|()| unchanged().map_err(|error| Broken::Read(stream::Error::from(error))));
    match written {
        Ok(()) => file.finish().map_err(|error| unwritable(&error))?,
        Err(Broken::Read(error)) => return Err(failure::of_stream(&error)),
        Err(Broken::Write(error)) => return Err(unwritable(&error)),
        Err(Broken::Signal(code)) => return Ok(code),
    }
    if !screen.is_quiet {
        Sink::stdout().write(&summary(&plan, &args.output))?;
    }
    Ok(exit::OK)
}

/// What was written, in two lines.
fn summary(plan: &Plan, path: &Path) -> String {
    let changed = |what: &str| {
        let has = |change: &String| change.starts_with(what);
        plan.tensors.iter().filter(|tensor| tensor.changes.iter().any(has)).count()
    };
    let size_bytes: u64 = plan.tensors.iter().map(convert::NewTensor::size_bytes).sum();
    let mut text = format!(
        "wrote {}: {}, {}\n{} decoded, {} cast, {} renamed, {} cut out of fused ones, {} turned; {} no weights left out\n",
        failure::shown_path(path),
        counted(plan.tensors.len(), "tensor", "tensors"),
        quantity::bytes(size_bytes),
        changed("decoded"),
        changed("cast"),
        changed("was"),
        changed("cut"),
        changed("turned"),
        counted(plan.left_out.len(), "that is", "that are"),
    );
    if !plan.skipped.is_empty() {
        let n_skipped = plan.skipped.len();
        text.push_str(&format!(
            "{} could not be decoded and {} missing\n",
            counted(n_skipped, "weight", "weights"),
            agreeing(n_skipped, "is", "are")
        ));
    }
    text
}

fn partial(plan: &Plan) -> Box<Failure> {
    let message = match plan.skipped.first() {
        Some((name, why)) => format!(
            "{} cannot be decoded, the first is '{}' ({why}); nothing was written",
            counted(plan.skipped.len(), "tensor", "tensors"),
            escape::name(name)
        ),
        None => "the model holds no weights that could be written".to_owned(),
    };
    Box::new(Failure {
        code: "PARTIAL".to_owned(),
        exit_code: exit::PARTIAL,
        message,
        hint: Some("--allow-partial writes the others".to_owned()),
        ..Failure::default()
    })
}
