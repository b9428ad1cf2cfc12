//! `tokenizer.ggml.*` → the token strings that the model's own `tokenizer.json` holds.
//!
//! Byte-level BPE ("gpt2") and SentencePiece ("llama", "t5") strings are stored as they are: `Ġthe`, `▁the`, `<0x0A>`.
//! WordPiece ("bert") is stored the other way round: `##ing` as `ing`, `the` as `▁the`.

use super::metadata::Metadata;
use crate::checkpoint::{Note, Vocabulary, vocabulary};
use crate::source::{Fault, grouped};
use crate::wording::agreeing;

/// Types of tokens, from `llama_token_type`.
const CONTROL: i64 = 3;
const UNUSED: i64 = 5;

/// The vocabulary, if the file holds one.
pub(super) fn vocabulary(
    metadata: &Metadata,
    notes: &mut Vec<Note>,
) -> Result<Option<Vocabulary>, Box<Fault>> {
    let Some(tokens) = metadata.tokens.as_ref().filter(|tokens| !tokens.is_empty()) else {
        notes.push(Note { rule: "CT-ABSENT", says: "no vocabulary: token ids decide".to_string() });
        return Ok(None);
    };
    let is_wordpiece = metadata.text("tokenizer.ggml.model") == Some("bert");
    let (mut n_not_text, mut n_padding) = (0_u64, 0_u64);
    let mut list = Vec::new();
    for (id, token) in (0_u64..).zip(tokens) {
        let kind = usize::try_from(id).ok().and_then(|id| metadata.token_types.get(id)).copied();
        let Ok(text) = std::str::from_utf8(token) else {
            n_not_text += 1;
            continue;
        };
        // rows of the table that no token owns, named by the converter
        if matches!(kind, None | Some(UNUSED)) && text == format!("[PAD{id}]") {
            n_padding += 1;
            continue;
        }
        let text = if is_wordpiece { wordpiece(text, kind) } else { text.to_owned() };
        list.push((text, id));
    }
    if n_not_text > 0 {
        let says = format!(
            "{} {} left out",
            grouped(n_not_text),
            agreeing(n_not_text, "token is not UTF-8 and was", "tokens are not UTF-8 and were")
        );
        notes.push(Note { rule: "GG-TOKENS", says });
    }
    if n_padding > 0 {
        let says = format!(
            "{} {} to no token",
            grouped(n_padding),
            agreeing(n_padding, "row of the token tables belongs", "rows of the token tables belong")
        );
        notes.push(Note { rule: "GG-TOKENS", says });
    }
    vocabulary::from_list(list, notes).map(Some)
}

/// A WordPiece token as its own vocabulary spells it.
fn wordpiece(text: &str, kind: Option<i64>) -> String {
    let is_special = kind == Some(CONTROL) || (text.starts_with('[') && text.ends_with(']'));
    match text.strip_prefix('\u{2581}') {
        Some(word) => word.to_owned(),
        None if is_special => text.to_owned(),
        None => format!("##{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::wordpiece;

    #[test]
    fn wordpieces_are_spelled_as_their_vocabulary_does() {
        for (stored, kind, wanted) in [
            ("▁the", Some(1), "the"),
            ("ing", Some(1), "##ing"),
            ("[CLS]", Some(3), "[CLS]"),
            ("[MASK]", None, "[MASK]"),
        ] {
            assert_eq!(wordpiece(stored, kind), wanted);
        }
    }
}
