//! Every known family. Order matters only between families whose names fit equally well: the first wins.

mod encoder;
mod gguf;
mod gpt;
mod llama;
mod llama_kin;
mod moe;
mod neox;
mod recurrent;
mod seq2seq;
mod vision;

use super::family::Family;
pub(super) use gguf::LABEL as GGUF;
pub(super) use vision::PROJECTOR;

/// All tables.
pub(super) const FAMILIES: &[&[Family]] = &[
    llama::FAMILIES,
    llama_kin::FAMILIES,
    moe::FAMILIES,
    neox::FAMILIES,
    gpt::FAMILIES,
    recurrent::FAMILIES,
    encoder::FAMILIES,
    seq2seq::FAMILIES,
    vision::FAMILIES,
    gguf::FAMILIES,
];
