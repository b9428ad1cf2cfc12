//! State-space decoders.

use crate::roles::Part::*;
use crate::roles::family::Cut::*;
use crate::roles::family::{Family, Rule, text};

const MAMBA: &[Rule] = &[
    ("layers.N.mixer.in_proj", Is(InProj)),
    ("layers.N.mixer.conv1d", Is(Conv)),
    ("layers.N.mixer.x_proj", Is(XProj)),
    ("layers.N.mixer.dt_proj", Is(DtProj)),
    ("layers.N.mixer.dt_bias", Is(DtProj)),
    ("layers.N.mixer.A_log", Is(ALog)),
    ("layers.N.mixer.D", Is(DSkip)),
    ("layers.N.mixer.norm", Is(Norm1b)),
    ("layers.N.mixer.out_proj", Is(OutProj)),
    ("layers.N.norm", Is(Norm1)),
    ("norm_f", Is(FinalNorm)),
    ("embeddings", Is(Embed)),
    ("embedding", Is(Embed)),
];

pub(super) const FAMILIES: &[Family] = &[Family::new(
    "mamba",
    &["mamba", "mamba2", "falcon_mamba"],
    &[text(&["backbone.", "model.", ""], &[MAMBA]), text(&[""], &[&[("lm_head", Is(Head))]])],
)];
