//! T17: a dense model becomes a mixture of eight copies of every MLP (Komatsuzaki et al. 2022, sparse upcycling); of a
//! mixture, the experts are permuted. Function unchanged: equal experts give equal answers under any router.

use serde_json::json;

use super::mlp_units::reorder;
use super::model::{Mlp, Model};
use super::{Dense, NotApplicable, permutation};
use crate::numerics::Rng;
use crate::roles::{Expert, Part, Role};

const N_EXPERTS: u32 = 8;

/// Standard deviation of a fresh router, as in the usual initialisation.
const ROUTER_STD: f64 = 0.02;

/// Eight copies of every MLP with its units permuted, each for itself, under Mixtral's names.
///
/// # Errors
/// No published family stores such a mixture.
pub(super) fn upcycle(model: &mut Model, rng: &mut Rng) -> Result<(), NotApplicable> {
    if model.mlps().iter().any(|mlp| matches!(mlp.expert, Expert::Routed(_))) {
        return permute(model, rng);
    }
    let mlps = model.mlps();
    let is_llama = |name: &str| name.contains(".mlp.gate_proj.");
    let n_gates = model.stored.iter().filter(|tensor| is_llama(&tensor.name)).count();
    if mlps.is_empty() || n_gates != mlps.len() {
        return Err(NotApplicable("the role tables know no mixture of this family"));
    }
    let dtype = model.dtype();
    for mlp in mlps {
        let Some(up) = model.parts.get(&mlp.role(Part::Up, false)) else { continue };
        let (n_units, width) = (up.n_rows, up.n_cols);
        let mut prefix = String::new();
        for (part, word) in [(Part::Gate, "w1"), (Part::Up, "w3"), (Part::Down, "w2")] {
            let dense = mlp.role(part, false);
            let Some(matrix) = model.parts.remove(&dense) else { continue };
            let Some(at) =
                model.stored.iter().position(|tensor| tensor.rows.first().is_some_and(|r| r.0 == dense))
            else {
                continue;
            };
            let tensor = model.stored.remove(at);
            prefix = tensor.name.split(".mlp.").next().unwrap_or_default().to_owned();
            for expert in 0..N_EXPERTS {
                let role = Role { expert: Expert::Routed(expert), ..dense };
                let name = format!("{prefix}.block_sparse_moe.experts.{expert}.{word}.weight");
                model.add(role, matrix.clone(), name, tensor.dtype);
            }
        }
        for expert in 0..N_EXPERTS {
            let copy = Mlp { expert: Expert::Routed(expert), ..mlp };
            reorder(model, copy, &permutation(n_units, rng));
        }
        let router = Dense::normal(N_EXPERTS as usize, width, 0.0, ROUTER_STD, rng);
        let name = format!("{prefix}.block_sparse_moe.gate.weight");
        model.add(mlp.role(Part::Router, false), router, name, dtype);
    }
    model.set_config(&["model_type"], "mixtral".into());
    model.set_config(&["architectures"], json!(["MixtralForCausalLM"]));
    model.put_config("num_local_experts", N_EXPERTS.into());
    model.put_config("num_experts_per_tok", 2.into());
    Ok(())
}

/// Experts of every layer in another order, rows of the router with them.
fn permute(model: &mut Model, rng: &mut Rng) -> Result<(), NotApplicable> {
    for layer in model.layers() {
        let experts: Vec<u32> = model
            .mlps()
            .iter()
            .filter(|mlp| mlp.layer == layer)
            .filter_map(|mlp| if let Expert::Routed(expert) = mlp.expert { Some(expert) } else { None })
            .collect();
        let order = permutation(experts.len(), rng);
        let before = model.parts.clone();
        for (new, old) in order.iter().enumerate() {
            for part in [Part::Gate, Part::Up, Part::Down] {
                for is_bias in [false, true] {
                    let role = |expert| Role {
                        expert: Expert::Routed(expert),
                        ..model.role(Some(layer), part, is_bias)
                    };
                    let (to, from) = (role(experts[new]), role(experts[*old]));
                    if let Some(matrix) = before.get(&from) {
                        model.parts.insert(to, matrix.clone());
                    }
                }
            }
        }
        for (part, is_bias) in [(Part::Router, false), (Part::Router, true), (Part::RouterBias, false)] {
            model.select_rows(&model.role(Some(layer), part, is_bias), &order);
        }
    }
    Ok(())
}
