//! The loss against its definition and PyTorch's figures, and files that are refused.

use burn::tensor::{Device, Int, Tensor};
use dyrep_data::{DataError, Dataset, Image, Mix};
use dyrep_recipe::LossConfig;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize};

use super::*;
use crate::classifier::Loss;
use crate::pictures::Pictures;
use crate::step_gradients::Place;

/// Pictures that nobody looks at.
struct Set {
    classes: Vec<String>,
    labels: Vec<usize>,
    folder: &'static str,
}

impl Set {
    fn new(classes: &[&str], labels: &[usize]) -> Self {
        let classes = classes.iter().map(|name| (*name).to_owned()).collect();
        Self { classes, labels: labels.to_vec(), folder: "/data/" }
    }
}

impl Dataset for Set {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn channels(&self) -> usize {
        1
    }

    fn label(&self, index: usize) -> usize {
        self.labels[index]
    }

    fn image(&self, _index: usize) -> Result<Image, DataError> {
        unreachable!("nobody looks")
    }

    fn name(&self, index: usize) -> String {
        format!("{}{index}.png", self.folder)
    }
}

const STUDENT: [[f64; 3]; 2] = [[0.3, -1.0, 2.0], [1.5, 0.2, -0.4]];
const TEACHER: [[f64; 3]; 2] = [[1.0, -2.0, 4.0], [3.0, 2.5, -1.0]];
const LABELS: [usize; 2] = [2, 0];
const WEIGHTS: [f64; 3] = [2.0, 0.25, 0.5];

fn set() -> Set {
    Set::new(&["cat", "dog", "owl"], &LABELS)
}

fn teacher(logits: [[f64; 3]; 2]) -> Arc<TeacherLogits> {
    let logits: Vec<f32> = logits.iter().flatten().map(|logit| *logit as f32).collect();
    Arc::new(TeacherLogits::new(&set(), logits).unwrap())
}

#[derive(Clone, Copy, Debug)]
struct Case {
    temperature: f64,
    weight: f64,
    smoothing: f64,
    class_weights: bool,
    /// The share of each picture that stays; the other is mixed in.
    keeps: Option<f64>,
    /// PyTorch's loss.
    want: f64,
}

/// PyTorch 2.15 in f64, with z, t, y the figures above, T the temperature, v the weight, λ what a picture keeps:
///
/// ```text
/// ce(y) = cross_entropy(z, y, weight=WEIGHTS or None, label_smoothing)
/// p     = λ · softmax(t / T) + (1 − λ) · softmax(t / T)[[1, 0]]
/// (1 − v) · (λ · ce(y) + (1 − λ) · ce(y[[1, 0]])) + v · T² · kl_div(log_softmax(z / T), p, reduction="batchmean")
/// ```
const PYTORCH: [Case; 4] = [
    case([4.0, 0.9, 0.0], false, None, 0.536_582_308_097_413_7),
    case([2.0, 0.3, 0.1], true, None, 0.372_587_250_734_174_87),
    case([2.0, 0.3, 0.1], true, Some(0.3), 1.325_052_248_198_073_5),
    case([0.5, 1.0, 0.0], false, Some(0.3), 0.507_089_596_423_220_8),
];

const fn case(
    [temperature, weight, smoothing]: [f64; 3],
    class_weights: bool,
    keeps: Option<f64>,
    want: f64,
) -> Case {
    Case { temperature, weight, smoothing, class_weights, keeps, want }
}

fn softmax(logits: [f64; 3]) -> [f64; 3] {
    let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
    logits.map(|logit| logit.exp() / sum)
}

impl Case {
    /// What the module's formula says, number by number.
    fn by_definition(&self) -> f64 {
        let keeps = self.keeps.unwrap_or(1.0);
        let weights = if self.class_weights { WEIGHTS } else { [1.0; 3] };
        let by_labels = |labels: [usize; 2]| {
            let term = |(row, own): (&[f64; 3], usize)| -> f64 {
                let logs = softmax(*row).map(f64::ln);
                let share = |class: usize| {
                    let hot = if class == own { 1.0 - self.smoothing } else { 0.0 };
                    hot + self.smoothing / 3.0
                };
                (0..3).map(|class| -weights[class] * share(class) * logs[class]).sum()
            };
            let sum: f64 = STUDENT.iter().zip(labels).map(term).sum();
            sum / labels.iter().map(|label| weights[*label]).sum::<f64>()
        };
        let [first, second] = LABELS;
        let hard = keeps * by_labels([first, second]) + (1.0 - keeps) * by_labels([second, first]);
        let warm = |row: [f64; 3]| softmax(row.map(|logit| logit / self.temperature));
        let row = |at: usize| -> f64 {
            let (own, other) = (warm(TEACHER[at]), warm(TEACHER[1 - at]));
            let says = warm(STUDENT[at]);
            let mixed = |class: usize| keeps * own[class] + (1.0 - keeps) * other[class];
            (0..3).map(|class| mixed(class) * (mixed(class) / says[class]).ln()).sum()
        };
        let soft = self.temperature * self.temperature * (row(0) + row(1)) / 2.0;
        (1.0 - self.weight) * hard + self.weight * soft
    }

    fn loss(&self, logits: &Tensor<2>) -> Tensor<1> {
        let device = logits.device();
        let classes = |labels: [usize; 2]| {
            Tensor::<1, Int>::from_data(labels.map(|label| label as i64), &device)
        };
        let mix = self.keeps.map(|lambda| Mix { lambda, partner: vec![1, 0], region: None });
        let [first, second] = LABELS;
        let pictures = Pictures {
            images: Tensor::zeros([2, 1, 1, 1], &device),
            classes: classes([first, second]),
            mixed: self.keeps.map(|keeps| (classes([second, first]), keeps)),
            soft: None,
            place: Place::default(),
        };
        let distillation = Distillation {
            teacher: teacher(TEACHER),
            weight: self.weight,
            temperature: self.temperature,
        };
        let pictures = pictures.taught(Some(&distillation), &[0, 1], mix.as_ref());
        let config = LossConfig { label_smoothing: self.smoothing, class_weights: None };
        let weights = self.class_weights.then(|| WEIGHTS.map(|it| it as f32).to_vec());
        Loss { config, weights }.of(logits, &pictures)
    }
}

fn student(device: &Device) -> Tensor<2> {
    Tensor::from_data(STUDENT.map(|row| row.map(|logit| logit as f32)), device)
}

#[test]
fn the_loss_is_its_definition_and_pytorch_s() {
    for case in PYTORCH {
        let off = (case.by_definition() - case.want).abs();
        assert!(off < 1e-14, "{case:?}: the definition is off by {off:.1e}");
        let loss = f64::from(case.loss(&student(&Device::flex())).into_scalar::<f32>());
        let off = (loss - case.want).abs();
        // Measured: 9.1e-7 where T² is 16: the rounding of two logarithms, times T².
        assert!(off < 2e-6, "{case:?}: off by {off:.1e}");
    }
}

/// PyTorch's gradient of the third case.
#[test]
fn gradients_are_pytorch_s() {
    let logits = student(&Device::flex().autodiff()).require_grad();
    let gradients = PYTORCH[2].loss(&logits).backward();
    let found: Vec<f32> = logits.grad(&gradients).unwrap().into_data().iter().collect();
    for (found, want) in found.iter().zip(GRADIENT) {
        assert!((f64::from(*found) - want).abs() < 5e-7, "{found} for {want}");
    }
}

const GRADIENT: [f64; 6] = [
    -0.357_565_410_151_585_6,
    -0.033_924_459_331_901_83,
    0.391_489_869_483_487_4,
    0.089_862_607_130_566_61,
    0.085_681_201_494_616_58,
    -0.175_543_808_625_183_15,
];

/// What a teacher is certain of is a label: its loss alone is cross entropy.
#[test]
fn a_certain_teacher_is_the_labels() {
    let device = Device::flex();
    let mut certain = [[0.0; 3]; 2];
    LABELS.iter().zip(&mut certain).for_each(|(label, row)| row[*label] = 60.0);
    let distillation = Distillation { teacher: teacher(certain), weight: 1.0, temperature: 1.0 };
    let soft = distillation.targets(&[0, 1], None, &device);
    for salt in 0..50 {
        let value = |at: usize| 5.0 * ((salt * 6 + at) as f32 * 1.7).sin();
        let logits: [[f32; 3]; 2] =
            std::array::from_fn(|row| std::array::from_fn(|column| value(row * 3 + column)));
        let tensor = Tensor::<2>::from_data(logits, &device);
        let found = f64::from(soft.loss(&tensor, || unreachable!("alone")).into_scalar::<f32>());
        let row = |(row, label): (&[f32; 3], usize)| -softmax(row.map(f64::from))[label].ln();
        let want = logits.iter().zip(LABELS).map(row).sum::<f64>() / 2.0;
        assert!((found - want).abs() < 1e-5, "{found} for {want}");
    }
}

/// Nothing is lost where both say the same, at any temperature; pictures are found by their samples, also twice.
#[test]
fn who_agrees_has_nothing_to_learn() {
    let device = Device::flex();
    for temperature in [0.5, 1.0, 4.0, 100.0] {
        let distillation = Distillation { teacher: teacher(TEACHER), weight: 1.0, temperature };
        let soft = distillation.targets(&[1, 0, 1], None, &device);
        let rows = [1, 0, 1].map(|at: usize| TEACHER[at].map(|logit| logit as f32));
        let loss = soft.loss(&Tensor::from_data(rows, &device), || unreachable!("alone"));
        let loss = loss.into_scalar::<f32>();
        // Rounding, times T².
        assert!(loss.abs() < 1e-6 * temperature.max(1.0).powi(2) as f32, "{temperature}: {loss}");
    }
}

#[test]
fn numbers_out_of_bounds_are_refused() {
    let of = |weight, temperature| {
        let distillation = Distillation { teacher: teacher(TEACHER), weight, temperature };
        distillation.check(&set()).map_err(|error| error.to_string())
    };
    assert_eq!(of(1.0, 1.0), Ok(()));
    for weight in [0.0, -0.5, 1.5, f64::NAN] {
        let error = of(weight, 1.0).unwrap_err();
        assert!(error.contains("distillation weight: expected a number above 0"), "{error}");
    }
    for temperature in [0.0, -1.0, 1000.0, f64::NAN] {
        let error = of(0.5, temperature).unwrap_err();
        assert!(error.contains("distillation temperature: expected"), "{error}");
    }
}

#[test]
fn a_file_gives_back_what_it_was_made_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.safetensors");
    let made = teacher(TEACHER);
    std::fs::write(&path, made.bytes()).unwrap();
    let read = TeacherLogits::open(&path).unwrap();
    assert_eq!(teacher(TEACHER).bytes(), made.bytes());
    assert_eq!((read.pictures(), read.classes(), read.checksum()), (2, 3, made.checksum()));
    assert_eq!(read.row(1).collect::<Vec<_>>(), [3.0, 2.5, -1.0]);
    read.check(&set()).unwrap();
    // The data have moved.
    read.check(&Set { folder: "C:\\pictures\\", ..set() }).unwrap();
}

#[test]
fn logits_of_other_data_are_refused() {
    let made = teacher(TEACHER);
    let classes = ["cat", "dog", "owl"];
    for (other, told) in [
        (Set::new(&classes, &[2, 0, 1]), "logits of 2 pictures, the data have 3"),
        (Set::new(&["cat", "dog"], &[1, 0]), "logits of 3 classes, the data have 2"),
        (Set::new(&["cat", "owl", "dog"], &LABELS), "its class 1 is `dog`, that of the data `owl`"),
        (
            Set::new(&classes, &[0, 2]),
            "picture 0 is of class 2 there, /data/0.png of class 0: the logits are of other pictures, or in another order",
        ),
        (Set { folder: "/data/other-", ..set() }, "pictures with other names"),
    ] {
        let error = made.check(&other).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
    let error = TeacherLogits::new(&set(), vec![0.0; 5]).unwrap_err().to_string();
    assert!(error.contains("5 numbers, expected 2 pictures times 3 classes"), "{error}");
    let error = TeacherLogits::new(&set(), vec![0.0, 1.0, 2.0, 3.0, f32::NAN, 5.0]).unwrap_err();
    assert!(error.to_string().contains("logit of class 1 of picture 1 is no finite"), "{error}");
}

/// A file of tensors, each with its type and shape and as many bytes 1 as it takes.
fn written(tensors: &[(&str, Dtype, &[usize])], data: Option<&str>) -> Vec<u8> {
    let bytes = vec![1; 1000];
    let views = tensors.iter().map(|(name, dtype, shape)| {
        let length = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        (*name, TensorView::new(*dtype, shape.to_vec(), &bytes[..length]).unwrap())
    });
    let metadata = data.map(|text| [("data".to_owned(), text.to_owned())].into());
    serialize(views, metadata).unwrap()
}

#[test]
fn files_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.safetensors");
    let refusal = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let error = TeacherLogits::open(&path).unwrap_err().to_string();
        assert!(error.starts_with(&path.display().to_string()), "{error}");
        error
    };
    let (logits, labels) = (("logits", Dtype::F32, &[2, 3][..]), ("labels", Dtype::I64, &[2][..]));
    let mut whole = written(&[logits, labels], None);
    for (bytes, told) in [
        (vec![], "not a whole safetensors file"),
        (whole[..whole.len() - 1].to_vec(), "not a whole safetensors file"),
        (written(&[logits], None), "no tensor `labels`"),
        (written(&[labels], None), "no tensor `logits`"),
        (written(&[("logits", Dtype::F16, &[2, 3]), labels], None), "holds F16, expected F32"),
        (written(&[logits, ("labels", Dtype::I32, &[2])], None), "holds I32, expected I64"),
        (written(&[("logits", Dtype::F32, &[6]), labels], None), "expected [pictures, classes]"),
        (written(&[("logits", Dtype::F32, &[0, 3]), labels], None), "nothing in it"),
        (written(&[logits, ("labels", Dtype::I64, &[3])], None), "shape [3], expected [2]"),
        (
            written(&[logits, labels], Some(r#"{"classes":["cat"],"names":1}"#)),
            "names of 3 classes",
        ),
        (written(&[logits, labels], Some("cat")), "names of 3 classes"),
    ] {
        let error = refusal(&bytes);
        assert!(error.contains(told), "{error}");
    }
    // The logits are last, since the labels have the larger numbers.
    whole.iter_mut().rev().take(4).for_each(|byte| *byte = 0xff);
    assert!(refusal(&whole).contains("the logit of class 2 of picture 1 is no finite number"));
    std::fs::remove_file(&path).unwrap();
    assert!(TeacherLogits::open(&path).unwrap_err().to_string().contains("cannot be read"));
}

/// Whoever has only labels is held to them.
#[test]
fn files_of_other_programs_may_do_without_metadata() {
    let bytes = written(&[("logits", Dtype::F32, &[2, 3]), ("labels", Dtype::I64, &[2])], None);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.safetensors");
    std::fs::write(&path, bytes).unwrap();
    let error = TeacherLogits::open(&path).unwrap().check(&set()).unwrap_err().to_string();
    assert!(error.contains("picture 0 is of class 72340172838076673 there"), "{error}");
}
