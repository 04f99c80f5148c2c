//! Configuration of a [`RepConv2d`], in Burn's manner.

use burn::config::Config;
use burn::nn::{Initializer, PaddingConfig2d};
use burn::tensor::Device;
use dyrep_config::{BranchKind, BranchNorm, Branches, Composition, First};
use serde::{Deserialize, Serialize};

use super::build::{Builder, Source};
use super::rep_conv2d::RepConv2d;
use crate::error::ConfigError;
use crate::geometry::ConvGeometry;
use crate::structure::{BlockForm, Form, StackForm};

/// Creates a [`RepConv2d`]: Burn's `Conv2dConfig`, and the branches to start with.
///
/// ```
/// use burn::nn::PaddingConfig2d;
/// use burn::tensor::{Device, Tensor};
/// use dyrep_burn::{Preset, RepConv2dConfig};
///
/// let device = Device::flex();
/// let layer = RepConv2dConfig::new([16, 32], [3, 3])
///     .with_stride([2, 2])
///     .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
///     .with_branches(Preset::Dbb)
///     .init(&device);
/// let output = layer.forward(Tensor::zeros([1, 16, 8, 8], &device));
/// assert_eq!(output.dims(), [1, 32, 4, 4]);
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepConv2dConfig {
    /// Channels `[in, out]`.
    pub channels: [usize; 2],
    /// Kernel size `[height, width]`.
    pub kernel_size: [usize; 2],
    /// Stride, default 1.
    #[serde(default = "ones")]
    pub stride: [usize; 2],
    /// Dilation, default 1.
    #[serde(default = "ones")]
    pub dilation: [usize; 2],
    /// Groups, default 1.
    #[serde(default = "one")]
    pub groups: usize,
    /// Padding, default none.
    #[serde(default = "no_padding")]
    pub padding: PaddingConfig2d,
    /// Whether the k×k convolution has a bias, default true. What a block fuses to always has one.
    #[serde(default = "yes")]
    pub bias: bool,
    /// How convolutions start, default as Burn's `Conv2dConfig`.
    #[serde(default = "kaiming_uniform")]
    pub initializer: Initializer,
    /// The branches to start with, default none: a plain convolution.
    #[serde(default)]
    pub branches: Branches,
    /// Whether a batch norm follows the sum of the branches, default as the preset has it.
    #[serde(default)]
    pub norm_after: Option<bool>,
    /// Channels between the convolutions of `1x1_kxk` and its like; default as many as come in, twice as many for a
    /// depthwise block with `dbb` and more than four groups with `orepa`.
    #[serde(default)]
    pub mid_channels: Option<usize>,
}

fn one() -> usize {
    1
}

fn ones() -> [usize; 2] {
    [1, 1]
}

fn yes() -> bool {
    true
}

fn no_padding() -> PaddingConfig2d {
    PaddingConfig2d::Valid
}

fn kaiming_uniform() -> Initializer {
    Initializer::KaimingUniform { gain: 1.0 / 3f64.sqrt(), fan_out_only: false }
}

impl Config for RepConv2dConfig {}

/// Writes a `with_` method for each field.
macro_rules! setters {
    ($($(#[$doc:meta])* $method:ident($field:ident: $type:ty);)*) => {
        $($(#[$doc])*
        #[must_use]
        pub fn $method(mut self, $field: $type) -> Self {
            self.$field = $field;
            self
        })*
    };
}

impl RepConv2dConfig {
    /// A convolution from `channels[0]` to `channels[1]` channels with a kernel of `[height, width]`.
    #[must_use]
    pub fn new(channels: [usize; 2], kernel_size: [usize; 2]) -> Self {
        Self {
            channels,
            kernel_size,
            stride: ones(),
            dilation: ones(),
            groups: one(),
            padding: no_padding(),
            bias: yes(),
            initializer: kaiming_uniform(),
            branches: Branches::default(),
            norm_after: None,
            mid_channels: None,
        }
    }

    /// A convolution of this geometry.
    #[must_use]
    pub fn of(geometry: &ConvGeometry) -> Self {
        let channels = [geometry.in_channels(), geometry.out_channels()];
        Self::new(channels, geometry.kernel_size())
            .with_stride(geometry.stride())
            .with_dilation(geometry.dilation())
            .with_groups(geometry.groups())
            .with_padding(geometry.padding().clone())
    }

    setters! {
        /// Sets the stride `[vertical, horizontal]`.
        with_stride(stride: [usize; 2]);
        /// Sets the dilation `[vertical, horizontal]`.
        with_dilation(dilation: [usize; 2]);
        /// Sets the number of groups.
        with_groups(groups: usize);
        /// Sets the padding.
        with_padding(padding: PaddingConfig2d);
        /// Sets whether the k×k convolution has a bias.
        with_bias(bias: bool);
        /// Sets how convolutions start.
        with_initializer(initializer: Initializer);
        /// Sets the channels between the convolutions of `1x1_kxk`.
        with_mid_channels(mid_channels: Option<usize>);
    }

    /// Sets whether a batch norm follows the sum of the branches; it fuses too.
    #[must_use]
    pub fn with_norm_after(mut self, norm_after: bool) -> Self {
        self.norm_after = Some(norm_after);
        self
    }

    /// Sets where norms are, of the branches that were set before: with [`BranchNorm::Online`] none is inside, one follows
    /// the sum, and the block trains as one convolution. Whose norm already follows in the network has
    /// [`with_norm_after`](Self::with_norm_after)`(false)`.
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use dyrep_burn::{BranchNorm, Preset, RepConv2dConfig};
    ///
    /// let config = RepConv2dConfig::new([16, 16], [3, 3]).with_branches(Preset::AcNet);
    /// let layer = config.with_norm(BranchNorm::Online).init(&Device::flex());
    /// assert!(layer.block().is_some_and(|block| block.is_linear()));
    /// ```
    #[must_use]
    pub fn with_norm(mut self, norm: BranchNorm) -> Self {
        self.branches = norm.of(self.branches);
        if norm == BranchNorm::Online && !self.branches.is_plain() {
            self.norm_after.get_or_insert(true);
        }
        self
    }

    /// Sets the branches: a [`Preset`](crate::Preset), whose missing branches are left out, or exact
    /// [`BranchKind`](crate::BranchKind)s or [`BranchSpec`](crate::BranchSpec)s, which must exist.
    #[must_use]
    pub fn with_branches(mut self, branches: impl Into<Branches>) -> Self {
        self.branches = branches.into();
        self
    }

    /// The convolution's geometry.
    ///
    /// # Errors
    /// Options that make no sense.
    pub fn geometry(&self) -> Result<ConvGeometry, ConfigError> {
        Ok(ConvGeometry::new(self.channels, self.kernel_size)?
            .with_stride(self.stride)?
            .with_dilation(self.dilation)?
            .with_groups(self.groups)?
            .with_padding(self.padding.clone())?)
    }

    /// The layer's form.
    ///
    /// # Errors
    /// Options that make no sense, or a branch asked for by name that does not exist.
    pub fn form(&self) -> Result<Form, ConfigError> {
        let geometry = self.geometry()?;
        let norm_after = self.norm_after.unwrap_or_else(|| self.branches.norm_after());
        let stacks = self.branches.preset().is_some_and(|preset| preset.stacks(&geometry));
        let form = match geometry.in_sequence().filter(|_| stacks) {
            Some(own) => {
                let last = own.len() - 1;
                // The bias of one in front would be that of the last, once more.
                let bias = |number| self.bias && number == last;
                let layers = own.iter().enumerate();
                let layers = layers.map(|(number, own)| self.form_of(own, bias(number), false));
                let (layers, composition) =
                    (layers.collect::<Result<_, _>>()?, Composition::default());
                Form::Stack(StackForm { layers, composition, norm_after })
            }
            None => self.form_of(&geometry, self.bias, norm_after)?,
        };
        form.check(&geometry)?;
        Ok(form)
    }

    /// The form of a convolution of `geometry`, plain or a block.
    fn form_of(
        &self,
        geometry: &ConvGeometry,
        bias: bool,
        norm_after: bool,
    ) -> Result<Form, ConfigError> {
        let Some(branches) = self.branches.resolve(geometry)? else {
            return match self.norm_after {
                Some(true) => Err(ConfigError::NormAfterPlain),
                _ => Ok(Form::Plain { bias }),
            };
        };
        let preset = self.branches.preset();
        let mid_channels = |kind: BranchKind| match (kind.first(), preset) {
            (First::Pointwise, _) if let Some(given) = self.mid_channels => given,
            (_, Some(preset)) => preset.mid_channels(kind, geometry),
            (_, None) => kind.mid_channels(geometry),
        };
        let inside = preset.and_then(|preset| preset.inside_kxk(geometry));
        let outer = bias && inside.is_none();
        let mut block = BlockForm::new(&branches, outer, mid_channels, norm_after);
        if let Some(inside) = inside {
            let inside = BlockForm::new(&inside, bias, mid_channels, false);
            *block.main_conv_mut() = Form::Block(inside);
        }
        Ok(Form::Block(block))
    }

    /// Builds the layer on `device`.
    ///
    /// # Panics
    /// Where [`try_init`](Self::try_init) would return an error, with its text.
    #[must_use]
    pub fn init(&self, device: &Device) -> RepConv2d {
        self.try_init(device).unwrap_or_else(|error| panic!("RepConv2d: {error}"))
    }

    /// Builds the layer on `device`.
    ///
    /// # Errors
    /// Options that make no sense, or a branch asked for by name that does not exist.
    pub fn try_init(&self, device: &Device) -> Result<RepConv2d, ConfigError> {
        let (geometry, form) = (self.geometry()?, self.form()?);
        let mut builder = Builder::new(Source::Device(self.initializer.clone()), device, "")
            .with_preset(self.branches.preset());
        Ok(RepConv2d::build(&geometry, &form, &mut builder))
    }
}
