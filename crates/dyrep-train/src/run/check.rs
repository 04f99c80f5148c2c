//! What must hold before anything is touched.

use dyrep_models::Network;

use super::Run;
use crate::error::TrainError;

impl<N: Network> Run<'_, N> {
    /// Whether everything goes together.
    pub(super) fn check(&self) -> Result<(), TrainError> {
        let training = &self.training;
        let counts = [
            ("epochs", training.epochs),
            ("accumulate", training.optimizer.accumulate),
            ("devices", self.devices.len()),
        ];
        if let Some((option, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            let (expected, found) = ("at least 1", "0".to_owned());
            return Err(TrainError::Config { option, expected, found });
        }
        let rate = training.optimizer.learning_rate;
        if !(rate > 0.0 && rate.is_finite()) {
            let (option, expected) = ("learning rate", "a number above 0");
            return Err(TrainError::Config { option, expected, found: rate.to_string() });
        }
        training.check_precision(self.devices)?;
        training.loss.check(self.train.dataset().classes().len())?;
        training.distillation.as_ref().map_or(Ok(()), |it| it.check(self.train.dataset()))?;
        let expected = training.input.mean.len();
        for loader in [&self.train, &self.validation] {
            let found = loader.dataset().channels();
            if found != expected {
                return Err(TrainError::Channels { expected, found });
            }
        }
        Ok(())
    }
}
