//! x
use crate::roles::family::Family;
pub(super) const FAMILIES: &[Family] = &[];
