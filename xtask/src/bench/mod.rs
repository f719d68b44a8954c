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

use crate::tools::{Cml, root};
use crate::{args, libtorch};
use anyhow::{Result, bail};
use networks::{Network, Work};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::ExitCode;

pub(crate) const HELP: &str = "\
time whole networks and kernels, and write the page of performance

usage: cargo xtask bench [--only NAME]... [--network FILE.onnx --data NAME|FILE]
                         [--samples N] [--reuse] [--json]
       cargo xtask bench --kernels [--json]
       cargo xtask bench --peer [--only NAME]... [--samples N] [--json]

  --only NAME     time this network only; may be given several times
  --network FILE  time the network of an ONNX file, on the samples of --data
  --data NAME     for --network: a built-in data set or a CSV file
  --samples N     encrypted inferences after the first [default: 4]
  --reuse         take a network from target/bench/NAME.json if it is there
  --kernels       time kernels by precision, and tfhe's own batch function
  --peer          time checkerboard_peer, iris and digits in Concrete ML 1.9.0 too:
                  makes a Python environment (3.8 to 3.12) in target/bench/peer,
                  about 6 GB, and runs each network in both, in turn
  --json          print one JSON object instead of the tables

Networks: checkerboard_peer, qat_checkerboard, iris, digits, and, only if asked for,
mnist_20 and mnist_50: stand-ins with random weights, which show time alone.

Each result is kept in target/bench/*.json. docs/performance.md is written from
these files, as soon as all networks but the stand-ins are there. Run it on a
machine that does nothing else: times are those of the wall clock.
Exit code 1 if a network fails or a decrypted result differs from the interpreter's.
";

const DEFAULT_SAMPLES: u64 = 4;

/// Results by name.
type Results = BTreeMap<String, Value>;

/// Runs the command.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let flags = ["--json", "--reuse", "--kernels", "--peer"];
    let words = ["--only", "--network", "--data"];
    let args = args::parse_with_values(args, &flags, &["--samples"], &words, false)?;
    let samples = args.number("--samples").unwrap_or(DEFAULT_SAMPLES);
    if samples == 0 {
        return Err(args::usage("`--samples` is 0, needs at least 1"));
    }
    let only = args.texts("--only");
    let file = file(&args)?;
    if args.has("--kernels") && (args.has("--peer") || !only.is_empty() || file.is_some()) {
        return Err(args::usage("`--kernels` goes with `--json` only"));
    }
    if args.has("--peer") && file.is_some() {
        return Err(args::usage("`--peer` goes without `--network`"));
    }
    store::prepare()?;
    let results = if args.has("--kernels") {
        let result = store::save(kernels::NAME, kernels::measure()?)?;
        Results::from([(kernels::NAME.to_owned(), result)])
    } else {
        let cases = if args.has("--peer") {
            Some(peer::choose(&only)?)
        } else {
            None
        };
        let chosen = if cases.is_none() {
            choose(&only, file)?
        } else {
            Vec::new()
        };
        let cml = Cml::build(Some(&libtorch::ensure()?))?;
        match cases {
            Some(cases) => peer::measure(&cml, &cases, samples)?,
            None => measure_all(&cml, &chosen, samples, args.has("--reuse"))?,
        }
    };
    if args.has("--json") {
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

/// The network of `--network`, which needs `--data`.
fn file(args: &args::Args) -> Result<Option<Network>> {
    match (&args.texts("--network")[..], &args.texts("--data")[..]) {
        ([], []) => Ok(None),
        (&[file], &[data]) => Ok(Some(networks::of_file(file, data))),
        _ => Err(args::usage("`--network` and `--data` go together, once each")),
    }
}

/// The networks of these names and of the file; of neither, all that are not slow.
fn choose(only: &[&str], file: Option<Network>) -> Result<Vec<Network>> {
    let all = networks::all();
    if only.is_empty() && file.is_none() {
        return Ok(all.into_iter().filter(|network| !network.slow).collect());
    }
    let named = |name: &&str| {
        all.iter()
            .find(|network| network.name == *name)
            .cloned()
            .ok_or_else(|| {
                let names: Vec<&str> = all.iter().map(|network| network.name.as_str()).collect();
                args::usage(format!("no network `{name}`; there are {}", names.join(", ")))
            })
    };
    only.iter().map(named).chain(file.map(Ok)).collect()
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
            choose(only, None)
                .unwrap()
                .into_iter()
                .map(|network| network.name)
                .collect()
        };
        assert!(!names(&[]).contains(&"mnist_50".to_owned()));
        assert_eq!(names(&["mnist_50"]), ["mnist_50"]);
        let error = choose(&["nothing"], None).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("no network `nothing`; there are checkerboard_peer")
        );
    }
}
