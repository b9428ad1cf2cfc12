//! stub
use crate::checkpoint::Checkpoint;
use crate::roles::RoleMap;
/// s
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "x")]
pub enum ArchitectureVerdict {
    Same,
    SameRenamed,
    Compatible,
    Different,
}
/// s
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "x")]
pub struct Renaming {
    pub from: String,
    pub to: String,
    pub count: u64,
}
/// s
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "x")]
pub struct Architecture {
    pub verdict: ArchitectureVerdict,
    pub renamed: Vec<Renaming>,
    pub differences: Vec<String>,
}
/// s
#[must_use]
pub fn compare_architectures(_l: (&Checkpoint, &RoleMap), _r: (&Checkpoint, &RoleMap)) -> Architecture {
    todo!()
}
