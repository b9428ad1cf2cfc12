//! Effective weights: fused tensors cut, transposes and row orders undone, norm gains folded.
