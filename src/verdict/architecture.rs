//! The architecture axis: are the two models the same network, whatever their tensors are called?
//!
//! Shapes are compared after canonical views, so a fused, split, transposed or tied form is a renaming. Where a model's
//! names say nothing, its shapes are compared as a multiset (`shapes`).

mod renaming;
mod shapes;

use std::collections::{BTreeMap, BTreeSet};

use crate::checkpoint::Config;
use crate::roles::{Assignment, Component, Expert, Graph, Header, Part, Role, RoleMap};
use crate::wording::counted;

/// Verdict of the architecture axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "words of docs/methods.md#architecture-axis, in kebab case in reports")]
pub enum ArchitectureVerdict {
    Same,
    SameRenamed,
    Compatible,
    Different,
}

/// A systematic renaming, `input_layernorm` → `ln1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renaming {
    /// Name pattern on the left.
    pub from: String,
    /// Name pattern on the right.
    pub to: String,
    /// Tensors of the left model that it holds for.
    pub count: u64,
}

/// The architecture axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Architecture {
    /// The first that applies.
    pub verdict: ArchitectureVerdict,
    /// Always filled.
    pub renamed: Vec<Renaming>,
    /// Sentences: "layers: 4 and 3".
    pub differences: Vec<String>,
}

/// What is known of a model without its values.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a> {
    /// Names and shapes.
    pub headers: &'a [Header<'a>],
    /// Their roles, in the same order.
    pub roles: &'a RoleMap,
    /// `config.json`.
    pub config: Option<&'a Config>,
}

impl Described<'_> {
    /// Whether a family table knows at least half of the weights: enough to compare by role.
    fn has_roles(&self) -> bool {
        let is = |wanted: fn(&Assignment) -> bool| {
            self.roles.assignments.iter().filter(|(found, _)| wanted(found)).count()
        };
        is(|found| matches!(found, Assignment::Views(_)))
            > is(|found| matches!(found, Assignment::Unknown(_)))
    }
}

/// Compares two models by names and shapes: the first verdict that applies of different, compatible, same-renamed, same.
#[must_use]
pub fn compare_architectures(left: &Described<'_>, right: &Described<'_>) -> Architecture {
    if !left.has_roles() || !right.has_roles() {
        return shapes::compare(left, right);
    }
    let (of_left, of_right) = (Network::of(left), Network::of(right));
    let graph = graph_differences(left, right, &of_left, &of_right);
    let sizes = size_differences(&of_left, &of_right);
    let renamed = renaming::by_role(left, right);
    let verdict = match (graph.is_empty(), sizes.is_empty(), renamed.is_empty()) {
        (false, _, _) => ArchitectureVerdict::Different,
        (_, false, _) => ArchitectureVerdict::Compatible,
        (_, _, false) => ArchitectureVerdict::SameRenamed,
        _ => ArchitectureVerdict::Same,
    };
    Architecture { verdict, renamed, differences: graph.into_iter().chain(sizes).collect() }
}

/// Which job a matrix has in any layer and expert.
type Kind = (Component, ExpertKind, Part, bool);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ExpertKind {
    None,
    Routed,
    Shared,
}

fn kind(role: &Role) -> Kind {
    let expert = match role.expert {
        Expert::None => ExpertKind::None,
        Expert::Routed(_) => ExpertKind::Routed,
        Expert::Shared(_) => ExpertKind::Shared,
    };
    (role.component, expert, role.part, role.is_bias)
}

/// Rows and columns; a vector cut as a column counts as the row it is.
fn dims(role: &Role, view: &crate::tensor::View) -> (u64, u64) {
    if role.is_bias { (1, view.n_elements()) } else { (view.n_rows, view.n_cols) }
}

/// A model as a set of jobs.
struct Network {
    /// Shapes of every job, per layer.
    shapes: BTreeMap<Kind, BTreeMap<Option<u32>, (u64, u64)>>,
    /// Layers of each tower.
    layers: BTreeMap<Component, BTreeSet<u32>>,
    n_experts: usize,
    graph: Graph,
}

impl Network {
    fn of(model: &Described<'_>) -> Network {
        let mut network = Network {
            shapes: BTreeMap::new(),
            layers: BTreeMap::new(),
            n_experts: 0,
            graph: model.roles.graph.clone(),
        };
        let mut experts = BTreeSet::new();
        for (assignment, _) in &model.roles.assignments {
            let Assignment::Views(views) = assignment else { continue };
            for (role, view) in views {
                network.shapes.entry(kind(role)).or_default().insert(role.layer, dims(role, view));
                if let Some(layer) = role.layer {
                    network.layers.entry(role.component).or_default().insert(layer);
                }
                if let Expert::Routed(expert) = role.expert {
                    experts.insert(expert);
                }
            }
        }
        network.n_experts = experts.len();
        network
    }

    fn has(&self, part: Part) -> bool {
        self.shapes.keys().any(|(_, _, found, _)| *found == part)
    }

    fn has_tower(&self, tower: Component) -> bool {
        self.shapes.keys().any(|(component, ..)| *component == tower)
    }

    /// Attention of a kind that may be compared: plain, latent, or none.
    fn mixer(&self) -> &'static str {
        match (self.has(Part::KvA), self.has(Part::Q), self.has(Part::ALog)) {
            (true, _, _) => "latent attention",
            (_, true, false) => "attention",
            (_, true, true) => "attention and state-space layers",
            (_, false, true) => "state-space layers",
            _ => "no known mixer",
        }
    }
}

/// Parts that come and go without another network: heads for other tasks, and the view that a tied model leaves out.
fn is_end(part: Part) -> bool {
    matches!(
        part,
        Part::Head
            | Part::Embed
            | Part::OutputHead
            | Part::Pooler
            | Part::HeadTransform
            | Part::HeadNorm
            | Part::OutProj
            | Part::Other
            | Part::TokenType
    )
}

/// Towers that a model may have besides its main one.
const EXTRA_TOWERS: [(Component, &str); 4] = [
    (Component::Vision, "vision tower"),
    (Component::Audio, "audio tower"),
    (Component::Projector, "projector"),
    (Component::Mtp, "multi-token-prediction layers"),
];

/// Sentences about another block graph.
fn graph_differences(
    left: &Described<'_>,
    right: &Described<'_>,
    of_left: &Network,
    of_right: &Network,
) -> Vec<String> {
    let mut says = Vec::new();
    if of_left.mixer() != of_right.mixer() {
        says.push(format!("{} and {}", of_left.mixer(), of_right.mixer()));
    }
    let experts = |network: &Network| match network.n_experts {
        0 => "dense".to_owned(),
        n => format!("mixture of {}", counted(n, "expert", "experts")),
    };
    let is_mixture_in_one = (of_left.n_experts == 0) != (of_right.n_experts == 0);
    if is_mixture_in_one {
        says.push(format!("{} and {}", experts(of_left), experts(of_right)));
    }
    let glu = |network: &Network| if network.has(Part::Gate) { "gated MLP" } else { "plain MLP" };
    if glu(of_left) != glu(of_right) {
        says.push(format!("{} and {}", glu(of_left), glu(of_right)));
    }
    if left.roles.graph.alibi != right.roles.graph.alibi {
        says.push(format!("ALiBi positions: only {}", side(left.roles.graph.alibi)));
    }
    let mut missing: BTreeMap<(Part, bool), bool> = BTreeMap::new();
    for (network, other, is_left) in [(of_left, of_right, true), (of_right, of_left, false)] {
        for (component, expert, part, is_bias) in network.shapes.keys() {
            // sentences above and below have said so already
            let is_said = is_end(*part)
                || EXTRA_TOWERS.iter().any(|(tower, _)| tower == component && !other.has_tower(*tower))
                || (is_mixture_in_one
                    && (*expert != ExpertKind::None
                        || matches!(
                            part,
                            Part::Gate | Part::Up | Part::Down | Part::Router | Part::RouterBias
                        )))
                || (*part == Part::Gate && !is_bias && !other.has(Part::Gate));
            if !is_said && !other.shapes.contains_key(&(*component, *expert, *part, *is_bias)) {
                missing.insert((*part, *is_bias), is_left);
            }
        }
    }
    for ((part, is_bias), is_left) in missing {
        let bias = if is_bias { " bias" } else { "" };
        says.push(format!("{}{bias}: only {}", part_name(part), side(is_left)));
    }
    says
}

fn side(is_left: bool) -> &'static str {
    if is_left { "on the left" } else { "on the right" }
}

/// Sentences about other numbers in the same graph.
fn size_differences(left: &Network, right: &Network) -> Vec<String> {
    let mut says = Vec::new();
    for (tower, name) in EXTRA_TOWERS {
        if left.has_tower(tower) != right.has_tower(tower) {
            says.push(format!("{name}: only {}", side(left.has_tower(tower))));
        }
    }
    for (component, layers) in &left.layers {
        let of_right = right.layers.get(component).map_or(0, BTreeSet::len);
        if of_right != 0 && layers.len() != of_right {
            let tower = tower_name(*component);
            says.push(format!("{tower}layers: {} and {of_right}", layers.len()));
        }
    }
    if left.n_experts != right.n_experts && left.n_experts > 0 && right.n_experts > 0 {
        says.push(format!("experts: {} and {}", left.n_experts, right.n_experts));
    }
    for (kind, of_left) in &left.shapes {
        let Some(of_right) = right.shapes.get(kind) else { continue };
        let head_dims = (left.graph.head_dim_of(kind.0), right.graph.head_dim_of(kind.0));
        for ((layer, a), b) in
            of_left.iter().filter_map(|(layer, a)| Some(((layer, a), of_right.get(layer)?)))
        {
            for (name, a, b) in size_names(kind, *a, *b, head_dims) {
                let sentence = format!("{}{name}: {a} and {b}", tower_name(kind.0));
                // pruned models differ layer by layer: one sentence for the first layer of each size
                if a != b && !says.contains(&sentence) && (layer.is_none() || !says_about(&says, &name)) {
                    says.push(sentence);
                }
            }
        }
    }
    for part in [Part::OutputHead, Part::Pooler, Part::HeadTransform, Part::TokenType] {
        if left.has(part) != right.has(part) {
            says.push(format!("{}: only {}", part_name(part), side(left.has(part))));
        }
    }
    says
}

fn says_about(says: &[String], name: &str) -> bool {
    says.iter().any(|sentence| sentence.contains(&format!("{name}:")))
}

/// What the two dimensions of a job are called, with both sides' numbers; the numbers that other jobs tell are left out.
fn size_names(
    kind: &Kind,
    a: (u64, u64),
    b: (u64, u64),
    head_dims: (Option<u64>, Option<u64>),
) -> Vec<(String, u64, u64)> {
    let (_, _, part, is_bias) = *kind;
    let hidden = || ("hidden size".to_owned(), a.1, b.1);
    if is_bias {
        return Vec::new();
    }
    match part {
        Part::Embed | Part::Head => vec![("vocabulary".into(), a.0, b.0), hidden()],
        Part::Pos => vec![("positions".into(), a.0, b.0), hidden()],
        Part::Up | Part::Gate => vec![("MLP width".into(), a.0, b.0), hidden()],
        Part::Q => match head_dims {
            (Some(of_a), Some(of_b)) if of_a > 0 && of_b > 0 => {
                vec![
                    ("query heads".into(), a.0 / of_a, b.0 / of_b),
                    ("rows of a head".into(), of_a, of_b),
                    hidden(),
                ]
            }
            _ => vec![("query rows".into(), a.0, b.0), hidden()],
        },
        Part::K => match head_dims {
            (Some(of_a), Some(of_b)) if of_a > 0 && of_b > 0 => {
                vec![("KV heads".into(), a.0 / of_a, b.0 / of_b)]
            }
            _ => vec![("key and value rows".into(), a.0, b.0)],
        },
        Part::V | Part::O | Part::Down | Part::Router => Vec::new(),
        Part::OutputHead => vec![("outputs of the head".into(), a.0, b.0)],
        _ if a != b && a.0 == b.0 => vec![(format!("{} length", part_name(part)), a.1, b.1)],
        _ => vec![(format!("{} rows", part_name(part)), a.0, b.0)],
    }
}

fn tower_name(component: Component) -> &'static str {
    match component {
        Component::Text => "",
        Component::Encoder => "encoder ",
        Component::Decoder => "decoder ",
        Component::Vision => "vision ",
        Component::Audio => "audio ",
        Component::Projector => "projector ",
        Component::Mtp => "prediction ",
    }
}

/// A part in words.
fn part_name(part: Part) -> String {
    let word = match part {
        Part::Norm1 => "norm before attention",
        Part::Norm1b => "norm after attention",
        Part::Norm2 => "norm before the MLP",
        Part::Norm2b => "norm after the MLP",
        Part::QNorm => "query norm",
        Part::KNorm => "key norm",
        Part::Pos => "learned positions",
        Part::TokenType => "token types",
        Part::EmbedNorm => "norm of the embedding",
        Part::FinalNorm => "final norm",
        Part::OutputHead => "output head",
        Part::HeadTransform => "transform before the head",
        Part::CrossQ => "cross-attention query",
        Part::CrossK => "cross-attention key",
        Part::CrossV => "cross-attention value",
        Part::CrossO => "cross-attention output",
        Part::CrossNorm => "cross-attention norm",
        Part::Q => "query",
        Part::K => "key",
        Part::V => "value",
        Part::O => "attention output",
        other => return format!("{other:?}").to_lowercase(),
    };
    word.to_owned()
}

#[cfg(test)]
mod tests;
