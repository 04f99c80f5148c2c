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

use crate::on_drop::{OnDrop, on_drop};

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

/// What a thread's layers leave notes for, and ask.
#[derive(Default)]
struct Watched {
    /// Open taps, each inside the one before; all of them see what passes.
    taps: Vec<Tap>,
    /// What replaces inputs.
    inputs: Option<Replace>,
}

/// What a layer reads instead of its input.
type Replace = Rc<dyn Fn(ParamId, Tensor<4>) -> Tensor<4>>;

thread_local! {
    static WATCHED: RefCell<Watched> = const { RefCell::new(Watched { taps: vec![], inputs: None }) };
}

/// Nobody watches this thread until what it gives is dropped.
///
/// A thread that waits for its part of a computation may meanwhile run what another forward pass has left to do, on top of
/// what it waits for: that is not part of the pass that is watched here.
pub(crate) fn unwatched() -> OnDrop<impl FnOnce()> {
    let watched = WATCHED.take();
    on_drop(move || WATCHED.set(watched))
}

/// Runs `forward` and returns its result with the calls it made of `layer`, or of all layers.
pub(crate) fn listen<T>(layer: Option<ParamId>, forward: impl FnOnce() -> T) -> (T, Vec<Flow>) {
    let open = |watched: &mut Watched| {
        watched.taps.push(Tap { layer, flows: vec![] });
        watched.taps.len() - 1
    };
    let place = WATCHED.with_borrow_mut(open);
    // The tap, and those inside it.
    let close = || WATCHED.with_borrow_mut(|watched| watched.taps.split_off(place));
    let _close_on_panic = on_drop(|| drop(close()));
    let result = forward();
    (result, close().into_iter().next().map(|tap| tap.flows).unwrap_or_default())
}

pub(crate) fn is_on() -> bool {
    WATCHED.with_borrow(|watched| !watched.taps.is_empty())
}

pub(crate) fn record(layer: ParamId, input: &Tensor<4>, output: &Tensor<4>) {
    WATCHED.with_borrow_mut(|watched| {
        let wants = |tap: &&mut Tap| tap.layer.is_none_or(|wanted| wanted == layer);
        for tap in watched.taps.iter_mut().filter(wants) {
            tap.flows.push(Flow { layer, input: input.clone(), output: output.clone() });
        }
    });
}

fn set_inputs(replace: Option<Replace>) -> Option<Replace> {
    WATCHED.with_borrow_mut(|watched| std::mem::replace(&mut watched.inputs, replace))
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
    let before = set_inputs(Some(Rc::new(replace)));
    let _restore = on_drop(|| drop(set_inputs(before)));
    forward()
}

/// What the layer is to read instead of `input`.
pub(crate) fn replaced(layer: impl FnOnce() -> ParamId, input: Tensor<4>) -> Tensor<4> {
    let Some(replace) = set_inputs(None) else {
        return input;
    };
    let again = Rc::clone(&replace);
    let _restore = on_drop(|| drop(set_inputs(Some(again))));
    replace(layer(), input)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use burn::nn::BatchNormConfig;
    use burn::tensor::Device;

    use super::*;
    use crate::ops::{Kernels, Tail, with_kernels};
    use crate::{Preset, RepConv2dConfig};

    fn number(tensor: Tensor<4>) -> f32 {
        tensor.mean().into_scalar()
    }

    /// Whatever computes it, a layer asks once, a block as a whole, and a tap sees what is read.
    #[test]
    fn every_way_through_a_layer_asks_once() {
        let device = Device::flex();
        for preset in [Preset::Plain, Preset::DyRep] {
            let config = RepConv2dConfig::new([3, 3], [3, 3]).with_branches(preset);
            let layer = config.init(&device);
            let norm = BatchNormConfig::new(3).init(&device);
            let input = || Tensor::<4>::ones([1, 3, 6, 6], &device);
            let ways: [&dyn Fn(Tensor<4>) -> Tensor<4>; 2] =
                [&|input| layer.forward(input), &|input| {
                    layer.forward_norm(input, &norm, Tail::relu())
                }];
            for way in ways {
                for kernels in [Kernels::Fast, Kernels::Composed] {
                    let calls = Rc::new(Cell::new(0));
                    let count = Rc::clone(&calls);
                    let id = layer.id();
                    let halve = move |layer, input: Tensor<4>| {
                        assert_eq!(layer, id);
                        count.set(count.get() + 1);
                        input * 0.5
                    };
                    let (got, want) = with_kernels(kernels, || {
                        (with_inputs(halve, || way(input())), way(input() * 0.5))
                    });
                    assert_eq!((number(got), calls.get()), (number(want), 1));
                }
            }
            let halve = |_, input: Tensor<4>| input * 0.5;
            let (_, flows) = listen(None, || with_inputs(halve, || layer.forward(input())));
            assert_eq!(number(flows[0].input.clone()), 0.5);
        }
    }

    #[test]
    fn the_inner_replacement_holds_and_ends() {
        let device = Device::flex();
        let layer = RepConv2dConfig::new([1, 1], [1, 1]).with_bias(false).init(&device);
        let run = || number(layer.forward(Tensor::ones([1, 1, 1, 1], &device)));
        let plain = run();
        let by = |factor: f32| move |_, input: Tensor<4>| input * factor;
        let seen = with_inputs(by(2.0), || [run(), with_inputs(by(4.0), run), run()]);
        assert_eq!(seen, [2.0 * plain, 4.0 * plain, 2.0 * plain]);
        // A layer that is called while an input is replaced reads its own, and a panic leaves nothing behind.
        let inner = layer.clone();
        let squared = with_inputs(move |_, input| inner.forward(input), run);
        assert!((squared - plain * plain).abs() < 1e-6);
        let failing = || with_inputs(|_, _| panic!("as asked"), run);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(failing)).is_err());
        assert_eq!(run(), plain);
    }
}
