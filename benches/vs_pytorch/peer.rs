//! The PyTorch side: a process that is asked by lines of JSON (`peer.py`).

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Deserialize;

use crate::cases::Network;

pub(crate) struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

#[derive(Deserialize)]
struct Answer {
    seconds: Option<f64>,
    bytes: Option<f64>,
    torch: Option<String>,
}

impl Peer {
    /// Starts the peer and builds a network there; returns it with PyTorch's version.
    pub(crate) fn start(network: Network) -> Result<(Self, String), String> {
        let python = std::env::var("DYREP_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("vs_pytorch/peer.py");
        let mut child = Command::new(&python)
            .arg(script)
            .env("OMP_NUM_THREADS", "2")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{python}: {e}"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(format!("{python}: no pipes"));
        };
        let mut peer = Self { child, input, output: BufReader::new(output) };
        let network = serde_json::to_string(&network).map_err(|e| e.to_string())?;
        let version = peer.ask(&network)?.torch.ok_or("an answer without a version")?;
        Ok((peer, version))
    }

    /// Seconds of one `step` or `infer`.
    pub(crate) fn seconds(&mut self, what: &str) -> Result<f64, String> {
        let answer = self.ask(&format!("{{\"do\": \"{what}\"}}"))?;
        answer.seconds.ok_or_else(|| "an answer without a time".to_owned())
    }

    /// Peak resident bytes so far.
    pub(crate) fn peak(&mut self) -> Result<f64, String> {
        let answer = self.ask("{\"do\": \"peak\"}")?;
        answer.bytes.ok_or_else(|| "an answer without a size".to_owned())
    }

    fn ask(&mut self, line: &str) -> Result<Answer, String> {
        let failed = |e: std::io::Error| format!("the PyTorch side stopped: {e}");
        writeln!(self.input, "{line}").map_err(failed)?;
        let mut answer = String::new();
        self.output.read_line(&mut answer).map_err(failed)?;
        if answer.is_empty() {
            return Err("the PyTorch side stopped; is PyTorch installed there?".to_owned());
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
