//! The wrapper under Burn's own `SupervisedTraining`, as a user has it: default checkpointers, metrics, summary, early
//! stopping, accumulation, several devices; and what it keeps beside the model.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::sync::{Arc, Mutex};

use burn::module::Module;
use burn::optim::SgdConfig;
use burn::optim::lr_scheduler::constant::ConstantLr;
use burn::store::ModuleRecord;
use burn::tensor::{BoolStore, Bytes, DType, Tensor};
use burn_pack::{Reader, Writer};
use burn_train::metric::store::{Aggregate, Direction, Split};
use burn_train::metric::{AccuracyMetric, LossMetric, TopKAccuracyMetric};
use burn_train::{
    ExecutionStrategy, Learner, LearningResult, MetricEarlyStoppingStrategy, MultiDeviceOptim,
    StoppingCondition, SupervisedTraining, TrainingStrategy,
};
use common::{BATCH, bits, controller, loaders, network};
use dyrep_burn::{AdjustOptions, Calibration, Change, Event, NormRule, Preset, grow};
use dyrep_config::Precision;
use dyrep_models::ResNet;
use dyrep_tests::{params, under_test};
use dyrep_train::{Batches, Classifier, DyRep, InputSpec, Loss, StepGradients};

type Model = DyRep<Classifier<ResNet>>;

/// A wrapper whose structure changes after every second epoch.
fn wrapped(steps_per_epoch: usize, parts: usize) -> Model {
    let model = DyRep::new(Classifier::new(network(), Loss::default()), steps_per_epoch)
        .with_controller(controller(), calibrate)
        .unwrap();
    if parts == 1 {
        return model;
    }
    let step = StepGradients::new(&under_test().autodiff(), BATCH, Precision::F32);
    model.with_shared_step(step, Classifier::sharing)
}

fn calibrate(
    model: &Classifier<ResNet>,
    epoch: usize,
    index: usize,
) -> Result<(), dyrep_train::BoxedError> {
    let number = 1000 * (1 + epoch as u64) + index as u64;
    let batch = loaders(256, 0)[0].epoch(number).next().unwrap()?;
    let device = model.devices()[0].clone();
    let _logits = model.network.forward(InputSpec::digits().images(&batch, &device));
    Ok(())
}

fn training(folder: &Path) -> SupervisedTraining<Model> {
    let [train, validation] = loaders(256, 0);
    let input = InputSpec::digits;
    let train = Batches::training(train, input(), 1);
    let validation = Batches::evaluation(validation, input());
    SupervisedTraining::new(folder, Arc::new(train), Arc::new(validation))
        .metrics((AccuracyMetric::new(), LossMetric::new(), TopKAccuracyMetric::new(3)))
        .with_application_logger(None)
        .with_default_checkpointers()
        .summary()
}

fn launch(training: SupervisedTraining<Model>, model: Model) -> LearningResult<Model> {
    let optimizer = SgdConfig::new().init();
    let ended = training.launch(Learner::new(model, optimizer, ConstantLr::new(0.05)));
    assert!(ended.error.is_none(), "{:?}", ended.error);
    ended
}

fn growths(model: &Model) -> usize {
    let grew = |event: &&Event| matches!(event.change, Change::Grew { .. });
    model.log().map_or(0, |log| log.events().filter(grew).count())
}

#[test]
fn checkpoints_metrics_and_summary() {
    let folder = tempfile::tempdir().unwrap();
    let ended = launch(training(folder.path()).num_epochs(3), wrapped(4, 1));
    assert_eq!((growths(&ended.model), ended.model.epochs()), (1, 3));
    assert!(folder.path().join("checkpoint/model-3.bpk").exists());
    // Burn's own checkpoints, loaded by Burn into a fresh model, bring the structure back.
    let again = launch(training(folder.path()).num_epochs(4).checkpoint(3), wrapped(4, 1));
    assert_eq!((growths(&again.model), again.model.epochs()), (2, 4));
}

#[test]
fn accumulation() {
    let folder = tempfile::tempdir().unwrap();
    let ended = launch(training(folder.path()).num_epochs(4).grads_accumulation(2), wrapped(2, 2));
    assert_eq!((growths(&ended.model), ended.model.epochs()), (2, 4));
}

#[test]
fn several_devices_in_both_ways() {
    for optimizing in [MultiDeviceOptim::OptimMainDevice, MultiDeviceOptim::OptimSharded] {
        let folder = tempfile::tempdir().unwrap();
        let devices = ExecutionStrategy::multi(vec![under_test(); 2], optimizing);
        let training = training(folder.path())
            .with_training_strategy(TrainingStrategy::Default(devices))
            .num_epochs(2);
        let ended = launch(training, wrapped(2, 2));
        assert_eq!((growths(&ended.model), ended.model.epochs()), (1, 2));
    }
}

/// Where the device has not the memory for what has grown, it is plain again, and the training goes on.
#[test]
fn a_growth_without_memory_is_undone() {
    let undone = Arc::new(Mutex::new(vec![]));
    let told = Arc::clone(&undone);
    let folder = tempfile::tempdir().unwrap();
    let model = wrapped(4, 1).with_trial(
        // The first growth is too large, the second is not.
        |model, epoch| {
            assert!(dyrep_burn::layers(model).iter().any(|(_, layer)| !layer.is_plain()));
            if epoch == 2 {
                panic!("out of device memory allocating 7 bytes");
            }
            Ok(())
        },
        move |epoch, paths, said| {
            told.lock().unwrap().push((epoch, paths.to_vec(), said.to_owned()));
        },
    );
    let ended = launch(training(folder.path()).num_epochs(4), model);
    let undone = undone.lock().unwrap();
    let [(2, paths, said)] = &undone[..] else { panic!("{undone:?}") };
    assert_eq!((paths.len(), said.as_str()), (1, "out of device memory allocating 7 bytes"));
    let log = ended.model.log().unwrap().clone();
    assert_eq!(log.adjustments().len(), 2);
    assert!(log.adjustments()[0].events.is_empty() && !log.adjustments()[1].events.is_empty());
    let grown = ended.model.into_model().network;
    let structure = dyrep_burn::Structure::of(&grown);
    assert_eq!(log.replay().unwrap(), structure);
}

/// An accuracy that cannot rise stops it after the second epoch without a new best, across the growth.
#[test]
fn early_stopping_across_a_growth() {
    let folder = tempfile::tempdir().unwrap();
    let never = MetricEarlyStoppingStrategy::new(
        &LossMetric::new(),
        Aggregate::Mean,
        // The highest loss is the first one: later epochs are no improvement.
        Direction::Highest,
        Split::Valid,
        StoppingCondition::NoImprovementSince { n_epochs: 2 },
    );
    let ended = launch(training(folder.path()).num_epochs(9).early_stopping(never), wrapped(4, 1));
    assert!((3..9).contains(&ended.model.epochs()), "stopped after {}", ended.model.epochs());
    assert!(growths(&ended.model) >= 1);
}

/// The average is what evaluation sees, and its function does not change when it grows with the model.
#[test]
fn the_average_follows_a_growth() {
    let folder = tempfile::tempdir().unwrap();
    let ended = launch(training(folder.path()).num_epochs(2), wrapped(4, 1).with_average(0.8));
    let forms = |network: &ResNet| -> Vec<_> {
        dyrep_burn::layers(network).into_iter().map(|(path, layer)| (path, layer.form())).collect()
    };
    let averaged = ended.model.into_model().network;
    assert!(forms(&averaged).iter().any(|(_, form)| form.branch_count() > 1));
    assert_ne!(forms(&averaged), forms(&network()));
}

/// The average of a short training is of its weights, not of those that it began with, however slow it is to be.
#[test]
fn a_slow_average_warms_up() {
    let plain = |decay: Option<f64>| {
        let folder = tempfile::tempdir().unwrap();
        let model = DyRep::new(Classifier::new(network(), Loss::default()), 4);
        let model = match decay {
            Some(decay) => model.with_average(decay),
            None => model,
        };
        let ended = launch(training(folder.path()).num_epochs(2), model);
        let weights = ended.model.into_model().network;
        params::read(&weights)["layer4.1.conv2.weight"].iter::<f64>().collect::<Vec<_>>()
    };
    let first =
        params::read(&network().valid())["layer4.1.conv2.weight"].iter::<f64>().collect::<Vec<_>>();
    let [last, average] = [None, Some(0.9999)].map(plain);
    let moved = |to: &[f64]| -> f64 {
        first.iter().zip(to).map(|(first, to)| (first - to).powi(2)).sum::<f64>().sqrt()
    };
    let share = moved(&average) / moved(&last);
    assert!((0.3..1.0).contains(&share), "{share}");
}

/// Growing is neutral for whoever's weights they are: the fixed part of what `DyRep` does to its average.
#[test]
fn growing_an_average_keeps_its_function() {
    let average = network().valid();
    let batch = loaders(256, 0)[0].epoch(0).next().unwrap().unwrap();
    let images = InputSpec::digits().images(&batch, &under_test());
    let mut run = |model: &ResNet, _: usize| drop(model.forward(images.clone()));
    let mut calibration = Calibration::new(1, &mut run);
    let options = AdjustOptions { norm_rule: NormRule::Neutral, ..AdjustOptions::default() };
    let branches = Preset::DyRep.into();
    let grown = grow(&average, "layer1.0.conv1", &branches, &options, &mut calibration).unwrap();
    let difference = (grown.forward(images.clone()) - average.forward(images.clone())).abs().max();
    let largest: Tensor<1> = average.forward(images).abs().max();
    let relative = (difference / largest).into_scalar::<f32>();
    assert!(relative < 1e-5, "{relative:.1e}");
}

/// Statistics that evaluation sees are of calibration batches, the same each time; those that train stay.
#[test]
fn recalibration_before_evaluation() {
    let folder = tempfile::tempdir().unwrap();
    let model = wrapped(4, 1).with_recalibration(3, calibrate);
    let record = launch(training(folder.path()).num_epochs(1), model.clone()).model.into_record();
    let model = model.try_load_record(record).unwrap();
    let plain = bits(model.model());
    let [once, twice] = [(); 2].map(|()| bits(&model.valid()));
    assert_eq!(once, twice);
    assert_eq!(bits(model.model()), plain);
    for ((path, before), (_, after)) in plain.iter().zip(&once) {
        assert_eq!(before != after, path.contains("running_"), "{path}");
    }
}

/// Clipping to a norm that no gradient has moves nothing by more than that.
#[test]
fn clipping_bounds_the_step() {
    let moved = |norm: Option<f64>| {
        let folder = tempfile::tempdir().unwrap();
        let mut model = wrapped(4, 1);
        if let Some(norm) = norm {
            model = model.with_clipping(norm);
        }
        let before = values(&model.model().valid());
        let after = values(&launch(training(folder.path()).num_epochs(1), model).model);
        let squares = before.iter().zip(&after).filter(|((path, _), _)| !path.contains("running_"));
        let squares = squares.flat_map(|((_, before), (_, after))| before.iter().zip(after));
        squares.map(|(before, after)| f64::from(before - after).powi(2)).sum::<f64>().sqrt()
    };
    // Four steps at a rate of 0.05, without momentum.
    let most = 4.0 * 0.05 * 1e-3;
    let clipped = moved(Some(1e-3));
    assert!(clipped <= 1.01 * most && clipped > 0.1 * most, "{clipped:.1e}");
    assert!(moved(None) > 10.0 * most);
}

fn values(module: &impl Module) -> Vec<(String, Vec<f32>)> {
    let float =
        |(path, bits): (String, Vec<u32>)| (path, bits.into_iter().map(f32::from_bits).collect());
    bits(module).into_iter().map(float).collect()
}

#[test]
fn a_record_without_the_wrappers_state_is_refused() {
    let record = network().into_record();
    let error = wrapped(4, 1).try_load_record(record).unwrap_err().to_string();
    assert!(error.contains("dyrep.state"), "{error}");
    // Of another number of steps: epochs would not be what they were.
    let record = wrapped(4, 1).into_record();
    let error = wrapped(5, 1).try_load_record(record).unwrap_err().to_string();
    assert!(error.contains("epochs of 4 steps, not of 5"), "{error}");
    // The network alone takes its part.
    let record = wrapped(4, 1).into_record().allow_unused(true);
    assert!(network().try_load_record(record).is_ok());
}

#[test]
fn a_record_of_other_types_is_refused() {
    let bytes = wrapped(4, 1).into_record().into_bytes().unwrap();
    let tensors = || Reader::from_bytes(bytes.clone()).and_then(Reader::into_tensors).unwrap();
    let own =
        |(i, tensor): &(usize, burn_pack::Tensor)| *i == 0 || tensor.name.starts_with("dyrep.");
    for changed in tensors().into_iter().enumerate().filter(own).map(|(i, _)| i) {
        for dtype in [DType::Bool(BoolStore::Native), DType::I32, DType::U8] {
            let mut tensors = tensors();
            let (name, _, shape, id, _) = tensors.remove(changed).into_parts().unwrap();
            let length = shape.num_elements() * dtype.size();
            let value = Bytes::from_bytes_vec(vec![2; length]);
            tensors.push(burn_pack::Tensor::new(name.clone(), dtype, shape, id, value));
            let record = Writer::new(tensors).into_bytes().unwrap();
            let record = ModuleRecord::from_bytes(record).unwrap();
            let error = wrapped(4, 1).try_load_record(record).unwrap_err().to_string();
            let wanted = format!("its `{name}` holds {dtype:?}, expected fractions");
            assert!(error.contains(&wanted), "{error}");
        }
    }
}
