//! The least time that a network's lookups take, if no core ever waited.

use crate::tools::{capture_json, cargo};
use anyhow::Result;
use serde_json::Value;

/// Cores of this host.
pub(crate) fn cores() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64)
}

/// Best times of single kernels with these parameters, on one thread.
pub(crate) fn singles(parameters: &Value) -> Result<Value> {
    let bench = [
        "bench",
        "--quiet",
        "--package",
        "cml-tfhe",
        "--bench",
        "kernels",
        "--",
        "--single",
    ];
    let mut command = cargo(None)?;
    capture_json(command.args(bench).arg(parameters.to_string()))
}

/// (Rotations by their best time, and keyswitches by theirs) over the cores.
///
/// In a batch a lookup can be faster than its two parts alone, since keys are read once for all of it:
/// the smaller of the two counts.
pub(crate) fn seconds(network: &Value, cores: f64) -> Option<f64> {
    let singles = &network["singles"];
    let (rotations, keyswitches) = (network["rotations"].as_f64()?, network["keyswitches"].as_f64()?);
    let keyswitch = singles["keyswitch_ns"].as_f64()?;
    let parts = rotations * singles["blind_rotation_ns"].as_f64()? + keyswitches * keyswitch;
    let batched = singles["lookup_in_batch_ns"]
        .as_f64()
        .map_or(f64::INFINITY, |lookup| {
            rotations * lookup + (keyswitches - rotations).max(0.0) * keyswitch
        });
    Some(parts.min(batched) / 1e9 / cores)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_better_of_single_and_batched_counts() {
        let network = |batched: f64| {
            json!({"rotations": 100, "keyswitches": 120, "singles":
                {"keyswitch_ns": 1e7, "blind_rotation_ns": 5e7, "lookup_in_batch_ns": batched}})
        };
        assert_eq!(seconds(&network(9e7), 2.0), Some(3.1));
        assert_eq!(seconds(&network(4e7), 2.0), Some(2.1));
        assert_eq!(seconds(&json!({"rotations": 1}), 2.0), None);
    }
}
