//! `cognate.matrix/1`: the document of `matrix --format json`.

use serde::Serialize;

use super::{EvaluationTool, Rounded};
use crate::matrix as core;
use crate::report::words;

/// Version of the document; raised when a key changes its meaning.
pub const MATRIX_VERSION: &str = "cognate.matrix/1";

/// All pairs, as printed.
#[derive(Debug, Serialize)]
pub struct Matrix<'a> {
    schema_version: &'static str,
    models: &'a [String],
    likelihood: Vec<Vec<Rounded<4>>>,
    pairs: Vec<Pair>,
    nearest: Option<usize>,
    newick: &'a str,
    seconds: Rounded<3>,
    tool: EvaluationTool<'a>,
    exit_code: u8,
}

#[derive(Debug, Serialize)]
struct Pair {
    left: usize,
    right: usize,
    compared: bool,
    architecture: Option<&'static str>,
    weights: Option<&'static str>,
    likelihood: Rounded<4>,
}

impl<'a> Matrix<'a> {
    /// The document of a matrix.
    #[must_use]
    pub fn new(
        matrix: &'a core::Matrix,
        newick: &'a str,
        seconds: f64,
        tool: EvaluationTool<'a>,
        exit_code: u8,
    ) -> Matrix<'a> {
        let n = matrix.models.len();
        let likelihood = |a, b| Rounded(matrix.cell(a, b).and_then(|cell| cell.likelihood));
        Matrix {
            schema_version: MATRIX_VERSION,
            models: &matrix.models,
            likelihood: (0..n).map(|a| (0..n).map(|b| likelihood(a, b)).collect()).collect(),
            pairs: core::Matrix::pairs(n)
                .map(|(left, right)| {
                    let cell = matrix.cell(left, right);
                    Pair {
                        left,
                        right,
                        compared: matrix.entry(left, right) != Some(core::Entry::LeftOut),
                        architecture: cell.map(|cell| words::architecture_word(cell.architecture)),
                        weights: cell.map(|cell| words::weights_word(cell.verdict)),
                        likelihood: likelihood(left, right),
                    }
                })
                .collect(),
            nearest: matrix.n_nearest,
            newick: newick.trim_end(),
            seconds: seconds.into(),
            tool,
            exit_code,
        }
    }
}
