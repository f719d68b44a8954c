//! Results by name, kept in `target/bench`, so that the page is made of JSON alone.

use crate::tools::{machine, root};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// Folder of results, networks and circuits, relative to the workspace's root.
pub(crate) const FOLDER: &str = "target/bench";

/// Raised when the fields of a result change.
const FORMAT: u32 = 1;

/// Makes the folder.
pub(crate) fn prepare() -> Result<()> {
    fs::create_dir_all(root()?.join(FOLDER)).with_context(|| format!("cannot make {FOLDER}"))
}

/// Keeps a result, with machine and date.
pub(crate) fn save(name: &str, mut result: Value) -> Result<Value> {
    result["format"] = json!(FORMAT);
    result["machine"] = json!(machine());
    result["date"] = json!(today());
    let file = root()?.join(FOLDER).join(format!("{name}.json"));
    let text = format!("{result:#}\n");
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(result)
}

/// A result that was kept in today's format.
pub(crate) fn load(name: &str) -> Result<Option<Value>> {
    let file = root()?.join(FOLDER).join(format!("{name}.json"));
    let text = fs::read_to_string(file).ok();
    let value = text.and_then(|text| serde_json::from_str::<Value>(&text).ok());
    Ok(value.filter(|value| value["format"] == json!(FORMAT)))
}

/// The date in UTC: `2025-01-31`.
fn today() -> String {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    civil(elapsed.map_or(0, |elapsed| elapsed.as_secs() / 86_400))
}

/// Days since 1970 as a date, by eras of 400 years that begin in March.
fn civil(days: u64) -> String {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year, if month < 10 { month + 3 } else { month - 9 });
    format!("{}-{month:02}-{date:02}", year + u64::from(month <= 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_dates() {
        assert_eq!(civil(0), "1970-01-01");
        assert_eq!(civil(11_016), "2000-02-29");
        assert_eq!(civil(20_454), "2026-01-01");
    }
}
