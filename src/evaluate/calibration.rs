//! Does a likelihood of .9 come true nine times in ten? Reliability in bins of equal count, ECE and Brier score.

/// One bin of the reliability diagram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// Pairs.
    pub n: usize,
    /// Of these, pairs that share weights.
    pub n_positive: usize,
    /// Smallest likelihood.
    pub low: f64,
    /// Largest likelihood.
    pub high: f64,
    /// Mean likelihood.
    pub predicted: f64,
}

impl Bin {
    /// Share of pairs that do share weights.
    #[must_use]
    pub fn observed(&self) -> f64 {
        self.n_positive as f64 / self.n.max(1) as f64
    }
}

/// Reliability of likelihoods.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Pairs.
    pub n: usize,
    /// Of these, pairs that share weights.
    pub n_positive: usize,
    /// Of these, pairs marked hard.
    pub n_hard: usize,
    /// Prior of the likelihoods.
    pub prior: f64,
    /// Expected calibration error, Σ n_bin / n · |observed − predicted| (Naeini, Cooper & Hauskrecht 2015), bins of equal count.
    pub ece: f64,
    /// Mean of (likelihood − outcome)² (Brier 1950).
    pub brier: f64,
    /// From low to high.
    pub bins: Vec<Bin>,
}

/// Bins of the diagram.
const N_BINS: usize = 10;

/// A likelihood and what was true.
#[derive(Clone, Copy, Debug)]
pub struct Forecast {
    /// Likelihood.
    pub likelihood: f64,
    /// The pair shares weights.
    pub is_positive: bool,
    /// The pair is marked hard.
    pub is_hard: bool,
}

/// Reliability of forecasts; None of none. Equal likelihoods are one forecast: they are never split between bins.
#[must_use]
pub fn calibration(forecasts: &[Forecast]) -> Option<Calibration> {
    let mut sorted: Vec<Forecast> = forecasts.iter().copied().filter(|f| f.likelihood.is_finite()).collect();
    sorted.sort_by(|a, b| a.likelihood.total_cmp(&b.likelihood));
    let n = sorted.len();
    if n == 0 {
        return None;
    }
    let mut bins: Vec<Bin> = Vec::new();
    let mut open: &[Forecast] = &sorted;
    let n_bins = N_BINS.min(n);
    while !open.is_empty() {
        // what is left is cut into as many equal bins as are left
        let n_left = n_bins.saturating_sub(bins.len()).max(1);
        let mut end = open.len().div_ceil(n_left);
        // a group of equal forecasts that would be cut goes to the next bin, or makes a bin of its own
        let is_cut = |end: usize| end < open.len() && open[end].likelihood == open[end - 1].likelihood;
        if is_cut(end) {
            let value = open[end].likelihood;
            let start = open.partition_point(|f| f.likelihood < value);
            end = if start > 0 { start } else { open.partition_point(|f| f.likelihood <= value) };
        }
        let (members, rest) = open.split_at(end);
        open = rest;
        bins.push(bin(members));
    }
    let truth = |f: &Forecast| if f.is_positive { 1.0 } else { 0.0 };
    Some(Calibration {
        n,
        n_positive: sorted.iter().filter(|f| f.is_positive).count(),
        prior: 0.5,
        n_hard: sorted.iter().filter(|f| f.is_hard).count(),
        ece: bins.iter().map(|b| b.n as f64 * (b.observed() - b.predicted).abs()).sum::<f64>() / n as f64,
        brier: sorted.iter().map(|f| (f.likelihood - truth(f)).powi(2)).sum::<f64>() / n as f64,
        bins,
    })
}

fn bin(members: &[Forecast]) -> Bin {
    let n = members.len();
    let likelihoods = || members.iter().map(|f| f.likelihood);
    Bin {
        n,
        n_positive: members.iter().filter(|f| f.is_positive).count(),
        low: likelihoods().fold(f64::INFINITY, f64::min),
        high: likelihoods().fold(f64::NEG_INFINITY, f64::max),
        predicted: likelihoods().sum::<f64>() / n.max(1) as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forecast(likelihood: f64, is_positive: bool) -> Forecast {
        Forecast { likelihood, is_positive, is_hard: false }
    }

    #[test]
    fn a_forecast_that_comes_true_as_often_as_it_says_is_calibrated() {
        let mut all: Vec<Forecast> = (0..100).map(|i| forecast(0.25, i % 4 == 0)).collect();
        all.extend((0..100).map(|i| forecast(0.75, i % 4 != 0)));
        let found = calibration(&all).expect("forecasts");
        assert!(found.ece < 1e-12, "{found:?}");
        assert!((found.brier - 0.1875).abs() < 1e-12);
        assert_eq!(found.bins.iter().map(|bin| bin.n).collect::<Vec<_>>(), [100, 100], "ties stay together");
    }

    #[test]
    fn bins_hold_equal_counts_and_every_forecast_once() {
        let all: Vec<Forecast> = (0..105).map(|i| forecast(f64::from(i) / 105.0, i > 50)).collect();
        let found = calibration(&all).expect("forecasts");
        assert_eq!(found.bins.len(), N_BINS);
        assert_eq!(found.bins.iter().map(|bin| bin.n).sum::<usize>(), 105);
        assert!(found.bins.iter().all(|bin| bin.n == 10 || bin.n == 11), "{found:?}");
        assert_eq!(calibration(&[]), None);
    }

    #[test]
    fn sure_and_wrong_costs_most() {
        let found = calibration(&[forecast(1.0, false), forecast(1.0, false)]).expect("forecasts");
        assert_eq!((found.ece, found.brier), (1.0, 1.0));
    }
}
