//! Trainings that cannot start or cannot go on end with an error that says why.

// A failing test panics, with the reason.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use dyrep_data::{Digits, Loader, LoaderConfig, Pipeline};
use dyrep_train::{InputSpec, SgdRecipe, Silent, TrainError, Trainer, TrainerConfig};

fn digits() -> Loader {
    let config = LoaderConfig { drop_last: true, ..LoaderConfig::default() };
    Loader::new(Arc::new(Digits::test()), Pipeline::identity(), config).unwrap()
}

fn config() -> TrainerConfig {
    TrainerConfig {
        epochs: 2,
        learning_rate: 0.1,
        sgd: SgdRecipe::imagenet(),
        input: InputSpec::digits(),
        controller: None,
    }
}

fn classify(model: &Linear, images: Tensor<4>) -> Tensor<2> {
    model.forward(images.flatten(1, 3))
}

fn train(
    config: TrainerConfig,
    forward: &dyn Fn(&Linear, Tensor<4>) -> Tensor<2>,
) -> Result<f64, TrainError> {
    let (loader, device) = (digits(), Device::flex());
    let model = LinearConfig::new(64, 10).init(&device.clone().autodiff());
    let trainer = Trainer { config, train: &loader, validation: &loader, device };
    Ok(trainer.fit(model, forward, &mut Silent)?.history.last().unwrap().accuracy)
}

#[test]
fn a_linear_classifier_learns() {
    assert!(train(config(), &classify).unwrap() > 0.3);
}

#[test]
fn pictures_of_other_channels_than_the_model() {
    let config = TrainerConfig { input: InputSpec::imagenet(), ..config() };
    let error = train(config, &classify).unwrap_err();
    assert!(matches!(error, TrainError::Channels { expected: 3, found: 1 }));
    assert_eq!(error.to_string(), "the model takes pictures of 3 channels, the data set has 1");
}

#[test]
fn a_loss_that_is_not_a_number_names_epoch_step_and_rate() {
    let error = train(config(), &|model, images| classify(model, images * f32::NAN)).unwrap_err();
    assert!(matches!(error, TrainError::Diverged { epoch: 1, step: 5, .. }), "{error}");
    assert!(error.to_string().contains("NaN at epoch 1, step 5"), "{error}");
}

#[test]
fn options_that_make_no_sense() {
    let error = train(TrainerConfig { epochs: 0, ..config() }, &classify).unwrap_err();
    assert_eq!(error.to_string(), "epochs: expected at least 1, got 0");
    let config = TrainerConfig { learning_rate: f64::NAN, ..config() };
    let error = train(config, &classify).unwrap_err();
    assert_eq!(error.to_string(), "learning rate: expected above 0 and at most 1, got NaN");
}
