//! Training data for whoever measures a model.

/// What went wrong in a user's function.
pub type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// Passes training batches through a model; new batch norms are measured on what arrives.
///
/// Implemented for `Fn(&M, epoch, index) -> Result<(), BoxedError>`. The same epoch and index must give the same
/// batch, on the device that the model is on, where the model is in evaluation mode; for a run to be repeatable they
/// must do so in every process. Batch norms that are measured anew see the model in training mode.
pub trait CalibrationData<M>: Send + Sync {
    /// Passes a batch through `model`: number `index`, for the adjustment after `epoch`.
    ///
    /// # Errors
    /// Data that cannot be read; the training then stops.
    fn run(&self, model: &M, epoch: usize, index: usize) -> Result<(), BoxedError>;
}

impl<M, F> CalibrationData<M> for F
where
    F: Fn(&M, usize, usize) -> Result<(), BoxedError> + Send + Sync,
{
    fn run(&self, model: &M, epoch: usize, index: usize) -> Result<(), BoxedError> {
        self(model, epoch, index)
    }
}
