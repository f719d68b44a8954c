//! The cost model of this machine, measured once and kept in the user's cache folder.

use crate::folders;
use crate::show::note;
use anyhow::{Context, Result};
use cml_exec::measure_costs;
use cml_tfhe::cost::CostModel;
use serde::{Deserialize, Serialize};
use std::env;
use std::fs;
use std::path::PathBuf;

/// What is kept, and for which machine it holds.
#[derive(Serialize, Deserialize)]
struct Kept {
    host: String,
    model: CostModel,
}

/// The kept model if it is of this machine and this version, else a new one.
pub(crate) fn cost_model() -> Result<CostModel> {
    let (file, host) = (folders::cache()?.join("cost.json"), host());
    let kept = fs::read(&file).ok();
    if let Some(kept) = kept.and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok())
        && kept.host == host
        && is_plausible(&kept.model)
    {
        return Ok(kept.model);
    }
    note("timing the kernels of this machine, some seconds, once");
    let model = measure_costs()?;
    let bytes = serde_json::to_vec_pretty(&Kept {
        host,
        model: model.clone(),
    })?;
    // Without a place to keep it, it is measured again the next time.
    if let Err(error) = keep(&file, &bytes) {
        note(format_args!("the times are not kept: {error:#}"));
    }
    Ok(model)
}

fn keep(file: &PathBuf, bytes: &[u8]) -> Result<()> {
    let folder = file.parent().context("no folder")?;
    let shown = || folder.display().to_string();
    fs::create_dir_all(folder).with_context(shown)?;
    let temporary = tempfile::NamedTempFile::new_in(folder).with_context(shown)?;
    fs::write(temporary.path(), bytes).with_context(shown)?;
    temporary.persist(file).with_context(shown)?;
    Ok(())
}

/// Times are positive; no file is trusted to hold numbers.
fn is_plausible(model: &CostModel) -> bool {
    let transforms = model.transform_ns.iter().chain([&model.keyswitch_ns]);
    let multiplies = model.multiply_ns.iter();
    transforms.clone().all(|&ns| ns > 0.0 && ns < 1e6) && multiplies.clone().all(|ns| (0.0..1e6).contains(ns))
}

/// Processor, threads and version.
fn host() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or(env::consts::ARCH, |(_, name)| name.trim());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{model}, {threads} threads, cml {}", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plausible_times_are_taken() {
        assert!(is_plausible(&CostModel::default()));
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let mut model = CostModel::default();
            model.transform_ns[3] = bad;
            assert!(!is_plausible(&model), "{bad}");
        }
        assert!(host().contains("threads, cml "));
    }
}
