//! Bytes made in the process: noise of the size of trained weights at any offset, so that the speed on a model of any size
//! can be measured without its files.

use super::{Error, Source};

/// bf16 elements of one range of a [`Seeded`] source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Elements; a multiple of four, so that every range begins on a word.
    pub n_elements: u64,
    /// Centre: 0 of matrices, 1 of norm gains.
    pub mean: f32,
    /// Standard deviation.
    pub spread: f32,
}

/// A file that nobody wrote. Each word of four elements is a function of seed and position alone.
#[derive(Debug)]
pub struct Seeded {
    name: String,
    seed: u64,
    size_bytes: u64,
    /// First byte of each range, ascending, with its values.
    ranges: Vec<(u64, Box<[u16; N_LEVELS]>)>,
}

/// Values of a range: quantiles of a normal distribution at the middle of equally likely parts.
const N_LEVELS: usize = 4096;

/// Bytes of four elements.
const WORD_BYTES: usize = 8;

impl Seeded {
    /// Ranges one after the other; equal seeds give equal bytes.
    #[must_use]
    pub fn new(name: &str, seed: u64, ranges: &[Noise]) -> Seeded {
        let mut size_bytes = 0;
        let mut tables = Vec::new();
        for noise in ranges {
            tables.push((size_bytes, levels(*noise)));
            size_bytes += noise.n_elements.next_multiple_of(4) * 2;
        }
        Seeded { name: name.to_owned(), seed: mix(seed ^ 0x7365_6564_6564), size_bytes, ranges: tables }
    }

    /// One word of elements, as stored.
    fn word(&self, levels: &[u16; N_LEVELS], word: u64) -> [u8; WORD_BYTES] {
        let drawn = mix(self.seed.wrapping_add(word.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let mut bytes = [0; WORD_BYTES];
        let drawn = drawn.to_le_bytes();
        for (element, lane) in bytes.as_chunks_mut::<2>().0.iter_mut().zip(drawn.as_chunks::<2>().0) {
            let level = usize::from(u16::from_le_bytes(*lane)) % N_LEVELS;
            *element = levels[level].to_le_bytes();
        }
        bytes
    }

    fn fill(&self, levels: &[u16; N_LEVELS], offset: u64, buffer: &mut [u8]) {
        let mut first_word = offset / WORD_BYTES as u64;
        let skipped = usize::try_from(offset % WORD_BYTES as u64).unwrap_or(0);
        let mut rest = buffer;
        if skipped > 0 {
            let n_head = (WORD_BYTES - skipped).min(rest.len());
            let (head, after) = rest.split_at_mut(n_head);
            head.copy_from_slice(&self.word(levels, first_word)[skipped..skipped + n_head]);
            rest = after;
            first_word += 1;
        }
        let (words, tail) = rest.as_chunks_mut::<WORD_BYTES>();
        for (word, out) in (first_word..).zip(words.iter_mut()) {
            *out = self.word(levels, word);
        }
        let after = self.word(levels, first_word + words.len() as u64);
        tail.copy_from_slice(&after[..tail.len()]);
    }
}

impl Source for Seeded {
    fn name(&self) -> &str {
        &self.name
    }

    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let end = offset.saturating_add(buffer.len() as u64);
        if end > self.size_bytes {
            return Err(Error::Short {
                path: self.name.clone().into(),
                first_missing: self.size_bytes,
                wanted_end: end,
            });
        }
        let (mut at, mut rest) = (offset, buffer);
        let mut range = self.ranges.partition_point(|(first, _)| *first <= at).saturating_sub(1);
        while !rest.is_empty() {
            let range_end = self.ranges.get(range + 1).map_or(self.size_bytes, |(first, _)| *first);
            let n_here = usize::try_from(range_end - at).unwrap_or(usize::MAX).min(rest.len());
            let (here, after) = rest.split_at_mut(n_here);
            self.fill(&self.ranges[range].1, at, here);
            (at, rest, range) = (at + n_here as u64, after, range + 1);
        }
        Ok(())
    }

    fn verify_unchanged(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// One splitmix64 step (Steele, Lea, Flood 2014).
fn mix(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn levels(noise: Noise) -> Box<[u16; N_LEVELS]> {
    let mut levels = Box::new([0; N_LEVELS]);
    for (level, bits) in levels.iter_mut().enumerate() {
        let share = (level as f64 + 0.5) / N_LEVELS as f64;
        let value = f64::from(noise.mean) + f64::from(noise.spread) * normal_quantile(share);
        *bits = half::bf16::from_f64(value).to_bits();
    }
    levels
}

/// Abramowitz & Stegun, Handbook of Mathematical Functions, 26.2.23: within 4.5e-4.
fn normal_quantile(share: f64) -> f64 {
    if share > 0.5 {
        return -normal_quantile(1.0 - share);
    }
    let t = (-2.0 * share.ln()).sqrt();
    let top = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let bottom = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    top / bottom - t
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(seed: u64) -> Seeded {
        let gains = Noise { n_elements: 8, mean: 1.0, spread: 0.05 };
        Seeded::new("noise", seed, &[Noise { n_elements: 40_000, mean: 0.0, spread: 0.02 }, gains])
    }

    fn bytes(source: &Seeded, offset: u64, n: usize) -> Vec<u8> {
        let mut buffer = vec![0xff; n];
        source.read_at(offset, &mut buffer).expect("inside");
        buffer
    }

    #[test]
    fn any_range_is_a_part_of_the_whole() {
        let source = source(1);
        let all = bytes(&source, 0, 80_016);
        for (offset, n) in [(0, 1), (1, 3), (3, 40), (7, 1), (8, 16), (79_993, 23), (80_015, 1), (80_016, 0)]
        {
            assert_eq!(bytes(&source, offset as u64, n), all[offset..offset + n], "{offset} {n}");
        }
        assert!(matches!(
            source.read_at(80_010, &mut [0; 7]),
            Err(Error::Short { first_missing: 80_016, wanted_end: 80_017, .. })
        ));
    }

    #[test]
    fn noise_has_its_size_and_other_seeds_are_independent() {
        let values = |seed| -> Vec<f64> {
            let bytes = bytes(&source(seed), 0, 80_000);
            bytes
                .as_chunks::<2>()
                .0
                .iter()
                .map(|element| half::bf16::from_le_bytes(*element).to_f64())
                .collect()
        };
        let (a, b) = (values(1), values(2));
        let n = a.len() as f64;
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        // six standard errors each: of a variance √(2/n), of a cosine 1/√n
        assert!((dot(&a, &a) / n / 4e-4 - 1.0).abs() < 6.0 * (2.0 / n).sqrt());
        assert!((dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()).abs() < 6.0 / n.sqrt());
        assert_eq!(a, values(1));
        let gains = bytes(&source(1), 80_000, 16);
        let gains = gains.as_chunks::<2>().0.iter().map(|gain| half::bf16::from_le_bytes(*gain).to_f64());
        assert!(gains.clone().all(|gain| (0.8..1.2).contains(&gain)));
    }
}
