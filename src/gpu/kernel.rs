//! What a kernel is to the device: a label, a source, an entry point and the layout of its parameters.

/// One compute kernel; the table of all of them is [`crate::kernels::KERNELS`].
#[derive(Debug)]
pub struct Kernel {
    /// Unique name: the entry point, with the epilogue where there is one (`gemm_tile+finish_best`).
    pub label: &'static str,
    /// Entry point, named as its file.
    pub entry: &'static str,
    /// WGSL of all files it is made of.
    pub source: &'static str,
    /// Binding of the first output; params are 0, inputs come from 1 on.
    pub first_output: u32,
    /// Name and byte offset of every field of the Rust `Params`; all are 4-byte scalars.
    pub params: &'static [(&'static str, usize)],
    /// One-line edits of the source that the tests must notice.
    pub broken: &'static [Edit],
}

/// A one-line change of a kernel's source that makes it wrong.
#[derive(Clone, Copy, Debug)]
pub struct Edit {
    /// What goes wrong.
    pub name: &'static str,
    /// Text that occurs exactly once in the source.
    pub find: &'static str,
    /// Its replacement.
    pub replace: &'static str,
}

impl Edit {
    /// The source with the edit applied, or None unless the text occurs exactly once.
    #[must_use]
    pub fn apply(&self, source: &str) -> Option<String> {
        (source.matches(self.find).count() == 1).then(|| source.replace(self.find, self.replace))
    }
}

/// Declares a `Params` struct of 4-byte scalars together with the names and offsets of its fields.
macro_rules! params {
    ($(#[$doc:meta])* $see:vis struct $name:ident { $($field:ident: $kind:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
        $see struct $name { $($see $field: $kind),+ }

        impl $name {
            const FIELDS: &'static [(&'static str, usize)] =
                &[$((stringify!($field), std::mem::offset_of!($name, $field))),+];
        }
    };
}
pub(crate) use params;
