//! What becomes of pictures before a network reads them, where its file does not say it.

use clap::Args;
use dyrep_models::{ModelConfig, Stem};
use dyrep_weights::Input;

use crate::Failure;

/// What pictures must be made into, where the file does not say it or is to be overruled.
#[derive(Clone, Debug, Args)]
pub(crate) struct InputArgs {
    /// Side of the square that pictures are cut to, in pixels
    #[arg(long, value_name = "PIXELS")]
    input_size: Option<usize>,

    /// The shorter side that pictures are resized to first, in pixels
    #[arg(long, value_name = "PIXELS")]
    resize: Option<usize>,

    /// Mean of each channel, of values from 0 to 1: `0.485,0.456,0.406`
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', allow_negative_numbers = true)]
    mean: Vec<f32>,

    /// Standard deviation of each channel, of values from 0 to 1: `0.229,0.224,0.225`
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    std: Vec<f32>,
}

impl InputArgs {
    /// Whether nothing was asked for.
    pub(crate) fn is_none(&self) -> bool {
        self.input_size.is_none()
            && self.resize.is_none()
            && self.mean.is_empty()
            && self.std.is_empty()
    }

    /// `known`, overruled by what was asked for.
    pub(crate) fn overrule(&self, known: Input, channels: usize) -> Result<Input, Failure> {
        let Input { resize, side, scale, mean, std } = known;
        let asked = |option: &str, asked: &Vec<f32>, known: Vec<f32>| match asked.len() {
            0 => Ok(known),
            count if count == channels => Ok(asked.clone()),
            count => {
                Err(format!("{option} has {count} numbers; the network reads {channels} channels"))
            }
        };
        let input = Input {
            resize: self.resize.or(match self.input_size {
                // The usual ratio, unless it is said.
                Some(side) => resize.map(|_| side * 256 / 224),
                None => resize,
            }),
            side: self.input_size.unwrap_or(side),
            scale: if self.mean.is_empty() && self.std.is_empty() { scale } else { 255.0 },
            mean: asked("--mean", &self.mean, mean)?,
            std: asked("--std", &self.std, std)?,
        };
        let usable = input.std.iter().all(|std| std.is_finite() && *std > 0.0)
            && input.mean.iter().all(|mean| mean.is_finite())
            && input.side > 0;
        match usable {
            true => Ok(input),
            false => {
                Err("--mean, --std and --input-size want finite numbers, the last two above 0"
                    .into())
            }
        }
    }
}

/// The usual input of such a network.
pub(crate) fn usual_input(config: &ModelConfig) -> Input {
    let channels = config.in_channels();
    let (side, resize) = match config.stem() {
        Stem::Imagenet => (224, Some(256)),
        Stem::Small => (32, None),
    };
    let spec = dyrep_train::InputSpec::imagenet();
    let (mean, std) = match channels {
        3 => (spec.mean, spec.std),
        _ => (vec![0.5; channels], vec![0.5; channels]),
    };
    Input { resize, side, scale: spec.scale, mean, std }
}
