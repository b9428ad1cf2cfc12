use super::{Note, Vocabulary};
use crate::source::Fault;
pub(super) type Reader = fn(&str, &mut Vec<Note>) -> Result<Option<Vocabulary>, Fault>;
pub(super) fn from_tokenizer(_: &str, _: &mut Vec<Note>) -> Result<Option<Vocabulary>, Fault> {
    Ok(None)
}
pub(super) fn from_map(_: &str, _: &mut Vec<Note>) -> Result<Option<Vocabulary>, Fault> {
    Ok(None)
}
pub(super) fn from_lines(_: &str, _: &mut Vec<Note>) -> Result<Option<Vocabulary>, Fault> {
    Ok(None)
}
