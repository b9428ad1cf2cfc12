//! Numbers as printed: rounded to what every backend agrees on, never NaN or infinite.

use serde::{Serialize, Serializer};

/// A number with `DECIMALS` decimals on the wire; None, NaN and infinities become null.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rounded<const DECIMALS: i32>(pub Option<f64>);

impl<const DECIMALS: i32> From<f64> for Rounded<DECIMALS> {
    fn from(value: f64) -> Self {
        Rounded(Some(value))
    }
}

impl<const DECIMALS: i32> Serialize for Rounded<DECIMALS> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.filter(|value| value.is_finite()) {
            Some(value) => serializer.serialize_f64(round(value, DECIMALS)),
            None => serializer.serialize_none(),
        }
    }
}

/// `value` to so many decimals; −0 becomes 0, and numbers too large to have decimals stay.
fn round(value: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    let scaled = value * scale;
    // above 2^53 a double has no fraction left to round
    if scaled.abs() >= 9_007_199_254_740_992.0 { value } else { scaled.round() / scale + 0.0 }
}

#[cfg(test)]
mod tests {
    use super::Rounded;

    #[test]
    fn what_is_not_a_number_is_null_and_the_rest_is_rounded() {
        for (value, wanted) in [
            (Some(f64::NAN), "null"),
            (Some(f64::INFINITY), "null"),
            (None, "null"),
            (Some(-0.000_001), "0.0"),
            (Some(0.123_456), "0.12346"),
            (Some(-300.126), "-300.126"),
            (Some(1e15), "1000000000000000.0"),
        ] {
            let text = serde_json::to_string(&Rounded::<5>(value)).expect("numbers serialise");
            assert_eq!(text, wanted);
        }
    }
}
