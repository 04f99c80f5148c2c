//! The Python side of a measurement: a process that is asked by lines of JSON.
//!
//! Each program that has a peer includes this file, so that those without Burn need not build it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts a script, named from the `benches` folder, with the Python that `DYREP_PYTHON` names.
    pub(crate) fn start(script: &str, environment: &[(&str, &str)]) -> Result<Self, String> {
        let python = std::env::var("DYREP_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let benches = here.ancestors().find(|folder| folder.ends_with("benches")).unwrap_or(here);
        let mut child = Command::new(&python)
            .arg(benches.join(script))
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{python}: {e}"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(format!("{python}: no pipes"));
        };
        Ok(Self { child, input, output: BufReader::new(output) })
    }

    /// One question, one answer.
    pub(crate) fn ask<T: DeserializeOwned>(&mut self, what: &impl Serialize) -> Result<T, String> {
        let line = serde_json::to_string(what).map_err(|e| e.to_string())?;
        let failed = |e: std::io::Error| format!("the Python side stopped: {e}");
        writeln!(self.input, "{line}").map_err(failed)?;
        let mut answer = String::new();
        self.output.read_line(&mut answer).map_err(failed)?;
        if answer.is_empty() {
            return Err("the Python side stopped; is PyTorch installed there?".to_owned());
        }
        serde_json::from_str(&answer).map_err(|e| format!("{answer}: {e}"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
