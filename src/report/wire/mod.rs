//! Versioned wire types: what a pipeline may rely on. Separate from the types of the core, so that either may change
//! alone; keys are added within a version, never renamed or removed.

mod attacks;
mod bench;
mod compare;
mod devices;
mod evaluate;
mod failure;
mod fitted;
mod inspect;
mod matrix;
mod rounded;

pub use attacks::{ATTACKS_VERSION, Attacks};
pub use bench::{BENCH_VERSION, Bench};
pub use compare::{COMPARE_VERSION, Comparison};
pub use devices::{DEVICES_VERSION, Device, Devices};
pub use evaluate::{EVALUATE_VERSION, EvaluatedPair, Evaluation, Tool as EvaluationTool};
pub use failure::{ErrorDocument, Failure, Reference};
pub use fitted::{FittedMap, MeasuredControls};
pub use inspect::{INSPECT_VERSION, InspectedTensor, InspectedVocabulary, Inspection, Roles, Values};
pub use matrix::{MATRIX_VERSION, Matrix};
pub use rounded::Rounded;
