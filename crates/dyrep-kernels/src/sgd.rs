//! A step of stochastic gradient descent in one pass over parameter, velocity and gradient.

use rayon::prelude::*;

use crate::lanes::fast;
use crate::shape::{ConvShape, ShapeError};

/// Values that a thread takes at a time.
const PIECE: usize = 1 << 15;

/// How a step goes, as PyTorch's `SGD` without dampening:
///
/// ```text
/// g ← g + decay · p      v ← momentum · v + g      p ← p − rate · (g + momentum · v  if Nesterov's, else v)
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdStep {
    /// Learning rate.
    pub rate: f32,
    /// Weight decay, added to the gradient.
    pub decay: f32,
    /// Momentum.
    pub momentum: f32,
    /// Nesterov's variant.
    pub nesterov: bool,
}

impl SgdStep {
    /// Moves `parameter` and `velocity`, which starts as zeros.
    ///
    /// # Errors
    /// Slices of different lengths.
    pub fn apply(
        &self,
        parameter: &mut [f32],
        velocity: &mut [f32],
        gradient: &[f32],
    ) -> Result<(), ShapeError> {
        ConvShape::check_len("the velocity", parameter.len(), velocity.len())?;
        ConvShape::check_len("the gradient", parameter.len(), gradient.len())?;
        let pieces = parameter.par_chunks_mut(PIECE).zip(velocity.par_chunks_mut(PIECE));
        pieces.zip(gradient.par_chunks(PIECE)).for_each(|((parameter, velocity), gradient)| {
            fast!(self.apply_piece(parameter, velocity, gradient));
        });
        Ok(())
    }

    #[inline(always)]
    fn apply_piece(&self, parameter: &mut [f32], velocity: &mut [f32], gradient: &[f32]) {
        let Self { rate, decay, momentum, nesterov } = *self;
        for ((p, v), g) in parameter.iter_mut().zip(velocity).zip(gradient) {
            let g = g + *p * decay;
            *v = g + *v * momentum;
            let towards = if nesterov { *v * momentum + g } else { *v };
            *p -= towards * rate;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_by_hand() {
        let step = SgdStep { rate: 0.5, decay: 0.25, momentum: 0.5, nesterov: false };
        let (mut p, mut v) = (vec![4.0; 3], vec![2.0; 3]);
        step.apply(&mut p, &mut v, &[1.0; 3]).unwrap();
        // g = 1 + 0.25 · 4 = 2, v = 0.5 · 2 + 2 = 3, p = 4 − 0.5 · 3.
        assert_eq!((p, v), (vec![2.5; 3], vec![3.0; 3]));
        let (mut p, mut v) = (vec![4.0; 3], vec![2.0; 3]);
        SgdStep { nesterov: true, ..step }.apply(&mut p, &mut v, &[1.0; 3]).unwrap();
        // p = 4 − 0.5 · (2 + 0.5 · 3).
        assert_eq!((&p, &v), (&vec![2.25; 3], &vec![3.0; 3]));
        let error = step.apply(&mut p, &mut v, &[1.0]).unwrap_err().to_string();
        assert_eq!(error, "the gradient must have 3 values, got 1");
    }
}
