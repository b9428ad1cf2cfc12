//! How long a call takes: warmed up, batched where it is short, with its spread.

use std::time::{Duration, Instant};

use super::{Options, Timing};

/// Shorter calls are repeated within one sample: below this the clock and the scheduler show.
const MIN_SAMPLE: Duration = Duration::from_millis(10);

/// Samples whose spread tells whether the device is warm.
const WARM_WINDOW: usize = 5;

/// Coefficient of variation at which it is.
const WARM_VARIATION: f64 = 0.02;

/// Longest warm-up.
const MAX_WARM_UP: Duration = Duration::from_secs(3);

/// Longest warm-up, and longest line, in units of the line's time.
const MAX_LINE_TIMES: u32 = 6;

/// Fewest samples of a line that takes too long: below three there is no median to speak of.
const FEWEST_SAMPLES: usize = 3;

/// Times `call` until there are enough samples; the first error ends it.
pub(super) fn measure<E>(options: &Options, mut call: impl FnMut() -> Result<(), E>) -> Result<Timing, E> {
    let start = Instant::now();
    let mut warm = Vec::new();
    let calls_per_sample = loop {
        let before = Instant::now();
        call()?;
        let elapsed = before.elapsed();
        warm.push(elapsed.as_secs_f64());
        if is_steady(&warm) || start.elapsed() >= MAX_WARM_UP.min(options.time_per_line * MAX_LINE_TIMES) {
            break calls_for(elapsed);
        }
    };
    let start = Instant::now();
    let mut samples = Vec::new();
    loop {
        let before = Instant::now();
        for _ in 0..calls_per_sample {
            call()?;
        }
        samples.push(before.elapsed().as_secs_f64() / f64::from(calls_per_sample));
        let elapsed = start.elapsed();
        let has_enough = samples.len() >= options.min_samples && elapsed >= options.time_per_line;
        let is_too_long =
            samples.len() >= FEWEST_SAMPLES && elapsed >= options.time_per_line * MAX_LINE_TIMES;
        if has_enough || is_too_long {
            return Ok(summary(&samples));
        }
    }
}

fn calls_for(elapsed: Duration) -> u32 {
    let needed = MIN_SAMPLE.as_nanos().div_ceil(elapsed.as_nanos().max(1));
    u32::try_from(needed).unwrap_or(u32::MAX).clamp(1, 1_000_000)
}

fn is_steady(samples: &[f64]) -> bool {
    let Some(window) = samples.len().checked_sub(WARM_WINDOW).and_then(|first| samples.get(first..)) else {
        return false;
    };
    let n = window.len() as f64;
    let mean = window.iter().sum::<f64>() / n;
    let variance = window.iter().map(|sample| (sample - mean).powi(2)).sum::<f64>() / n;
    variance.sqrt() < WARM_VARIATION * mean
}

pub(super) fn summary(samples: &[f64]) -> Timing {
    let median_s = median(samples);
    let deviations: Vec<f64> = samples.iter().map(|sample| (sample - median_s).abs()).collect();
    let third = samples.len() / 3;
    let throttled =
        third >= 3 && median(&samples[samples.len() - third..]) > 1.05 * median(&samples[..third]);
    Timing {
        median_s,
        min_s: samples.iter().copied().fold(f64::INFINITY, f64::min),
        mad_s: median(&deviations),
        n_samples: samples.len(),
        throttled,
    }
}

/// Median; 0 of nothing.
fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.get(sorted.len() / 2), sorted.len() % 2) {
        (Some(upper), 0) => (sorted[sorted.len() / 2 - 1] + upper) / 2.0,
        (Some(middle), _) => *middle,
        (None, _) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_gives_median_spread_and_throttling() {
        for (samples, median_s, mad_s, throttled) in [
            (vec![3.0, 1.0, 2.0], 2.0, 1.0, false),
            (vec![1.0, 2.0, 4.0, 5.0], 3.0, 1.5, false),
            (vec![1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.2, 1.2, 1.2], 1.0, 0.0, true),
            (vec![1.2, 1.2, 1.2, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], 1.0, 0.0, false),
        ] {
            let found = summary(&samples);
            assert_eq!((found.median_s, found.throttled), (median_s, throttled), "{samples:?}");
            assert!((found.mad_s - mad_s).abs() < 1e-12, "{samples:?}");
        }
    }

    #[test]
    fn the_first_error_ends_a_measurement() {
        let mut n_calls = 0;
        let result = measure(&Options::default(), || {
            n_calls += 1;
            if n_calls == 3 { Err("lost") } else { Ok(()) }
        });
        assert_eq!((result, n_calls), (Err("lost"), 3));
    }

    #[test]
    fn samples_are_as_many_as_asked_for() {
        let options = Options { min_samples: 7, time_per_line: Duration::ZERO, ..Options::default() };
        let timing = measure(&options, || {
            std::thread::sleep(MIN_SAMPLE);
            Ok::<(), ()>(())
        });
        // no time is given, so that the fewest are enough
        assert_eq!(timing.unwrap().n_samples, FEWEST_SAMPLES);
    }
}
