//! A decoder's forward pass in f64, written from its definition and without tricks: the truth of "same function".

use cognate::numerics::Rng;
use cognate::roles::{Component, Expert, Part, Role};
use cognate::transforms::{Dense, Model};

const EPS: f64 = 1e-5;
const THETA: f64 = 10_000.0;

/// Logits [positions, tokens] of a pre-norm decoder: RMSNorm or LayerNorm, rotary or learned positions, gated or plain
/// MLP, dense or the mean of the two experts that the router likes best.
pub(crate) fn logits(model: &Model, ids: &[usize]) -> Dense {
    let part = |layer, part, is_bias| role(layer, Expert::None, part, is_bias);
    let get = |role: Role| model.parts.get(&role);
    let embed = get(part(None, Part::Embed, false)).expect("a token table");
    let mut x = embed.rows(ids);
    let positions = get(part(None, Part::Pos, false));
    if let Some(positions) = positions {
        let first: Vec<usize> = (0..ids.len()).collect();
        x = sum(&x, &positions.rows(&first));
    }
    for layer in model.layers() {
        let h = normed(model, &x, Some(layer), Part::Norm1);
        x = sum(&x, &attention(model, &h, layer, positions.is_none()));
        let h = normed(model, &x, Some(layer), Part::Norm2);
        x = sum(&x, &mlp_or_mixture(model, &h, layer));
    }
    let x = normed(model, &x, None, Part::FinalNorm);
    let head = get(part(None, Part::Head, false)).unwrap_or(embed);
    x.times(&head.transposed())
}

fn role(layer: Option<u32>, expert: Expert, part: Part, is_bias: bool) -> Role {
    Role { component: Component::Text, layer, expert, part, is_bias }
}

fn sum(a: &Dense, b: &Dense) -> Dense {
    Dense::from_fn(a.n_rows, a.n_cols, |row, col| a.at(row, col) + b.at(row, col))
}

/// X·Wᵀ + b.
fn linear(model: &Model, x: &Dense, weight: Role) -> Dense {
    let y = x.times(&model.parts[&weight].transposed());
    match model.parts.get(&Role { is_bias: true, ..weight }) {
        Some(bias) => Dense::from_fn(y.n_rows, y.n_cols, |row, col| y.at(row, col) + bias.at(col, 0)),
        None => y,
    }
}

/// LayerNorm where there is a bias, RMSNorm where there is none.
fn normed(model: &Model, x: &Dense, layer: Option<u32>, part: Part) -> Dense {
    let Some(gain) = model.parts.get(&role(layer, Expert::None, part, false)) else { return x.clone() };
    let bias = model.parts.get(&role(layer, Expert::None, part, true));
    let n = x.n_cols as f64;
    let mut y = x.clone();
    for row in 0..x.n_rows {
        let mean = if bias.is_some() { x.row(row).iter().sum::<f64>() / n } else { 0.0 };
        let variance = x.row(row).iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
        for (col, value) in y.row_mut(row).iter_mut().enumerate() {
            let shift = bias.map_or(0.0, |bias| bias.at(col, 0));
            *value = (*value - mean) / (variance + EPS).sqrt() * gain.at(col, 0) + shift;
        }
    }
    y
}

fn attention(model: &Model, h: &Dense, layer: u32, is_rotary: bool) -> Dense {
    let part = |part| role(Some(layer), Expert::None, part, false);
    let (n_heads, n_groups) =
        (model.graph.n_heads.expect("heads") as usize, model.graph.n_kv_heads.expect("groups") as usize);
    let (mut q, mut k, v) =
        (linear(model, h, part(Part::Q)), linear(model, h, part(Part::K)), linear(model, h, part(Part::V)));
    let head_rows = q.n_cols / n_heads;
    if is_rotary {
        let n_rotary = model.rotary_rows.unwrap_or(head_rows);
        turned(&mut q, head_rows, n_rotary);
        turned(&mut k, head_rows, n_rotary);
    }
    let mut mixed = Dense::from_fn(h.n_rows, q.n_cols, |_, _| 0.0);
    for head in 0..n_heads {
        let group = head / (n_heads / n_groups);
        for at in 0..h.n_rows {
            let score = |other: usize| {
                let dot: f64 = (0..head_rows)
                    .map(|row| q.at(at, head * head_rows + row) * k.at(other, group * head_rows + row))
                    .sum();
                (dot / (head_rows as f64).sqrt()).exp()
            };
            let scores: Vec<f64> = (0..=at).map(score).collect();
            let total: f64 = scores.iter().sum();
            for row in 0..head_rows {
                let value: f64 = scores
                    .iter()
                    .enumerate()
                    .map(|(other, s)| s * v.at(other, group * head_rows + row))
                    .sum();
                mixed.row_mut(at)[head * head_rows + row] = value / total;
            }
        }
    }
    linear(model, &mixed, part(Part::O))
}

/// Rotary positions in half-split order.
fn turned(x: &mut Dense, head_rows: usize, n_rotary: usize) {
    let half = n_rotary / 2;
    for at in 0..x.n_rows {
        for head in 0..x.n_cols / head_rows {
            for pair in 0..half {
                let angle = at as f64 / THETA.powf(2.0 * pair as f64 / n_rotary as f64);
                let (first, second) = (head * head_rows + pair, head * head_rows + pair + half);
                let (a, b) = (x.at(at, first), x.at(at, second));
                x.row_mut(at)[first] = a * angle.cos() - b * angle.sin();
                x.row_mut(at)[second] = b * angle.cos() + a * angle.sin();
            }
        }
    }
}

fn mlp(model: &Model, h: &Dense, layer: u32, expert: Expert) -> Dense {
    let part = |part| role(Some(layer), expert, part, false);
    let up = linear(model, h, part(Part::Up));
    let inner = if model.parts.contains_key(&part(Part::Gate)) {
        let gate = linear(model, h, part(Part::Gate));
        let silu = |x: f64| x / (1.0 + (-x).exp());
        Dense::from_fn(up.n_rows, up.n_cols, |row, col| silu(gate.at(row, col)) * up.at(row, col))
    } else {
        let gelu = |x: f64| 0.5 * x * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044_715 * x.powi(3))).tanh());
        Dense::from_fn(up.n_rows, up.n_cols, |row, col| gelu(up.at(row, col)))
    };
    linear(model, &inner, part(Part::Down))
}

fn mlp_or_mixture(model: &Model, h: &Dense, layer: u32) -> Dense {
    let router = role(Some(layer), Expert::None, Part::Router, false);
    if !model.parts.contains_key(&router) {
        return mlp(model, h, layer, Expert::None);
    }
    let wishes = linear(model, h, router);
    let answers: Vec<Dense> =
        (0..wishes.n_cols).map(|expert| mlp(model, h, layer, Expert::Routed(expert as u32))).collect();
    let mut out = Dense::from_fn(h.n_rows, h.n_cols, |_, _| 0.0);
    for at in 0..h.n_rows {
        let mut best: Vec<usize> = (0..wishes.n_cols).collect();
        best.sort_by(|a, b| wishes.at(at, *b).total_cmp(&wishes.at(at, *a)));
        let total: f64 = best[..2].iter().map(|expert| wishes.at(at, *expert).exp()).sum();
        for &expert in &best[..2] {
            let weight = wishes.at(at, expert).exp() / total;
            let answer = answers[expert].row(at);
            out.row_mut(at).iter_mut().zip(answer).for_each(|(out, value)| *out += weight * value);
        }
    }
    out
}

/// Token ids for a test.
pub(crate) fn sentence(n_tokens: usize, n_positions: usize) -> Vec<usize> {
    let mut rng = Rng::new(&[11]);
    (0..n_positions).map(|_| rng.below(n_tokens)).collect()
}

/// ‖a − b‖ / ‖a‖.
pub(crate) fn relative_error(a: &Dense, b: &Dense) -> f64 {
    let difference = Dense::from_fn(a.n_rows, a.n_cols, |row, col| a.at(row, col) - b.at(row, col));
    difference.norm() / a.norm()
}
