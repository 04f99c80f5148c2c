//! Random layers: any geometry, any subset of branches, any nesting, with parameters that hide nothing.

use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::tensor::{Device, Tensor, TensorData};
use dyrep_burn::{
    AdjustOptions, BlockForm, BranchForm, BranchKind, BranchName, BranchSpec, Branches,
    Calibration, ConvGeometry, End, Fidelity, First, Form, LayerStructure, NormRule, Preset,
    RepConv2d, RepConv2dConfig, Structure, block_ratios, cut, grow,
};
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::device::fewer;
use crate::params;

/// A source of random choices, the same for the same number on every machine.
pub struct Draw(ChaCha8Rng);

impl Draw {
    /// The draw of the given number.
    pub fn new(number: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(number))
    }

    /// A whole number in `low..=high`.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        self.0.random_range(low..=high)
    }

    /// True with the given chance in percent.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.between(1, 100) <= percent
    }

    /// A number in `low..high`.
    pub fn uniform(&mut self, low: f32, high: f32) -> f32 {
        self.0.random_range(low..high)
    }

    /// Values in `low..high`, as data of the given shape.
    pub fn data(&mut self, shape: &[usize], low: f32, high: f32) -> TensorData {
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| self.uniform(low, high)).collect();
        TensorData::new(values, shape.to_vec())
    }
}

/// A geometry with kernel 1 to 7, stride and dilation 1 to 3, groups from dense to depthwise, and padding
/// that may be centred, asymmetric or none.
pub fn geometry(draw: &mut Draw) -> ConvGeometry {
    let kernel = [draw.between(1, 7), draw.between(1, 7)];
    let kernel = if draw.chance(60) { [kernel[0]; 2] } else { kernel };
    let pick = |draw: &mut Draw| {
        if draw.chance(60) { 1 } else { draw.between(2, 3) }
    };
    let stride = [pick(draw), pick(draw)];
    let dilation = [pick(draw), pick(draw)];
    let groups = draw.between(1, 3);
    let inputs = groups * draw.between(1, 3);
    let outputs = if draw.chance(50) { inputs } else { groups * draw.between(1, 3) };
    let middle = |axis: usize| kernel[axis] / 2 * dilation[axis];
    let explicit = |draw: &mut Draw| {
        let [top, left] = [0, 1].map(|axis| match draw.between(1, 10) {
            1..=6 => middle(axis),
            7..=8 => (kernel[axis] - 1) / 2 * dilation[axis],
            _ => draw.between(0, 4),
        });
        let behind = |draw: &mut Draw, before: usize| match draw.between(1, 10) {
            1..=7 => before,
            _ => draw.between(0, 5),
        };
        let (bottom, right) = (behind(draw, top), behind(draw, left));
        PaddingConfig2d::Explicit(top, left, bottom, right)
    };
    let padding = match draw.between(1, 10) {
        1 => PaddingConfig2d::Valid,
        2 => PaddingConfig2d::Same,
        _ => explicit(draw),
    };
    ConvGeometry::new([inputs, outputs], kernel)
        .and_then(|geometry| geometry.with_stride(stride))
        .and_then(|geometry| geometry.with_dilation(dilation))
        .and_then(|geometry| geometry.with_groups(groups))
        .and_then(|geometry| geometry.with_padding(padding))
        .unwrap()
}

/// A form with blocks nested up to `depth` deep. The kinds come from the code: every one that exists has its chance, those
/// of any block half of the time; they end in anything, stand several times, and a norm may follow their sum.
pub fn form(draw: &mut Draw, geometry: &ConvGeometry, depth: usize) -> Form {
    if depth == 0 {
        return Form::Plain { bias: draw.chance(50) };
    }
    let inner = if draw.chance(60) { depth - 1 } else { 0 };
    let mut main = branch(draw, BranchName::MAIN, geometry);
    main.conv = Some(Box::new(form(draw, geometry, inner)));
    let mut names: Vec<BranchName> = vec![];
    for kind in BranchKind::existing(geometry) {
        let named = BranchKind::NAMED.contains(&kind);
        let times = match draw.between(1, 100) {
            1..=5 => 2,
            6..=55 if named => 1,
            6..=8 => 1,
            _ => 0,
        };
        let first = 1 + usize::from(kind == BranchKind::KXK);
        names.extend((first..first + times).map(|nth| BranchName { kind, nth }));
    }
    let mut branches = vec![main];
    for name in names {
        let mut branch = branch(draw, name, geometry);
        if name.kind.nests() && draw.chance(30) {
            let own = nested_geometry(geometry, branch.mid_channels);
            branch.conv = Some(Box::new(form(draw, &own, depth - 1)));
        }
        branches.push(branch);
    }
    let block = BlockForm { branches, norm_after: draw.chance(20) };
    Form::Block(if draw.chance(20) { without_norms(block, geometry) } else { block })
}

/// The block with nothing in it that is a norm, at any depth, but for that after its own sum.
fn without_norms(block: BlockForm, geometry: &ConvGeometry) -> BlockForm {
    let linear = |branch: BranchForm| {
        let own = nested_geometry(geometry, branch.mid_channels);
        let inner = |form: Form| match form {
            Form::Plain { .. } | Form::Stack(_) => form,
            Form::Block(inner) => {
                Form::Block(BlockForm { norm_after: false, ..without_norms(inner, &own) })
            }
        };
        // A bias stands where nothing follows.
        let end = match branch.spec() {
            spec if spec.bias && !branch.name.kind.has_first(geometry) => branch.end,
            spec => spec.without_norms(geometry).end,
        };
        let bare = end != End::Nothing && !branch.name.kind.nests();
        let conv = branch.conv.map(|conv| match *conv {
            Form::Plain { .. } if bare => Box::new(Form::Plain { bias: false }),
            form => Box::new(inner(form)),
        });
        BranchForm { end, conv, ..branch }
    };
    BlockForm { branches: block.branches.into_iter().map(linear).collect(), ..block }
}

fn branch(draw: &mut Draw, name: BranchName, geometry: &ConvGeometry) -> BranchForm {
    let end = match draw.chance(60) {
        _ if name.kind.is_always_linear() => End::Linear,
        true => End::Norm,
        false if name.kind.has_first(geometry) && draw.chance(50) => End::Linear,
        false => End::ALL[draw.between(0, 3)],
    };
    let bias = end == End::Nothing && name.kind.convolves() && draw.chance(50);
    let spec = BranchSpec { kind: name.kind, end, bias, times: 1 };
    let times = draw.between(1, 3);
    let mid_channels = match name.kind.first() {
        First::Residual | First::Depthwise => geometry.in_channels() * times,
        First::None | First::Pointwise => geometry.groups() * times,
    };
    BranchForm::new(name, spec, mid_channels)
}

/// Of a block at a branch's core: the layer's own, or behind a 1×1 to so many channels without its padding.
fn nested_geometry(geometry: &ConvGeometry, mid_channels: Option<usize>) -> ConvGeometry {
    let Some(mid_channels) = mid_channels else { return geometry.clone() };
    ConvGeometry::new([mid_channels, geometry.out_channels()], geometry.kernel_size())
        .and_then(|second| second.with_stride(geometry.stride()))
        .and_then(|second| second.with_dilation(geometry.dilation()))
        .and_then(|second| second.with_groups(geometry.groups()))
        .unwrap()
}

/// A plain layer of a geometry.
pub fn plain(geometry: &ConvGeometry, bias: bool, device: &Device) -> RepConv2d {
    RepConv2dConfig::of(geometry).with_bias(bias).init(device)
}

/// A layer of a form.
pub fn layer(geometry: &ConvGeometry, form: &Form, device: &Device) -> RepConv2d {
    let wanted = LayerStructure { geometry: geometry.clone(), form: form.clone() };
    let structure = Structure::new([(String::new(), wanted)].into()).unwrap();
    structure.apply(plain(geometry, false, device)).unwrap()
}

/// Plain convolutions inside the layer, by path, that could be grown.
fn plain_paths(layer: &RepConv2d) -> Vec<String> {
    let paths = params::read(layer).into_keys();
    let weights = paths.filter_map(|path| match path.as_str() {
        "weight" => Some(String::new()),
        path if path.ends_with("kxk.conv.weight") || path.ends_with("1x1_kxk.conv2.weight") => {
            path.strip_suffix(".weight").map(str::to_owned)
        }
        _ => None,
    });
    weights.collect()
}

/// The layer after a random growth or cut by any rules: a preset's branches grow in the form that `branches` gives them.
pub fn change(
    layer: &RepConv2d,
    draw: &mut Draw,
    event: u64,
    calibration: &mut Calibration<'_, RepConv2d>,
    branches: impl FnOnce(Preset) -> Branches,
) -> RepConv2d {
    let norm_rule = NormRule::ALL[draw.between(0, 1)];
    let fidelity = if draw.chance(70) { Fidelity::Mended } else { Fidelity::Published };
    let options = AdjustOptions { norm_rule, fidelity, seed: 7, event };
    let blocks = block_ratios(layer);
    let blocks: Vec<_> = blocks.into_iter().filter(|block| !block.ratios.is_empty()).collect();
    if blocks.is_empty() || draw.chance(50) {
        let paths: Vec<String> = plain_paths(layer);
        let shallow = paths.into_iter().filter(|path| path.matches("conv").count() < 3);
        let shallow: Vec<String> = shallow.collect();
        let Some(path) = shallow.get(draw.between(0, shallow.len().max(1) - 1)) else {
            return layer.clone();
        };
        let grown: Vec<_> = Preset::ALL.into_iter().filter(|it| !it.only_starts()).collect();
        let branches = branches(grown[draw.between(1, grown.len() - 1)]);
        return grow(layer, path, &branches, &options, calibration).unwrap();
    }
    let block = &blocks[draw.between(0, blocks.len() - 1)];
    let mut kinds: Vec<BranchName> = block.ratios.iter().map(|(name, _)| *name).collect();
    kinds.retain(|_| draw.chance(60));
    if kinds.is_empty() {
        kinds.push(block.ratios[0].0);
    }
    cut(layer, &block.path, &kinds, &options, calibration).unwrap()
}

/// Gives every parameter and statistic a value under which no error can hide: γ of either sign, β and mean
/// away from zero, variance away from one.
pub fn scramble<M: Module>(module: M, draw: &mut Draw) -> M {
    params::fill(module, |path, shape| {
        let name = path.rsplit('.').next().unwrap_or(path);
        match name {
            "gamma" => {
                let data = draw.data(shape, 0.5, 1.5);
                let values: Vec<f32> = data.iter::<f32>().collect();
                let signed = values.iter().map(|v| if draw.chance(30) { -v } else { *v }).collect();
                TensorData::new::<f32, _>(signed, shape.to_vec())
            }
            "running_var" => draw.data(shape, 0.3, 2.5),
            "scale" | "constant" => draw.data(shape, 0.3, 1.2),
            "weight" => {
                let fan_in: usize = shape[1..].iter().product();
                let bound = (3.0 / fan_in as f32).sqrt();
                draw.data(shape, -bound, bound)
            }
            _ => draw.data(shape, -0.7, 0.7),
        }
    })
}

/// A batch that the geometry can take, with a few rows and columns to spare.
pub fn input(draw: &mut Draw, geometry: &ConvGeometry, device: &Device) -> Tensor<4> {
    let size = geometry.span().map(|span| span + draw.between(0, 6));
    let shape = [draw.between(1, 3), geometry.in_channels(), size[0], size[1]];
    Tensor::from_data(draw.data(&shape, -1.0, 1.0), device)
}

/// How many random cases a law is tried on: `usual` of them, and `thorough` where `DYREP_THOROUGH=1` asks for them.
pub fn cases(usual: u64, thorough: u64) -> u64 {
    if std::env::var("DYREP_THOROUGH").is_ok_and(|value| value == "1") { thorough } else { usual }
}

/// Runs `check` on `cases` random draws, [`fewer`] where they take long. A failure names the draw's number, which alone replays it.
pub fn for_all(cases: u64, check: impl Fn(&mut Draw)) {
    let cases = fewer(cases);
    for case in 0..cases {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            check(&mut Draw::new(case));
        }));
        if let Err(panic) = outcome {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
            panic!("random case {case} of {cases}: {text}");
        }
    }
}
