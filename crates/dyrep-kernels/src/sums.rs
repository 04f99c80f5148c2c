//! Sums over the channels of a batch: the gradient of a bias.

use rayon::prelude::*;

use crate::flat::sum;
use crate::product::on_workers;

/// For each channel the sum over all images and pixels of `gradient` `[batch, channels, pixels]`.
///
/// Stretches of a plane are summed in single precision and joined in double. The order follows from the shape alone,
/// so the result does not depend on the number of threads.
///
/// # Panics
/// If the values are no whole number of images.
#[must_use]
pub fn channel_sums(gradient: &[f32], channels: usize, pixels: usize) -> Vec<f32> {
    let image = channels * pixels;
    assert!(
        image > 0 && gradient.len().is_multiple_of(image),
        "{} values are no images of {channels} channels by {pixels} pixels",
        gradient.len()
    );
    let of_channel = |channel: usize| {
        let planes = gradient.chunks_exact(pixels).skip(channel).step_by(channels);
        planes.map(sum).sum::<f64>() as f32
    };
    on_workers(|| (0..channels).into_par_iter().map(of_channel).collect())
}

#[cfg(test)]
mod tests {
    use super::channel_sums;

    /// Of the sum of absolute values; the largest error below is 4.9e-8.
    const TOLERANCE: f64 = 1e-6;

    #[test]
    fn channels_are_summed_and_threads_do_not_matter() {
        let mut largest: f64 = 0.0;
        for (batch, channels, pixels) in [(3, 5, 7), (1, 1, 1), (2, 3, 10_007), (4, 130, 4)] {
            let values: Vec<f32> = (0..batch * channels * pixels)
                .map(|place| ((place * 7919) % 1013) as f32 / 1013.0 - 0.3)
                .collect();
            let [one, three] = [1, 3].map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| channel_sums(&values, channels, pixels))
            });
            assert_eq!(one, three);
            for (channel, found) in one.into_iter().enumerate() {
                let planes = values.chunks(pixels).skip(channel).step_by(channels);
                let own = planes.flatten().map(|value| f64::from(*value));
                let (sum, size) =
                    own.fold((0.0, 0.0), |(sum, size), value| (sum + value, size + value.abs()));
                let off = (f64::from(found) - sum).abs() / size;
                assert!(off <= TOLERANCE, "{found} {sum}");
                largest = largest.max(off);
            }
        }
        println!("largest error {largest:.1e}");
    }

    #[test]
    #[should_panic(expected = "13 values are no images of 3 channels by 4 pixels")]
    fn other_lengths_are_refused() {
        let _ = channel_sums(&[0.0; 13], 3, 4);
    }
}
