//! Normal and beta variates from a [`SampleRng`]'s uniform numbers.
//!
//! ```text
//! normal:    √(−2 ln u) · (cos 2πv, sin 2πv)                   G. Box, M. Muller (1958)
//! gamma(a):  d·(1 + x/√9d)³, d = a − 1/3, accepted by a test   G. Marsaglia, W. Tsang (2000)
//! beta(a,a): g₁ / (g₁ + g₂) of two gammas
//! ```
//!
//! Written out here for the reason that `rng.rs` gives. Logarithm and sine are the machine's: two
//! mathematics libraries may differ in a variate's last bit.

use std::f64::consts::TAU;

use crate::rng::SampleRng;

impl SampleRng {
    /// Two independent standard normal numbers, from two uniform ones.
    pub fn normal_pair(&mut self) -> [f64; 2] {
        let radius = (-2.0 * self.positive_unit().ln()).sqrt();
        let (sin, cos) = self.uniform(0.0, TAU).sin_cos();
        [radius * cos, radius * sin]
    }

    /// A normal number of the given mean and standard deviation.
    pub fn normal(&mut self, mean: f64, std: f64) -> f64 {
        mean + std * self.normal_pair()[0]
    }

    /// A number in `[0, 1]` from Beta(`alpha`, `alpha`): uniform at 1, near 0 or 1 below, near ½
    /// above.
    ///
    /// # Panics
    ///
    /// Unless `alpha` is 0.001 to 1000, where the arithmetic is known to hold.
    pub fn beta(&mut self, alpha: f64) -> f64 {
        assert!((0.001..=1000.0).contains(&alpha), "no beta variate of alpha {alpha}");
        // As logarithms, because a small alpha makes gammas that underflow: both would be 0.
        let (first, second) = (self.ln_gamma(alpha), self.ln_gamma(alpha));
        1.0 / (1.0 + (second - first).exp())
    }

    /// The logarithm of a gamma variate of the given shape and scale 1.
    fn ln_gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            // The method needs a shape of 1 or more; a power of a uniform number leads back.
            return self.ln_gamma(shape + 1.0) + self.positive_unit().ln() / shape;
        }
        let d = shape - 1.0 / 3.0;
        loop {
            let x = self.normal(0.0, 1.0);
            let v = (1.0 + x / (9.0 * d).sqrt()).powi(3);
            let u = self.positive_unit();
            if v > 0.0 && u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return (d * v).ln();
            }
        }
    }

    /// A number in `(0, 1]`, whose logarithm is finite.
    fn positive_unit(&mut self) -> f64 {
        1.0 - self.uniform(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const DRAWS: usize = 100_000;

    fn moments(mut draw: impl FnMut() -> f64) -> [f64; 4] {
        let mut sums = [0.0; 4];
        for _ in 0..DRAWS {
            let value = draw();
            assert!(value.is_finite());
            for (power, sum) in sums.iter_mut().enumerate() {
                *sum += value.powi(power as i32 + 1) / DRAWS as f64;
            }
        }
        sums
    }

    /// E x = 0, E x² = 1, E x³ = 0, E x⁴ = 3, whose standard errors are √(1, 2, 15, 96) / √n.
    #[test]
    fn normals_have_the_moments_of_a_normal() {
        for which in 0..2 {
            let mut rng = SampleRng::new(0, 0, 0);
            let found = moments(|| rng.normal_pair()[which]);
            for ((found, want), variance) in
                found.into_iter().zip([0.0, 1.0, 0.0, 3.0]).zip([1.0, 2.0, 15.0, 96.0])
            {
                let tolerance = 5.0 * f64::sqrt(variance / DRAWS as f64);
                assert!((found - want).abs() < tolerance, "{found} for {want}");
            }
        }
        let mut rng = SampleRng::new(0, 0, 0);
        let [mean, square, ..] = moments(|| rng.normal(9.0, 0.5));
        assert!((mean - 9.0).abs() < 0.008 && (square - 81.25).abs() < 0.15, "{mean} {square}");
    }

    #[test]
    fn a_pair_is_uncorrelated() {
        let mut rng = SampleRng::new(0, 0, 0);
        let [product, ..] = moments(|| rng.normal_pair().iter().product());
        assert!(product.abs() < 5.0 / (DRAWS as f64).sqrt(), "{product}");
    }

    /// Mean ½ and variance 1 / (4·(2α + 1)); five standard errors, the variance's taken from its
    /// largest possible fourth moment, 1/16.
    #[rstest]
    fn betas_have_the_moments_of_a_beta(
        #[values(0.001, 0.1, 0.2, 0.8, 1.0, 3.5, 1000.0)] alpha: f64,
    ) {
        let mut rng = SampleRng::new(0, 0, 0);
        let mut extremes = [1.0_f64, 0.0];
        let [mean, square, ..] = moments(|| {
            let value = rng.beta(alpha);
            extremes = [extremes[0].min(value), extremes[1].max(value)];
            value
        });
        let variance = 0.25 / (2.0 * alpha + 1.0);
        assert!((mean - 0.5).abs() < 5.0 * (variance / DRAWS as f64).sqrt(), "{mean}");
        let found = square - mean * mean;
        assert!((found - variance).abs() < 5.0 * (variance / 4.0 / DRAWS as f64).sqrt(), "{found}");
        assert!(extremes[0] >= 0.0 && extremes[1] <= 1.0);
    }

    /// Beta(1, 1) is uniform and Beta(2, 2) has 3x² − 2x³ below x; a moment would not tell a shape.
    #[rstest]
    #[case(1.0, |x: f64| x)]
    #[case(2.0, |x: f64| x * x * (3.0 - 2.0 * x))]
    fn betas_are_distributed_as_a_beta(#[case] alpha: f64, #[case] below: fn(f64) -> f64) {
        let mut rng = SampleRng::new(0, 0, 0);
        let mut values: Vec<f64> = (0..DRAWS).map(|_| rng.beta(alpha)).collect();
        values.sort_by(f64::total_cmp);
        let gap = |(i, &x): (usize, &f64)| (below(x) - i as f64 / DRAWS as f64).abs();
        let worst = values.iter().enumerate().map(gap).fold(0.0, f64::max);
        // Kolmogorov–Smirnov: 1.95 / √n is exceeded once in a thousand.
        assert!(worst < 1.95 / (DRAWS as f64).sqrt(), "{worst}");
    }

    #[test]
    #[should_panic(expected = "alpha 0")]
    fn a_beta_of_alpha_zero_is_a_mistake() {
        SampleRng::new(0, 0, 0).beta(0.0);
    }
}
