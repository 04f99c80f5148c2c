//! A training from its recipe to the files that are shipped, told while it goes.

use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use burn::tensor::Device;
use dyrep_burn::{Event, EventLog, Structure, deploy, write_atomically};
use dyrep_train::recipe::{Recipe, Shipped, StrategyRecipe};
use dyrep_train::{
    Cost, Deployment, Disk, Ended, EpochReport, Interrupter, Plan, Run, RunRecord, SystemDisk,
};
use dyrep_weights::{Label, write_burnpack};
use serde::Serialize;

use crate::terminal::{Lines, Terminal, say};
use crate::text::wrapped;
use crate::{Failure, INTERRUPTED, terminal};

/// A training to be done.
#[derive(Clone, Debug)]
pub struct Job {
    /// What is trained, and how.
    pub recipe: Recipe,
    /// Devices by name, which share each step; none for the best there is.
    pub devices: Vec<String>,
    /// The run's folder.
    pub folder: PathBuf,
    /// The record of the run that is there, if that is to go on.
    pub resume: Option<RunRecord>,
    /// Whether Burn's dashboard is shown.
    pub dashboard: bool,
    /// Where the lines go that tell of it.
    pub lines: Lines,
    /// What goes on with a stopped run, in front of its folder.
    pub resume_with: &'static str,
}

/// How a training ended.
#[derive(Debug)]
pub enum Outcome {
    /// All of it is done.
    Finished(Box<Summary>),
    /// Somebody stopped it.
    Stopped(Stopped),
}

/// A training that can go on.
#[derive(Debug, Serialize)]
pub struct Stopped {
    /// What stopped it.
    pub stopped_by: String,
    /// The run's folder.
    pub folder: PathBuf,
    #[serde(skip)]
    resume_with: &'static str,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stopped_by, folder, resume_with } = self;
        write!(f, "stopped by {stopped_by}; go on with `{resume_with} {}`", folder.display())
    }
}

/// What a whole training came to.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The network.
    pub model: String,
    /// Channels of its first convolution.
    pub width: usize,
    /// The strategy.
    pub strategy: &'static str,
    /// The pictures.
    pub data: String,
    /// The devices.
    pub device: String,
    /// The seed.
    pub seed: u64,
    /// On the validation pictures, 0 to 1.
    pub accuracy_before_deployment: f64,
    /// The same, of the deployed network.
    pub accuracy_after_deployment: f64,
    /// Of outputs before and after.
    pub largest_difference: f64,
    /// The same, of the largest output.
    pub largest_relative_difference: f64,
    /// Every change of structure.
    pub events: Vec<Event>,
    /// The epoch with the best validation accuracy.
    pub best_epoch: Option<usize>,
    #[serde(skip)]
    best_is_another: bool,
    #[serde(skip)]
    has_average: bool,
    /// Every epoch.
    pub epochs: Vec<EpochReport>,
    /// The network in training form.
    pub trained: Cost,
    /// The deployed network.
    pub deployed: Cost,
    /// From start to end.
    pub total_seconds: f64,
    /// The run's folder.
    pub folder: PathBuf,
    #[serde(skip)]
    deployment: Deployment,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", terminal::deployment(&self.deployment))?;
        let best = match self.best_epoch {
            Some(epoch) if self.best_is_another => format!("best.bpk (of epoch {epoch}), "),
            _ => String::new(),
        };
        let raw = if self.has_average { "raw.bpk (not averaged), " } else { "" };
        let wrote = format!(
            "wrote deployed.bpk, trained.bpk, {raw}{best}structure.json, summary.json and report.html to {}",
            self.folder.display()
        );
        f.write_str(&wrapped(&wrote, 2))
    }
}

impl Job {
    /// Trains, deploys, measures both forms, and writes everything to the folder.
    ///
    /// # Errors
    /// Devices that are not there, data that cannot be read, a training that fails, files that cannot be written.
    pub fn run(self) -> Result<Outcome, Failure> {
        let started = Instant::now();
        let Self { recipe, folder, resume, dashboard, lines, .. } = &self;
        let (names, devices) = open_devices(&self.devices)?;
        let absolute = absolute(recipe)?;
        let mut plan = match resume {
            Some(record) => Plan::resuming(&absolute, &devices, folder, record)?,
            None => Plan::new(&absolute, &devices)?,
        };
        let on = names.join(", ");
        (plan.training.title, plan.training.description) = describe(recipe, &plan, &on);
        say(*lines, &format!("{}, {}", plan.training.title, plan.training.description));

        for notice in &plan.notices {
            say(*lines, notice);
        }
        if let Some(report) = &plan.loaded {
            match recipe.model.partial {
                true => say(*lines, &format!("starts from weights: {}", report.listing())),
                false => say(*lines, &format!("starts from weights: {report}")),
            }
        }

        let interrupter = Interrupter::new();
        let told = stop_on_signals(&interrupter)?;
        let asked = interrupter.clone();
        let (validation, input) = (Arc::clone(&plan.validation), plan.training.input.clone());
        let shown = if *dashboard { Lines::Hidden } else { *lines };
        let run = Run {
            training: plan.training,
            network: plan.network,
            train: plan.train,
            validation: Arc::clone(&validation),
            devices: &devices,
            folder: folder.clone(),
            resume: resume.is_some(),
            interrupter,
            disk: SystemDisk::shared(),
            dashboard: *dashboard,
            progress: Box::new(Terminal::new(recipe.schedule.epochs, shown)),
        };
        let mut ended = run.train()?;
        if let Some(stopped_by) = ended.stopped.take() {
            return Ok(Outcome::Stopped(self.stopped(stopped_by)));
        }
        if let Some(notice) = average_behind(&ended.record) {
            say(*lines, &notice);
        }
        // Before anything is measured: what was trained for days is there.
        let file = |name: &str| folder.join(name);
        let shipped = match (recipe.evaluation.ship, ended.best.as_ref()) {
            (Shipped::Best, Some(best)) => best.clone(),
            _ => ended.network.clone(),
        };
        write_burnpack(&deploy(&shipped), &plan.label, file("deployed.bpk"))?;
        write_burnpack(&ended.network, &plan.label, file("trained.bpk"))?;
        for (name, network) in [("best.bpk", &ended.best), ("raw.bpk", &ended.raw)] {
            match network {
                Some(network) => write_burnpack(network, &plan.label, file(name))?,
                // One of before would be of an epoch that no longer is the best.
                None => SystemDisk
                    .remove(&file(name))
                    .map_err(|error| format!("{}: {error}", file(name).display()))?,
            }
        }
        Structure::of(&ended.network).save(file("structure.json"))?;
        ended.measuring()?;
        // What follows is done again by a resume; nobody waits for it who wants an end.
        drop(told);
        if asked.should_stop() {
            let reason = asked.interruption().and_then(|it| it.reason);
            return Ok(Outcome::Stopped(self.stopped(reason.unwrap_or_default())));
        }
        let (_deployed, deployment) =
            Deployment::measure(&shipped, &validation, &input, &devices[0])?;
        ended.deployed(&deployment)?;
        let summary = self.summary(&plan.label, &ended, deployment, on, started);
        let line = serde_json::to_string(&summary)?;
        write_atomically(&file("summary.json"), line.as_bytes())
            .map_err(|error| format!("{}: {error}", file("summary.json").display()))?;
        Ok(Outcome::Finished(Box::new(summary)))
    }

    fn stopped(&self, stopped_by: String) -> Stopped {
        let (folder, resume_with) = (self.folder.clone(), self.resume_with);
        Stopped { stopped_by, folder, resume_with }
    }

    fn summary<N>(
        &self,
        label: &Label,
        ended: &Ended<N>,
        deployment: Deployment,
        device: String,
        started: Instant,
    ) -> Summary {
        let Self { recipe, folder, .. } = self;
        Summary {
            model: recipe.model.name.clone(),
            width: label.network.as_ref().map_or(0, |(_, config)| config.width()),
            strategy: recipe.strategy.name(),
            data: data_name(recipe),
            device,
            seed: recipe.run.seed,
            accuracy_before_deployment: deployment.accuracy_before.fraction(),
            accuracy_after_deployment: deployment.accuracy_after.fraction(),
            largest_difference: deployment.difference.model.absolute,
            largest_relative_difference: deployment.difference.model.relative,
            events: ended.log.iter().flat_map(EventLog::events).cloned().collect(),
            best_epoch: ended.record.best_epoch(),
            best_is_another: ended.best.is_some(),
            has_average: ended.raw.is_some(),
            epochs: ended.record.epochs.clone(),
            trained: deployment.before,
            deployed: deployment.after,
            total_seconds: started.elapsed().as_secs_f64(),
            folder: folder.clone(),
            deployment,
        }
    }
}

/// Devices by name, none for the best there is, and what they are called.
pub(crate) fn open_devices(names: &[String]) -> Result<(Vec<String>, Vec<Device>), Failure> {
    let names = match names {
        [] => vec![dyrep_train::default_name().to_owned()],
        names => names.to_vec(),
    };
    let devices = names.iter().map(|name| dyrep_train::device(name)).collect::<Result<_, _>>()?;
    Ok((names, devices))
}

/// What to say where the average of the weights, which is shipped, is worse than the weights by more than a point.
fn average_behind(record: &RunRecord) -> Option<String> {
    let last = record.epochs.last()?;
    let weights = last.weights_accuracy.filter(|weights| *weights > last.accuracy + 0.01)?;
    Some(format!(
        "the average of the weights, which is shipped, reaches {:.2}%, the weights themselves {:.2}%: a training this \
         short wants a smaller `optimizer.ema_decay`",
        100.0 * last.accuracy,
        100.0 * weights
    ))
}

/// What is trained, and on what and where.
fn describe(recipe: &Recipe, plan: &Plan, device: &str) -> (String, String) {
    let width = plan.label.network.as_ref().map_or(0, |(_, config)| config.width());
    let title = format!("{} of width {width}, {}", recipe.model.name, recipe.strategy.name());
    let description = format!(
        "{}: {} pictures for training, {} for validation, {} epochs on {device}",
        data_name(recipe),
        plan.train.dataset().len(),
        plan.validation.dataset().len(),
        recipe.schedule.epochs,
    );
    (title, description)
}

/// The recipe whose paths mean the same wherever the run is gone on with.
fn absolute(recipe: &Recipe) -> Result<Recipe, Failure> {
    let mut recipe = recipe.clone();
    let teacher = recipe.distillation.as_mut().map(|it| &mut it.file);
    let beside = match &mut recipe.strategy {
        StrategyRecipe::RepNas(search) => search.structure.as_mut(),
        StrategyRecipe::RepOptimizer(own) => own.scales.as_mut(),
        _ => None,
    };
    let others = [recipe.data.path.as_mut(), recipe.model.weights.as_mut(), beside];
    for path in others.into_iter().chain([teacher]).flatten() {
        *path =
            std::path::absolute(&*path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(recipe)
}

fn data_name(recipe: &Recipe) -> String {
    let shipped = || "the shipped digits".to_owned();
    recipe.data.path.as_ref().map_or_else(shipped, |path| path.display().to_string())
}

/// The training that signals end, while this lives; at other times they end the program.
struct Told;

impl Drop for Told {
    fn drop(&mut self) {
        *latest() = None;
    }
}

/// The training that began last.
fn latest() -> MutexGuard<'static, Option<Interrupter>> {
    static LATEST: Mutex<Option<Interrupter>> = Mutex::new(None);
    LATEST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ctrl-C and SIGTERM end the training at the next step; a second one ends the program.
fn stop_on_signals(interrupter: &Interrupter) -> Result<Told, Failure> {
    static HANDLED: OnceLock<Result<(), String>> = OnceLock::new();
    *latest() = Some(interrupter.clone());
    let stop = || match &*latest() {
        Some(interrupter) if !interrupter.should_stop() => {
            interrupter.stop(Some("Ctrl-C or SIGTERM"));
        }
        _ => {
            // The terminal may be gone.
            let _ = writeln!(std::io::stderr(), "stopped at once");
            std::process::exit(INTERRUPTED.into())
        }
    };
    HANDLED.get_or_init(|| on_signals(stop).map_err(|error| error.to_string())).clone()?;
    Ok(Told)
}

/// Other signals, such as that of a closed terminal, which `nohup` has ignored, stay as they are.
#[cfg(unix)]
fn on_signals(f: impl Fn() + Send + 'static) -> Result<(), Failure> {
    use signal_hook::consts::{SIGINT, SIGTERM};

    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        signals.forever().for_each(|_signal| f());
    })?;
    Ok(())
}

#[cfg(not(unix))]
fn on_signals(f: impl FnMut() + Send + 'static) -> Result<(), Failure> {
    Ok(ctrlc::set_handler(f)?)
}
