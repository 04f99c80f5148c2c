//! Layers in sequence, none of which pads, are one convolution: the law, and layers that train so.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use burn::module::Module;
use burn::nn::PaddingConfig2d;
use burn::tensor::{DType, Tensor, TensorData};
use dyrep_burn::fuse::{Kernel, in_sequence, turned};
use dyrep_burn::ops::{Kernels, with_kernels};
use dyrep_burn::{
    Branches, Composition, ConvGeometry, Form, Preset, RepConv2d, RepConv2dConfig, StackForm,
    Structure, deploy, verify,
};
use dyrep_tests::close::{relative_difference, relative_difference_of};
use dyrep_tests::device::{allowed, computes};
use dyrep_tests::random::{self, Draw};
use dyrep_tests::{params, under_test};

/// Of the largest value; seen: 5e-7.
const TOLERANCE: f64 = 1e-5;
/// The same of gradients; seen: 1.3e-6.
const GRADIENTS: f64 = 5e-5;
/// What another function differs by at least.
const OTHER: f64 = 1e-3;

/// A convolution that can be layers in sequence: k of 5, 7 or 9, any stride, dilation and padding, groups.
fn geometry(draw: &mut Draw) -> ConvGeometry {
    let kernel = [5, 7, 9][draw.between(0, 2)];
    let groups = if draw.chance(70) { 1 } else { 2 };
    let channels = [groups * draw.between(1, 3), groups * draw.between(1, 3)];
    let dilation = [(); 2].map(|()| if draw.chance(80) { 1 } else { 2 });
    let stride = [draw.between(1, 3), draw.between(1, 3)];
    let padding = match draw.between(1, 10) {
        1 => PaddingConfig2d::Valid,
        2 => PaddingConfig2d::Same,
        3..=5 => {
            let [top, left, bottom, right] = [(); 4].map(|()| draw.between(0, 5));
            PaddingConfig2d::Explicit(top, left, bottom, right)
        }
        _ => {
            let [down, across] = dilation.map(|dilation| dilation * (kernel / 2));
            PaddingConfig2d::Explicit(down, across, down, across)
        }
    };
    ConvGeometry::new(channels, [kernel; 2])
        .and_then(|geometry| geometry.with_groups(groups))
        .and_then(|geometry| geometry.with_stride(stride))
        .and_then(|geometry| geometry.with_dilation(dilation))
        .and_then(|geometry| geometry.with_padding(padding))
        .unwrap()
}

/// A stack of plain layers and of blocks without norms, with or without a norm behind it.
fn form(draw: &mut Draw, geometry: &ConvGeometry, norm_after: bool) -> Form {
    let own = geometry.in_sequence().unwrap();
    let layer = |own: &ConvGeometry| {
        let bias = draw.chance(50);
        let preset = Preset::ALL[draw.between(1, Preset::ALL.len() - 1)];
        if draw.chance(30) {
            return Form::Plain { bias };
        }
        RepConv2dConfig::of(own)
            .with_bias(bias)
            .with_branches(Branches::Online(preset))
            .with_norm_after(false)
            .form()
            .unwrap()
    };
    let layers = own.iter().map(layer).collect();
    let composition = Composition::ALL[draw.between(0, 1)];
    Form::Stack(StackForm { layers, composition, norm_after })
}

/// Kernels of any size, one after the other on an input padded once, are one kernel, and so are their gradients.
#[test]
fn kernels_in_sequence_are_one_kernel() {
    let graph = under_test().autodiff();
    random::for_all(random::cases(100, 1000), |draw| {
        let (groups, count) = (draw.between(1, 3), draw.between(1, 4));
        let dilation = [draw.between(1, 2), draw.between(1, 2)];
        let channels: Vec<usize> = (0..=count).map(|_| groups * draw.between(1, 3)).collect();
        let sizes: Vec<[usize; 2]> =
            (0..count).map(|_| [draw.between(1, 4), draw.between(1, 4)]).collect();
        let stride = [draw.between(1, 3), draw.between(1, 3)];
        let step = |number| if number + 1 == count { stride } else { [1, 1] };
        let geometry = |channels, size, stride, padding| {
            ConvGeometry::new(channels, size)
                .and_then(|geometry| geometry.with_groups(groups))
                .and_then(|geometry| geometry.with_dilation(dilation))
                .and_then(|geometry| geometry.with_stride(stride))
                .and_then(|geometry| geometry.with_padding(padding))
                .unwrap()
        };
        let kernels: Vec<Kernel> = (0..count)
            .map(|number| {
                let own = [channels[number], channels[number + 1]];
                let own = geometry(own, sizes[number], step(number), PaddingConfig2d::Valid);
                let tensor = draw.data(&own.weight_shape(), -1.0, 1.0);
                let weight = Tensor::<4>::from_data(tensor, &graph).require_grad();
                let bias = draw.chance(50).then(|| {
                    let values = draw.data(&[own.out_channels()], -1.0, 1.0);
                    Tensor::<1>::from_data(values, &graph).require_grad()
                });
                Kernel::new(weight, bias, own)
            })
            .collect();
        let size = [0, 1].map(|axis| 1 + sizes.iter().map(|size| size[axis] - 1).sum::<usize>());
        let [top, left, bottom, right] = [(); 4].map(|()| draw.between(0, 4));
        let padding = PaddingConfig2d::Explicit(top, left, bottom, right);
        let whole = geometry([channels[0], channels[count]], size, stride, padding);

        let values = random::input(draw, &whole, &under_test());
        let run = |one: bool| {
            let input = values.clone().autodiff().require_grad();
            let output = match one {
                true => in_sequence(&kernels, &whole).apply(input.clone()),
                false => {
                    let padded = input.clone().pad([(top, bottom), (left, right)], 0.0);
                    kernels.iter().fold(padded, |map, kernel| kernel.apply(map))
                }
            };
            let seen = Draw::new(5).data(&output.dims(), -1.0, 1.0);
            let seen = Tensor::<4>::from_data(seen, &graph);
            let gradients = (output.clone() * seen).sum().backward();
            let mut found = vec![output.inner(), input.grad(&gradients).unwrap()];
            for kernel in &kernels {
                found.push(kernel.weight().grad(&gradients).unwrap());
                let bias = kernel.bias().map(|bias| bias.grad(&gradients).unwrap());
                found.extend(bias.map(Tensor::unsqueeze::<4>));
            }
            found
        };
        let sizes = format!("{sizes:?}, {whole}");
        for (number, (got, want)) in run(true).into_iter().zip(run(false)).enumerate() {
            let off = relative_difference(got, want);
            assert!(off < allowed(GRADIENTS), "{sizes}: {number} is off by {off:.1e}");
        }
        // The control: turned, kernels are others, but for those of one tap.
        if count > 1 && kernels[1].geometry().kernel_size() != [1, 1] {
            let mut others = kernels.clone();
            others[1] = turned(&others[1]);
            let [got, want] = [&others, &kernels].map(|kernels| in_sequence(kernels, &whole));
            let [got, want] = [got, want].map(|kernel| kernel.weight().inner());
            let off = relative_difference(got, want);
            assert!(off > OTHER, "{sizes}: turned, it is off by {off:.1e} only");
        }
    });
}

/// Outputs, gradients and running statistics of the one convolution are those of the layers run one after the other.
#[test]
fn a_stack_trains_as_its_layers_in_sequence_do() {
    let graph = under_test().autodiff();
    random::for_all(random::cases(60, 300), |draw| {
        let geometry = geometry(draw);
        let values = random::input(draw, &geometry, &under_test());
        let number = draw.between(0, 1_000_000) as u64;
        // Behind a norm gradients cancel: what they are is seen without one.
        for norm_after in [false, true] {
            let form = form(&mut Draw::new(number), &geometry, norm_after);
            let pass = |kernels| {
                let layer = random::layer(&geometry, &form, &graph).train();
                let layer = random::scramble(layer, &mut Draw::new(number));
                let input = values.clone().autodiff().require_grad();
                let output = with_kernels(kernels, || layer.forward(input.clone()));
                let seen = Draw::new(number).data(&output.dims(), -1.0, 1.0);
                let seen = Tensor::<4>::from_data(seen, &graph);
                let gradients = (output.clone() * seen).sum().backward();
                let found = params::gradients(&layer, &gradients);
                let kernels = layer.fuse().weight().inner();
                (
                    output.inner(),
                    input.grad(&gradients).unwrap(),
                    found,
                    params::read(&layer),
                    kernels,
                )
            };
            let [one, many] = [Kernels::Fast, Kernels::Composed].map(pass);
            let what = || format!("{geometry}: {form}");
            let off = relative_difference(one.0, many.0);
            assert!(off < allowed(TOLERANCE), "{}: output off by {off:.1e}", what());
            let off = relative_difference(one.4, many.4);
            assert!(off < allowed(TOLERANCE), "{}: kernel off by {off:.1e}", what());
            let statistics = |values: &BTreeMap<String, TensorData>| {
                let own = values.iter().filter(|(path, _)| path.contains("running"));
                own.flat_map(|(_, data)| data.iter::<f64>().collect::<Vec<_>>()).collect::<Vec<_>>()
            };
            let off = relative_difference_of(&statistics(&one.3), &statistics(&many.3));
            assert!(off < allowed(TOLERANCE), "{}: statistics off by {off:.1e}", what());
            assert!(one.2.keys().eq(many.2.keys()) && !one.2.is_empty());
            if norm_after {
                continue;
            }
            let off = relative_difference(one.1, many.1);
            assert!(off < allowed(GRADIENTS), "{}: input's gradient off by {off:.1e}", what());
            // One value alone may be a sum that cancels.
            let all = |found: &BTreeMap<String, TensorData>| -> Vec<f64> {
                found.values().flat_map(|data| data.iter::<f64>().collect::<Vec<_>>()).collect()
            };
            let off = relative_difference_of(&all(&one.2), &all(&many.2));
            assert!(off < allowed(GRADIENTS), "{}: gradients off by {off:.1e}", what());
        }
    });
}

/// Written, read, found again by its tensors, deployed, counted.
#[test]
fn a_stack_is_written_read_and_deployed() {
    let device = under_test();
    random::for_all(random::cases(60, 300), |draw| {
        let geometry = geometry(draw);
        let norm_after = draw.chance(50);
        let form = form(draw, &geometry, norm_after);
        let layer = random::scramble(random::layer(&geometry, &form, &device), draw);
        assert_eq!(layer.form(), form);
        assert!(layer.is_linear() && !layer.is_plain() && layer.block().is_none());
        let structure = Structure::of(&layer);
        let read = Structure::from_json(&structure.to_json()).unwrap();
        assert_eq!(read, structure);
        let fresh = read.apply(random::plain(&geometry, true, &device)).unwrap();
        let loaded = fresh.try_load_record(layer.valid().into_record()).unwrap();
        let input = random::input(draw, &geometry, &device);
        let want = layer.forward(input.clone());
        assert_eq!(want.dims()[2..], geometry.output_size([input.dims()[2], input.dims()[3]]));
        let off = relative_difference(loaded.forward(input.clone()), want.clone());
        assert!(off < allowed(TOLERANCE), "{geometry}: {form}: {off:.1e}");

        let deployed = deploy(&layer);
        assert!(deployed.is_plain());
        assert_eq!(deployed.geometry(), geometry);
        assert_eq!(deployed.form(), structure.deployed().layers()[""].form);
        let report = verify(&layer, &deployed, [input], RepConv2d::forward);
        assert!(report.warnings.is_empty() && report.blocks.len() == 1, "{report}");
        let off = report.model.relative.max(report.blocks[0].1.relative);
        assert!(off < allowed(TOLERANCE), "{geometry}: {form}: {off:.1e}");

        let values = params::read(&layer);
        let statistic = |path: &str| path.contains("running_") || path.ends_with("constant");
        let learnt = values.iter().filter(|(path, _)| !statistic(path));
        let count: usize = learnt.map(|(_, data)| data.shape().num_elements()).sum();
        assert_eq!(form.params(&geometry), count as u64);
        assert_eq!(form.macs(&geometry, [20, 17]), geometry.macs([20, 17]));

        let Form::Stack(mut stack) = form else { unreachable!() };
        // No tensor shows it.
        stack.composition = Composition::Sequence;
        let shapes = values.into_iter().map(|(path, data)| (path, data.shape().to_vec()));
        let found = Form::found("", &geometry, &shapes.collect()).unwrap();
        let shows = stack.layers.iter().all(|layer| !layer.to_string().contains(":none"));
        assert!(!shows || found == Form::Stack(stack), "{found}");
    });
}

/// In 16 bits, and in layers of 16 bits, about the same.
#[test]
fn a_stack_computes_in_its_inputs_numbers() {
    let graph = under_test().autodiff();
    let types = [(DType::F64, 1e-5), (DType::F16, 2e-2), (DType::BF16, 1e-1)];
    for (dtype, tolerance) in types.into_iter().filter(|(dtype, _)| computes(*dtype)) {
        for own in [false, true] {
            let layer = RepConv2dConfig::new([3, 8], [7, 7])
                .with_stride([2, 2])
                .with_padding(PaddingConfig2d::Explicit(3, 3, 3, 3))
                .with_branches(Preset::OrepaStem)
                .init(&graph);
            let layer = random::scramble(layer, &mut Draw::new(4));
            let input =
                Tensor::<4>::from_data(Draw::new(5).data(&[2, 3, 16, 15], -1.0, 1.0), &graph);
            let want = layer.valid().forward(input.clone().inner());
            let layer = if own { params::cast(layer, dtype) } else { layer };
            // Double precision is of the layer, not of its input alone.
            if !own && dtype == DType::F64 {
                continue;
            }
            let got = layer.valid().forward(input.clone().inner().cast(dtype)).cast(DType::F32);
            let off = relative_difference(got, want);
            assert!(off < tolerance, "{dtype:?}: {off:.1e}");
            let output = layer.forward(input.cast(dtype));
            assert_eq!(output.dtype(), dtype);
            let gradients = output.cast(DType::F32).powi_scalar(2).sum().backward();
            assert_eq!(params::gradients(&layer, &gradients).len(), 3 * 14 + 1 + 2);
        }
    }
}
