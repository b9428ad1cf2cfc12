//! Tensor-name lists of real families become the roles that their modelling code gives them, with nothing left over.
//!
//! A fixture holds names and shapes of two layers, small widths, and after `=` what each tensor is:
//! `component.layer.part`, `.bias`, `@expert`, and rows × columns of the canonical matrix.

#[path = "common/names.rs"]
mod fixtures;

use cognate::checkpoint::Config;
use cognate::roles::{Assignment, Expert, Header, How, Part, Role, RoleMap, assign_headers};
use cognate::tensor::{Dtype, View};
use fixtures::{Fixture, fixtures};

fn roles_of_fixture(fixture: &Fixture) -> RoleMap {
    let headers: Vec<Header<'_>> =
        fixture.tensors.iter().map(|(name, shape, dtype, _)| Header { name, shape, dtype: *dtype }).collect();
    assign_headers(&headers, Some(&fixture.config))
}

/// `text.0.q.bias@3`.
fn shown(role: &Role) -> String {
    let mut text = format!("{:?}", role.component).to_lowercase();
    if let Some(layer) = role.layer {
        text += &format!(".{layer}");
    }
    text += &format!(".{:?}", role.part).to_lowercase();
    if role.is_bias {
        text += ".bias";
    }
    match role.expert {
        Expert::None => {}
        Expert::Routed(expert) => text += &format!("@{expert}"),
        Expert::Shared(expert) => text += &format!("@shared{expert}"),
    }
    text
}

fn told(assignment: &Assignment) -> String {
    match assignment {
        Assignment::Views(views) => {
            let view =
                |(role, view): &(Role, View)| format!("{}:{}x{}", shown(role), view.n_rows, view.n_cols);
            views.iter().map(view).collect::<Vec<_>>().join(" ")
        }
        Assignment::FixedByArchitecture(_) => "fixed".into(),
        Assignment::Buffer(_) => "buffer".into(),
        Assignment::UnknownLayout(reason) | Assignment::Packed(reason) => format!("unmeasured ({reason})"),
        Assignment::Unknown(_) => "unknown".into(),
    }
}

#[test]
fn every_tensor_of_every_family_gets_its_role() {
    let mut wrong = Vec::new();
    for (name, fixture) in fixtures() {
        let map = roles_of_fixture(&fixture);
        if map.family != fixture.family {
            wrong.push(format!("{name}: family {} instead of {}", map.family, fixture.family));
        }
        assert_eq!(map.assignments.len(), fixture.tensors.len());
        for ((tensor, _, _, wanted), (found, how)) in fixture.tensors.iter().zip(&map.assignments) {
            if told(found) != *wanted || (*how != How::Table && wanted != "buffer") {
                wrong.push(format!("{name}: {tensor} is {} ({how:?}) instead of {wanted}", told(found)));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Rows of a stored tensor from top to bottom: (part, head or expert, row inside it).
type Rows = Vec<(Part, u64, u64)>;

const N_HEADS: u64 = 4;
const N_KV: u64 = 2;
const HEAD: u64 = 6;
const HIDDEN: u64 = N_HEADS * HEAD;
const FF: u64 = 10;

fn block(part: Part, heads: std::ops::Range<u64>) -> impl Iterator<Item = (Part, u64, u64)> {
    heads.flat_map(move |head| (0..HEAD).map(move |row| (part, head, row)))
}

/// The same rows as a family stores them whose first `rotary` rows of a Q or K head rotate in neighbouring pairs.
fn interleaved(rows: Rows, rotary: u64) -> Rows {
    let stored = |(part, head, row): (Part, u64, u64)| {
        let row = match part {
            Part::Q | Part::K if row < rotary => row / 2 + (row % 2) * (rotary / 2),
            _ => row,
        };
        (part, head, row)
    };
    rows.into_iter().map(stored).collect()
}

fn blocks(n_kv: u64) -> Rows {
    block(Part::Q, 0..N_HEADS).chain(block(Part::K, 0..n_kv)).chain(block(Part::V, 0..n_kv)).collect()
}

fn groups(n_kv: u64) -> Rows {
    let queries = N_HEADS / n_kv;
    let group = |kv: u64| {
        block(Part::Q, kv * queries..(kv + 1) * queries)
            .chain(block(Part::K, kv..kv + 1))
            .chain(block(Part::V, kv..kv + 1))
    };
    (0..n_kv).flat_map(group).collect()
}

/// CodeGen: a quarter of the heads at a time, v before k.
fn quarters() -> Rows {
    (0..4)
        .flat_map(|n| [Part::Q, Part::V, Part::K].into_iter().flat_map(move |p| block(p, n..n + 1)))
        .collect()
}

fn mlp(order: &[(Part, u64)]) -> Rows {
    order.iter().map(|(part, row)| (*part, 0, *row)).collect()
}

/// One fused tensor of one layer, with the neighbours that its family needs to be recognised.
struct Layout {
    says: &'static str,
    model_type: &'static str,
    n_kv: u64,
    rotary: Option<u64>,
    /// (name, shape) of the other tensors.
    others: Vec<(&'static str, Vec<u64>)>,
    name: &'static str,
    rows: Rows,
    /// Stored [in, out].
    is_transposed: bool,
}

impl Layout {
    fn inputs(&self) -> u64 {
        HIDDEN
    }

    /// Whether every view of the fused tensor shows part, head and row in canonical order, and all rows are shown once.
    fn is_cut_right(&self) -> bool {
        let n_rows = self.rows.len() as u64;
        let shape =
            if self.is_transposed { vec![self.inputs(), n_rows] } else { vec![n_rows, self.inputs()] };
        let mut tensors: Vec<(&str, &[u64])> =
            self.others.iter().map(|(name, shape)| (*name, shape.as_slice())).collect();
        tensors.push((self.name, &shape));
        let headers: Vec<Header<'_>> =
            tensors.iter().map(|(name, shape)| Header { name, shape, dtype: Dtype::F32 }).collect();
        let config = Config {
            model_type: Some(self.model_type.to_owned()),
            hidden_size: Some(HIDDEN),
            n_heads: Some(N_HEADS),
            n_kv_heads: Some(self.n_kv),
            rotary_dim: self.rotary,
            ..Config::default()
        };
        let map = assign_headers(&headers, Some(&config));
        let Some((Assignment::Views(views), How::Table)) = map.assignments.last() else { return false };
        let n_shown: u64 = views.iter().map(|(_, view)| view.n_rows).sum();
        n_shown == n_rows && views.iter().all(|(role, view)| self.shows(role, view))
    }

    fn shows(&self, role: &Role, view: &View) -> bool {
        let rows_of_a_head = if matches!(role.part, Part::Gate | Part::Up) { FF } else { HEAD };
        view.n_cols == self.inputs()
            && (0..view.n_rows).all(|row| {
                (0..view.n_cols).all(|col| {
                    let element = view.element(row, col);
                    let n_rows = self.rows.len() as u64;
                    let (stored_row, stored_col) = if self.is_transposed {
                        (element % n_rows, element / n_rows)
                    } else {
                        (element / self.inputs(), element % self.inputs())
                    };
                    let wanted = (role.part, row / rows_of_a_head, row % rows_of_a_head);
                    stored_col == col && self.rows[stored_row as usize] == wanted
                })
            })
    }
}

fn attention_layout(
    says: &'static str,
    model_type: &'static str,
    n_kv: u64,
    names: (&'static str, &'static str, &'static str, &'static str),
    rows: Rows,
) -> Layout {
    let (name, output, up, embed) = names;
    let others = vec![(output, vec![HIDDEN, HIDDEN]), (up, vec![FF, HIDDEN]), (embed, vec![50, HIDDEN])];
    Layout { says, model_type, n_kv, rotary: None, others, name, rows, is_transposed: false }
}

fn layouts() -> Vec<Layout> {
    let phi3 = (
        "model.layers.0.self_attn.qkv_proj.weight",
        "model.layers.0.self_attn.o_proj.weight",
        "model.layers.0.mlp.down_proj.weight",
        "model.embed_tokens.weight",
    );
    let neox = (
        "gpt_neox.layers.0.attention.query_key_value.weight",
        "gpt_neox.layers.0.attention.dense.weight",
        "gpt_neox.layers.0.mlp.dense_h_to_4h.weight",
        "gpt_neox.embed_in.weight",
    );
    let internlm2 = (
        "model.layers.0.attention.wqkv.weight",
        "model.layers.0.attention.wo.weight",
        "model.layers.0.feed_forward.w1.weight",
        "model.tok_embeddings.weight",
    );
    let falcon = (
        "transformer.h.0.self_attention.query_key_value.weight",
        "transformer.h.0.self_attention.dense.weight",
        "transformer.h.0.mlp.dense_h_to_4h.weight",
        "transformer.word_embeddings.weight",
    );
    let codegen = (
        "transformer.h.0.attn.qkv_proj.weight",
        "transformer.h.0.attn.out_proj.weight",
        "transformer.h.0.mlp.fc_in.weight",
        "transformer.wte.weight",
    );
    let chatglm = (
        "transformer.encoder.layers.0.self_attention.query_key_value.weight",
        "transformer.encoder.layers.0.self_attention.dense.weight",
        "transformer.encoder.layers.0.mlp.dense_4h_to_h.weight",
        "transformer.embedding.word_embeddings.weight",
    );
    let gpt2 = ("h.0.attn.c_attn.weight", "h.0.attn.c_proj.weight", "h.0.mlp.c_proj.weight", "wte.weight");
    let cohere = (
        "model.layers.0.self_attn.q_proj.weight",
        "model.layers.0.self_attn.o_proj.weight",
        "model.layers.0.input_layernorm.weight",
        "model.embed_tokens.weight",
    );
    let olmo = (
        "model.transformer.blocks.0.ff_proj.weight",
        "model.transformer.blocks.0.attn_out.weight",
        "model.transformer.blocks.0.att_proj.weight",
        "model.transformer.wte.weight",
    );
    let halves = |first, second| -> Rows {
        mlp(&(0..FF).map(|n| (first, n)).chain((0..FF).map(|n| (second, n))).collect::<Vec<_>>())
    };
    let mut all = vec![
        attention_layout("blocks, fewer KV heads", "phi3", N_KV, phi3, blocks(N_KV)),
        attention_layout("per head", "gpt_neox", N_HEADS, neox, groups(N_HEADS)),
        attention_layout("per KV group", "internlm2", N_KV, internlm2, groups(N_KV)),
        attention_layout("one KV group", "falcon", 1, falcon, groups(1)),
        Layout {
            rotary: Some(4),
            ..attention_layout(
                "four blocks of [q; v; k]",
                "codegen",
                N_HEADS,
                codegen,
                interleaved(quarters(), 4),
            )
        },
        Layout {
            rotary: Some(2),
            ..attention_layout("blocks, interleaved", "chatglm", N_KV, chatglm, interleaved(blocks(N_KV), 2))
        },
        Layout { is_transposed: true, ..attention_layout("columns", "gpt2", N_HEADS, gpt2, blocks(N_HEADS)) },
        attention_layout(
            "a plain matrix, interleaved",
            "cohere",
            N_KV,
            cohere,
            interleaved(block(Part::Q, 0..N_HEADS).collect(), HEAD),
        ),
    ];
    let mut gate_up = attention_layout("[gate; up]", "phi3", N_KV, phi3, halves(Part::Gate, Part::Up));
    gate_up.name = "model.layers.0.mlp.gate_up_proj.weight";
    gate_up.others.push((phi3.0, vec![HIDDEN + 2 * N_KV * HEAD, HIDDEN]));
    all.push(gate_up);
    let mut up_gate = attention_layout("[up; gate]", "olmo", N_HEADS, olmo, halves(Part::Up, Part::Gate));
    up_gate.others[1].1 = vec![3 * HIDDEN, HIDDEN];
    all.push(up_gate);
    all
}

#[test]
fn every_fused_layout_shows_its_rows_in_canonical_order() {
    for layout in layouts() {
        assert!(layout.is_cut_right(), "{}", layout.says);
    }
}

#[test]
fn rows_of_another_layout_are_noticed() {
    let wrong = [blocks(N_HEADS), groups(N_HEADS), quarters(), blocks(N_KV), groups(N_KV), groups(1)];
    let mut n_noticed = 0;
    for layout in layouts() {
        for rows in &wrong {
            if rows.len() == layout.rows.len() && *rows != layout.rows {
                let says = layout.says;
                assert!(!Layout { rows: rows.clone(), ..layout.clone_names() }.is_cut_right(), "{says}");
                n_noticed += 1;
            }
        }
    }
    assert!(n_noticed >= 8, "only {n_noticed} wrong layouts were tried");
}

impl Layout {
    fn clone_names(&self) -> Layout {
        Layout { others: self.others.clone(), rows: Vec::new(), ..*self }
    }
}

#[test]
fn stacked_experts_are_cut_per_expert_in_both_orientations() {
    const E: u64 = 3;
    // (name of the experts' prefix, shape, flat element of (expert, is_up, row, col))
    type Element = fn(u64, u64, u64, u64) -> u64;
    let out_in: Element = |e, up, row, col| (e * 2 * FF + up * FF + row) * HIDDEN + col;
    let in_out: Element = |e, up, row, col| (e * HIDDEN + col) * 2 * FF + up * FF + row;
    let alternating: Element = |e, up, row, col| (e * HIDDEN + col) * 2 * FF + 2 * row + up;
    for (prefix, router, shape, element) in [
        ("mlp.experts", "mlp.gate", [E, 2 * FF, HIDDEN], out_in),
        ("mlp.experts", "mlp.gate", [E, HIDDEN, 2 * FF], in_out),
        ("feed_forward.experts", "feed_forward.router", [E, HIDDEN, 2 * FF], in_out),
        ("mlp.experts", "mlp.router", [E, HIDDEN, 2 * FF], alternating),
    ] {
        let names = [
            format!("model.layers.0.{router}.weight"),
            "model.layers.0.self_attn.q_proj.weight".to_owned(),
            format!("model.layers.0.{prefix}.gate_up_proj"),
        ];
        let shapes = [vec![E, HIDDEN], vec![HIDDEN, HIDDEN], shape.to_vec()];
        let headers: Vec<Header<'_>> = names
            .iter()
            .zip(&shapes)
            .map(|(name, shape)| Header { name, shape, dtype: Dtype::F32 })
            .collect();
        let config = Config { hidden_size: Some(HIDDEN), n_heads: Some(N_HEADS), ..Config::default() };
        let map = assign_headers(&headers, Some(&config));
        let Assignment::Views(views) = &map.assignments[2].0 else { panic!("{names:?} is {map:?}") };
        assert_eq!(views.len() as u64, 2 * E);
        for (role, view) in views {
            let Expert::Routed(expert) = role.expert else { panic!("{role:?} is of no expert") };
            let is_up = u64::from(role.part == Part::Up);
            assert_eq!((view.n_rows, view.n_cols), (FF, HIDDEN));
            for (row, col) in [(0, 0), (1, 0), (0, 1), (FF - 1, HIDDEN - 1)] {
                assert_eq!(view.element(row, col), element(u64::from(expert), is_up, row, col), "{role:?}");
            }
        }
    }
}

/// Roles of 2-D tensors and vectors under these names.
fn roles_of(tensors: &[(String, Vec<u64>)], config: Option<&Config>) -> RoleMap {
    let headers: Vec<Header<'_>> =
        tensors.iter().map(|(name, shape)| Header { name, shape, dtype: Dtype::Bf16 }).collect();
    assign_headers(&headers, config)
}

/// Shapes of a small gated decoder with narrow keys, in block order, and its names' middle.
fn decoder_shapes() -> Vec<(&'static str, Vec<u64>)> {
    vec![
        ("aa", vec![24, 24]),
        ("ab", vec![12, 24]),
        ("ac", vec![12, 24]),
        ("ad", vec![24, 24]),
        ("ba", vec![40, 24]),
        ("bb", vec![40, 24]),
        ("bc", vec![24, 40]),
        ("ca", vec![24]),
        ("cb", vec![24]),
    ]
}

#[test]
fn numbered_names_of_an_unknown_family_give_what_shape_alone_decides() {
    let mut tensors = vec![("x.tok.weight".to_owned(), vec![100, 24]), ("x.last".to_owned(), vec![24])];
    for layer in 0..3 {
        tensors
            .extend(decoder_shapes().into_iter().map(|(name, shape)| (format!("x.{layer}.{name}"), shape)));
    }
    let map = roles_of(&tensors, None);
    assert_eq!(map.family, "unknown");
    let guessed: Vec<String> = tensors
        .iter()
        .zip(&map.assignments)
        .filter(|(_, (_, how))| *how == How::Guessed)
        .map(|((name, _), (assignment, _))| format!("{name} {}", told(assignment)))
        .collect();
    let wanted = [
        "x.tok.weight text.embed:100x24",
        "x.0.bc text.0.down:24x40",
        "x.1.bc text.1.down:24x40",
        "x.2.bc text.2.down:24x40",
    ];
    assert_eq!(guessed, wanted);
}

#[test]
fn names_without_any_structure_leave_candidates_and_no_guess() {
    let mut shapes = vec![vec![100, 24], vec![100, 24], vec![24]];
    for _ in 0..3 {
        shapes.extend(decoder_shapes().into_iter().map(|(_, shape)| shape));
    }
    shapes.reverse();
    let tensors: Vec<(String, Vec<u64>)> =
        shapes.into_iter().enumerate().map(|(idx, shape)| (format!("t{idx:03}"), shape)).collect();
    let map = roles_of(&tensors, None);
    assert!(map.assignments.iter().all(|(assignment, _)| matches!(assignment, Assignment::Unknown(_))));
    let classes: Vec<_> = cognate::roles::shape_classes(&map, None)
        .into_iter()
        .map(|class| (class.n_rows, class.n_cols, class.tensors.len(), class.candidates))
        .collect();
    let wanted = vec![
        (1, 24, 7, vec![Part::Norm1, Part::Norm2, Part::FinalNorm]),
        (12, 24, 6, vec![Part::K, Part::V]),
        (24, 24, 6, vec![Part::Q, Part::O]),
        (24, 40, 3, vec![Part::Down]),
        (40, 24, 6, vec![Part::Gate, Part::Up]),
        (100, 24, 2, vec![Part::Embed, Part::Head]),
    ];
    assert_eq!(classes, wanted);
}

#[test]
fn a_convolutional_network_is_no_language_model() {
    let layer = |n: u64| {
        vec![
            (format!("model.{n}.conv.weight"), vec![16, 8, 3, 3]),
            (format!("model.{n}.bn.weight"), vec![16]),
            (format!("model.{n}.bn.running_mean"), vec![16]),
            (format!("model.{n}.cv1.conv.weight"), vec![16, 16, 1, 1]),
        ]
    };
    let mut tensors: Vec<(String, Vec<u64>)> = (0..4).flat_map(layer).collect();
    tensors.push(("fc.weight".to_owned(), vec![10, 16]));
    let map = roles_of(&tensors, None);
    assert_eq!(map.family, "unknown");
    for ((name, shape), (assignment, how)) in tensors.iter().zip(&map.assignments) {
        let Assignment::Unknown(view) = assignment else { panic!("{name} is {}", told(assignment)) };
        assert_eq!(*how, How::Unknown);
        assert_eq!(view.n_elements(), shape.iter().product::<u64>());
    }
}

#[test]
fn counters_are_buffers_and_impossible_shapes_are_not_counted() {
    let counter = Header { name: "bn.num_batches_tracked", shape: &[], dtype: Dtype::I64 };
    let huge =
        Header { name: "model.layers.0.self_attn.q_proj.weight", shape: &[u64::MAX, 3], dtype: Dtype::F32 };
    let stack =
        Header { name: "model.layers.0.mlp.experts.down_proj", shape: &[1 << 40, 1, 1], dtype: Dtype::F32 };
    let hollow = Header { name: "x.weight", shape: &[0, 1 << 63, 1 << 63], dtype: Dtype::F32 };
    let map = assign_headers(&[counter, huge, stack, hollow], None);
    let told: Vec<String> = map.assignments.iter().map(|(assignment, _)| told(assignment)).collect();
    assert_eq!(told[0], "buffer");
    assert!(told[1].starts_with("unmeasured"), "{}", told[1]);
    assert!(told[2].starts_with("unmeasured"), "{}", told[2]);
    assert!(told[3].starts_with("unmeasured"), "{}", told[3]);
}
