//! Looking at what passes through layers, and replacing it, without changing the model or its forward pass.
//!
//! Measuring a new branch needs the inputs of one convolution; verifying and counting need those of all. A
//! user's forward pass is a black box to us, but [`RepConv2d::forward`](crate::RepConv2d::forward) runs
//! inside it, on this thread: while a tap is open it leaves a note of each call here, and while [`with_inputs`] runs it
//! asks here what it is to read. What is replaced is what a tap sees.

use std::cell::RefCell;
use std::rc::Rc;

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

/// What a layer reads instead of its input.
type Replace = Rc<dyn Fn(ParamId, Tensor<4>) -> Tensor<4>>;

thread_local! {
    static TAP: RefCell<Option<Tap>> = const { RefCell::new(None) };
    static INPUTS: RefCell<Option<Replace>> = const { RefCell::new(None) };
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

/// Restores what held before, also when the forward pass panics.
struct Restore(Option<Replace>);

impl Drop for Restore {
    fn drop(&mut self) {
        INPUTS.set(self.0.take());
    }
}

/// Runs `forward` and returns its result; each [`RepConv2d`](crate::RepConv2d) that is called in it, on this thread,
/// reads what `replace` makes of its input. Layers inside a block are not asked, the block is.
///
/// `replace` gets the layer's [`id`](crate::RepConv2d::id) and its input `[batch, in, height, width]`, and gives a tensor
/// of the same shape. Giving back what it gets is a way to look at inputs. Inside another `with_inputs` only the inner
/// one holds. A layer that `replace` itself calls reads its own input.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use dyrep_burn::{RepConv2dConfig, with_inputs};
///
/// let device = Device::flex();
/// let conv = RepConv2dConfig::new([1, 2], [1, 1]).with_bias(false).init(&device);
/// let input = Tensor::ones([1, 1, 4, 4], &device);
/// let twice = with_inputs(|_, input| input * 2.0, || conv.forward(input.clone()));
/// (conv.forward(input) * 2.0).into_data().assert_eq(&twice.into_data(), true);
/// ```
pub fn with_inputs<T>(
    replace: impl Fn(ParamId, Tensor<4>) -> Tensor<4> + 'static,
    forward: impl FnOnce() -> T,
) -> T {
    let _restore = Restore(INPUTS.replace(Some(Rc::new(replace))));
    forward()
}

/// What the layer is to read instead of `input`.
pub(crate) fn replaced(layer: impl FnOnce() -> ParamId, input: Tensor<4>) -> Tensor<4> {
    let Some(replace) = INPUTS.take() else {
        return input;
    };
    let _restore = Restore(Some(Rc::clone(&replace)));
    replace(layer(), input)
}
