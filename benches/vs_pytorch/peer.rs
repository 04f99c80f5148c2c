//! The PyTorch side: networks in `peer.py`.

#[path = "../peer.rs"]
mod process;

use serde::Deserialize;
use serde_json::json;

use crate::cases::Network;

pub(crate) struct Peer(process::Peer);

#[derive(Deserialize)]
struct Answer {
    seconds: Option<f64>,
    bytes: Option<f64>,
    torch: Option<String>,
}

impl Peer {
    /// Starts the peer and builds a network there; returns it with PyTorch's version.
    pub(crate) fn start(network: Network) -> Result<(Self, String), String> {
        let mut peer = process::Peer::start("vs_pytorch/peer.py", &[("OMP_NUM_THREADS", "2")])?;
        let answer: Answer = peer.ask(&network)?;
        Ok((Self(peer), answer.torch.ok_or("an answer without a version")?))
    }

    /// Seconds of one `step` or `infer`.
    pub(crate) fn seconds(&mut self, what: &str) -> Result<f64, String> {
        let answer: Answer = self.0.ask(&json!({ "do": what }))?;
        answer.seconds.ok_or_else(|| "an answer without a time".to_owned())
    }

    /// Peak resident bytes so far.
    pub(crate) fn peak(&mut self) -> Result<f64, String> {
        let answer: Answer = self.0.ask(&json!({ "do": "peak" }))?;
        answer.bytes.ok_or_else(|| "an answer without a size".to_owned())
    }
}
