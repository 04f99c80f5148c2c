//! Networks in INT8 beside their own `f32`: error bounds, integer arithmetic, layers that are kept, refusals, collapse.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod collapse;
mod common;
mod networks;
mod scales;
