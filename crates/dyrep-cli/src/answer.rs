//! What a command answers: for people, for machines, and for scripts that look at the exit code only.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;

use crate::Failure;

/// The end of a command that did not fail.
#[derive(Debug)]
pub(crate) struct Answer {
    text: String,
    json: Value,
    code: u8,
}

impl Answer {
    /// A result that can be read and parsed.
    ///
    /// # Errors
    /// A result that is no JSON.
    pub(crate) fn new<T: Serialize + Display>(result: &T) -> Result<Self, Failure> {
        Ok(Self { text: result.to_string(), json: serde_json::to_value(result)?, code: 0 })
    }

    /// Text alone.
    pub(crate) fn text(text: String) -> Result<Self, Failure> {
        let json = serde_json::json!({ "text": text });
        Ok(Self { text, json, code: 0 })
    }

    /// The exit code.
    pub(crate) fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// Writes it to standard output.
    pub(crate) fn print(&self, json: bool) -> ExitCode {
        let text = if json { self.json.to_string() } else { self.text.clone() };
        match print(&text) {
            Ok(()) => ExitCode::from(self.code),
            Err(error) => crate::complain(&format!("standard output: {error}").into()),
        }
    }
}

/// Writes a line to standard output. A reader that has seen enough, as `head` has, is no failure.
pub(crate) fn print(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
