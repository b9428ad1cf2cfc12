//! What reads and writes the residual stream, for T3 and T4.

use super::NotApplicable;
use super::model::Model;
use crate::roles::{Component, Part, Role};

/// How a matrix meets the residual stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touch {
    /// Its columns are dimensions of the stream.
    Reads,
    /// Its rows are.
    Writes,
    /// Rows and columns are.
    Both,
    /// A gain over the stream: moves with it and keeps its sign.
    Gain,
    /// A vector added in the stream's basis.
    Shift,
    /// It does not touch the stream.
    Apart,
}

/// How each role meets the stream.
///
/// # Errors
/// Some tensor may touch it in a way that is not known, or there are several streams.
pub(super) fn touches(model: &Model) -> Result<Vec<(Role, Touch)>, NotApplicable> {
    if model.graph.sinusoidal_positions {
        return Err(NotApplicable("sinusoidal positions fix the residual dimensions"));
    }
    if model.loose.iter().any(|tensor| !tensor.is_fixed) {
        return Err(NotApplicable("some tensors have no known role"));
    }
    let component = model.component();
    if !matches!(component, Some(Component::Text | Component::Encoder))
        || model.parts.keys().any(|role| Some(role.component) != component)
    {
        return Err(NotApplicable("the model has several stacks, or none"));
    }
    model.parts.keys().map(|role| Ok((*role, touch(role)?))).collect()
}

fn touch(role: &Role) -> Result<Touch, NotApplicable> {
    let weight_or_bias = |weight, bias| if role.is_bias { bias } else { weight };
    Ok(match role.part {
        Part::Embed | Part::Pos | Part::TokenType => Touch::Reads,
        Part::Q
        | Part::K
        | Part::V
        | Part::Gate
        | Part::Up
        | Part::Router
        | Part::SharedExpertGate
        | Part::Head
        | Part::Pooler
        | Part::QA
        | Part::KvA => weight_or_bias(Touch::Reads, Touch::Apart),
        Part::O | Part::Down => weight_or_bias(Touch::Writes, Touch::Shift),
        // its output is read by the tied token table, whose columns move
        Part::HeadTransform => weight_or_bias(Touch::Both, Touch::Shift),
        Part::EmbedNorm
        | Part::Norm1
        | Part::Norm1b
        | Part::Norm2
        | Part::Norm2b
        | Part::FinalNorm
        | Part::HeadNorm => weight_or_bias(Touch::Gain, Touch::Shift),
        Part::QNorm
        | Part::KNorm
        | Part::Sinks
        | Part::RouterBias
        | Part::QANorm
        | Part::QB
        | Part::KvANorm
        | Part::KB
        | Part::VB => Touch::Apart,
        _ => {
            return Err(NotApplicable(
                "some tensors may touch the residual stream in ways that are not known",
            ));
        }
    })
}

/// Whether the norms subtract a mean, as far as biases tell.
pub(super) fn subtracts_mean(model: &Model) -> bool {
    let is_norm =
        |role: &Role| matches!(role.part, Part::Norm1 | Part::Norm1b | Part::Norm2 | Part::FinalNorm);
    model.parts.keys().any(|role| role.is_bias && is_norm(role))
}
