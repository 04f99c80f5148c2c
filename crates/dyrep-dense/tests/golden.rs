//! Losses and their gradients against torchvision's own (`golden/losses.py`).

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use dyrep_boxes::{AnchorGenerator, Anchors, BBox, Size, pyramid};
use dyrep_dense::{
    Criterion, IGNORED, Targets, TargetsError, Truth, focal, giou, pixel_loss, segmentation_loss,
};
use dyrep_models::{DetectionHead, LevelOutput, Segmented};
use dyrep_tests::device::allowed;
use dyrep_tests::under_test;
use serde::Deserialize;

/// Of the largest value. Measured: 6e-7 in float32.
const TOLERANCE: f64 = 1e-5;
const CLASSES: usize = 4;
const PICTURE: Size = Size { height: 48, width: 64 };

#[derive(Deserialize)]
struct Golden {
    retinanet: Losses,
    fcos: Losses,
    elements: Elements,
}

#[derive(Deserialize)]
struct Losses {
    found: Vec<usize>,
    classes: f64,
    boxes: f64,
    centreness: Option<f64>,
    gradients: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Elements {
    giou: Vec<f64>,
    giou_gradient: Vec<f64>,
    focal: [Vec<f64>; 2],
    pixels: f64,
    pixels_gradient: Vec<f64>,
}

fn golden() -> Golden {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/losses.json");
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// The same numbers as in the script.
fn outputs(count: usize, salt: f64, scale: f64) -> Vec<f32> {
    let value = |i: usize| scale * (0.37 * i as f64 + (i as f64).sqrt() + salt).sin();
    (0..count).map(|i| value(i) as f32).collect()
}

fn truths() -> Vec<Truth> {
    let truth = |boxes: &[[f32; 4]], classes: &[usize]| Truth {
        boxes: boxes.iter().map(|[x1, y1, x2, y2]| BBox::new(*x1, *y1, *x2, *y2)).collect(),
        classes: classes.to_vec(),
    };
    let first = [[3.0, 5.0, 30.0, 33.0], [20.5, 10.0, 60.0, 44.25], [40.0, 2.0, 49.0, 9.0]];
    vec![truth(&first, &[0, 3, 1]), truth(&[[0.0, 0.0, 64.0, 48.0]], &[2]), truth(&[], &[])]
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn close(got: &[f32], want: &[f64], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    let largest = want.iter().fold(1e-6, |most: f64, value| most.max(value.abs()));
    for (place, (got, want)) in got.iter().zip(want).enumerate() {
        let off = (f64::from(*got) - want).abs() / largest;
        assert!(off < allowed(TOLERANCE), "{what} at {place}: {got} and {want}");
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_to_vec().unwrap()
}

/// The levels' maps of which these are the rows `[batch, anchors, each]`.
fn maps(rows: &Tensor<3>, each: usize, of_place: usize) -> Vec<Tensor<4>> {
    let batch = rows.dims()[0];
    let mut first = 0;
    let level = |Size { height, width }: Size| {
        let [height, width] = [height, width].map(|side| side as usize);
        let count = height * width * of_place;
        let level = rows.clone().narrow(1, first, count);
        first += count;
        let split = level.reshape([batch, height, width, of_place, each]);
        split.permute([0, 3, 4, 1, 2]).reshape([batch, of_place * each, height, width])
    };
    let maps = pyramid(PICTURE).unwrap().into_iter().map(level).collect();
    assert_eq!(first, rows.dims()[1]);
    maps
}

fn anchors(head: DetectionHead) -> (Anchors, usize) {
    let (generator, of_place) = match head {
        DetectionHead::RetinaNet => (AnchorGenerator::retinanet(), 9),
        DetectionHead::Fcos => (AnchorGenerator::fcos(), 1),
    };
    (generator.anchors(PICTURE, &pyramid(PICTURE).unwrap()).unwrap(), of_place)
}

fn check(head: DetectionHead, golden: &Losses) {
    let device = under_test().autodiff();
    let (anchors, of_place) = anchors(head);
    let count = anchors.boxes().len();
    let criterion = Criterion { head, classes: CLASSES };
    let targets = criterion.targets(&truths(), &anchors).unwrap();
    assert_eq!(targets.found(), golden.found);
    let rows = |each: usize, salt: f64, scale: f64| {
        tensor(outputs(3 * count * each, salt, scale), [3, count, each], &device)
    };
    let logits = rows(CLASSES, 0.0, 2.0).require_grad();
    let boxes = match head {
        DetectionHead::RetinaNet => rows(4, 1.0, 0.5),
        DetectionHead::Fcos => rows(4, 1.0, 0.5).abs() + 0.25,
    };
    let boxes = boxes.detach().require_grad();
    let central = (head == DetectionHead::Fcos).then(|| rows(1, 2.0, 1.0).require_grad());
    let of_centre = central.as_ref().map(|central| maps(central, 1, 1));
    let levels = maps(&logits, CLASSES, of_place).into_iter().zip(maps(&boxes, 4, of_place));
    let levels: Vec<LevelOutput> = levels
        .enumerate()
        .map(|(level, (logits, boxes))| LevelOutput {
            logits,
            boxes,
            centreness: of_centre.as_ref().map(|maps| maps[level].clone()),
        })
        .collect();
    let losses = criterion.loss(&levels, &targets);
    close(&values(losses.classes.clone()), &[golden.classes], "classes");
    close(&values(losses.boxes.clone()), &[golden.boxes], "boxes");
    let of_centre = losses.centreness.clone().map(|loss| f64::from(values(loss)[0]));
    assert_eq!(of_centre.is_some(), golden.centreness.is_some());
    if let (Some(got), Some(want)) = (of_centre, golden.centreness) {
        close(&[got as f32], &[want], "centre-ness");
    }
    let gradients = losses.total().backward();
    let leaves = [Some(logits), Some(boxes), central].into_iter().flatten();
    for (number, (leaf, want)) in leaves.zip(&golden.gradients).enumerate() {
        let got = leaf.grad(&gradients).unwrap();
        close(&values(got), want, &format!("gradient {number}"));
    }
}

#[test]
fn retinanet_s_losses_are_torchvision_s() {
    check(DetectionHead::RetinaNet, &golden().retinanet);
}

#[test]
fn fcos_s_losses_are_torchvision_s() {
    check(DetectionHead::Fcos, &golden().fcos);
}

#[test]
fn elements_are_torchvision_s() {
    let device = under_test().autodiff();
    let golden = golden().elements;
    let boxes = |values: [[f32; 4]; 5]| tensor(values.concat(), [5, 4], &device);
    let one = boxes([
        [0.0, 0.0, 4.0, 4.0],
        [0.0, 0.0, 1.0, 1.0],
        [1.0, 1.0, 2.0, 2.0],
        [3.0, 3.0, 9.0, 8.0],
        [2.0, 2.0, 2.0, 2.0],
    ])
    .require_grad();
    let other = boxes([
        [2.0, 1.0, 6.0, 5.0],
        [5.0, 6.0, 7.0, 9.0],
        [0.0, 0.0, 4.0, 4.0],
        [3.0, 3.0, 9.0, 8.0],
        [0.0, 0.0, 4.0, 4.0],
    ]);
    let loss = giou(&one, &other);
    close(&values(loss.clone()), &golden.giou, "1 − GIoU");
    // Of equal boxes the gradient is one of several: what each framework makes of a tie.
    let equal = 12..16;
    let gradients = loss.sum().backward();
    let (mut got, mut want) = (values(one.grad(&gradients).unwrap()), golden.giou_gradient);
    got.drain(equal.clone());
    want.drain(equal);
    close(&got, &want, "its gradient");

    let logits = tensor(vec![-80.0, -3.0, 0.0, 2.5, 90.0], [5], &device);
    for (target, want) in [0.0, 1.0].into_iter().zip(&golden.focal) {
        let targets = Tensor::full([5], target, &device);
        close(&values(focal(logits.clone(), targets)), want, "the focal loss");
    }
}

#[test]
fn every_pixel_counts_once_but_those_that_are_ignored() {
    let device = under_test().autodiff();
    let golden = golden().elements;
    let logits = tensor(outputs(48, 0.0, 2.0), [2, 3, 2, 4], &device).require_grad();
    let labels =
        |labels: Vec<i64>| Tensor::<3, Int>::from_data(TensorData::new(labels, [2, 2, 4]), &device);
    let given = vec![0, 1, 2, IGNORED, 2, 2, IGNORED, 0, 1, 1, 1, 1, IGNORED, 0, 2, 1];
    let given = labels(given);
    let loss = pixel_loss(logits.clone(), given.clone());
    close(&values(loss.clone()), &[golden.pixels], "the loss");
    let gradients = loss.backward();
    let got = logits.grad(&gradients).unwrap();
    close(&values(got), &golden.pixels_gradient, "its gradient");
    let outputs = Segmented { logits: logits.clone(), auxiliary: Some(logits.clone()) };
    let both = segmentation_loss(outputs, &given, 0.4);
    close(&values(both), &[1.4 * golden.pixels], "of both heads");
    let nothing = pixel_loss(logits, labels(vec![IGNORED; 16]));
    assert_eq!(values(nothing), [0.0]);
}

#[test]
fn what_is_no_target_is_refused() {
    let (anchors, _) = anchors(DetectionHead::Fcos);
    let criterion = Criterion { head: DetectionHead::Fcos, classes: CLASSES };
    let refused = |truth: Truth| -> TargetsError {
        let pictures = [Truth::default(), truth];
        let targets: Result<Targets, TargetsError> = criterion.targets(&pictures, &anchors);
        targets.unwrap_err()
    };
    let solid = BBox::new(1.0, 2.0, 30.0, 40.0);
    let error = refused(Truth { boxes: vec![solid], classes: vec![] });
    assert_eq!(error.to_string(), "picture 1 of the batch has 1 boxes and 0 classes");
    let error = refused(Truth { boxes: vec![solid], classes: vec![4] });
    assert_eq!(error.to_string(), "object 0 of picture 1 is of class 4, of 4 from 0");
    let flat = BBox::new(1.0, 2.0, 1.0, 40.0);
    let error = refused(Truth { boxes: vec![flat], classes: vec![1] });
    assert!(error.to_string().starts_with("picture 1 of the batch: "), "{error}");
}
