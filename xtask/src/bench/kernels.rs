//! Runs the kernels' benchmark, and reads what criterion wrote.

use super::store::FOLDER;
use crate::tools::{capture, cargo, root};
use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;

/// Of the result.
pub(crate) const NAME: &str = "kernels";

/// Times by precision, in nanoseconds.
pub(crate) fn measure() -> Result<Value> {
    let folder = root()?.join(FOLDER).join("criterion");
    if folder.exists() {
        // Of an earlier run, perhaps with other kernels.
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let bench = ["bench", "--package", "cml-tfhe", "--bench", "kernels"];
    let output = capture(cargo(None)?.args(bench).env("CRITERION_HOME", &folder))?;
    let mut rows = Vec::new();
    for line in output.lines() {
        if let Some((group, text)) = line
            .strip_prefix("parameters ")
            .and_then(|rest| rest.split_once(' '))
        {
            let row = json!({"group": group, "parameters_text": text, "ns": medians(&folder.join(group))?});
            rows.push(row);
        }
    }
    Ok(json!({"rows": rows}))
}

/// Median by benchmark of a group.
fn medians(group: &Path) -> Result<Value> {
    let mut medians = Map::new();
    let entries = fs::read_dir(group).with_context(|| format!("criterion left no {}", group.display()))?;
    for entry in entries {
        let entry = entry?;
        let file = entry.path().join("new/estimates.json");
        let Ok(text) = fs::read_to_string(&file) else {
            continue; // its reports
        };
        let estimates: Value =
            serde_json::from_str(&text).with_context(|| format!("{} is not JSON", file.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        medians.insert(name, estimates["median"]["point_estimate"].clone());
    }
    Ok(medians.into())
}
