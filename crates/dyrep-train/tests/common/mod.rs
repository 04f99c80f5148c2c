//! A small run on the shipped digits, and what the tests look at.

// Each test file uses some of it.
#![allow(dead_code)]

use std::path::Path;
use std::sync::Arc;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use burn_train::Interrupter;
use dyrep_burn::{ControllerConfig, CutRule, Preset, SearchConfig};
use dyrep_config::Precision;
use dyrep_data::{DataError, Dataset, Digits, Image, Loader, LoaderConfig, Pipeline};
use dyrep_models::{ResNet, ResNetConfig, Stem};
use dyrep_tests::under_test;
use dyrep_train::{
    Disk, Ended, InputSpec, Loss, Method, OptimizerConfig, Progress, Run, ScheduleConfig, Silent,
    SystemDisk, TrainError, Training,
};

/// Every optimiser, with the usual figures.
pub(crate) const METHODS: [Method; 5] = [
    Method::Sgd { momentum: 0.9, nesterov: true },
    Method::AdamW { betas: [0.9, 0.999], epsilon: 1e-8 },
    Method::Adam { betas: [0.9, 0.999], epsilon: 1e-8 },
    Method::RmsProp { alpha: 0.9, epsilon: 0.0316, momentum: 0.9 },
    Method::Lamb { betas: [0.9, 0.999], epsilon: 1e-6 },
];

/// Pictures in a batch.
pub(crate) const BATCH: usize = 64;

/// The first pictures of the digits: a test needs no more.
pub(crate) struct First {
    pub(crate) digits: Digits,
    pub(crate) count: usize,
    /// Those that are no pictures.
    pub(crate) broken: &'static [usize],
}

impl First {
    pub(crate) fn new(digits: Digits, count: usize) -> Self {
        Self { digits, count, broken: &[] }
    }
}

impl Dataset for First {
    fn len(&self) -> usize {
        self.count
    }

    fn classes(&self) -> &[String] {
        self.digits.classes()
    }

    fn channels(&self) -> usize {
        self.digits.channels()
    }

    fn label(&self, index: usize) -> usize {
        self.digits.label(index)
    }

    fn image(&self, index: usize) -> Result<Image, DataError> {
        if self.broken.contains(&index) {
            return Err(DataError::EmptyFile { path: format!("{index}.jpg").into() });
        }
        self.digits.image(index)
    }
}

pub(crate) fn loaders(pictures: usize, threads: usize) -> [Arc<Loader>; 2] {
    let config = LoaderConfig {
        batch_size: BATCH,
        shuffle: true,
        drop_last: true,
        seed: 3,
        threads,
        ..LoaderConfig::default()
    };
    let train = Arc::new(First::new(Digits::train(), pictures));
    let test = Arc::new(First::new(Digits::test(), 128));
    let evaluation = LoaderConfig { shuffle: false, drop_last: false, ..config };
    [
        Arc::new(Loader::new(train, Pipeline::digits_train(), config).unwrap()),
        Arc::new(Loader::new(test, Pipeline::identity(), evaluation).unwrap()),
    ]
}

/// Grows after every second epoch, and cuts what has the slightest reason to be cut.
pub(crate) fn controller() -> ControllerConfig {
    ControllerConfig {
        interval: 2,
        calibration_batches: 2,
        cut_rule: CutRule::Threshold { min_deviation: 0.0, max_ratio: 1.0, lone: true },
        ..ControllerConfig::default()
    }
}

/// An epoch of random masks, two of search.
pub(crate) fn search() -> SearchConfig {
    SearchConfig {
        random_until: 1,
        search_until: 3,
        alpha_learning_rate: 0.05,
        seed: 5,
        ..SearchConfig::default()
    }
}

pub(crate) fn training(epochs: usize) -> Training {
    Training {
        title: "resnet of width 4".to_owned(),
        description: "a few digits".to_owned(),
        recipe: String::new(),
        epochs,
        schedule: ScheduleConfig::cosine(epochs),
        optimizer: OptimizerConfig {
            learning_rate: 0.05,
            batch_size: BATCH,
            ..OptimizerConfig::imagenet()
        },
        loss: Loss::default(),
        distillation: None,
        rep_optimizer: None,
        controller: Some(controller()),
        search: None,
        recalibration: 0,
        patience: None,
        tensorboard: false,
        keep: 2,
        input: InputSpec::digits(),
        mixer: None,
        precision: Precision::F32,
        gradient_checkpointing: false,
        seed: 5,
    }
}

/// The same in every thread of a test program: the device's generator belongs to all of them.
pub(crate) fn network() -> ResNet {
    network_with(Preset::Plain)
}

/// The same, of blocks.
pub(crate) fn network_with(branches: Preset) -> ResNet {
    struct Fixed(f32);
    impl ModuleMapper for Fixed {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            self.0 += 1.0;
            let salt = self.0;
            param.map(|old| {
                let (shape, device) = (old.shape(), old.device());
                let norm = matches!(D, 1) && old.clone().max().into_scalar::<f32>().fract() == 0.0;
                if norm {
                    return old;
                }
                let scale = if D == 4 { (shape[1] * shape[2] * shape[3]) as f32 } else { 100.0 };
                let value = |i: usize| (salt + 1.7 * i as f32).sin() * (4.0 / scale).sqrt();
                let values = (0..shape.num_elements()).map(value).collect();
                Tensor::from_data(TensorData::new(values, shape), &device)
            })
        }
    }
    let config = ResNetConfig::resnet18(10).with_in_channels(1).with_width(4);
    let config = config.with_branches(branches).with_stem(Stem::Small);
    let network = config.init(&under_test().autodiff()).unwrap();
    network.map(&mut Fixed(0.0)).train()
}

pub(crate) struct Options<'a> {
    pub(crate) training: Training,
    pub(crate) loaders: [Arc<Loader>; 2],
    pub(crate) folder: &'a Path,
    pub(crate) resume: bool,
    pub(crate) devices: usize,
    pub(crate) network: ResNet,
    pub(crate) interrupter: Interrupter,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) progress: Box<dyn Progress + Send>,
}

impl<'a> Options<'a> {
    pub(crate) fn new(epochs: usize, folder: &'a Path) -> Self {
        Self {
            training: training(epochs),
            loaders: loaders(256, 0),
            folder,
            resume: false,
            devices: 1,
            network: network(),
            interrupter: Interrupter::new(),
            disk: SystemDisk::shared(),
            progress: Box::new(Silent),
        }
    }

    /// A run that searches.
    pub(crate) fn searching(mut self) -> Self {
        (self.training.controller, self.training.search) = (None, Some(search()));
        Self { network: network_with(Preset::RepNas), ..self }
    }

    pub(crate) fn run(self) -> Result<Ended<ResNet>, TrainError> {
        let [train, validation] = self.loaders;
        let devices = vec![under_test(); self.devices];
        let run = Run {
            training: self.training,
            network: self.network,
            train,
            validation,
            devices: &devices,
            folder: self.folder.to_owned(),
            resume: self.resume,
            interrupter: self.interrupter,
            disk: self.disk,
            dashboard: false,
            progress: self.progress,
        };
        run.train()
    }
}

/// All numbers of a module, as bits, by path.
pub(crate) fn bits<M: Module>(module: &M) -> Vec<(String, Vec<u32>)> {
    #[derive(Default)]
    struct Bits(Vec<String>, Vec<(String, Vec<u32>)>);
    impl ModuleVisitor for Bits {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.0.push(name.to_owned());
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let values = param.val().into_data().iter::<f32>().map(f32::to_bits).collect();
            self.1.push((self.0.join("."), values));
        }
    }
    let mut found = Bits::default();
    module.visit(&mut found);
    found.1
}

/// Fails with the first parameter that differs, not with all of their numbers.
pub(crate) fn assert_same_bits<M: Module>(got: &M, want: &M) {
    let (got, want) = (bits(got), bits(want));
    let paths = |all: &[(String, Vec<u32>)]| -> Vec<String> {
        all.iter().map(|(path, _)| path.clone()).collect()
    };
    assert_eq!(paths(&got), paths(&want));
    for ((path, got), (_, want)) in got.iter().zip(&want) {
        let differing = got.iter().zip(want).filter(|(got, want)| got != want).count();
        assert!(got.len() == want.len() && differing == 0, "{path}: {differing} numbers differ");
    }
}
