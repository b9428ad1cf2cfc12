//! S9, the spectral profile: a few numbers of a model that permuting, rotating, rescaling and renaming leave about as they are, by which near
//! neighbours among many models are looked up before pairs are compared.
//!
//! Of five layers spread over the depth: of the circuits W_Qᵀ·W_K and W_O·W_V of four heads (Elhage et al. 2021) how large they are and on how
//! many directions they spread, (Σσ²)²/Σσ⁴ of their singular values σ; of sampled MLP units and tokens how long they are, how much
//! that varies, and on how many directions they spread, which are taken at length 1 for that. The length of an MLP unit is that of what it reads times that
//! of what it writes, of which a rescaled unit keeps the product. Of a model whose graph is not known, rows of eight matrices spread over the file.
//!
//! It tells how alike two recipes are, and independent models of one recipe are alike: an index, never evidence. Singular values of circuits as
//! a profile: GhostSpec (arXiv 2511.06390), which takes them for evidence.

use std::collections::BTreeMap;

use super::family_test::{Model, folded_units};
use super::head_map::Attention;
use super::units::{Axis, UnitMatrix, load_units, n_units};
use crate::canonical::CanonicalPart;
use crate::numerics::Rng;
use crate::roles::{Component, Expert, Part, Role};
use crate::stream::{Error, ReadMeter};
use crate::tensor::Matrix;

/// Layers of a tower that are looked at.
const N_LAYERS: usize = 5;
/// Heads of a layer.
const N_HEADS: usize = 4;
/// Most channels of a head: their inner products are 2 MiB.
const MOST_CHANNELS: u64 = 512;
/// Units of an MLP, tokens of a table, rows of another matrix.
const N_UNITS: usize = 128;
/// Dimensions of the residual stream by which it is measured what a unit writes, the first ones: a column is scattered over the file.
const N_WRITTEN: u64 = 512;
/// Matrices of more columns, and heads on wider streams, are left out: 128 rows of them are 64 MiB in f64.
const MOST_COLUMNS: u64 = 1 << 16;
/// Fewer rows are no matrix to sample.
const FEWEST_UNITS: u64 = 16;
/// Matrices of a model whose graph is not known.
const N_UNKNOWN: usize = 8;
/// Spreads of a number among the models below this count as this much: a twentieth of its size.
const LEAST_SPREAD: f64 = 0.05;

/// What a number of a profile was measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// The matrices of a circuit (`Q` for queries and keys, `O` for values and outputs) or one matrix, at one of the layers.
    Layer(Component, Part, usize),
    /// A matrix outside the layers.
    Table(Component, Part),
    /// A matrix of an unknown graph.
    Unknown(usize),
}

/// Numbers of one model, logarithms all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpectralProfile(BTreeMap<Key, Vec<f64>>);

impl SpectralProfile {
    /// Nothing of the model could be measured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Looks at a model. `seed` draws the rows.
///
/// # Errors
/// A read failed.
pub fn spectral_profile(model: Model<'_>, seed: u64, meter: &ReadMeter) -> Result<SpectralProfile, Error> {
    let mut numbers = BTreeMap::new();
    let mut add = |key: Key, found: Option<Vec<f64>>| {
        if let Some(found) = found.filter(|found| found.iter().all(|number| number.is_finite())) {
            numbers.insert(key, found);
        }
    };
    for component in model.canonical.components() {
        let layers = model.canonical.layers(component);
        for (place, layer) in spread(&layers, N_LAYERS) {
            if let Some(attention) = Attention::of(model.canonical, model.graph, component, *layer) {
                let [of_queries, of_values] = circuits(model, attention, meter)?;
                add(Key::Layer(component, Part::Q, place), of_queries);
                add(Key::Layer(component, Part::O, place), of_values);
            }
            // of a mixture its first expert
            let part = |part: Part| {
                let of = |expert| Role { component, layer: Some(*layer), expert, part, is_bias: false };
                [Expert::None, Expert::Routed(0)]
                    .into_iter()
                    .find_map(|expert| model.canonical.find(&of(expert)))
                    .map(|idx| &model.canonical.parts[idx])
            };
            if let Some(gate) = part(Part::Gate) {
                add(Key::Layer(component, Part::Gate, place), of_units(model, gate, None, seed, meter)?);
            }
            if let Some(up) = part(Part::Up) {
                let down = part(Part::Down).filter(|down| down.stored.view.n_cols == up.stored.view.n_rows);
                add(Key::Layer(component, Part::Up, place), of_units(model, up, down, seed, meter)?);
            }
        }
        for wanted in [Part::Embed, Part::Head] {
            let is_wanted = |part: &&CanonicalPart| {
                let role = part.role.filter(|role| !role.is_bias);
                role.is_some_and(|role| (role.component, role.part) == (component, wanted))
            };
            if let Some(part) = model.canonical.parts.iter().find(is_wanted) {
                add(Key::Table(component, wanted), of_units(model, part, None, seed, meter)?);
            }
        }
    }
    if numbers.is_empty() {
        let matrices: Vec<&CanonicalPart> = model
            .canonical
            .parts
            .iter()
            .filter(|part| part.n_dimensions > 1 && part.stored.view.n_rows >= FEWEST_UNITS)
            .collect();
        for (place, part) in spread(&matrices, N_UNKNOWN) {
            if let Some(found) = of_units(model, part, None, seed, meter)? {
                numbers.insert(Key::Unknown(place), found);
            }
        }
    }
    Ok(SpectralProfile(numbers))
}

/// At most `n` items, the first and the last among them, with their places from 0 to n − 1, so that models of different depth are held
/// against each other at equal shares of it.
fn spread<T>(all: &[T], n: usize) -> impl Iterator<Item = (usize, &T)> {
    let last = all.len().saturating_sub(1);
    let places = if all.is_empty() { 0..0 } else { 0..n };
    places.map(move |place| (place, &all[(place * last + (n - 1) / 2) / (n - 1).max(1)]))
}

/// ln Σσ² and ln (Σσ²)²/Σσ⁴ of both circuits, means over heads.
fn circuits(
    model: Model<'_>,
    attention: Attention<'_>,
    meter: &ReadMeter,
) -> Result<[Option<Vec<f64>>; 2], Error> {
    let Attention { q, k, v, o, n_heads, n_groups, .. } = attention;
    if q.stored.view.n_cols > MOST_COLUMNS
        || q.stored.view.n_rows > MOST_CHANNELS * n_heads as u64
        || o.stored.view.n_cols > MOST_CHANNELS * n_heads as u64
    {
        return Ok([None, None]);
    }
    let mut sums = [[0.0; 2]; 2];
    let heads: Vec<usize> = (0..n_heads).collect();
    for (_, head) in spread(&heads, N_HEADS) {
        let group = head * n_groups / n_heads;
        let block = |matrix: UnitMatrix<'_>, at: usize, n: usize| -> Result<Matrix, Error> {
            let size = n_units(matrix) / n as u64;
            let units: Vec<u64> = (at as u64 * size..(at as u64 + 1) * size).collect();
            folded_units(model, matrix, &units, meter)
        };
        let of_queries = [block((q, Axis::Rows), *head, n_heads)?, block((k, Axis::Rows), group, n_groups)?];
        let of_values =
            [block((o, Axis::Columns), *head, n_heads)?, block((v, Axis::Rows), group, n_groups)?];
        for (sums, [first, second]) in sums.iter_mut().zip([of_queries, of_values]) {
            // the squared singular values of AᵀB are the eigenvalues of AAᵀ·BBᵀ
            let product = times(&gram(&first), &gram(&second), first.n_rows);
            let n = first.n_rows;
            let trace: f64 = (0..n).map(|i| product[i * n + i]).sum();
            let squares: f64 =
                (0..n).map(|i| (0..n).map(|j| product[i * n + j] * product[j * n + i]).sum::<f64>()).sum();
            sums[0] += trace.ln() / N_HEADS as f64;
            sums[1] += (trace * trace / squares).ln() / N_HEADS as f64;
        }
    }
    Ok(sums.map(|sums| Some(sums.to_vec())))
}

/// Of sampled units the mean and the standard deviation of ln length, and ln of the directions that they spread on. Units are rows of
/// `reads` and, where it is given, columns of `writes`.
fn of_units(
    model: Model<'_>,
    reads: &CanonicalPart,
    writes: Option<&CanonicalPart>,
    seed: u64,
    meter: &ReadMeter,
) -> Result<Option<Vec<f64>>, Error> {
    if reads.stored.view.n_cols > MOST_COLUMNS {
        return Ok(None);
    }
    let n_units = usize::try_from(reads.stored.view.n_rows).unwrap_or(usize::MAX);
    let units: Vec<u64> =
        Rng::new(&[seed, 0x7370_6563]).sample(n_units, N_UNITS).into_iter().map(|unit| unit as u64).collect();
    let read = folded_units(model, (reads, Axis::Rows), &units, meter)?;
    let mut ln_lengths = ln_lengths(&read);
    if let Some(writes) = writes {
        let features: Vec<u64> = (0..writes.stored.view.n_rows.min(N_WRITTEN)).collect();
        let written = load_units(&writes.stored, Axis::Columns, &units, &features, meter)?;
        // a sample of the dimensions stands for all of them
        let ln_factor = 0.5 * (writes.stored.view.n_rows as f64 / features.len().max(1) as f64).ln();
        for (ln_length, of_written) in ln_lengths.iter_mut().zip(self::ln_lengths(&written)) {
            *ln_length += of_written + ln_factor;
        }
    }
    // a unit of zeros has no direction
    let is_there = |unit: &usize| ln_lengths[*unit].is_finite();
    let there: Vec<usize> = (0..ln_lengths.len()).filter(is_there).collect();
    let n = there.len() as f64;
    if there.len() < 2 {
        return Ok(None);
    }
    let mean = there.iter().map(|unit| ln_lengths[*unit]).sum::<f64>() / n;
    let variance = there.iter().map(|unit| (ln_lengths[*unit] - mean).powi(2)).sum::<f64>() / n;
    let gram = gram(&read);
    let squares: f64 = there
        .iter()
        .flat_map(|i| there.iter().map(move |j| (i, j)))
        .map(|(i, j)| {
            let of = |a: usize, b: usize| gram[a * read.n_rows + b];
            of(*i, *j).powi(2) / (of(*i, *i) * of(*j, *j))
        })
        .sum();
    Ok(Some(vec![mean, variance.sqrt(), (n * n / squares).ln()]))
}

/// ln of the length of each row.
fn ln_lengths(matrix: &Matrix) -> Vec<f64> {
    let squares = |row| matrix.row(row).into_iter().map(|value| f64::from(value).powi(2)).sum::<f64>();
    (0..matrix.n_rows).map(|row| 0.5 * squares(row).ln()).collect()
}

/// Inner products of rows, [rows, rows].
fn gram(matrix: &Matrix) -> Vec<f64> {
    let n = matrix.n_rows;
    let rows: Vec<Vec<f64>> =
        (0..n).map(|row| matrix.row(row).into_iter().map(f64::from).collect()).collect();
    let mut gram = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let dot = super::cholesky::dot(&rows[i], &rows[j]);
            (gram[i * n + j], gram[j * n + i]) = (dot, dot);
        }
    }
    gram
}

/// A product of square matrices of which the second is symmetric.
fn times(a: &[f64], symmetric: &[f64], n: usize) -> Vec<f64> {
    let cell = |at: usize| super::cholesky::dot(&a[at / n * n..][..n], &symmetric[at % n * n..][..n]);
    (0..n * n).map(cell).collect()
}

/// Distances of all pairs of profiles (0, 1), (0, 2), …: mean of |a − b| over the numbers that both have, each in units of its spread
/// among the profiles; None where they have none in common.
#[must_use]
pub fn profile_distances(profiles: &[SpectralProfile]) -> Vec<Option<f64>> {
    let mut sums: BTreeMap<(Key, usize), [f64; 3]> = BTreeMap::new();
    for (key, numbers) in profiles.iter().flat_map(|profile| &profile.0) {
        for (at, number) in numbers.iter().enumerate() {
            let [n, sum, squares] = sums.entry((*key, at)).or_default();
            (*n, *sum, *squares) = (*n + 1.0, *sum + number, *squares + number * number);
        }
    }
    let spread = |key: Key, at: usize| {
        let [n, sum, squares] = sums.get(&(key, at)).copied().unwrap_or_default();
        let mean = sum / f64::max(n, 1.0);
        (squares / f64::max(n, 1.0) - mean * mean).max(0.0).sqrt().max(LEAST_SPREAD)
    };
    let distance = |a: &SpectralProfile, b: &SpectralProfile| {
        let common = a.0.iter().filter_map(|(key, of_a)| Some((key, of_a, b.0.get(key)?)));
        let apart: Vec<f64> = common
            .flat_map(|(key, of_a, of_b)| {
                of_a.iter().zip(of_b).enumerate().map(|(at, (x, y))| (x - y).abs() / spread(*key, at))
            })
            .collect();
        (!apart.is_empty()).then(|| apart.iter().sum::<f64>() / apart.len() as f64)
    };
    let pairs = (0..profiles.len()).flat_map(|a| (a + 1..profiles.len()).map(move |b| (a, b)));
    pairs.map(|(a, b)| distance(&profiles[a], &profiles[b])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(numbers: &[f64]) -> SpectralProfile {
        let key = |place| Key::Layer(Component::Text, Part::Up, place);
        SpectralProfile(numbers.iter().enumerate().map(|(place, n)| (key(place), vec![*n])).collect())
    }

    #[test]
    fn distances_are_in_units_of_the_spread_and_none_without_a_common_number() {
        let unknown = SpectralProfile([(Key::Unknown(0), vec![1.0])].into());
        let all = [profile(&[0.0, 0.0]), profile(&[1.0, 100.0]), profile(&[0.0, 100.0]), unknown];
        let found = profile_distances(&all);
        // both numbers have a spread of √2/3 of their range
        let range = 3.0 / 2.0_f64.sqrt();
        let wanted = [Some(range), Some(range / 2.0), None, Some(range / 2.0), None, None];
        for (found, wanted) in found.iter().zip(wanted) {
            assert_eq!(found.is_some(), wanted.is_some());
            assert!((found.unwrap_or(0.0) - wanted.unwrap_or(0.0)).abs() < 1e-9, "{found:?} {wanted:?}");
        }
        assert!(profile_distances(&[]).is_empty());
    }

    #[test]
    fn equal_shares_of_the_depth_are_held_against_each_other() {
        let at = |n: usize| -> Vec<usize> {
            let layers: Vec<usize> = (0..n).collect();
            spread(&layers, N_LAYERS).map(|(_, layer)| *layer).collect()
        };
        assert_eq!([at(1), at(4), at(32)], [vec![0; 5], vec![0, 1, 2, 2, 3], vec![0, 8, 16, 23, 31]]);
        assert!(at(0).is_empty());
    }

    #[test]
    fn directions_of_a_product_are_those_of_its_singular_values() {
        let mut rng = Rng::new(&[1]);
        let mut normal = |n_rows: usize, n_cols: usize| {
            let values = (0..n_rows * n_cols).map(|_| rng.normal() as f32).collect();
            Matrix::from_f32(n_rows, n_cols, values)
        };
        let (a, b) = (normal(4, 12), normal(4, 12));
        // Σσ² of AᵀB is its squared norm
        let product = times(&gram(&a), &gram(&b), 4);
        let trace: f64 = (0..4).map(|i| product[i * 4 + i]).sum();
        let cell = |i: usize, j: usize| -> f64 {
            (0..4).map(|k| f64::from(a.at(k, i)) * f64::from(b.at(k, j))).sum()
        };
        let norm: f64 = (0..144).map(|at| cell(at / 12, at % 12).powi(2)).sum();
        // products of f64 sums of 12 terms
        assert!((trace / norm - 1.0).abs() < 1e-12, "{trace} {norm}");
    }
}
