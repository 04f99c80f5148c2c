//! Whether a device has the memory for what has grown.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use burn::module::Module;

use super::BoxedError;
use crate::device::{Quiet, home, panic_text};

/// What backends say where memory ends. They panic, or say it when they are waited for.
const WORDS: [&str; 4] =
    ["out of memory", "out-of-memory", "out of device memory", "can't allocate"];

/// Tries a model; what the device says if it has not the memory.
///
/// # Errors
/// What the trial itself says.
///
/// # Panics
/// If the trial does, for another reason.
pub(super) fn lacking<M: Module>(
    model: &M,
    trial: impl FnOnce(&M) -> Result<(), BoxedError>,
) -> Result<Option<String>, BoxedError> {
    let device = home(model);
    let tried = {
        let _quiet = Quiet::new();
        catch_unwind(AssertUnwindSafe(|| -> Result<_, BoxedError> {
            trial(model)?;
            Ok(device.sync().err().map(|error| error.to_string()))
        }))
    };
    let said = match tried {
        Ok(Ok(None)) => return Ok(None),
        Ok(Ok(Some(said))) => said,
        Ok(Err(error)) if is_of_memory(&error.to_string()) => error.to_string(),
        Ok(Err(error)) => return Err(error),
        Err(panic) => match panic_text(&*panic) {
            Some(text) if is_of_memory(text) => text.to_owned(),
            _ => resume_unwind(panic),
        },
    };
    if !is_of_memory(&said) {
        return Err(said.into());
    }
    device.memory_cleanup();
    // What follows is where in the backend it happened.
    Ok(said.lines().find(|line| is_of_memory(line)).map(str::to_owned))
}

fn is_of_memory(text: &str) -> bool {
    let text = text.to_lowercase();
    WORDS.iter().any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use burn::nn::LinearConfig;
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn a_lack_of_memory_is_told_from_other_failures() {
        let model = LinearConfig::new(1, 1).init(&Device::flex());
        assert_eq!(lacking(&model, |_| Ok(())).unwrap(), None);
        let said = "An error happened during execution\nCaused by:\n  out of device memory allocating 7 bytes\n   0: f";
        let reason = Some("  out of device memory allocating 7 bytes".to_owned());
        assert_eq!(lacking(&model, |_| panic!("{said}")).unwrap(), reason);
        assert_eq!(lacking(&model, |_| Err(said.into())).unwrap(), reason);
        assert_eq!(
            lacking(&model, |_| Err("no such file".into())).unwrap_err().to_string(),
            "no such file"
        );
        let other = catch_unwind(AssertUnwindSafe(|| lacking(&model, |_| panic!("a shape"))));
        assert_eq!(panic_text(&*other.unwrap_err()), Some("a shape"));
    }
}
