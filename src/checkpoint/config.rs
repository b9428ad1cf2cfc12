//! `config.json`: the facts that decide layouts, read leniently and never trusted as a length.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Config, Heads, Note, Quantisation, json};
use crate::source::Fault;

/// No dimension or count of a published model comes near; a larger number is noted and dropped.
const MAX_NUMBER: u64 = 1 << 32;
/// Longest text that is kept.
const MAX_TEXT_BYTES: usize = 256;
/// Objects in which multimodal models keep the facts of their language model, in order of preference.
const TEXT_SECTIONS: [&str; 8] = [
    "text_config",
    "llm_config",
    "language_config",
    "language_model_config",
    "text_model_config",
    "thinker_config",
    "decoder",
    "encoder",
];

/// Objects with the facts of a tower that stands beside the language model.
const VISION_SECTION: &str = "vision_config";
const AUDIO_SECTION: &str = "audio_config";

const HIDDEN_SIZE: &[&str] =
    &["hidden_size", "n_embd", "d_model", "n_embed", "dim", "embed_dim", "model_dim"];
const INTERMEDIATE_SIZE: &[&str] = &[
    "intermediate_size",
    "n_inner",
    "ffn_dim",
    "d_ff",
    "ffn_hidden_size",
    "decoder_ffn_dim",
    "encoder_ffn_dim",
    "hidden_dim",
    "inner_dim",
];
const N_LAYERS: &[&str] = &[
    "num_hidden_layers",
    "n_layer",
    "n_layers",
    "num_layers",
    "num_transformer_layers",
    "decoder_layers",
    "encoder_layers",
];
const N_HEADS: &[&str] = &[
    "num_attention_heads",
    "n_head",
    "n_heads",
    "num_heads",
    "decoder_attention_heads",
    "encoder_attention_heads",
];
const N_KV_HEADS: &[&str] =
    &["num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num", "kv_n_heads"];
const HEAD_DIM: &[&str] = &["head_dim", "kv_channels", "d_kv", "head_size"];
const VOCAB_SIZE: &[&str] = &["vocab_size", "padded_vocab_size"];
const N_EXPERTS: &[&str] =
    &["num_local_experts", "n_routed_experts", "num_experts", "moe_num_experts", "num_routed_experts"];
const ROTARY_SHARE: &[&str] = &["partial_rotary_factor", "rotary_pct", "rope_pct", "rotary_percent"];
const ACTIVATION: &[&str] = &[
    "hidden_act",
    "activation_function",
    "hidden_activation",
    "activation",
    "ffn_activation",
    "feed_forward_proj",
];
/// Switches that change a layout; kept where they are present.
const FLAGS: &[&str] = &[
    "new_decoder_architecture",
    "alibi",
    "multi_query",
    "parallel_attn",
    "use_parallel_residual",
    "multi_query_attention",
    "attention_bias",
    "mlp_bias",
    "bias",
    "is_encoder_decoder",
    "tie_encoder_decoder",
    "rope_interleave",
];

/// The facts of a config as the text of a `config.json`, from which they are read back; without those of a quantised form.
#[must_use]
pub fn text_of(config: &Config) -> String {
    let Config { vision_heads, audio_heads, .. } = config;
    let heads = |heads: &Heads| {
        serde_json::json!({
            "num_attention_heads": heads.n_heads,
            "num_key_value_heads": heads.n_kv_heads,
            "head_dim": heads.head_dim,
        })
    };
    let mut facts = serde_json::json!({
        "model_type": config.model_type,
        "architectures": config.architecture.as_ref().map(|name| [name]),
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.head_dim,
        "vocab_size": config.vocab_size,
        "tie_word_embeddings": config.tied_embeddings,
        "num_local_experts": config.n_experts,
        "rotary_dim": config.rotary_dim,
        "hidden_act": config.activation,
        "alibi": config.alibi.then_some(true),
    });
    if let Some(facts) = facts.as_object_mut() {
        for (name, flag) in &config.flags {
            facts.insert(name.clone(), (*flag).into());
        }
        for (section, of_tower) in [(VISION_SECTION, vision_heads), (AUDIO_SECTION, audio_heads)] {
            if *of_tower != Heads::default() {
                facts.insert(section.to_owned(), heads(of_tower));
            }
        }
        facts.retain(|_, value| !value.is_null());
    }
    facts.to_string()
}

/// Reads the text of a `config.json`.
pub(super) fn parse(text: &str, notes: &mut Vec<Note>) -> Result<Config, Box<Fault>> {
    let top = Section::read(text).map_err(|cause| {
        Fault::new("CT-CONFIG", format!("config.json is not a JSON object: {}", json::says(&cause)))
            .at_byte(json::position(text, &cause) as u64)
    })?;
    let mut facts = Facts { sections: vec![top], unusable: Vec::new() };
    facts.add_nested(&TEXT_SECTIONS)?;
    facts.add_nested(&["text_config"])?;
    facts.add_nested(&["attn_config", "ffn_config", "rope_parameters", "rope_scaling"])?;
    if facts.raw("auto_map").is_some() {
        let says = "config.json names code (auto_map); it is neither fetched nor run".to_string();
        notes.push(Note { rule: "CT-AUTO-MAP", says });
    }
    let mut config = facts.config();
    for (key, heads) in [(VISION_SECTION, &mut config.vision_heads), (AUDIO_SECTION, &mut config.audio_heads)]
    {
        if let Some(mut tower) = facts.section(key)? {
            *heads = tower.heads();
            facts.unusable.append(&mut tower.unusable);
        }
    }
    for key in facts.unusable {
        let says = format!("'{key}' of config.json is not a usable value and was ignored");
        notes.push(Note { rule: "CT-VALUE", says });
    }
    Ok(config)
}

/// An object whose values are not read yet.
#[derive(Clone)]
struct Section<'text> {
    fields: Vec<(String, &'text RawValue)>,
}

impl<'text> Section<'text> {
    fn read(text: &'text str) -> Result<Section<'text>, serde_json::Error> {
        let mut parser = serde_json::Deserializer::from_str(text);
        let section = parser.deserialize_map(SectionVisitor)?;
        parser.end()?;
        Ok(section)
    }

    fn raw(&self, key: &str) -> Option<&'text str> {
        self.fields
            .iter()
            .find(|(field, _)| field == key)
            .map(|(_, raw)| raw.get())
            .filter(|raw| *raw != "null")
    }
}

struct SectionVisitor;

impl<'de> Visitor<'de> for SectionVisitor {
    type Value = Section<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Section<'de>, A::Error> {
        use serde::de::Error;
        let mut fields: Vec<(String, &'de RawValue)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        while let Some((key, raw)) = map.next_entry::<String, &'de RawValue>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format!("key '{key}' occurs twice")));
            }
            fields.push((key, raw));
        }
        Ok(Section { fields })
    }
}

/// The sections of a config, in order of precedence.
struct Facts<'text> {
    sections: Vec<Section<'text>>,
    /// Keys with values that no model can have.
    unusable: Vec<&'static str>,
}

impl<'text> Facts<'text> {
    /// Appends the objects that the present sections hold under these keys.
    fn add_nested(&mut self, keys: &[&str]) -> Result<(), Box<Fault>> {
        let mut found = Vec::new();
        for section in &self.sections {
            for key in keys {
                let Some(raw) = section.raw(key).filter(|raw| raw.starts_with('{')) else { continue };
                found.push(Section::read(raw).map_err(|cause| {
                    Fault::new("CT-CONFIG", format!("'{key}' of config.json: {}", json::says(&cause)))
                })?);
            }
        }
        self.sections.extend(found);
        Ok(())
    }

    /// The first object under this key, by itself.
    fn section(&self, key: &str) -> Result<Option<Facts<'text>>, Box<Fault>> {
        let mut alone = Facts { sections: self.sections.clone(), unusable: Vec::new() };
        alone.add_nested(&[key])?;
        let found = alone.sections.into_iter().nth(self.sections.len());
        Ok(found.map(|section| Facts { sections: vec![section], unusable: Vec::new() }))
    }

    fn raw(&self, key: &str) -> Option<&'text str> {
        self.sections.iter().find_map(|section| section.raw(key))
    }

    /// First key that any section has, the sections of higher precedence first.
    fn first(&self, keys: &[&'static str]) -> Option<(&'static str, &'text str)> {
        self.sections.iter().find_map(|section| keys.iter().find_map(|key| Some((*key, section.raw(key)?))))
    }

    fn number(&mut self, keys: &[&'static str]) -> Option<u64> {
        let (key, raw) = self.first(keys)?;
        let number = whole_number(raw).filter(|&number| (1..=MAX_NUMBER).contains(&number));
        if number.is_none() {
            self.unusable.push(key);
        }
        number
    }

    fn text(&mut self, keys: &[&'static str]) -> Option<String> {
        let (key, raw) = self.first(keys)?;
        let text = serde_json::from_str::<String>(raw).ok().filter(|text| text.len() <= MAX_TEXT_BYTES);
        if text.is_none() {
            self.unusable.push(key);
        }
        text
    }

    fn flag(&self, key: &str) -> Option<bool> {
        self.raw(key).and_then(|raw| raw.parse().ok())
    }

    fn heads(&mut self) -> Heads {
        let n_heads = self.number(N_HEADS);
        let is_multi_query =
            self.flag("multi_query") == Some(true) && self.flag("new_decoder_architecture") != Some(true);
        let stored_kv_heads = self.number(N_KV_HEADS);
        let n_kv_heads = if is_multi_query { Some(1) } else { stored_kv_heads.or(n_heads) };
        Heads { n_heads, n_kv_heads, head_dim: self.number(HEAD_DIM) }
    }

    fn config(&mut self) -> Config {
        let model_type = self.text(&["model_type"]);
        let hidden_size = self.number(HIDDEN_SIZE);
        let Heads { n_heads, n_kv_heads, head_dim } = self.heads();
        let is_alibi = self.flag("alibi") == Some(true)
            || ["position_embedding_type", "position_embedding"]
                .iter()
                .filter_map(|key| self.raw(key))
                .any(|raw| raw.eq_ignore_ascii_case("\"alibi\""))
            || model_type.as_deref() == Some("bloom");
        Config {
            architecture: self.architecture(),
            intermediate_size: self.number(INTERMEDIATE_SIZE),
            n_layers: self.number(N_LAYERS),
            vocab_size: self.number(VOCAB_SIZE),
            tied_embeddings: self.flag("tie_word_embeddings"),
            n_experts: self.number(N_EXPERTS),
            rotary_dim: self.rotary_dim(head_dim, hidden_size, n_heads),
            activation: self.text(ACTIVATION),
            flags: FLAGS.iter().filter_map(|key| Some(((*key).to_string(), self.flag(key)?))).collect(),
            alibi: is_alibi,
            quantisation: self.quantisation(),
            model_type,
            hidden_size,
            n_heads,
            n_kv_heads,
            head_dim,
            vision_heads: Heads::default(),
            audio_heads: Heads::default(),
        }
    }

    /// What shapes do not say about quantised weights; what cannot be read is as if it were not there.
    fn quantisation(&self) -> Quantisation {
        let raw = ["quantization_config", "compression_config"].iter().find_map(|key| self.raw(key));
        raw.and_then(|raw| Section::read(raw).ok()).map(|section| quantisation(&section)).unwrap_or_default()
    }

    fn architecture(&mut self) -> Option<String> {
        let raw = self.raw("architectures")?;
        let names = serde_json::from_str::<Vec<String>>(raw);
        match names.ok().map(|names| names.into_iter().next()) {
            Some(None) => None,
            Some(Some(name)) if name.len() <= MAX_TEXT_BYTES => Some(name),
            _ => {
                self.unusable.push("architectures");
                None
            }
        }
    }

    /// Rows of a head that rotate: stored, or a share of the head rounded down as the reference code does.
    fn rotary_dim(
        &mut self,
        head_dim: Option<u64>,
        hidden: Option<u64>,
        n_heads: Option<u64>,
    ) -> Option<u64> {
        if self.first(&["rotary_dim"]).is_some() {
            return self.number(&["rotary_dim"]);
        }
        let (key, raw) = self.first(ROTARY_SHARE)?;
        let head_dim = head_dim.or_else(|| hidden?.checked_div(n_heads?))?;
        let share = raw.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
        match share {
            None => {
                self.unusable.push(key);
                None
            }
            // head_dim ≤ 2^32 is exact in f64; counting down keeps the float out of the integer
            Some(share) => floor_share(head_dim, share),
        }
    }
}

/// Reads the text of a `quantize_config.json`, where old writers of GPTQ put what now stands in the config.
pub(super) fn parse_quantisation(text: &str) -> Option<Quantisation> {
    Section::read(text).ok().map(|section| quantisation(&section))
}

fn quantisation(section: &Section<'_>) -> Quantisation {
    let text = |key: &str| {
        let text = serde_json::from_str::<String>(section.raw(key)?).ok()?;
        (text.len() <= MAX_TEXT_BYTES).then_some(text)
    };
    let number = |raw: &str| whole_number(raw).filter(|number| (1..=MAX_NUMBER).contains(number));
    let block = || {
        let [rows, cols] = serde_json::from_str::<[u64; 2]>(section.raw("weight_block_size")?).ok()?;
        let is_usable = |n: u64| (1..=MAX_NUMBER).contains(&n);
        (is_usable(rows) && is_usable(cols)).then_some([rows, cols])
    };
    Quantisation {
        method: text("quant_method"),
        group_size: section.raw("group_size").or_else(|| section.raw("q_group_size")).and_then(number),
        block: block(),
        is_gptq_v2: text("checkpoint_format").as_deref() == Some("gptq_v2"),
    }
}

/// floor(whole × share) for whole ≤ 2^32 and share in [0, 1].
fn floor_share(whole: u64, share: f64) -> Option<u64> {
    let product = (whole as f64 * share).floor();
    format!("{product:.0}").parse().ok()
}

/// A whole number, also where a writer spelled it `1e3` or `4.0`.
fn whole_number(raw: &str) -> Option<u64> {
    if let Ok(number) = raw.parse() {
        return Some(number);
    }
    let number = raw.parse::<f64>().ok()?;
    let is_whole = number.fract() == 0.0 && (0.0..=MAX_NUMBER as f64).contains(&number);
    is_whole.then(|| format!("{number:.0}").parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::checkpoint::{Config, Heads};

    fn config(text: &str) -> (Config, usize) {
        let mut notes = Vec::new();
        (parse(text, &mut notes).expect(text), notes.len())
    }

    #[test]
    fn every_spelling_of_a_fact_is_read() {
        let llama = r#"{"model_type":"llama","architectures":["LlamaForCausalLM"],"hidden_size":128,
            "intermediate_size":352,"num_hidden_layers":4,"num_attention_heads":8,"num_key_value_heads":4,
            "head_dim":16,"vocab_size":1024,"tie_word_embeddings":false,"hidden_act":"silu","pad_token_id":null}"#;
        let (read, n_notes) = config(llama);
        let expected = Config {
            model_type: Some("llama".into()),
            architecture: Some("LlamaForCausalLM".into()),
            hidden_size: Some(128),
            intermediate_size: Some(352),
            n_layers: Some(4),
            n_heads: Some(8),
            n_kv_heads: Some(4),
            head_dim: Some(16),
            vocab_size: Some(1024),
            tied_embeddings: Some(false),
            activation: Some("silu".into()),
            ..Config::default()
        };
        assert_eq!((read, n_notes), (expected, 0));

        let gpt2 = config(
            r#"{"n_embd":768,"n_layer":12,"n_head":12,"n_inner":null,"activation_function":"gelu_new"}"#,
        )
        .0;
        assert_eq!((gpt2.hidden_size, gpt2.n_layers, gpt2.n_kv_heads), (Some(768), Some(12), Some(12)));
        assert_eq!((gpt2.intermediate_size, gpt2.activation.as_deref()), (None, Some("gelu_new")));

        let towers = config(
            r#"{"text_config":{"num_attention_heads":8,"head_dim":64},"vision_config":{"num_heads":16,"hidden_size":1280},
                "audio_config":{"encoder_attention_heads":20,"d_kv":48}}"#,
        )
        .0;
        let of = |n_heads, head_dim| Heads { n_heads: Some(n_heads), n_kv_heads: Some(n_heads), head_dim };
        assert_eq!((towers.n_heads, towers.head_dim, towers.hidden_size), (Some(8), Some(64), None));
        assert_eq!((towers.vision_heads, towers.audio_heads), (of(16, None), of(20, Some(48))));

        let nested =
            config(r#"{"model_type":"llava","text_config":{"hidden_size":64,"model_type":"llama"}}"#).0;
        assert_eq!((nested.model_type.as_deref(), nested.hidden_size), (Some("llava"), Some(64)));
    }

    #[test]
    fn key_value_heads_and_rotary_rows_follow_the_reference_code() {
        let falcon = r#"{"n_head":71,"num_kv_heads":71,"multi_query":true,"alibi":false}"#;
        assert_eq!(config(falcon).0.n_kv_heads, Some(1));
        let falcon40 = r#"{"num_attention_heads":128,"num_kv_heads":8,"multi_query":true,"new_decoder_architecture":true}"#;
        assert_eq!(config(falcon40).0.n_kv_heads, Some(8));
        for (text, rotary_rows) in [
            (r#"{"hidden_size":6144,"num_attention_heads":64,"rotary_pct":0.25}"#, Some(24)),
            (r#"{"head_dim":80,"partial_rotary_factor":0.4}"#, Some(32)),
            (r#"{"rotary_dim":64,"rotary_pct":0.25,"head_dim":256}"#, Some(64)),
            (r#"{"head_dim":64,"rope_parameters":{"partial_rotary_factor":0.5}}"#, Some(32)),
            (r#"{"head_dim":64,"rotary_pct":7}"#, None),
            (r#"{"rotary_pct":0.5}"#, None),
        ] {
            assert_eq!(config(text).0.rotary_dim, rotary_rows, "{text}");
        }
        assert!(config(r#"{"model_type":"bloom"}"#).0.alibi);
        assert!(config(r#"{"attn_config":{"alibi":true,"kv_n_heads":2}}"#).0.alibi);
        assert!(config(r#"{"position_embedding":"ALIBI"}"#).0.alibi);
    }

    #[test]
    fn facts_are_read_back_as_they_were_written() {
        for text in [
            r#"{"model_type":"llama","architectures":["LlamaForCausalLM"],"hidden_size":128,"intermediate_size":352,
                "num_hidden_layers":4,"num_attention_heads":8,"num_key_value_heads":4,"head_dim":16,"vocab_size":1024,
                "tie_word_embeddings":false,"hidden_act":"silu","num_local_experts":8,"partial_rotary_factor":0.5}"#,
            r#"{"n_head":71,"multi_query":true,"alibi":false,"new_decoder_architecture":false}"#,
            r#"{"model_type":"bloom","n_head":8}"#,
            r#"{"position_embedding":"ALIBI","text_config":{"n_head":2},"vision_config":{"num_heads":16}}"#,
            "{}",
        ] {
            let (read, _) = config(text);
            // one way of saying ALiBi is a flag of its own
            let without_flags = |config: Config| Config { flags: Vec::new(), ..config };
            let again = config(&super::text_of(&read)).0;
            assert_eq!(without_flags(again), without_flags(read), "{text}");
        }
    }

    #[test]
    fn impossible_values_are_dropped_with_a_note() {
        for value in ["0", "-1", "9223372036854775808", "1e400", "1.5", "\"128\"", "[128]", "{}", "true"] {
            let (read, n_notes) = config(&format!(r#"{{"hidden_size":{value}}}"#));
            assert_eq!((read.hidden_size, n_notes), (None, 1), "{value}");
        }
        for (value, number) in [("1e3", 1000), ("4.0", 4), ("1000000000", 1_000_000_000)] {
            assert_eq!(config(&format!(r#"{{"num_layers":{value}}}"#)).0.n_layers, Some(number), "{value}");
        }
    }
}
