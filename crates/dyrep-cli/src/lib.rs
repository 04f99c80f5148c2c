//! The program `dyrep`: train, evaluate, deploy, verify, convert and look at networks.
//!
//! ```text
//! arguments ─▶ a command's struct ─▶ run ─▶ Answer { text, JSON, exit code } or one line of complaint
//!                        └─ one file name ─▶ NetworkArgs ─▶ Loaded: network, structure, input, classes
//! ```
//! Results go to standard output, as text or with `--json` as one object; progress and complaints to standard error. The
//! exit code is 0 for success, 1 for what failed, wholly or for some pictures, 2 for arguments that make no sense, 3 for a
//! check that did not hold, and 130 after Ctrl-C.
//!
//! A command is a file: its arguments, `run`, and what it answers. [`job`] serves examples too.

mod answer;
mod bench;
mod convert;
mod data;
mod deploy;
mod eval;
mod expand;
mod file;
mod input;
mod inspect;
pub mod job;
mod network;
mod predict;
mod quantize;
mod report;
pub mod terminal;
mod text;
pub mod train;
mod verify;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use answer::Answer;

/// What goes wrong is said in one line.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The exit code of a check that did not hold.
const NOT_HELD: u8 = 3;
/// The exit code of a program that was interrupted, as shells have it.
pub const INTERRUPTED: u8 = 130;

/// Train convolutional networks with many branches, ship one convolution.
///
/// FILE is a file of weights, of PyTorch (.pth), safetensors or Burn (.bpk), of this program or of others; or the folder of
/// a run. Which network it is, and what has grown in it, is found out from the file.
#[derive(Debug, Parser)]
#[command(
    name = "dyrep",
    version,
    after_help = "Examples:\n  dyrep train digits_quick --out runs/digits\n  dyrep inspect runs/digits\n  \
                  dyrep deploy runs/digits digits.safetensors\n  dyrep verify runs/digits digits.safetensors\n  \
                  dyrep convert resnet18-f37072fd.pth resnet18.onnx\n\n\
                  Exit codes: 0 success, 1 failure, 2 wrong arguments, 3 a check that did not hold, \
                  130 interrupted."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Answer with one JSON object on standard output
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(Box<train::TrainArgs>),
    Eval(eval::EvalArgs),
    Deploy(deploy::DeployArgs),
    Verify(verify::VerifyArgs),
    Inspect(inspect::InspectArgs),
    Convert(convert::ConvertArgs),
    Expand(expand::ExpandArgs),
    Predict(predict::PredictArgs),
    Quantize(Box<quantize::QuantizeArgs>),
    Bench(bench::BenchArgs),
    Report(report::ReportArgs),
    /// Print a script that completes arguments in a shell
    #[command(
        after_help = "Example:\n  dyrep completions bash > ~/.local/share/bash-completion/completions/dyrep"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

impl Command {
    fn run(&self, json: bool) -> Result<Answer, Failure> {
        match self {
            Self::Train(args) => args.run(json),
            Self::Eval(args) => args.run(),
            Self::Deploy(args) => args.run(),
            Self::Verify(args) => args.run(),
            Self::Inspect(args) => args.run(),
            Self::Convert(args) => args.run(),
            Self::Expand(args) => args.run(),
            Self::Predict(args) => args.run(),
            Self::Quantize(args) => args.run(),
            Self::Bench(args) => args.run(),
            Self::Report(args) => args.run(),
            Self::Completions { shell } => {
                let mut script = vec![];
                clap_complete::generate(*shell, &mut Cli::command(), "dyrep", &mut script);
                Answer::text(String::from_utf8(script)?.trim_end().to_owned())
            }
        }
    }
}

/// The whole program: reads the arguments, does what they ask for, and says how it went.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    report_faults();
    dyrep_burn::ops::keep_freed_memory();
    match cli.command.run(cli.json) {
        Ok(answer) => answer.print(cli.json),
        Err(error) => complain(&error),
    }
}

/// A check that did not hold.
#[derive(Debug)]
pub(crate) struct NotHeld(pub(crate) String);

impl std::fmt::Display for NotHeld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotHeld {}

/// Says in one line on standard error what failed; the exit code of a failure.
#[must_use]
pub fn complain(error: &Failure) -> ExitCode {
    // Standard error may be closed; there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "error: {error}");
    match error.is::<NotHeld>() {
        true => NOT_HELD.into(),
        false => ExitCode::FAILURE,
    }
}

/// A panic is a fault of the program and not of its user: it is said so, in one line, unless a backtrace is asked for.
pub fn report_faults() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::env::var_os("RUST_BACKTRACE").is_some() {
            return usual(panic);
        }
        let text = panic.payload_as_str().unwrap_or("unknown");
        let place = panic.location().map_or(String::new(), |place| format!(" ({place})"));
        let _ = writeln!(
            std::io::stderr(),
            "error: a fault of dyrep itself: {text}{place}; RUST_BACKTRACE=1 shows more"
        );
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_fits_into_80_columns() {
        let names: Vec<String> =
            Cli::command().get_subcommands().map(|it| it.get_name().to_owned()).collect();
        for name in names {
            let cli = Cli::command().term_width(80);
            let help = cli.try_get_matches_from(["dyrep", &name, "--help"]);
            let help = help.expect_err("help ends the program").to_string();
            let long = help.lines().find(|line| line.chars().count() > 80);
            assert_eq!(long, None, "{name}");
        }
    }

    #[test]
    fn every_command_has_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(
                help.contains(&format!("dyrep {}", command.get_name())),
                "{}",
                command.get_name()
            );
        }
    }
}
