//! T8: another element type, or a trip through one and back. Function changed by rounding alone.

use super::model::Model;
use super::write::rounded_matrix;
use super::{NotApplicable, is_matrix};
use crate::tensor::Dtype;

/// Largest finite value of E4M3.
const E4M3_MAX: f64 = 448.0;

/// Stores everything as `dtype`.
///
/// # Errors
/// It is stored so already.
pub(super) fn store_as(model: &mut Model, dtype: Dtype) -> Result<(), NotApplicable> {
    if model.stored.iter().all(|tensor| tensor.dtype == dtype) {
        return Err(NotApplicable("the model is stored in this type already"));
    }
    for matrix in model.parts.values_mut() {
        *matrix = rounded_matrix(matrix, dtype);
    }
    model.stored.iter_mut().for_each(|tensor| tensor.dtype = dtype);
    Ok(())
}

/// Every matrix through FP8 E4M3 with one scale a matrix, stored in its own type again.
///
/// # Errors
/// There is no matrix.
pub(super) fn trip_through_fp8(model: &mut Model) -> Result<(), NotApplicable> {
    let mut n_changed = 0;
    for (_, matrix) in model.parts.iter_mut().filter(|(role, matrix)| is_matrix(role, matrix)) {
        let largest = matrix.values.iter().fold(0.0_f64, |max, value| max.max(value.abs()));
        if largest == 0.0 {
            continue;
        }
        let scale = largest / E4M3_MAX;
        matrix.values.iter_mut().for_each(|value| *value = e4m3(*value / scale) * scale);
        n_changed += 1;
    }
    if n_changed == 0 { Err(NotApplicable("no matrix is known")) } else { Ok(()) }
}

/// Nearest E4M3 number: three bits of mantissa, exponents from −6 on, below it steps of 2⁻⁹.
fn e4m3(value: f64) -> f64 {
    if value == 0.0 {
        return 0.0;
    }
    let exponent = value.abs().log2().floor().max(-6.0);
    let step = (exponent - 3.0).exp2();
    ((value / step).round_ties_even() * step).clamp(-E4M3_MAX, E4M3_MAX)
}

#[cfg(test)]
mod tests {
    use super::e4m3;

    #[test]
    fn values_land_on_the_grid_of_e4m3() {
        // OCP 8-bit floating point specification 1.0, table 2: smallest subnormal 2⁻⁹, 1.125 is one step above 1
        for (value, wanted) in
            [(1.06, 1.0), (1.07, 1.125), (0.0012, 1.0 / 512.0), (500.0, 448.0), (-3.1, -3.0)]
        {
            assert_eq!(e4m3(value), wanted, "{value}");
        }
    }
}
