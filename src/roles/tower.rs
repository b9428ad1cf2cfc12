//! Splits the names of a model into its towers: text, vision, audio, and what stands between them.

use std::borrow::Cow;

use super::Component;

/// Wrappers of multimodal models: (prefix, what the tower's own family table expects there, tower). The first that
/// fits wins, so longer prefixes stand before their beginnings.
const WRAPPERS: &[(&str, &str, Component)] = &[
    ("model.language_model.model.", "model.", Component::Text),
    ("model.language_model.", "model.", Component::Text),
    ("language_model.", "", Component::Text),
    ("thinker.model.", "model.", Component::Text),
    ("thinker.lm_head", "lm_head", Component::Text),
    ("llm.", "", Component::Text),
    ("model.text_model.", "model.", Component::Text),
    ("text_model.", "", Component::Text),
    ("model.vision_tower.vision_tower.vision_model.", "", Component::Vision),
    ("model.vision_tower.vision_model.", "", Component::Vision),
    ("model.vision_tower.", "", Component::Vision),
    ("vision_tower.vision_tower.vision_model.", "", Component::Vision),
    ("vision_tower.vision_model.", "", Component::Vision),
    ("vision_tower.", "", Component::Vision),
    ("model.vision_model.", "", Component::Vision),
    ("vision_model.", "", Component::Vision),
    ("transformer.visual.", "", Component::Vision),
    ("thinker.visual.", "", Component::Vision),
    ("model.visual.", "", Component::Vision),
    ("visual.", "", Component::Vision),
    ("vpm.", "", Component::Vision),
    ("thinker.audio_tower.", "", Component::Audio),
    ("model.audio_tower.", "", Component::Audio),
    ("audio_tower.", "", Component::Audio),
    ("model.multi_modal_projector.", "", Component::Projector),
    ("multi_modal_projector.", "", Component::Projector),
    ("model.mm_projector.", "", Component::Projector),
    ("mm_projector.", "", Component::Projector),
    ("model.connector.", "", Component::Projector),
    ("connector.", "", Component::Projector),
];

/// Every tower, the main one first.
pub(super) const TOWERS: [Component; 4] =
    [Component::Text, Component::Vision, Component::Audio, Component::Projector];

/// The tower of a tensor, and its name inside it.
pub(super) fn of(name: &str) -> (Component, Cow<'_, str>) {
    for (prefix, replacement, tower) in WRAPPERS {
        if let Some(rest) = name.strip_prefix(prefix) {
            let inner =
                if replacement.is_empty() { rest.into() } else { format!("{replacement}{rest}").into() };
            return (*tower, inner);
        }
    }
    (Component::Text, name.into())
}
