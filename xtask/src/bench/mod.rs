//! `cargo xtask bench`: how long whole networks take, beside the limit and beside a peer; and kernels.
//!
//! `networks` says what there is; `measure`, `kernels` and `peer` yield JSON; `page` makes
//! `docs/performance.md` of that JSON alone.

mod kernels;
mod measure;
mod networks;
mod page;
mod peer;
mod store;

use crate::libtorch;
use crate::tools::{Cml, root};
use anyhow::{Result, bail};
use networks::{Network, Work};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Time whole networks and kernels, and write the page of performance.
///
/// mnist_20 and mnist_50 run only if asked for: stand-ins with random weights, which show time alone.
///
/// Each result is kept in target/bench/*.json. docs/performance.md is written from these files, as
/// soon as all networks but the stand-ins are there. Run it on a machine that does nothing else:
/// times are those of the wall clock. Exit code 1 if a network fails or a decrypted result differs
/// from the interpreter's.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Networks: {}.", all_names().join(", ")))]
pub(crate) struct Args {
    /// Time this network only; may be given several times.
    #[arg(long, value_name = "NAME", value_parser = known)]
    only: Vec<String>,
    /// Time the network of an ONNX file, on the samples of --data.
    #[arg(long, value_name = "FILE", requires = "data")]
    network: Option<String>,
    /// For --network: a built-in data set or a CSV file.
    #[arg(long, value_name = "NAME|FILE", requires = "network")]
    data: Option<String>,
    /// Encrypted inferences after the first.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..))]
    samples: u64,
    /// Take a network from target/bench/NAME.json if it is there.
    #[arg(long)]
    reuse: bool,
    /// Time kernels by precision, and tfhe's own batch function.
    #[arg(long, conflicts_with_all = ["peer", "only", "network"])]
    kernels: bool,
    /// Time checkerboard_peer, iris and digits in Concrete ML 1.9.0 too: makes a Python environment
    /// (3.8 to 3.12) in target/bench/peer, about 6 GB, and runs each network in both, in turn.
    #[arg(long, conflicts_with = "network")]
    peer: bool,
    /// Print one JSON object instead of the tables.
    #[arg(long)]
    json: bool,
}

fn all_names() -> Vec<String> {
    let all = networks::all().into_iter();
    all.map(|network| network.name).collect()
}

/// A name of `--only`, if there is such a network.
fn known(name: &str) -> Result<String, String> {
    let all = all_names();
    if all.iter().any(|known| known == name) {
        Ok(name.to_owned())
    } else {
        Err(format!("there are {}", all.join(", ")))
    }
}

/// Results by name.
type Results = BTreeMap<String, Value>;

/// Runs the command.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let Args { only, samples, .. } = args;
    let file = args.network.zip(args.data);
    let file = file.map(|(file, data)| networks::of_file(&file, &data));
    store::prepare()?;
    let results = if args.kernels {
        let result = store::save(kernels::NAME, kernels::measure()?)?;
        Results::from([(kernels::NAME.to_owned(), result)])
    } else {
        let cases = if args.peer {
            Some(peer::choose(&only)?)
        } else {
            None
        };
        let cml = Cml::build(Some(&libtorch::ensure()?))?;
        match cases {
            Some(cases) => peer::measure(&cml, &cases, samples)?,
            None => measure_all(&cml, &choose(&only, file), samples, args.reuse)?,
        }
    };
    if args.json {
        println!("{}", serde_json::to_string(&results)?);
    } else {
        print!("{}", page::text(&results));
    }
    write_page()?;
    let different = |result: &Value| {
        let lost = result["batch_agrees"] == Value::Bool(false);
        let approximate = result["exact"] == Value::Bool(false);
        let different = result["different"].as_u64().filter(|_| !approximate);
        different.unwrap_or(0) + u64::from(lost)
    };
    let different: u64 = results.values().map(different).sum();
    if different > 0 {
        eprintln!("error: {different} decrypted results differ from the clear ones, limit 0");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// The networks of these names and of the file; of neither, all that are not slow.
fn choose(only: &[String], file: Option<Network>) -> Vec<Network> {
    let all = networks::all();
    if only.is_empty() && file.is_none() {
        return all.into_iter().filter(|network| !network.slow).collect();
    }
    let named = |name: &String| all.iter().find(|network| network.name == *name).cloned();
    only.iter().filter_map(named).chain(file).collect()
}

/// Measures network by network. One that fails does not stop the others, but the run has failed.
fn measure_all(cml: &Cml, chosen: &[Network], samples: u64, reuse: bool) -> Result<Results> {
    let (mut results, mut failed) = (Results::new(), Vec::new());
    for network in chosen {
        // A file may have changed under its name.
        let kept = match network.work {
            Work::Onnx { .. } if network.name.starts_with("file_") => None,
            _ if reuse => store::load(&network.name)?,
            _ => None,
        };
        let fresh = || store::save(&network.name, measure::measure(cml, network, samples)?);
        match kept.map_or_else(fresh, Ok) {
            Ok(result) => {
                results.insert(network.name.clone(), result);
            }
            Err(error) => {
                eprintln!("error: {}: {error:#}", network.name);
                failed.push(network.name.as_str());
            }
        }
    }
    if !failed.is_empty() {
        bail!(
            "{} of {} networks failed: {}",
            failed.len(),
            chosen.len(),
            failed.join(", ")
        );
    }
    Ok(results)
}

/// Writes the page if every network is there that it is about.
fn write_page() -> Result<()> {
    let (mut kept, mut missing) = (Results::new(), Vec::new());
    for network in networks::all() {
        match store::load(&network.name)? {
            Some(result) => {
                kept.insert(network.name, result);
            }
            None if network.slow => {}
            None => missing.push(network.name),
        }
    }
    if !missing.is_empty() {
        eprintln!(
            "docs/performance.md is left as it was: no results of {}",
            missing.join(", ")
        );
        return Ok(());
    }
    for name in std::iter::once(kernels::NAME.to_owned()).chain(peer::names()) {
        if let Some(result) = store::load(&name)? {
            kept.insert(name, result);
        }
    }
    std::fs::write(root()?.join("docs/performance.md"), page::markdown(&kept))?;
    eprintln!("wrote docs/performance.md");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_networks_are_asked_for() {
        let names = |only: &[&str]| -> Vec<String> {
            let only: Vec<String> = only.iter().map(|name| (*name).to_owned()).collect();
            let chosen = choose(&only, None).into_iter();
            chosen.map(|network| network.name).collect()
        };
        assert!(!names(&[]).contains(&"mnist_50".to_owned()));
        assert_eq!(names(&["mnist_50"]), ["mnist_50"]);
    }
}
