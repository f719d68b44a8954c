//! Results by entry, kept in `target/seeds`, so that a page can be built again without training.

use super::systems::System;
use crate::tools::{machine, root};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

/// Folder of results, networks and circuits, relative to the workspace's root.
pub(crate) const FOLDER: &str = "target/seeds";

/// Raised when the fields of a result change: older files are then measured again.
const FORMAT: u32 = 1;

/// Makes the folder.
pub(crate) fn prepare() -> Result<()> {
    fs::create_dir_all(root()?.join(FOLDER)).with_context(|| format!("cannot make {FOLDER}"))
}

/// Adds to a result what it was measured with: seeds, configurations, machine.
pub(crate) fn label(result: &mut Value, system: &System, seeds: u64) -> Result<()> {
    result["format"] = json!(FORMAT);
    result["name"] = json!(system.name);
    result["seeds"] = json!(seeds);
    result["configs"] = configs(system)?;
    result["machine"] = json!(machine());
    Ok(())
}

/// Keeps a labelled result.
pub(crate) fn save(system: &System, result: &Value) -> Result<()> {
    let file = file(system)?;
    let text = serde_json::to_string(result)?;
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// A result that was kept, if it has as many seeds and its configurations are still the same.
pub(crate) fn load(system: &System, seeds: u64) -> Result<Option<Value>> {
    let Ok(text) = fs::read_to_string(file(system)?) else {
        return Ok(None);
    };
    let Ok(result) = serde_json::from_str::<Value>(&text) else {
        return Ok(None);
    };
    Ok(fits(&result, seeds, &configs(system)?).then_some(result))
}

fn fits(result: &Value, seeds: u64, configs: &Value) -> bool {
    result["format"] == json!(FORMAT) && result["seeds"] == json!(seeds) && result["configs"] == *configs
}

fn file(system: &System) -> Result<PathBuf> {
    Ok(root()?.join(FOLDER).join(format!("{}.json", system.name)))
}

/// Texts of the configurations, by name.
fn configs(system: &System) -> Result<Value> {
    let mut texts = json!({});
    for name in system.configs() {
        let file = format!("examples/{name}.toml");
        let text = fs::read_to_string(root()?.join(&file)).with_context(|| format!("cannot read {file}"))?;
        texts[name] = json!(text);
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_still_the_same_is_reused() {
        let configs = json!({"iris": "epochs = 2"});
        let kept = json!({"format": FORMAT, "seeds": 5, "configs": configs});
        assert!(fits(&kept, 5, &configs));
        assert!(!fits(&kept, 4, &configs));
        assert!(!fits(&kept, 5, &json!({"iris": "epochs = 3"})));
        let older = json!({"format": FORMAT - 1, "seeds": 5, "configs": configs});
        assert!(!fits(&older, 5, &configs));
    }
}
