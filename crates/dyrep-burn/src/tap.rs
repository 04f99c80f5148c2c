//! Looking at what passes through layers, without changing the model or its forward pass.
//!
//! Measuring a new branch needs the inputs of one convolution; verifying and counting need those of all. A
//! user's forward pass is a black box to us, but [`RepConv2d::forward`](crate::RepConv2d::forward) runs
//! inside it, on this thread: while a tap is open it leaves a note of each call here.

use std::cell::RefCell;

use burn::module::ParamId;
use burn::tensor::Tensor;

/// One call of a layer.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    /// The layer's identity.
    pub(crate) layer: ParamId,
    /// `[batch, in, height, width]`.
    pub(crate) input: Tensor<4>,
    /// `[batch, out, height', width']`.
    pub(crate) output: Tensor<4>,
}

struct Tap {
    /// Only this layer, or all.
    layer: Option<ParamId>,
    flows: Vec<Flow>,
}

thread_local! {
    static TAP: RefCell<Option<Tap>> = const { RefCell::new(None) };
}

/// Closes the tap also when the forward pass panics.
struct Closing;

impl Drop for Closing {
    fn drop(&mut self) {
        TAP.take();
    }
}

/// Runs `forward` and returns its result with the calls it made of `layer`, or of all layers.
pub(crate) fn listen<T>(layer: Option<ParamId>, forward: impl FnOnce() -> T) -> (T, Vec<Flow>) {
    let _closing = Closing;
    TAP.set(Some(Tap { layer, flows: vec![] }));
    let result = forward();
    let flows = TAP.take().map(|tap| tap.flows).unwrap_or_default();
    (result, flows)
}

pub(crate) fn is_on() -> bool {
    TAP.with_borrow(Option::is_some)
}

pub(crate) fn record(layer: ParamId, input: Tensor<4>, output: &Tensor<4>) {
    TAP.with_borrow_mut(|tap| {
        if let Some(tap) = tap
            && tap.layer.is_none_or(|wanted| wanted == layer)
        {
            tap.flows.push(Flow { layer, input, output: output.clone() });
        }
    });
}
