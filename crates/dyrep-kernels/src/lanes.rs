//! Eight values at a time, in whatever registers the machine has.
//!
//! Plain arrays and loops of fixed length: inside [`fast!`] the compiler turns them into vector instructions of the
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

    /// Values `step` apart, zeros where there are no more.
    #[inline(always)]
    pub(crate) fn load_every(values: &[f32], step: usize) -> Self {
        let mut lanes = [0.0; 8];
        if values.len() > 7 * step {
            for (lane, value) in lanes.iter_mut().enumerate() {
                *value = values[lane * step];
            }
        } else {
            for (value, found) in lanes.iter_mut().zip(values.iter().step_by(step)) {
                *value = *found;
            }
        }
        Self(lanes)
    }

    /// As many values as there are, eight at most, zeros behind.
    #[inline(always)]
    pub(crate) fn load_first(values: &[f32]) -> Self {
        if values.len() >= 8 { Self::load(values) } else { Self::load_every(values, 1) }
    }

    /// Writes to places `step` apart, as far as they go.
    #[inline(always)]
    pub(crate) fn store_every(self, target: &mut [f32], step: usize) {
        for (target, value) in target.iter_mut().step_by(step).zip(self.0) {
            *target = value;
        }
    }

    /// Writes as many values as there is room for.
    #[inline(always)]
    pub(crate) fn store_first(self, target: &mut [f32]) {
        if target.len() >= 8 {
            self.store(target);
        } else {
            target.copy_from_slice(&self.0[..target.len()]);
        }
    }

    /// Adds to the first eight values.
    #[inline(always)]
    pub(crate) fn add_to(self, target: &mut [f32]) {
        (Self::load(target) + self).store(target);
    }

    /// The first `count` lanes, zeros behind.
    #[inline(always)]
    pub(crate) fn first(mut self, count: usize) -> Self {
        for (lane, value) in self.0.iter_mut().enumerate() {
            *value = if lane < count { *value } else { 0.0 };
        }
        self
    }

    /// The sum of all lanes, in `f64`.
    #[inline(always)]
    pub(crate) fn sum(self) -> f64 {
        let mut sum = 0.0;
        for lane in self.0 {
            sum += f64::from(lane);
        }
        sum
    }

    /// The values at even and at odd places of sixteen.
    #[inline(always)]
    pub(crate) fn load_apart(values: &[f32]) -> [Self; 2] {
        let values = &values[..16];
        let (mut even, mut odd) = ([0.0; 8], [0.0; 8]);
        for lane in 0..8 {
            even[lane] = values[2 * lane];
            odd[lane] = values[2 * lane + 1];
        }
        [Self(even), Self(odd)]
    }

    /// Writes two in turns, sixteen values.
    #[inline(always)]
    pub(crate) fn store_in_turns(even: Self, odd: Self, target: &mut [f32]) {
        let target = &mut target[..16];
        for lane in 0..8 {
            target[2 * lane] = even.0[lane];
            target[2 * lane + 1] = odd.0[lane];
        }
    }
}

macro_rules! lanewise {
    ($name:ident, $method:ident, $operator:tt) => {
        impl $name for F8 {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                let mut lanes = self.0;
                for (lane, other) in lanes.iter_mut().zip(other.0) {
                    *lane $operator other;
                }
                Self(lanes)
            }
        }
    };
}

lanewise!(Add, add, +=);
lanewise!(Sub, sub, -=);
lanewise!(Mul, mul, *=);

/// Computes an expression compiled for the best instructions that this machine has.
///
/// Only what is inlined into it is compiled so: all that it calls must be marked `#[inline(always)]`. Adaptors that take
/// closures of their own (`array::map`) are not.
macro_rules! fast {
    ($body:expr) => {
        $crate::lanes::dispatch(
            #[inline(always)]
            || $body,
        )
    };
}

/// What [`fast!`] calls. Without a function of its own the compiler vectorises less.
#[inline(always)]
pub(crate) fn dispatch<R>(body: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(body)
}

pub(crate) use fast;
