//! What this program can compute on, here.

use serde_json::json;

use crate::line::say;

/// The commit that this program was built from, where the build says so.
const COMMIT: Option<&str> = option_env!("DYREP_COMMIT");

/// A line for each backend.
pub(crate) fn run() -> Result<(), String> {
    for name in dyrep_train::available() {
        let opened = dyrep_train::device(name);
        let found = match &opened {
            Ok(device) => {
                let bf16 = device.supports_dtype(burn::tensor::DType::BF16);
                json!({ "opens": true, "bf16": bf16 })
            }
            Err(error) => json!({ "opens": false, "reason": error.to_string() }),
        };
        say("device", &json!({ "device": name, "commit": COMMIT }), &found)?;
    }
    Ok(())
}
