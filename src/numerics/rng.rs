//! The one source of randomness: seeded, with independent streams, the same numbers on every machine.

/// SplitMix64 (Steele, Lea, Flood 2014): one 64-bit state, passes BigCrush, and every seed is a good seed.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

impl Rng {
    /// A stream of its own for each sequence of labels (seed, statistic, layer, …).
    #[must_use]
    pub fn new(labels: &[u64]) -> Rng {
        let state = labels.iter().fold(GOLDEN, |state, label| mix(state ^ mix(label.wrapping_add(GOLDEN))));
        Rng { state }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// Uniform in 0..n (n > 0) by Lemire's multiplication; the bias is below n / 2⁶⁴.
    pub fn below(&mut self, n: usize) -> usize {
        debug_assert!(n > 0, "there is no number below zero");
        let wide = u128::from(self.next_u64()) * n as u128;
        (wide >> 64) as usize
    }

    /// Uniform in (0, 1).
    pub fn unit(&mut self) -> f64 {
        ((self.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Standard normal (Box–Muller, one of the two).
    pub fn normal(&mut self) -> f64 {
        let (u, v) = (self.unit(), self.unit());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// Fisher–Yates: every order equally likely.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// `n_drawn` different numbers of 0..n in ascending order; all of them if `n_drawn >= n`.
    #[must_use]
    pub fn sample(&mut self, n: usize, n_drawn: usize) -> Vec<usize> {
        if n_drawn >= n {
            return (0..n).collect();
        }
        // Floyd's algorithm: n_drawn steps whatever n is
        let mut drawn = std::collections::BTreeSet::new();
        for top in n - n_drawn..n {
            let candidate = self.below(top + 1);
            if !drawn.insert(candidate) {
                drawn.insert(top);
            }
        }
        drawn.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Rng;

    #[test]
    fn streams_differ_and_repeat() {
        let draw = |labels: &[u64]| Rng::new(labels).next_u64();
        assert_eq!(draw(&[1, 2]), draw(&[1, 2]));
        assert_ne!(draw(&[1, 2]), draw(&[2, 1]));
        assert_ne!(draw(&[1]), draw(&[1, 0]));
    }

    #[test]
    fn samples_are_sorted_distinct_and_uniform() {
        let mut rng = Rng::new(&[7]);
        let mut hits = [0u32; 10];
        for _ in 0..10_000 {
            let sample = rng.sample(10, 3);
            assert!(sample.windows(2).all(|pair| pair[0] < pair[1]) && sample.len() == 3);
            for item in sample {
                hits[item] += 1;
            }
        }
        // binomial(10_000, .3): sd 45.8, six of them
        assert!(hits.iter().all(|&count| count.abs_diff(3_000) < 275), "{hits:?}");
        assert_eq!(rng.sample(4, 9), [0, 1, 2, 3]);
    }

    #[test]
    fn every_order_of_three_is_equally_likely() {
        let mut rng = Rng::new(&[3]);
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..6_000 {
            let mut items = [0, 1, 2];
            rng.shuffle(&mut items);
            *counts.entry(items).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 6);
        // binomial(6_000, 1/6): sd 28.9, six of them
        assert!(counts.values().all(|&count| count.abs_diff(1_000) < 174), "{counts:?}");
    }
}
