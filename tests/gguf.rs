//! Models of the zoo written as GGUF here, byte by byte: compared with their source they are what they are.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use cognate::checkpoint::{self, Checkpoint, Limits, open_gguf};
use cognate::compare::{
    ArchitectureVerdict, Comparison, Direction, Effort, Error, Options, WeightsVerdict, compare,
};
use cognate::cpu::Cpu;
use cognate::kernels::Backend;
use cognate::source::Source;
use cognate::stream::{RowRead, StoredView, expect_rows};
use cognate::tensor::View;
use safetensors::SafeTensors;
use serde_json::Value;

/// Types of tensors.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    F32,
    Q4_0,
    Q8_0,
}

impl Kind {
    fn number(self) -> u32 {
        match self {
            Kind::F32 => 0,
            Kind::Q4_0 => 2,
            Kind::Q8_0 => 8,
        }
    }

    /// Rows of whole blocks; the reference quantisers of ggml, in a few lines.
    fn encode(self, values: &[f32]) -> Vec<u8> {
        let scale = |d: f32| half::f16::from_f32(d).to_le_bytes();
        let block = |values: &[f32]| -> Vec<u8> {
            let largest = values.iter().copied().fold(0.0_f32, |m, v| if v.abs() > m.abs() { v } else { m });
            let steps = |d: f32, v: f32| if d == 0.0 { 0.0 } else { v / d };
            match self {
                Kind::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
                Kind::Q8_0 => {
                    let d = largest.abs() / 127.0;
                    let codes = values.iter().map(|v| steps(d, *v).round() as i8 as u8);
                    scale(d).into_iter().chain(codes).collect()
                }
                Kind::Q4_0 => {
                    let d = largest / -8.0;
                    let code = |v: f32| (steps(d, v) + 8.5).clamp(0.0, 15.0) as u8;
                    let codes = (0..16).map(|i| code(values[i]) | code(values[i + 16]) << 4);
                    scale(d).into_iter().chain(codes).collect()
                }
            }
        };
        values.chunks(32).flat_map(block).collect()
    }
}

fn zoo(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("zoo").join(name)
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

fn number(key: &str, value: u64) -> Vec<u8> {
    [&string(key)[..], &4_u32.to_le_bytes(), &(value as u32).to_le_bytes()].concat()
}

fn text(key: &str, value: &str) -> Vec<u8> {
    [&string(key)[..], &8_u32.to_le_bytes(), &string(value)].concat()
}

/// The file of these pairs and tensors (name, row-major shape, type, values).
fn file(pairs: &[Vec<u8>], tensors: &[(String, Vec<usize>, Kind, Vec<f32>)]) -> Vec<u8> {
    let mut bytes = [&b"GGUF"[..], &3_u32.to_le_bytes()].concat();
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend((pairs.len() as u64).to_le_bytes());
    bytes.extend(pairs.concat());
    let mut data = Vec::new();
    for (name, shape, kind, values) in tensors {
        bytes.extend(string(name));
        bytes.extend((shape.len() as u32).to_le_bytes());
        bytes.extend(shape.iter().rev().flat_map(|dim| (*dim as u64).to_le_bytes()));
        bytes.extend(kind.number().to_le_bytes());
        bytes.extend((data.len() as u64).to_le_bytes());
        data.extend(kind.encode(values));
        data.resize(data.len().next_multiple_of(32), 0);
    }
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    [bytes, data].concat()
}

/// Half-split rotary rows to interleaved ones: row 2j of a head is row j, row 2j + 1 is row j + half.
fn permuted(values: &[f32], n_cols: usize, head_rows: usize) -> Vec<f32> {
    let rows: Vec<&[f32]> = values.chunks(n_cols).collect();
    let source = |row: usize| {
        let (head, i) = (row / head_rows, row % head_rows);
        head * head_rows + i / 2 + (i % 2) * (head_rows / 2)
    };
    (0..rows.len()).flat_map(|row| rows[source(row)].iter().copied()).collect()
}

/// A model of the zoo as llama.cpp's converter names and orders it; `kind_of` chooses the type of a matrix.
fn written(model: &str, kind_of: impl Fn(&str) -> Kind) -> Vec<u8> {
    let folder = zoo(model);
    let read = |name: &str| std::fs::read(folder.join(name)).expect("the zoo is in the repository");
    let json = |name: &str| -> Value { serde_json::from_slice(&read(name)).expect("JSON") };
    let (config, tokenizer) = (json("config.json"), json("tokenizer.json"));
    let fact = |key: &str| config[key].as_u64().expect("a number");
    let head_rows = fact("head_dim") as usize;
    let mut tokens: Vec<(u64, String)> = tokenizer["model"]["vocab"]
        .as_object()
        .expect("a vocabulary")
        .iter()
        .map(|(token, id)| (id.as_u64().expect("an id"), token.clone()))
        .collect();
    tokens.sort();
    let mut list =
        [&string("tokenizer.ggml.tokens")[..], &9_u32.to_le_bytes(), &8_u32.to_le_bytes()].concat();
    list.extend((tokens.len() as u64).to_le_bytes());
    list.extend(tokens.iter().flat_map(|(_, token)| string(token)));
    let pairs = [
        text("general.architecture", "llama"),
        number("llama.block_count", fact("num_hidden_layers")),
        number("llama.embedding_length", fact("hidden_size")),
        number("llama.attention.head_count", fact("num_attention_heads")),
        number("llama.attention.head_count_kv", fact("num_key_value_heads")),
        number("llama.rope.dimension_count", fact("head_dim")),
        text("tokenizer.ggml.model", "gpt2"),
        list,
    ];
    let stored = read("model.safetensors");
    let stored = SafeTensors::deserialize(&stored).expect("a legal file");
    let mut tensors = Vec::new();
    for (name, view) in stored.tensors() {
        let halves = view.data().chunks_exact(2).map(|e| u16::from_le_bytes([e[0], e[1]]));
        let mut values: Vec<f32> = halves.map(|bits| half::bf16::from_bits(bits).to_f32()).collect();
        let shape = view.shape().to_vec();
        if name.contains("q_proj") || name.contains("k_proj") {
            values = permuted(&values, shape[1], head_rows);
        }
        let mut new_name = name.replace("model.layers.", "blk.");
        for (from, to) in [
            ("model.embed_tokens", "token_embd"),
            ("lm_head", "output"),
            ("model.norm", "output_norm"),
            ("input_layernorm", "attn_norm"),
            ("post_attention_layernorm", "ffn_norm"),
            ("self_attn.o_proj", "attn_output"),
            ("self_attn.", "attn_"),
            ("mlp.", "ffn_"),
            ("_proj", ""),
        ] {
            new_name = new_name.replace(from, to);
        }
        let kind = if shape.len() == 1 { Kind::F32 } else { kind_of(&new_name) };
        tensors.push((new_name, shape, kind, values));
    }
    file(&pairs, &tensors)
}

fn opened(path: &Path) -> Checkpoint {
    checkpoint::open(&path.to_string_lossy(), &Limits::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn compared(left: &Path, right: &Path) -> Comparison {
    let options = Options { effort: Effort::Standard, seed: 0, prior: 0.5, only: None, digest: false };
    let backend = Backend::Cpu(Cpu::detect());
    compare(&backend, &opened(left), &opened(right), &options, &|_| {}).expect("comparable")
}

fn verdict(comparison: &Comparison) -> WeightsVerdict {
    comparison.weights.verdict.expect("no --only")
}

/// Writes a file into a folder of its own.
fn stored(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).expect("write");
    (folder, path)
}

#[test]
fn a_model_in_gguf_is_the_same_model_with_the_same_statistics() {
    let (_folder, gguf) = stored(&written("base", |_| Kind::F32));
    let same = compared(&gguf, &zoo("base"));
    assert_eq!(verdict(&same), WeightsVerdict::Identical);
    assert_eq!(same.architecture.verdict, ArchitectureVerdict::SameRenamed, "{:?}", same.architecture);
    assert_eq!(same.weights.relations[0].detail, "F32 to BF16, lossless");
    assert_eq!(same.shared_tokens, Some((768, 768)));
    assert!(same.not_tested.is_empty(), "{:?}", same.not_tested);
    assert_eq!(verdict(&compared(&zoo("base"), &gguf)), WeightsVerdict::Identical);
    for other in ["finetune", "independent-yinames"] {
        let (of_gguf, of_twin) = (compared(&gguf, &zoo(other)), compared(&zoo("base"), &zoo(other)));
        assert_eq!(verdict(&of_gguf), verdict(&of_twin), "{other}");
        assert_eq!(of_gguf.weights.log10_p, of_twin.weights.log10_p, "{other}");
        // F32 and bf16 elements take different loops: k + 8 roundoffs of f32 a side, rows of k ≤ 256
        let (z, of_twin) = (of_gguf.weights.z.expect("tested"), of_twin.weights.z.expect("tested"));
        let bound = 2.0 * (256.0 + 8.0) * 2_f64.powi(-24) * of_twin.abs().max(1.0);
        assert!((z - of_twin).abs() <= bound, "{other}: {z} and {of_twin}");
    }
}

#[test]
fn quantised_copies_are_recognised_and_their_twins_are_not_accused() {
    let is_table = |name: &str| name.starts_with("token_embd") || name.starts_with("output");
    let mixed = |name: &str| if is_table(name) { Kind::Q8_0 } else { Kind::Q4_0 };
    let table_only = |name: &str| if is_table(name) { Kind::Q4_0 } else { Kind::F32 };
    for (bytes, detail) in [
        (written("base", |_| Kind::Q8_0), "left model: Q8_0"),
        (written("base", |_| Kind::Q4_0), "left model: Q4_0"),
        (written("base", mixed), "left model: "),
        (written("base", table_only), "left model: Q4_0"),
    ] {
        let (_folder, gguf) = stored(&bytes);
        let copy = compared(&gguf, &zoo("base"));
        assert_eq!(verdict(&copy), WeightsVerdict::Requantised, "{detail}: {:?}", copy.weights.reasons);
        assert_eq!(copy.weights.direction, Some(Direction::RightToLeft), "{detail}");
        let relation = &copy.weights.relations[0];
        assert_eq!(relation.kind, "quantised-copy");
        assert!(relation.detail.starts_with(detail), "{}", relation.detail);
        assert_eq!(
            verdict(&compared(&gguf, &zoo("independent-yinames"))),
            WeightsVerdict::NoEvidence,
            "{detail}"
        );
        // a grid laid over a fine-tune is no copy of the base
        assert_eq!(verdict(&compared(&zoo("finetune"), &gguf)), WeightsVerdict::Derived, "{detail}");
    }
}

#[test]
fn two_quantisations_of_one_model_are_coarse_copies_of_each_other() {
    let (_fine, fine) = stored(&written("base", |_| Kind::Q8_0));
    let (_coarse, coarse) = stored(&written("base", |_| Kind::Q4_0));
    for (left, right, direction) in
        [(&fine, &coarse, Direction::LeftToRight), (&coarse, &fine, Direction::RightToLeft)]
    {
        let found = compared(left, right);
        assert_eq!(verdict(&found), WeightsVerdict::Requantised, "{:?}", found.weights.reasons);
        assert_eq!(found.weights.direction, Some(direction));
    }
}

#[test]
fn a_file_of_only_a_vocabulary_has_nothing_to_compare_and_says_what_it_shares() {
    let list = |tokens: &[&str]| {
        let mut list =
            [&string("tokenizer.ggml.tokens")[..], &9_u32.to_le_bytes(), &8_u32.to_le_bytes()].concat();
        list.extend((tokens.len() as u64).to_le_bytes());
        list.extend(tokens.iter().flat_map(|token| string(token)));
        list
    };
    let vocabulary =
        |tokens: &[&str]| stored(&file(&[text("general.architecture", "llama"), list(tokens)], &[]));
    let ((_a, a), (_b, b), (_c, c)) =
        (vocabulary(&["x", "y"]), vocabulary(&["x", "y"]), vocabulary(&["x", "z", "y"]));
    let says = |left: &Path, right: &Path| {
        let options = Options { effort: Effort::Standard, seed: 0, prior: 0.5, only: None, digest: false };
        let backend = Backend::Cpu(Cpu::detect());
        match compare(&backend, &opened(left), &opened(right), &options, &|_| {}) {
            Err(Error::NothingComparable(says)) => says,
            other => panic!("{other:?}"),
        }
    };
    assert!(says(&a, &b).contains("the same tokenizer"), "{}", says(&a, &b));
    let found = says(&a, &c);
    assert!(found.contains("2 token strings in common, 1 of them under the same id"), "{found}");
    assert!(found.contains("says nothing about weights"), "{found}");
}

#[test]
fn a_token_list_in_gguf_is_that_of_the_tokenizer_it_was_made_from() {
    let (_folder, gguf) = stored(&written("base", |_| Kind::F32));
    let (of_gguf, of_json) = (opened(&gguf).vocabulary, opened(&zoo("base")).vocabulary);
    assert!(of_gguf.is_some() && of_gguf == of_json);
}

#[test]
fn gains_that_the_conversion_added_one_to_are_served_without_it() {
    let gains: Vec<f32> = (0..32).map(|i| 1.0 + i as f32 / 256.0).collect();
    let tensors = |name: &str| vec![(name.to_owned(), vec![32], Kind::F32, gains.clone())];
    for (architecture, name, is_undone) in [
        ("gemma2", "blk.0.attn_norm.weight", true),
        ("gemma2", "blk.0.attn_q.bias", false),
        ("llama", "blk.0.attn_norm.weight", false),
    ] {
        let (_folder, path) = stored(&file(&[text("general.architecture", architecture)], &tensors(name)));
        let checkpoint = opened(&path);
        let (elements, offset) = checkpoint.elements_of(&checkpoint.tensors[0]);
        let mut bytes = [0; 128];
        elements.read_at(offset, &mut bytes).expect("read");
        let served = bytes.as_chunks().0.iter().map(|element| f32::from_le_bytes(*element));
        let wanted = gains.iter().map(|gain| if is_undone { gain - 1.0 } else { *gain });
        assert!(served.eq(wanted), "{architecture} {name}");
    }
}

#[test]
fn any_range_of_a_tensor_of_blocks_is_the_same_part_of_the_whole() {
    let values: Vec<f32> = (0..96 * 64).map(|i: i32| (i * 37 % 101 - 50) as f32 / 64.0).collect();
    let tensors = [("w".to_owned(), vec![96, 64], Kind::Q8_0, values)];
    let (_folder, path) = stored(&file(&[text("general.architecture", "llama")], &tensors));
    let checkpoint = opened(&path);
    let (elements, _) = checkpoint.elements_of(&checkpoint.tensors[0]);
    assert_eq!(elements.size_bytes(), 96 * 64 * 4);
    let mut whole = vec![0; 96 * 64 * 4];
    elements.read_at(0, &mut whole).expect("read");
    for (offset, length) in
        [(0, 4), (4, 4), (124, 8), (1, 3), (126, 5), (4096, 12_000), (24_572, 4), (7, 20_001)]
    {
        let mut part = vec![0xaa; length];
        elements.read_at(offset as u64, &mut part).expect("read");
        assert_eq!(part, whole[offset..offset + length], "{offset} + {length}");
        let blocks = (offset + length).div_ceil(128) - offset / 128;
        assert_eq!(
            elements.cost_bytes(offset as u64, length as u64),
            blocks as u64 * 34,
            "{offset} + {length}"
        );
    }
}

/// Bytes far away: notes what it was told to expect.
#[derive(Debug)]
struct FarAway {
    bytes: Vec<u8>,
    expected: Mutex<Vec<Vec<Range<u64>>>>,
}

impl Source for FarAway {
    fn name(&self) -> &str {
        "model.gguf"
    }

    fn size_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), cognate::source::Error> {
        let start = usize::try_from(offset).expect("in memory");
        buffer.copy_from_slice(&self.bytes[start..start + buffer.len()]);
        Ok(())
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn expect(&self, ranges: &[Range<u64>]) -> Result<(), cognate::source::Error> {
        self.expected.lock().expect("one thread at a time").push(ranges.to_vec());
        Ok(())
    }

    fn verify_unchanged(&self) -> Result<(), cognate::source::Error> {
        Ok(())
    }
}

#[test]
fn rows_of_many_decoded_tensors_of_a_remote_file_are_asked_for_at_once() {
    // gains of Gemma are decoded too: 1 was added to them
    let matrix = |name: &str| (name.to_owned(), vec![8, 64], Kind::Q8_0, vec![0.5; 8 * 64]);
    let gains = ("blk.0.attn_norm.weight".to_owned(), vec![64], Kind::F32, vec![1.0; 64]);
    let tensors = [matrix("blk.0.ffn_up.weight"), gains, matrix("blk.0.ffn_gate.weight")];
    let bytes = file(&[text("general.architecture", "gemma")], &tensors);
    let far = Arc::new(FarAway { bytes, expected: Mutex::new(Vec::new()) });
    let checkpoint = open_gguf(vec![Arc::clone(&far) as Arc<dyn Source>], &Limits::default()).expect("legal");
    let reads: Vec<RowRead> = checkpoint
        .tensors
        .iter()
        .map(|tensor| {
            let (file, offset) = checkpoint.elements_of(tensor);
            assert!(file.is_remote(), "{}", tensor.name);
            let n_rows = if tensor.shape.len() == 2 { 8 } else { 1 };
            let stored = StoredView { file, offset, dtype: tensor.dtype, view: View::whole(n_rows, 64) };
            RowRead { stored, rows: vec![n_rows - 1], columns: 0..64 }
        })
        .collect();
    expect_rows(&reads).expect("nothing to fetch");
    let expected = far.expected.lock().expect("done");
    // a row of 64 Q8_0 elements is two blocks of 34 bytes, the last of 8 rows; gains are 64 f32
    let wanted: Vec<Range<u64>> = checkpoint
        .tensors
        .iter()
        .map(|tensor| match tensor.shape.len() {
            2 => tensor.offset + 7 * 68..tensor.offset + 8 * 68,
            _ => tensor.offset..tensor.offset + 256,
        })
        .collect();
    assert_eq!(*expected, [wanted]);
}
