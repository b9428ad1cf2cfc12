//! Token strings and ids, as data: no merge is run, no pattern compiled, no template rendered, no list sized by an id.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Note, Vocabulary, json};
use crate::source::{Fault, grouped, shown};
use crate::wording::agreeing;

/// Most tokens that are kept; the largest published vocabularies hold about a million.
const MAX_TOKENS: usize = 4 << 20;

/// Reads the text of one kind of file; None where it holds no token list.
pub(super) type Reader = fn(&str, &mut Vec<Note>) -> Result<Option<Vocabulary>, Box<Fault>>;

/// Reads a `tokenizer.json`: `model.vocab`, an object or a list of [token, score], and `added_tokens`.
pub(super) fn from_tokenizer(text: &str, notes: &mut Vec<Note>) -> Result<Option<Vocabulary>, Box<Fault>> {
    let mut tokens = Tokens::default();
    read(text, TokenizerFile(&mut tokens))?;
    let n_words = tokens.model.len() + tokens.added.len();
    if n_words == 0 {
        notes.push(Note { rule: "CT-NO-TOKENS", says: "tokenizer.json holds no token list".to_string() });
        return Ok(None);
    }
    tokens.into_vocabulary(notes).map(Some)
}

/// Reads a `vocab.json`: an object of tokens and ids. An object of anything else is noted: speech models keep one
/// list per language under this name.
pub(super) fn from_map(text: &str, notes: &mut Vec<Note>) -> Result<Option<Vocabulary>, Box<Fault>> {
    let mut tokens = Tokens::default();
    if let Err(fault) = read(text, Vocab(&mut tokens)) {
        if serde_json::from_str::<AnyObject>(text).is_err() {
            return Err(fault);
        }
        notes.push(Note {
            rule: "CT-NO-TOKENS",
            says: "vocab.json is not an object of token ids".to_string(),
        });
        return Ok(None);
    }
    tokens.into_vocabulary(notes).map(Some)
}

/// Reads a `vocab.txt`: one token a line, its id the number of the line from 0 on.
pub(super) fn from_lines(text: &str, notes: &mut Vec<Note>) -> Result<Option<Vocabulary>, Box<Fault>> {
    let mut tokens = Tokens::default();
    for (id, line) in (0_u64..).zip(text.lines()) {
        tokens.push(line.to_string(), id).map_err(|says| Fault::new("CT-TOKENIZER", says))?;
    }
    tokens.into_vocabulary(notes).map(Some)
}

/// A vocabulary of tokens that were read elsewhere, each with its id.
pub(super) fn from_list(list: Vec<(String, u64)>, notes: &mut Vec<Note>) -> Result<Vocabulary, Box<Fault>> {
    Tokens { model: list, ..Tokens::default() }.into_vocabulary(notes)
}

/// Reads an object to its end.
fn read<'text, T: Visitor<'text, Value = ()>>(text: &'text str, visitor: T) -> Result<(), Box<Fault>> {
    let mut parser = serde_json::Deserializer::from_str(text);
    parser.deserialize_map(visitor).and_then(|()| parser.end()).map_err(|cause| {
        let says = format!("the tokenizer does not have the form of one: {}", json::says(&cause));
        Fault::new("CT-TOKENIZER", says).at_byte(json::position(text, &cause) as u64)
    })
}

/// Tokens as they are read.
#[derive(Debug, Default)]
struct Tokens {
    model: Vec<(String, u64)>,
    added: Vec<(String, u64)>,
    /// Whether the model's tokens are keys of an object, which must not repeat.
    is_map: bool,
}

impl Tokens {
    fn push(&mut self, token: String, id: u64) -> Result<(), String> {
        push(&mut self.model, token, id)
    }

    /// Sorted, one id a token: added tokens win over the model's, of a list's equal tokens the first id.
    fn into_vocabulary(self, notes: &mut Vec<Note>) -> Result<Vocabulary, Box<Fault>> {
        let Tokens { model: mut tokens, mut added, is_map } = self;
        tokens.sort_unstable();
        let twice = tokens.windows(2).find(|pair| pair[0].0 == pair[1].0).map(|pair| pair[0].0.clone());
        if let Some(token) = twice {
            if is_map {
                let says = format!("token '{}' occurs twice in the vocabulary", shown(&token));
                return Err(Fault::new("CT-DUPLICATE", says));
            }
            let n_before = tokens.len();
            tokens.dedup_by(|next, kept| next.0 == kept.0);
            let n_twice = n_before - tokens.len();
            let says = format!(
                "{} {} more than once, such as '{}'; the lowest id counts",
                grouped(n_twice as u64),
                agreeing(n_twice, "token occurs", "tokens occur"),
                shown(&token)
            );
            notes.push(Note { rule: "CT-DUPLICATE", says });
        }
        if !added.is_empty() {
            // a later added token replaces an earlier one of the same text
            added.reverse();
            added.sort_by(|a, b| a.0.cmp(&b.0));
            added.dedup_by(|next, kept| next.0 == kept.0);
            tokens.retain(|(token, _)| added.binary_search_by(|(added, _)| added.cmp(token)).is_err());
            tokens.append(&mut added);
            tokens.sort_unstable();
        }
        let mut hasher = blake3::Hasher::new();
        for (token, id) in &tokens {
            hasher.update(&(token.len() as u64).to_le_bytes());
            hasher.update(token.as_bytes());
            hasher.update(&id.to_le_bytes());
        }
        Ok(Vocabulary { tokens, digest: hasher.finalize().to_hex().to_string() })
    }
}

fn push(list: &mut Vec<(String, u64)>, token: String, id: u64) -> Result<(), String> {
    if list.len() >= MAX_TOKENS {
        return Err(format!("more than {} tokens", grouped(MAX_TOKENS as u64)));
    }
    list.try_reserve(1).map_err(|_| "not enough memory for the tokens".to_string())?;
    list.push((token, id));
    Ok(())
}

/// The whole file: everything but `model.vocab` and `added_tokens` is skipped.
struct TokenizerFile<'tokens>(&'tokens mut Tokens);

impl<'de> Visitor<'de> for TokenizerFile<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with model and added_tokens")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = Once::default();
        while let Some(key) = map.next_key::<String>()? {
            seen.first(&key)?;
            match key.as_str() {
                "model" => map.next_value_seed(Object(Model(&mut *self.0)))?,
                "added_tokens" => map.next_value_seed(AddedTokens(&mut *self.0))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// `model`: everything but `vocab` is skipped, merges too.
struct Model<'tokens>(&'tokens mut Tokens);

impl<'de> Visitor<'de> for Model<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tokenizer's model")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = Once::default();
        while let Some(key) = map.next_key::<String>()? {
            seen.first(&key)?;
            if key == "vocab" {
                map.next_value_seed(Vocab(&mut *self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// `vocab`: an object of ids (BPE, WordPiece, WordLevel) or a list of [token, score] (Unigram).
struct Vocab<'tokens>(&'tokens mut Tokens);

impl<'de> DeserializeSeed<'de> for Vocab<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Vocab<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tokens with their ids")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        use serde::de::Error;
        self.0.is_map = true;
        while let Some((token, id)) = map.next_entry::<String, u64>()? {
            self.0.push(token, id).map_err(A::Error::custom)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        use serde::de::Error;
        let mut id = 0;
        while let Some((token, _)) = seq.next_element::<(String, IgnoredAny)>()? {
            self.0.push(token, id).map_err(A::Error::custom)?;
            id += 1;
        }
        Ok(())
    }
}

/// `added_tokens`: objects with `id` and `content`.
struct AddedTokens<'tokens>(&'tokens mut Tokens);

#[derive(Deserialize)]
struct AddedToken {
    id: u64,
    content: String,
}

impl<'de> DeserializeSeed<'de> for AddedTokens<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for AddedTokens<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of added tokens")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        use serde::de::Error;
        while let Some(AddedToken { id, content }) = seq.next_element()? {
            push(&mut self.0.added, content, id).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

/// Reads a value that must be an object.
struct Object<V>(V);

impl<'de, V: Visitor<'de, Value = ()>> DeserializeSeed<'de> for Object<V> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self.0)
    }
}

/// A valid object, whatever is in it.
struct AnyObject;

impl<'de> Deserialize<'de> for AnyObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AnyObject, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = AnyObject;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AnyObject, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(AnyObject)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Keys of an object with few of them, none twice.
#[derive(Default)]
struct Once(std::collections::HashSet<String>);

impl Once {
    fn first<E: serde::de::Error>(&mut self, key: &str) -> Result<(), E> {
        if self.0.insert(key.to_string()) {
            Ok(())
        } else {
            Err(E::custom(format!("key '{key}' occurs twice")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Reader, from_lines, from_map, from_tokenizer};

    fn tokens(reader: Reader, text: &str) -> Result<Vec<(String, u64)>, &'static str> {
        let mut notes = Vec::new();
        match reader(text, &mut notes) {
            Ok(vocabulary) => Ok(vocabulary.map(|v| v.tokens).unwrap_or_default()),
            Err(fault) => Err(fault.rule),
        }
    }

    #[test]
    fn every_kind_of_file_gives_sorted_tokens() {
        let owned =
            |list: &[(&str, u64)]| list.iter().map(|(t, id)| ((*t).to_string(), *id)).collect::<Vec<_>>();
        for (reader, text, expected) in [
            (from_tokenizer as Reader, r#"{"model":{"vocab":{"b":1,"a":0}}}"#, owned(&[("a", 0), ("b", 1)])),
            (from_tokenizer, r#"{"model":{"vocab":[["b",-1.5],["a",-2]]}}"#, owned(&[("a", 1), ("b", 0)])),
            (
                from_tokenizer,
                r#"{"added_tokens":[{"id":9,"content":"a"},{"id":4294967295,"content":"z","special":true}],
                    "model":{"merges":["a b"],"vocab":{"b":1,"a":0}}}"#,
                owned(&[("a", 9), ("b", 1), ("z", 4_294_967_295)]),
            ),
            (from_map, r#"{"b":1,"a":0}"#, owned(&[("a", 0), ("b", 1)])),
            (from_lines, "[PAD]\r\n[[[\nw\n", owned(&[("[PAD]", 0), ("[[[", 1), ("w", 2)])),
            (from_tokenizer, r#"{"model":{"vocab":[["a",0],["a",1]]}}"#, owned(&[("a", 0)])),
        ] {
            assert_eq!(tokens(reader, text).as_deref(), Ok(expected.as_slice()), "{text}");
        }
    }

    #[test]
    fn malformed_token_lists_are_refused() {
        for (text, rule) in [
            (r#"{"model":{"vocab":{"a":0,"\u0061":1}}}"#, "CT-DUPLICATE"),
            (r#"{"model":{"vocab":{"a":-1}}}"#, "CT-TOKENIZER"),
            (r#"{"model":{"vocab":{"a":0.5}}}"#, "CT-TOKENIZER"),
            (r#"{"model":{"vocab":7}}"#, "CT-TOKENIZER"),
            (r#"{"model":{},"model":{}}"#, "CT-TOKENIZER"),
            (r#"{"added_tokens":[{"id":1}]}"#, "CT-TOKENIZER"),
            ("[]", "CT-TOKENIZER"),
            (r#"{"model":{"vocab":{"a":0}}} x"#, "CT-TOKENIZER"),
        ] {
            assert_eq!(tokens(from_tokenizer, text), Err(rule), "{text}");
        }
    }
}
