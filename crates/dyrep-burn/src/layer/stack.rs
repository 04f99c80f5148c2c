//! A stack: 3×3 layers in sequence that train and ship as one k×k convolution.

use burn::module::{Module, ModuleMapper, ModuleVisitor};
use burn::nn::BatchNorm;
use burn::tensor::Device;
use dyrep_config::Composition;

use super::block::AFTER;
use super::branch::{map_part, visit_part};
use super::build::{Builder, GAMMA};
use super::rep_conv2d::RepConv2d;
use crate::fuse::{Kernel, NormAffine, fold_norm, in_sequence, turned};
use crate::geometry::ConvGeometry;
use crate::structure::StackForm;

/// 3×3 layers in sequence that stand for one k×k convolution while training, k odd and above 3: OREPA's deep stem (arXiv
/// 2204.00826, section 3.3).
///
/// The input is padded once, and no layer pads: so they are one convolution exactly, whose kernel is composed in weight space
/// at each step. Nothing in a layer is a norm.
///
/// Parameters lie below the layers' numbers, `0.kxk.conv.weight`, `1.weight`, …; those of a norm behind them below `bn`.
#[derive(Clone, Debug)]
pub struct Stack {
    pub(crate) layers: Vec<RepConv2d>,
    pub(crate) composition: Composition,
    /// Follows the last layer.
    pub(crate) norm_after: Option<BatchNorm>,
    pub(crate) geometry: ConvGeometry,
}

impl Stack {
    /// Builds a stack; `form` must have been checked against `geometry`.
    pub(crate) fn build(
        geometry: &ConvGeometry,
        form: &StackForm,
        builder: &mut Builder<'_>,
    ) -> Self {
        let own = geometry.in_sequence().unwrap_or_else(|| unreachable!("its form was checked"));
        let layers = form.layers.iter().zip(&own).enumerate().map(|(number, (form, geometry))| {
            builder.within(&number.to_string(), |it| RepConv2d::build(geometry, form, it))
        });
        let layers = layers.collect();
        let norm_after =
            form.norm_after.then(|| builder.norm(AFTER, geometry.out_channels(), GAMMA));
        Self { layers, composition: form.composition, norm_after, geometry: geometry.clone() }
    }

    /// The layers, the first of which reads the input. Each is a 3×3 convolution as [`ConvGeometry::in_sequence`] gives it,
    /// of which the stack takes the kernel.
    #[must_use]
    pub fn layers(&self) -> &[RepConv2d] {
        &self.layers
    }

    /// How the layers' kernels become one.
    #[must_use]
    pub fn composition(&self) -> Composition {
        self.composition
    }

    /// The batch norm behind the last layer, if there is one.
    #[must_use]
    pub fn norm_after(&self) -> Option<&BatchNorm> {
        self.norm_after.as_ref()
    }

    /// The geometry of the one convolution.
    #[must_use]
    pub fn geometry(&self) -> &ConvGeometry {
        &self.geometry
    }

    /// The stack's form.
    #[must_use]
    pub fn form(&self) -> StackForm {
        StackForm {
            layers: self.layers.iter().map(RepConv2d::form).collect(),
            composition: self.composition,
            norm_after: self.norm_after.is_some(),
        }
    }

    /// The one kernel that the stack is at inference, through the norm behind it.
    #[must_use]
    pub fn fuse(&self) -> Kernel {
        let kernel = in_sequence(&self.kernels(RepConv2d::fuse), &self.geometry);
        match &self.norm_after {
            Some(norm) => fold_norm(&kernel, &NormAffine::of(norm)),
            None => kernel,
        }
    }

    /// The layers' kernels, each as `of` gives it and turned where the composition has it so: those that, applied in
    /// sequence, are the stack.
    pub(crate) fn kernels(&self, of: impl Fn(&RepConv2d) -> Kernel) -> Vec<Kernel> {
        let kernel = |(number, layer): (usize, &RepConv2d)| match self.composition {
            Composition::Published if number > 0 => turned(&of(layer)),
            _ => of(layer),
        };
        self.layers.iter().enumerate().map(kernel).collect()
    }
}

/// The container type that visitors are told.
const CONTAINER: &str = "Struct:Stack";

impl Module for Stack {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        self.norm_after.collect_devices(self.layers.collect_devices(devices))
    }

    fn fork(self, device: &Device) -> Self {
        let norm_after = self.norm_after.fork(device);
        Self { layers: self.layers.fork(device), norm_after, ..self }
    }

    fn to_device(self, device: &Device) -> Self {
        let norm_after = self.norm_after.to_device(device);
        Self { layers: self.layers.to_device(device), norm_after, ..self }
    }

    fn train(self) -> Self {
        let norm_after = self.norm_after.train();
        Self { layers: self.layers.train(), norm_after, ..self }
    }

    fn valid(&self) -> Self {
        let norm_after = self.norm_after.valid();
        let geometry = self.geometry.clone();
        Self { layers: self.layers.valid(), composition: self.composition, norm_after, geometry }
    }

    /// A stack cannot become anything else by itself: [`RepConv2d`] replaces it whole.
    fn materialize(self) -> Self {
        self
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        for (number, layer) in self.layers.iter().enumerate() {
            let name = number.to_string();
            visitor.enter_module(&name, CONTAINER);
            layer.visit(visitor);
            visitor.exit_module(&name, CONTAINER);
        }
        visit_part([AFTER, CONTAINER], &self.norm_after, visitor);
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        let layers = self.layers.into_iter().enumerate().map(|(number, layer)| {
            let name = number.to_string();
            mapper.enter_module(&name, CONTAINER);
            let layer = layer.map(mapper);
            mapper.exit_module(&name, CONTAINER);
            layer
        });
        let layers = layers.collect();
        let norm_after = map_part([AFTER, CONTAINER], self.norm_after, mapper);
        Self { layers, norm_after, ..self }
    }
}
