//! How right, how sure and how fast: labelled pairs that were compared become rates, curves and calibration. Pure.
//!
//! What each number means: `docs/evaluate.md`.

mod calibration;
mod confusion;
mod controls;
mod fit;
mod manifest;
mod methods;
mod null;
mod pairs;
mod rates;
mod roc;
mod row;
mod summary;

pub use calibration::{Bin, Calibration, Forecast, calibration};
pub use confusion::{Confusion, Spelling, confusion};
pub use controls::{Cell, Control, Controls, controls};
pub use fit::{FitError, Fitted, fit};
pub use manifest::{Label, LabelledPair, LineFault, Listing, Split, read};
pub use methods::{MethodLine, Scored, method_line, own_line};
pub use null::{NullRates, null_rates};
pub use rates::{CONFIDENCE, FamilyBound, Rates, family_bound, rates};
pub use roc::{Roc, roc};
pub use row::{Outcome, Row, RowFault, scale};
pub use summary::{Cost, Summary, summary};
