//! Random numbers that are a function of (seed, epoch, sample), the same for every version and
//! machine.
//!
//! The generator is ChaCha with 8 rounds, and (seed, epoch, index, purpose), eight little-endian
//! bytes each, **are** its 256-bit key. Nothing is hashed or added up, so no two samples can share
//! a stream, and neighbouring seeds or epochs are as independent as any two keys of the cipher.
//!
//! The mapping from bits to numbers is written out here rather than taken from a crate, because
//! those may change theirs between releases, and a changed mapping is a changed training run.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a stream is for. The order of an epoch, its first sample and its first batch must not share
/// numbers.
const SAMPLE: &[u8; 8] = b"sample\0\0";
const ORDER: &[u8; 8] = b"order\0\0\0";
const BATCH: &[u8; 8] = b"batch\0\0\0";
const PICTURE: &[u8; 8] = b"picture\0";
const BALANCED: &[u8; 8] = b"balanced";
const DRAW: &[u8; 8] = b"draw\0\0\0\0";

/// The random numbers of one sample in one epoch.
///
/// Normal and beta variates are in `variates.rs`.
#[derive(Clone, Debug)]
pub struct SampleRng(ChaCha8Rng);

impl SampleRng {
    /// The generator of sample `index` in `epoch`, under `seed`.
    #[must_use]
    pub fn new(seed: u64, epoch: u64, index: u64) -> Self {
        Self(generator(seed, epoch, index, SAMPLE))
    }

    /// The generator of a sample that was drawn, perhaps not for the first time, into this place of
    /// an epoch's order: apart from those of samples that stand there once.
    #[must_use]
    pub fn of_draw(seed: u64, epoch: u64, place: u64) -> Self {
        Self(generator(seed, epoch, place, DRAW))
    }

    /// The generator of what is decided for a whole batch, apart from those of its samples.
    pub(crate) fn of_batch(seed: u64, epoch: u64, batch: u64) -> Self {
        Self(generator(seed, epoch, batch, BATCH))
    }

    /// The generator of a picture that is made up, apart from those that transform it.
    pub(crate) fn of_picture(seed: u64, picture: u64) -> Self {
        Self(generator(seed, 0, picture, PICTURE))
    }

    /// A number in `[low, high)`, in steps of `(high − low) / 2⁵³`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        let unit = (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        low + (high - low) * unit
    }

    /// An integer in `0..bound`, every one equally likely.
    ///
    /// # Panics
    ///
    /// If `bound` is 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        assert!(bound > 0, "an empty range has no random element");
        below(&mut self.0, u64::from(bound)) as u32
    }

    /// Puts `items` into a random order, every one equally likely.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        shuffle(&mut self.0, items);
    }

    /// True with the given probability: never at 0, always at 1.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.uniform(0.0, 1.0) < probability
    }
}

/// The order of an epoch: a permutation of `0..len`, every one equally likely.
pub(crate) fn permutation(len: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    shuffle(&mut generator(seed, epoch, 0, ORDER), &mut order);
    order
}

/// The order of an epoch of `len` draws in which every class stands equally often, or once more: by
/// lot, if `len` is no multiple of their number. `classes` are the samples of each, one at least; each
/// draw is one of its class, every one equally likely.
pub(crate) fn balanced(classes: &[&[usize]], len: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut rng = generator(seed, epoch, 0, BALANCED);
    let mut turns: Vec<usize> = (0..classes.len()).collect();
    shuffle(&mut rng, &mut turns);
    let mut order: Vec<usize> = turns.into_iter().cycle().take(len).collect();
    shuffle(&mut rng, &mut order);
    for drawn in &mut order {
        let class = classes[*drawn];
        *drawn = class[below(&mut rng, class.len() as u64) as usize];
    }
    order
}

/// Fisher–Yates.
fn shuffle<T>(rng: &mut ChaCha8Rng, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        let chosen = below(rng, last as u64 + 1) as usize;
        items.swap(last, chosen);
    }
}

fn generator(seed: u64, epoch: u64, index: u64, purpose: &[u8; 8]) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&epoch.to_le_bytes());
    key[16..24].copy_from_slice(&index.to_le_bytes());
    key[24..].copy_from_slice(purpose);
    ChaCha8Rng::from_seed(key)
}

/// An integer in `0..bound` by D. Lemire, *Fast Random Integer Generation in an Interval* (2019).
fn below(rng: &mut ChaCha8Rng, bound: u64) -> u64 {
    // The low halves under this threshold belong to integers that would come up once too often.
    let threshold = bound.wrapping_neg() % bound;
    loop {
        let wide = u128::from(rng.next_u64()) * u128::from(bound);
        if wide as u64 >= threshold {
            return (wide >> 64) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From `tests/chacha8.py`, an independent ChaCha8: a run must be repeatable in a year's time.
    #[test]
    fn the_streams_are_pinned() {
        let mut rng = SampleRng::new(1, 2, 3);
        assert_eq!(rng.0.next_u64(), GOLDEN_WORD);
        assert_eq!(permutation(10, 1, 2), GOLDEN_ORDER);
        assert_eq!(balanced(&[&[0, 1, 2, 3, 4, 5], &[6], &[7, 8]], 11, 1, 2), GOLDEN_DRAWS);
    }
    const GOLDEN_WORD: u64 = 0xff39_e3f7_a630_17d8;
    const GOLDEN_ORDER: [usize; 10] = [4, 7, 8, 1, 2, 0, 6, 5, 9, 3];
    const GOLDEN_DRAWS: [usize; 11] = [7, 6, 4, 6, 6, 3, 8, 6, 0, 7, 1];

    #[test]
    fn seed_epoch_index_and_purpose_each_change_the_stream() {
        let first = |mut rng: ChaCha8Rng| rng.next_u64();
        let base = first(generator(1, 1, 1, SAMPLE));
        assert_ne!(base, first(generator(2, 1, 1, SAMPLE)));
        assert_ne!(base, first(generator(1, 2, 1, SAMPLE)));
        assert_ne!(base, first(generator(1, 1, 2, SAMPLE)));
        assert_ne!(base, first(generator(1, 1, 1, ORDER)));
        assert_ne!(base, first(generator(1, 1, 1, BATCH)));
        assert_eq!(base, first(generator(1, 1, 1, SAMPLE)));
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = permutation(1000, 5, 9);
        assert_ne!(order, permutation(1000, 5, 10));
        order.sort_unstable();
        assert!(order.into_iter().eq(0..1000));
        assert!(permutation(0, 5, 9).is_empty());
    }

    #[test]
    fn classes_are_drawn_equally_often() {
        let classes: [&[usize]; 3] = [&[0, 1, 2, 3, 4, 5, 6], &[7], &[8, 9]];
        let mut more = [0; 3];
        let mut drawn = [0_i32; 10];
        for epoch in 0..3000 {
            let order = balanced(&classes, 10, 4, epoch);
            let of_class =
                classes.map(|class| order.iter().filter(|at| class.contains(at)).count());
            assert!(of_class.iter().all(|count| [3, 4].contains(count)), "{of_class:?}");
            more[of_class.iter().position(|count| *count == 4).unwrap()] += 1_i32;
            order.iter().for_each(|at| drawn[*at] += 1);
        }
        // Five standard deviations: of a third of 3000, and of a seventh of 10,000.
        assert!(more.iter().all(|count| (count - 1000).abs() < 130), "{more:?}");
        assert!(drawn[..7].iter().all(|count| (count - 1428).abs() < 175), "{drawn:?}");
        assert_ne!(balanced(&classes, 10, 4, 0), balanced(&classes, 10, 4, 1));
        assert!(balanced(&classes, 0, 4, 0).is_empty());
    }

    #[test]
    fn integers_are_uniform() {
        let mut rng = SampleRng::new(0, 0, 0);
        let mut counts = [0_i32; 7];
        for _ in 0..70_000 {
            counts[rng.below(7) as usize] += 1;
        }
        // Standard deviation 93; five of them.
        assert!(counts.iter().all(|&count| (count - 10_000).abs() < 465), "{counts:?}");
    }

    #[test]
    fn chances_of_zero_and_one_are_certain() {
        let mut rng = SampleRng::new(0, 0, 0);
        assert!((0..1000).all(|_| !rng.chance(0.0)));
        assert!((0..1000).all(|_| rng.chance(1.0)));
    }
}
