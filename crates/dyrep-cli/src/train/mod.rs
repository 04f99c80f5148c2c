//! `dyrep train`: a recipe in, a run's folder out.

mod changes;
mod rate;
mod trial;

use std::path::{Path, PathBuf};

use clap::Args;
use dyrep_train::RunRecord;
use dyrep_train::recipe::Recipe;

use crate::answer::Answer;
use crate::job::{Job, Outcome, open_devices};
use crate::terminal::Lines;
use crate::{Failure, INTERRUPTED};

pub use changes::Changes;

/// Train a network by a recipe, deploy it, and keep everything in a folder
///
/// Interrupted or killed, a run goes on with --resume and ends with the weights that it would have had.
#[derive(Debug, Args)]
#[command(after_help = help())]
pub struct TrainArgs {
    /// Recipe: a shipped one by name, or a TOML file
    #[arg(value_name = "RECIPE", required_unless_present = "resume")]
    recipe: Option<String>,

    /// Folder for checkpoints, weights, structure, report and summary [default: a new one in `runs`]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Go on with the run in this folder from its newest whole checkpoint
    #[arg(long, value_name = "DIR", conflicts_with_all = ["recipe", "out"])]
    resume: Option<PathBuf>,

    /// Devices: `flex` or `ndarray` (CPU), `cuda`, `rocm`, `vulkan`, `wgpu`, `metal`, or `cuda:1` and so on; several, with
    /// commas, share each step; without it, the best that the program was built with
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    device: Vec<String>,

    #[command(flatten)]
    changes: Changes,

    /// Show Burn's dashboard while it trains
    #[arg(long, conflicts_with = "json")]
    dashboard: bool,

    /// Print the recipe, every change made, and train nothing
    #[arg(long)]
    print: bool,

    /// Open everything and run some steps, of the network as it starts and of the largest that it may grow to: tells the
    /// time and the memory of both, and writes nothing
    #[arg(long, conflicts_with_all = ["resume", "out", "print"])]
    dry_run: bool,

    /// Train for up to 100 steps at rates from 1e-6 to 10, and tell at which the loss falls and where it begins to rise;
    /// writes nothing
    #[arg(long, conflicts_with_all = ["resume", "out", "print", "dry_run"])]
    find_rate: bool,
}

/// What no attribute can hold: the names of the recipes.
fn help() -> String {
    let recipes = Recipe::builtin_names().join(", ");
    format!(
        "Recipes that are part of the program: {recipes}.\n\nExamples:\n  \
         dyrep train digits_quick --out runs/digits\n  \
         dyrep train imagenet_resnet18 --data flowers --image-size 64 --epochs 30\n  \
         dyrep train imagenet_resnet18 --data flowers --weights resnet18.pth --partial\n  \
         dyrep train imagenet_resnet18 --data flowers --dry-run\n  \
         dyrep train digits_quick --strategy repnas --out runs/searched\n  \
         dyrep train digits_quick --structure runs/searched\n  \
         dyrep train --resume runs/digits\n  \
         dyrep train imagenet_resnet18 --print > mine.toml"
    )
}

impl TrainArgs {
    pub(crate) fn run(&self, json: bool) -> Result<Answer, Failure> {
        let name = self.recipe.as_deref().unwrap_or_default();
        let (recipe, resume) = self.changes.recipe(name, self.resume.as_deref())?;
        if self.print {
            // A shipped recipe that nothing changes has comments.
            let text = match (self.changes.is_none(), Recipe::builtin_text(name)) {
                (true, Ok(text)) => text.to_owned(),
                _ => recipe.to_toml()?,
            };
            return Answer::text(text.trim_end().to_owned());
        }
        if self.dry_run || self.find_rate {
            let (names, devices) = open_devices(&self.device)?;
            return match self.dry_run {
                true => trial::run(&recipe, &names, &devices),
                false => rate::run(&recipe, &devices),
            };
        }
        let folder = self.resume.clone().or_else(|| self.out.clone());
        let job = Job {
            folder: folder.unwrap_or_else(|| free_folder(&format!("runs/{}", self.name()))),
            recipe,
            devices: self.device.clone(),
            resume,
            dashboard: self.dashboard,
            lines: if json { Lines::Error } else { Lines::Output },
            resume_with: "dyrep train --resume",
        };
        match job.run()? {
            Outcome::Finished(summary) => Answer::new(&*summary),
            Outcome::Stopped(stopped) => Ok(Answer::new(&stopped)?.with_code(INTERRUPTED)),
        }
    }

    /// The recipe's name, for the run's folder.
    fn name(&self) -> String {
        let path = Path::new(self.recipe.as_deref().unwrap_or("run"));
        path.file_stem()
            .map_or_else(|| "run".to_owned(), |stem| stem.to_string_lossy().into_owned())
    }
}

/// The first of `base`, `base-2`, `base-3` and so on in which there is no run.
#[must_use]
pub fn free_folder(base: &str) -> PathBuf {
    let numbered = (2..).map(|number| PathBuf::from(format!("{base}-{number}")));
    let free = |folder: &PathBuf| !RunRecord::path(folder).exists();
    let mut all = std::iter::once(PathBuf::from(base)).chain(numbered);
    all.find(free).unwrap_or_else(|| PathBuf::from(base))
}
