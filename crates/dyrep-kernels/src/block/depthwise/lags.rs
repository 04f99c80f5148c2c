//! Sums of products of taps without a stride (todo).
use crate::frame::Layout;
pub(super) struct Lags;
impl Lags {
    pub(super) fn new(_: &Layout) -> Option<Self> {
        None
    }
    pub(super) fn start(&mut self) {}
    pub(super) fn add(&mut self, _: &Layout, _: &[f32]) {}
    pub(super) fn finish(&self, _: &Layout, _: &mut [f64]) {}
}
