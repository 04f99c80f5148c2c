//! What the measurements share; each is a program of its own, `cargo bench --bench NAME`.

// Programs print.
#![allow(clippy::print_stderr)]

use std::fmt::Display;
use std::process::ExitCode;

/// How a program ends: an error is said in one line.
pub fn exit_code(result: Result<(), impl Display>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
