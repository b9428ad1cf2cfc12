//! Values that codes stand for, and the midpoints between them.

/// Level of every code, with the lowest and the highest value that is nearest to it.
#[derive(Clone, Debug)]
pub(super) struct Levels {
    /// The level of a code is the code.
    pub is_whole: bool,
    pub values: Box<[f32; 256]>,
    pub low: Box<[f32; 256]>,
    pub high: Box<[f32; 256]>,
}

impl Levels {
    /// Whole numbers of so many bits.
    pub(super) fn whole(n_bits: u32) -> Levels {
        let codes: Vec<f32> = (0..1_u16 << n_bits).map(f32::from).collect();
        Levels { is_whole: true, ..Levels::of(&codes) }
    }

    /// The levels of codes 0, 1, …, at most 256 of them; those that are not finite have no cell.
    pub(super) fn of(levels: &[f32]) -> Levels {
        let mut sorted: Vec<f32> = levels.iter().copied().filter(|level| level.is_finite()).collect();
        sorted.sort_by(f32::total_cmp);
        sorted.dedup();
        let nan = || Box::new([f32::NAN; 256]);
        let (mut values, mut low, mut high) = (nan(), nan(), nan());
        for (code, level) in levels.iter().enumerate().take(256) {
            values[code] = *level;
            if !level.is_finite() {
                continue;
            }
            let n_below = sorted.partition_point(|other| other < level);
            let n_not_above = sorted.partition_point(|other| other <= level);
            low[code] = if n_below == 0 { f32::NEG_INFINITY } else { (sorted[n_below - 1] + level) / 2.0 };
            high[code] = sorted.get(n_not_above).map_or(f32::INFINITY, |above| (above + level) / 2.0);
        }
        Levels { is_whole: false, values, low, high }
    }
}

/// Levels of the four-bit float E2M1 (OCP Microscaling Formats 1.0, 5.3.3), codes 8 to 15 negative.
pub(super) const E2M1: [f32; 16] =
    [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0];

#[cfg(test)]
mod tests {
    use super::{E2M1, Levels};

    #[test]
    fn a_level_stands_for_what_is_nearest_to_it() {
        let whole = Levels::whole(2);
        assert_eq!(whole.low[..4], [f32::NEG_INFINITY, 0.5, 1.5, 2.5]);
        assert_eq!(whole.high[..4], [0.5, 1.5, 2.5, f32::INFINITY]);
        assert!(whole.values[4].is_nan() && whole.is_whole);
        let four = Levels::of(&E2M1);
        // both zeros stand for the same values
        assert_eq!((four.low[0], four.high[0], four.low[8], four.high[8]), (-0.25, 0.25, -0.25, 0.25));
        assert_eq!((four.low[7], four.high[7]), (5.0, f32::INFINITY));
        assert_eq!((four.low[15], four.high[15]), (f32::NEG_INFINITY, -5.0));
        assert!(Levels::of(&[1.0, f32::NAN]).low[1].is_nan());
    }
}
