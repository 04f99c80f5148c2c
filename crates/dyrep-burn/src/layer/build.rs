//! Making the parameters of a layer.
//!
//! A layer that a user configures starts as Burn's layers do, from an [`Initializer`] and the device's
//! generator. A branch that grows while training must be the same on every replica and in every rerun:
//! its parameters' **ids and initial values are functions of (seed, path, event)**, drawn on the host.

use burn::module::{Flag, Module as _, ModuleVisitor, Param, ParamId, RunningState};
use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, Initializer, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData};
use dyrep_config::{BranchKind, BranchName, First, Preset};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

use crate::fuse;
use crate::geometry::ConvGeometry;

/// Gain of a batch norm, unless it ends a branch that has just grown.
pub(super) const GAMMA: f32 = 1.0;

/// ε and momentum of every batch norm in a block: PyTorch's and Burn's defaults.
const EPSILON: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

/// Where initial values come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// Burn's initializer and the device's own generator; fresh random ids.
    Device(Initializer),
    /// N(0, √(2 / fan-out)) from a generator seeded for each parameter; ids likewise.
    Seeded {
        /// The run's seed.
        seed: u64,
        /// Number of the structural change within the run.
        event: u64,
    },
}

/// Builds convolutions and norms, keeping track of the path.
pub(crate) struct Builder<'a> {
    source: Source,
    device: &'a Device,
    path: Vec<String>,
    last_gamma: f32,
    small_weights: bool,
    preset: Option<Preset>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(source: Source, device: &'a Device, path: &str) -> Self {
        let path = if path.is_empty() { vec![] } else { vec![path.to_owned()] };
        Self { source, device, path, last_gamma: GAMMA, small_weights: false, preset: None }
    }

    /// The gain that the last batch norm of each branch starts with.
    pub(crate) fn with_last_gamma(mut self, last_gamma: f32) -> Self {
        self.last_gamma = last_gamma;
        self
    }

    /// Starts branches as a preset has them.
    pub(crate) fn with_preset(mut self, preset: Option<Preset>) -> Self {
        self.preset = preset;
        self
    }

    /// Builds a part whose parameters lie below `name`.
    pub(crate) fn within<T>(&mut self, name: &str, build: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(name.to_owned());
        let built = build(self);
        self.path.pop();
        built
    }

    /// A convolution of `geometry`.
    pub(crate) fn conv(&mut self, name: &str, geometry: &ConvGeometry, bias: bool) -> Conv2d {
        self.within(name, |builder| builder.bare_conv(geometry, bias))
    }

    /// A convolution whose parameters lie at the builder's own path.
    pub(crate) fn bare_conv(&mut self, geometry: &ConvGeometry, bias: bool) -> Conv2d {
        let weight = self.weight(geometry);
        let bias = bias.then(|| self.bias(geometry));
        conv2d(weight, bias, geometry)
    }

    /// The convolution in front of the core of a branch of `kind`, in a block of `block`.
    pub(crate) fn first(
        &mut self,
        kind: BranchKind,
        geometry: &ConvGeometry,
        block: &ConvGeometry,
    ) -> Conv2d {
        let conv = self.conv(kind.part_names().first[0], geometry, false);
        let [identity, _] = self.identities(kind, block);
        if kind.first() == First::Residual {
            let zeros = conv.weight.val().zeros_like();
            return Conv2d { weight: with_value(conv.weight, zeros), ..conv };
        }
        if identity { as_identity(conv) } else { conv }
    }

    /// Which of the two convolutions of a branch starts as the identity, where it keeps the number of channels.
    pub(super) fn identities(&self, kind: BranchKind, block: &ConvGeometry) -> [bool; 2] {
        self.preset.map_or([false; 2], |preset| preset.starts_as_identity(kind, block))
    }

    /// Builds a part whose convolutions start as small as the last norms are, where values are drawn.
    pub(crate) fn with_small_weights<T>(
        &mut self,
        small: bool,
        build: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let before = std::mem::replace(&mut self.small_weights, small);
        let built = build(self);
        self.small_weights = before;
        built
    }

    /// The gain that what ends a branch starts with; in `kxk` one.
    pub(crate) fn last_gain(&self, main: bool) -> f32 {
        if main { GAMMA } else { self.last_gamma }
    }

    /// The scale that the end of a branch starts with, in a block of `geometry`.
    pub(crate) fn last_scale(&self, name: BranchName, geometry: &ConvGeometry) -> f32 {
        let gain = self.last_gain(name == BranchName::MAIN);
        self.preset.map_or(gain, |preset| preset.initial_scale(name.kind, geometry))
    }

    /// A batch norm that starts with this gain.
    pub(crate) fn norm(&mut self, name: &str, channels: usize, gamma: f32) -> BatchNorm {
        self.within(name, |builder| BatchNorm {
            gamma: builder.constant("gamma", channels, gamma),
            beta: builder.constant("beta", channels, 0.0),
            training: Param::initialized(builder.id("training"), Flag::new(true)),
            running_mean: builder.running("running_mean", channels, 0.0),
            running_var: builder.running("running_var", channels, 1.0),
            momentum: MOMENTUM,
            epsilon: EPSILON,
        })
    }

    fn weight(&self, geometry: &ConvGeometry) -> Param<Tensor<4>> {
        let shape = geometry.weight_shape();
        match &self.source {
            Source::Device(initializer) => self.initialized(initializer, shape, geometry),
            Source::Seeded { .. } => {
                let small = if self.small_weights { self.last_gamma } else { 1.0 };
                let deviation = small * (2.0 / geometry.fan_out() as f32).sqrt();
                let normal = Normal::new(0.0, deviation).expect("a finite deviation");
                let mut generator = ChaCha8Rng::seed_from_u64(self.mix("weight"));
                let count = shape.iter().product();
                let values = normal.sample_iter(&mut generator).take(count).collect::<Vec<f32>>();
                self.parameter("weight", TensorData::new(values, shape))
            }
        }
    }

    fn bias(&self, geometry: &ConvGeometry) -> Param<Tensor<1>> {
        let outputs = geometry.out_channels();
        match &self.source {
            Source::Device(initializer) => self.initialized(initializer, [outputs], geometry),
            Source::Seeded { .. } => self.constant("bias", outputs, 0.0),
        }
    }

    fn initialized<const D: usize>(
        &self,
        initializer: &Initializer,
        shape: [usize; D],
        geometry: &ConvGeometry,
    ) -> Param<Tensor<D>> {
        let [fan_in, fan_out] = [geometry.fan_in(), geometry.fan_out()].map(Some);
        initializer.init_with(shape, fan_in, fan_out, self.device)
    }

    pub(crate) fn constant(&self, name: &str, count: usize, value: f32) -> Param<Tensor<1>> {
        self.parameter(name, TensorData::new(vec![value; count], [count]))
    }

    fn parameter<const D: usize>(&self, name: &str, data: TensorData) -> Param<Tensor<D>> {
        let mut parameter = Param::<Tensor<D>>::from_data(data, self.device);
        parameter.id = self.id(name);
        parameter
    }

    /// A value that is not learnt.
    pub(crate) fn running(&self, name: &str, count: usize, value: f32) -> RunningState<Tensor<1>> {
        let data = TensorData::new(vec![value; count], [count]);
        RunningState::with_id(self.id(name), Tensor::from_data(data, self.device))
    }

    /// The id of a parameter called `name` at the builder's own path.
    pub(crate) fn id(&self, name: &str) -> ParamId {
        match self.source {
            Source::Device(_) => ParamId::new(),
            Source::Seeded { .. } => ParamId::from(self.mix(name)),
        }
    }

    fn mix(&self, name: &str) -> u64 {
        let Source::Seeded { seed, event } = self.source else {
            return 0;
        };
        mix([seed, event], &format!("{}.{name}", self.path.join(".")))
    }
}

/// A hash of numbers and a name that is fixed for ever, unlike the standard library's.
///
/// FNV-1a, then MurmurHash3's finaliser: names that differ in their last letter alone must differ in
/// every bit.
pub(crate) fn mix(numbers: [u64; 2], name: &str) -> u64 {
    let bytes = numbers.into_iter().flat_map(u64::to_le_bytes).chain(name.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// A Burn convolution with the given parameters.
pub(crate) fn conv2d(
    weight: Param<Tensor<4>>,
    bias: Option<Param<Tensor<1>>>,
    geometry: &ConvGeometry,
) -> Conv2d {
    Conv2d {
        weight,
        bias,
        stride: geometry.stride(),
        kernel_size: geometry.kernel_size(),
        dilation: geometry.dilation(),
        groups: geometry.groups(),
        padding: PaddingConfig2d::clone(geometry.padding()),
    }
}

/// The convolution as the identity, if it is a 1×1 that keeps the number of channels.
pub(super) fn as_identity(conv: Conv2d) -> Conv2d {
    let geometry = ConvGeometry::of(&conv);
    let channels = geometry.in_channels();
    if geometry.kernel_size() != [1, 1] || channels != geometry.out_channels() {
        return conv;
    }
    let options = fuse::options_of(&conv.weight.val());
    let identity = fuse::identity(channels, geometry.groups(), options);
    Conv2d { weight: with_value(conv.weight, identity.weight()), ..conv }
}

/// The same parameter with another value: a fresh leaf of the graph that keeps id, type and training state.
pub(crate) fn with_value<const D: usize>(
    parameter: Param<Tensor<D>>,
    value: Tensor<D>,
) -> Param<Tensor<D>> {
    parameter.map(|old| value.cast(old.dtype()).detach().set_require_grad(old.is_require_grad()))
}

/// Gives a state another value.
pub(crate) fn set_state(state: &RunningState<Tensor<1>>, value: Tensor<1>) {
    state.update(value);
    // Brings the update in: whoever reads it next may be on another thread.
    state.value_sync();
}

/// The same value on a device, as a state of its own: Burn moves one that clones share wherever the last of them goes.
pub(crate) fn apart(state: &RunningState<Tensor<1>>, device: &Device) -> RunningState<Tensor<1>> {
    struct Apart<'a>(&'a Device, Option<RunningState<Tensor<1>>>);
    impl ModuleVisitor for Apart<'_> {
        fn visit_float<const D: usize>(&mut self, state: &Param<Tensor<D>>) {
            let value = state.val().to_device(self.0).reshape([-1]);
            self.1 = Some(RunningState::with_id(state.id, value));
        }
    }
    let mut found = Apart(device, None);
    state.visit(&mut found);
    found.1.unwrap_or_else(|| unreachable!("a state shows its value"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The random score ranks by these: over many seeds each of some neighbouring names must lead its share.
    #[test]
    fn mixing_is_fair_to_names_that_are_alike() {
        let names = ["layer1.0.conv1", "layer1.0.conv2", "layer1.1.conv1", "layer1.1.conv2"];
        let mut leads = [0; 4];
        for seed in 0..4000 {
            let best = (0..4).max_by_key(|&i| mix([seed, 0], names[i])).unwrap();
            leads[best] += 1;
        }
        assert!(leads.iter().all(|&count| (900..1100).contains(&count)), "{leads:?}");
    }
}
