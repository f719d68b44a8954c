//! `cargo xtask seeds`: every network of the seeds, measured again, and the page of results.
//!
//! `systems` is the table of what there is; `measure` runs `cml` and yields JSON; `sections` makes
//! tables and pictures of JSON alone, so that a page can be built again without training.

mod boundaries;
mod measure;
mod page;
mod plots;
mod quick;
mod sections;
mod spread;
mod stages;
mod store;
mod systems;
pub(crate) mod table;
#[cfg(test)]
mod tests;
mod verdict;

pub(crate) use quick::quick;

use crate::libtorch;
use crate::tools::{Cml, root};
use anyhow::{Result, bail};
use clap::builder::PossibleValuesParser;
use sections::{Results, all_verdicts};
use serde_json::{Value, json};
use stages::{Stages, Tool};
use std::process::ExitCode;
use std::time::Instant;
use systems::{SYSTEMS, System};

/// Train, quantize, compile and run every network of the results, and write the page.
///
/// Each entry reads its configurations from examples/*.toml, which `cml train --config` takes too.
///
/// A run without --only and --quick measures everything, which takes hours, and writes
/// docs/results.md and docs/results/*.svg. Each entry is kept in target/seeds/NAME.json as soon as it
/// is done: after an interruption, run again with --reuse. The file does not know of changes to the
/// code: run without --reuse after them.
///
/// Exit code 1 if an entry fails (the page is then not written), if a decrypted result differs from
/// the interpreter's, or if a check of --quick is missed. A target that is not met is said on the
/// page, and is no failure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Measure this entry and print its tables; may be given several times.
    #[arg(long, value_name = "NAME", value_parser = names())]
    only: Vec<String>,
    /// Seeds of each entry, from 0 [default: 5, and 3 for the slow ones].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// Take an entry from target/seeds/NAME.json if it is there, has as many seeds, and its
    /// configurations are still the same; train the others.
    #[arg(long)]
    reuse: bool,
    /// One seed, few epochs, one encrypted sample: does the line still work?
    #[arg(long, conflicts_with_all = ["only", "seeds", "reuse"])]
    quick: bool,
    /// Print one JSON object instead of the tables.
    #[arg(long)]
    json: bool,
}

/// The names of `--only`.
fn names() -> PossibleValuesParser {
    SYSTEMS
        .iter()
        .map(|system| system.name)
        .collect::<Vec<_>>()
        .into()
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let Args {
        only, seeds, reuse, ..
    } = args;
    if args.quick {
        return quick(args.json);
    }
    let chosen = choose(&only);
    store::prepare()?;
    let cml = Cml::build(Some(&libtorch::ensure()?))?;
    let results = measure_all(&cml, &chosen, seeds, reuse, only.is_empty())?;
    let sections = sections::sections(&results)?;
    if args.json {
        println!("{}", as_json(&results));
    } else {
        print!("{}", page::tables(&sections));
    }
    if only.is_empty() {
        page::write(&root()?.join("docs"), &results, &sections)?;
        eprintln!("wrote docs/results.md");
    }
    let different = |result: &Value| {
        let counts = [&result["encrypted"]["different"], &result["different"]];
        counts.iter().filter_map(|n| n.as_u64()).sum::<u64>()
    };
    let different: u64 = results.values().map(different).sum();
    if different > 0 {
        eprintln!("error: {different} decrypted results differ from the interpreter's, limit 0");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// The entries of these names; of no name, all.
fn choose(only: &[String]) -> Vec<&'static System> {
    if only.is_empty() {
        return SYSTEMS.iter().collect();
    }
    only.iter().filter_map(|name| systems::named(name)).collect()
}

/// Measures entry by entry. One that fails does not stop the others, but the run has failed.
fn measure_all(
    tool: &dyn Tool,
    chosen: &[&System],
    seeds: Option<u64>,
    reuse: bool,
    whole: bool,
) -> Result<Results> {
    let start = Instant::now();
    let mut results = Results::new();
    let mut failed = Vec::new();
    for (at, system) in chosen.iter().enumerate() {
        let stages = Stages {
            tool,
            start,
            folder: store::FOLDER.to_owned(),
            label: format!("{} ({} of {})", system.name, at + 1, chosen.len()),
            epochs: None,
        };
        match one(&stages, system, seeds.unwrap_or(system.seeds), reuse) {
            Ok(result) => {
                results.insert(system.name.to_owned(), result);
            }
            Err(error) => {
                stages.say(&format!("error: {error:#}"));
                failed.push(system.name);
            }
        }
    }
    if failed.is_empty() {
        return Ok(results);
    }
    let hint = if whole {
        "; what is done is kept: run again with --reuse"
    } else {
        ""
    };
    bail!(
        "{} of {} entries failed: {}{hint}",
        failed.len(),
        chosen.len(),
        failed.join(", ")
    );
}

fn one(stages: &Stages<'_>, system: &System, seeds: u64, reuse: bool) -> Result<Value> {
    if reuse && let Some(result) = store::load(system, seeds)? {
        stages.say("taken from an earlier run");
        return Ok(result);
    }
    // Labelled first: a configuration that is missing is found before anything is trained.
    let mut label = json!({});
    store::label(&mut label, system, seeds)?;
    let mut result = measure::measure(stages, system, seeds)?;
    for (field, value) in label.as_object().into_iter().flatten() {
        result[field.as_str()] = value.clone();
    }
    store::save(system, &result)?;
    stages.say("done");
    Ok(result)
}

fn as_json(results: &Results) -> Value {
    let target =
        |v: verdict::Verdict| json!({"network": v.title, "target": v.needs, "has": v.has, "met": v.met});
    json!({
        "systems": results,
        "targets": all_verdicts(results).into_iter().map(target).collect::<Vec<_>>(),
    })
}
