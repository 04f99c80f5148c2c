//! Where the time of a training step goes, kernel by kernel.
//!
//! Each kernel is timed by itself, on the device's clock, while the others wait: the sum is the device's work, not the step,
//! in which kernels follow each other without waiting.

use clap::Args;

use crate::passes::Pace;
use crate::subject::Subject;

#[derive(Debug, Args)]
pub(crate) struct KernelsArgs {
    #[command(flatten)]
    subject: Subject,
    #[command(flatten)]
    pace: Pace,
    /// Kernels that are told, those that take most
    #[arg(long, default_value_t = 25)]
    most: usize,
}

#[cfg(not(feature = "gpu"))]
impl KernelsArgs {
    pub(crate) fn run(&self) -> Result<(), String> {
        let Self { subject, pace: _, most: _ } = self;
        Err(format!(
            "this program has no backend with kernels to time; device `{}`",
            subject.device
        ))
    }
}

#[cfg(feature = "gpu")]
mod observed {
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex, PoisonError};

    use cubecl_runtime::config::{TypeNameFormatLevel, type_name_format};
    use cubecl_runtime::logging::{
        Duration, LaunchObservation, LaunchObserver, TimingMethod, TimingRequest,
    };
    use serde_json::json;

    use super::KernelsArgs;
    use crate::line::say;
    use crate::subject::{Trained, first_value, timed};

    /// Steps that are watched.
    const WATCHED: u32 = 2;
    /// Letters of a kernel's name that are kept.
    const LONGEST: usize = 160;

    #[derive(Clone, Copy, Default)]
    struct Spent {
        launches: u32,
        seconds: f64,
        /// Launches that the device's own clock did not time.
        by_host: u32,
    }

    #[derive(Default)]
    struct Watcher(Mutex<HashMap<&'static str, Spent>>);

    impl LaunchObserver for Watcher {
        fn launched(&self, _kernel: &'static str) {}

        fn timing(&self) -> TimingRequest {
            TimingRequest::Resolved
        }

        fn timed(&self, kernel: &'static str, duration: Duration, method: TimingMethod) {
            let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let spent = seen.entry(kernel).or_default();
            spent.launches += 1;
            spent.seconds += duration.as_secs_f64();
            spent.by_host += u32::from(method == TimingMethod::System);
        }
    }

    impl KernelsArgs {
        pub(crate) fn run(&self) -> Result<(), String> {
            let device = self.subject.open()?;
            let mut trained = Trained::new(&self.subject, &device)?;
            let pictures = self.subject.pictures(&device);
            let classes = trained.classes(self.subject.batch);
            for _ in 0..=self.pace.warmup {
                let (_, loss) = timed(&device, || trained.step(pictures.clone(), classes.clone()))?;
                let _value = first_value(loss);
            }
            let watcher = Arc::new(Watcher::default());
            let watching = LaunchObservation::new(watcher.clone());
            for _ in 0..WATCHED {
                timed(&device, || trained.step(pictures.clone(), classes.clone()))?;
            }
            drop(watching);
            let seen = watcher.0.lock().unwrap_or_else(PoisonError::into_inner);
            let mut by_name: HashMap<String, Spent> = HashMap::new();
            for (name, spent) in seen.iter() {
                let name = type_name_format(name, TypeNameFormatLevel::Balanced);
                let all = by_name.entry(name.chars().take(LONGEST).collect()).or_default();
                all.launches += spent.launches;
                all.seconds += spent.seconds;
                all.by_host += spent.by_host;
            }
            let mut rows: Vec<(String, Spent)> = by_name.into_iter().collect();
            rows.sort_by(|a, b| b.1.seconds.total_cmp(&a.1.seconds));
            let total: f64 = rows.iter().map(|(_, spent)| spent.seconds).sum();
            let launches: u32 = rows.iter().map(|(_, spent)| spent.launches).sum();
            let found = json!({ "launches": launches / WATCHED, "kinds": rows.len(),
                "seconds": total / f64::from(WATCHED) });
            say("kernels", &self.subject, &found)?;
            for (name, spent) in rows.iter().take(self.most) {
                let found = json!({
                    "name": name,
                    "launches": f64::from(spent.launches) / f64::from(WATCHED),
                    "seconds": spent.seconds / f64::from(WATCHED),
                    "share": spent.seconds / total.max(f64::MIN_POSITIVE),
                    "timed_by_host": spent.by_host,
                });
                say("kernel", &self.subject, &found)?;
            }
            Ok(())
        }
    }
}
