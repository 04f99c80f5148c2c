//! Eight values at a time, in whatever registers the machine has.
//!
//! Plain arrays and loops of fixed length: inside [`fast`] the compiler turns them into vector instructions of the
//! set that the program finds when it runs.

use std::ops::{Add, Mul, Sub};

/// Eight `f32`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct F8([f32; 8]);

impl F8 {
    pub(crate) const ZERO: Self = Self([0.0; 8]);

    #[inline(always)]
    pub(crate) fn splat(value: f32) -> Self {
        Self([value; 8])
    }

    /// The first eight values.
    #[inline(always)]
    pub(crate) fn load(values: &[f32]) -> Self {
        let mut lanes = [0.0; 8];
        lanes.copy_from_slice(&values[..8]);
        Self(lanes)
    }

    #[inline(always)]
    pub(crate) fn store(self, target: &mut [f32]) {
        target[..8].copy_from_slice(&self.0);
    }

    /// Adds to the first eight values.
    #[inline(always)]
    pub(crate) fn add_to(self, target: &mut [f32]) {
        (Self::load(target) + self).store(target);
    }

    /// The first `count` lanes, zeros behind.
    #[inline(always)]
    pub(crate) fn first(self, count: usize) -> Self {
        Self(std::array::from_fn(|lane| if lane < count { self.0[lane] } else { 0.0 }))
    }

    /// `self · factor + term`.
    #[inline(always)]
    pub(crate) fn mul_add(self, factor: Self, term: Self) -> Self {
        self * factor + term
    }

    /// The sum of all lanes, in `f64`.
    #[inline(always)]
    pub(crate) fn sum(self) -> f64 {
        self.0.iter().map(|lane| f64::from(*lane)).sum()
    }

    /// The values at even and at odd places of sixteen.
    #[inline(always)]
    pub(crate) fn load_apart(values: &[f32]) -> [Self; 2] {
        let mut pair = [0.0; 16];
        pair.copy_from_slice(&values[..16]);
        [0, 1].map(|odd| Self(std::array::from_fn(|lane| pair[2 * lane + odd])))
    }

    /// Writes two in turns, sixteen values.
    #[inline(always)]
    pub(crate) fn store_in_turns(even: Self, odd: Self, target: &mut [f32]) {
        let lanes: [f32; 16] =
            std::array::from_fn(|lane| if lane % 2 == 0 { even.0[lane / 2] } else { odd.0[lane / 2] });
        target[..16].copy_from_slice(&lanes);
    }
}

macro_rules! lanewise {
    ($name:ident, $method:ident, $operator:tt) => {
        impl $name for F8 {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self(std::array::from_fn(|lane| self.0[lane] $operator other.0[lane]))
            }
        }
    };
}

lanewise!(Add, add, +);
lanewise!(Sub, sub, -);
lanewise!(Mul, mul, *);

/// Runs `body` compiled for the best instructions that this machine has; what it calls must be `inline(always)`.
#[inline(always)]
pub(crate) fn fast<R>(body: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(body)
}
