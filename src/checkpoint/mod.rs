//! Bytes become a validated [`Checkpoint`]: entries that tile their files exactly, or an error.

#![forbid(unsafe_code)]
#![warn(clippy::cast_possible_truncation)]

mod adapter;
mod config;
mod duplicates;
mod error;
mod folder;
mod gguf;
mod index;
mod json;
mod kept;
mod onnx;
mod open;
mod pytorch;
mod quantised;
mod safetensors;
mod sidecar;
mod strided;
mod unknown;
mod vocabulary;
mod weights;

pub use adapter::{Adapter, Counterparts};
pub use config::text_of as config_text;
pub use error::Error;
pub use gguf::open_gguf;
pub use open::{loose_models, open, open_over, open_with};
pub use quantised::Quantisation;
pub use safetensors::CONFIG_KEY;

use std::sync::Arc;

use crate::source::{Links, Network, Source};
use crate::tensor::Dtype;

/// One stored tensor whose byte range has been checked against its file.
#[derive(Clone, Debug)]
pub struct TensorEntry {
    /// Name as stored, unescaped: escape before showing.
    pub name: String,
    /// Element type as read: of a decoded form that of its [`Encoding::elements`].
    pub dtype: Dtype,
    /// Dimensions, row-major.
    pub shape: Vec<u64>,
    /// Index into [`Checkpoint::files`].
    pub file_idx: usize,
    /// Absolute byte offset in that file.
    pub offset: u64,
    /// Length in the files, in bytes, with scales and whatever else belongs to it.
    pub size_bytes: u64,
    /// How it is stored, where not as plain elements.
    pub encoding: Option<Encoding>,
}

/// A stored form that is decoded while it is read: block types, packed integers with scales, factors of an adapter.
#[derive(Clone, Debug)]
pub struct Encoding {
    /// `Q4_K`, `gptq int4, groups of 128`, ….
    pub name: String,
    /// The elements in row-major order as [`TensorEntry::dtype`], from byte 0 on.
    pub elements: Arc<dyn Source>,
    /// Where the form rounds to levels: of every element the lowest and the highest value that its stored level stands
    /// for, in the layout of `elements` (infinite at the outermost levels). S0 holds a source against them.
    pub cells: Option<[Arc<dyn Source>; 2]>,
}

impl TensorEntry {
    /// The stored form in a word: the encoding's name, or the element type's.
    #[must_use]
    pub fn stored_as(&self) -> &str {
        self.encoding.as_ref().map_or(self.dtype.name(), |encoding| &encoding.name)
    }

    /// Product of the dimensions; 1 for a scalar.
    #[must_use]
    pub fn n_elements(&self) -> u64 {
        self.shape.iter().product()
    }
}

/// Heads of the attention in one tower of a model; what its config does not say is None.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heads {
    /// Query heads.
    pub n_heads: Option<u64>,
    /// Key and value heads.
    pub n_kv_heads: Option<u64>,
    /// Rows of one.
    pub head_dim: Option<u64>,
}

/// The facts of a `config.json` that decide layouts; absent keys are None. Never used as a length for a loop or an allocation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// `model_type`, lower case as stored.
    pub model_type: Option<String>,
    /// First of `architectures`.
    pub architecture: Option<String>,
    /// `hidden_size`, `n_embd`, `d_model`.
    pub hidden_size: Option<u64>,
    /// `intermediate_size`, `n_inner`, `ffn_dim`.
    pub intermediate_size: Option<u64>,
    /// `num_hidden_layers`, `n_layer`.
    pub n_layers: Option<u64>,
    /// `num_attention_heads`, `n_head`.
    pub n_heads: Option<u64>,
    /// `num_key_value_heads`; equal to n_heads where absent; 1 under `multi_query`.
    pub n_kv_heads: Option<u64>,
    /// `head_dim`.
    pub head_dim: Option<u64>,
    /// `vocab_size`.
    pub vocab_size: Option<u64>,
    /// `tie_word_embeddings`.
    pub tied_embeddings: Option<bool>,
    /// `num_local_experts`, `n_routed_experts`, `num_experts`.
    pub n_experts: Option<u64>,
    /// `rotary_dim`, or `partial_rotary_factor`/`rotary_pct` × head_dim.
    pub rotary_dim: Option<u64>,
    /// `hidden_act`, `activation_function`.
    pub activation: Option<String>,
    /// `new_decoder_architecture` (Falcon), `alibi`, `multi_query`, `parallel_attn` where present.
    pub flags: Vec<(String, bool)>,
    /// `position_embedding_type` or `alibi`: heads under ALiBi are never units.
    pub alibi: bool,
    /// `quantization_config`.
    pub quantisation: Quantisation,
    /// Of `vision_config`: the fields above are the language model's.
    pub vision_heads: Heads,
    /// Of `audio_config`.
    pub audio_heads: Heads,
}

/// Token strings with their ids, sorted by string; ids may be sparse, and no array is ever sized by an id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vocabulary {
    /// (token, id), sorted by token, one id per token (added tokens win over the model's).
    pub tokens: Vec<(String, u64)>,
    /// blake3 of the sorted list, for "the same tokenizer".
    pub digest: String,
}

/// Something accepted that the report must mention (unknown header field, wrong total_size, leftover .incomplete …).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Rule, for example `IX-TOTAL-SIZE`.
    pub rule: &'static str,
    /// One sentence.
    pub says: String,
}

impl Note {
    /// Whether it says that the files hold weights of the model that were not read: what is equal without them is not all that there is.
    #[must_use]
    pub fn tells_of_unread_weights(&self) -> bool {
        matches!(self.rule, pytorch::OTHER_SET | onnx::UNREAD | ONE_SHARD)
    }
}

/// Rule of the note that a file was named which is one shard of several.
const ONE_SHARD: &str = "IX-ONE-SHARD";

/// A validated model.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// What the user wrote.
    pub reference: String,
    /// `safetensors`, `gguf`, `pytorch`, ….
    pub format: &'static str,
    /// Commit of a Hub snapshot.
    pub commit: Option<String>,
    /// The files that hold tensors, in index order.
    pub files: Vec<Arc<dyn Source>>,
    /// In file order, then by offset.
    pub tensors: Vec<TensorEntry>,
    /// Parsed `config.json`, or the metadata of a GGUF file.
    pub config: Option<Config>,
    /// Parsed `tokenizer.json` or `vocab.json`, or the tokens of a GGUF file.
    pub vocabulary: Option<Vocabulary>,
    /// Accepted oddities.
    pub notes: Vec<Note>,
    /// The adapter that the tensors hold, where the reference is one.
    pub adapter: Option<Adapter>,
}

impl Checkpoint {
    /// Where the elements of a tensor are read, and from which byte on.
    #[must_use]
    pub fn elements_of(&self, tensor: &TensorEntry) -> (Arc<dyn Source>, u64) {
        match &tensor.encoding {
            Some(encoding) => (Arc::clone(&encoding.elements), 0),
            None => (Arc::clone(&self.files[tensor.file_idx]), tensor.offset),
        }
    }

    /// Bytes of all tensors.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.size_bytes).sum()
    }
}

/// Ceilings a user may raise, and where a reference may lead.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest header, bytes.
    pub max_header_bytes: u64,
    /// Most tensors in a file.
    pub max_tensors: usize,
    /// Where links in the model's folder may lead.
    pub links: Links,
    /// Whether a reference may open a connection.
    pub network: Network,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_header_bytes: 64 << 20,
            max_tensors: 1_000_000,
            links: Links::Inside,
            network: Network::Forbidden,
        }
    }
}
