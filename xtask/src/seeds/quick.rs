//! `cargo xtask seeds --quick`: does the whole line still work? One seed, few epochs, minutes.

use super::measure::{encrypted, quantize};
use super::stages::{Stages, Tool, Trained};
use super::table::Table;
use crate::libtorch;
use crate::tools::{Cml, root};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::fs;
use std::process::ExitCode;
use std::time::Instant;

/// Files of the quick run: those of a full run stay.
const FOLDER: &str = "target/seeds/quick";

/// What a float network has to reach, and to keep when it is quantized to 8 bits.
struct Float {
    config: &'static str,
    epochs: Option<u64>,
    accuracy: f64,
    /// Points that quantization may cost.
    loss: f64,
}

/// What a network trained with quantization has to reach.
struct Aware {
    config: &'static str,
    epochs: Option<u64>,
    accuracy: f64,
    /// Widest lookup, in bits.
    lookup_bits: f64,
    /// Samples to classify encrypted.
    samples: u64,
}

/// In percent, far enough below what full training reaches, and above what a broken quantizer does:
/// a guess scores 50% on the checkerboard, 33% on Iris.
const FLOAT: Float = Float {
    config: "simple_net_100",
    epochs: Some(20),
    accuracy: 70.0,
    loss: 2.0,
};

const AWARE: &[Aware] = &[
    Aware {
        config: "qat_checkerboard",
        epochs: Some(8),
        accuracy: 85.0,
        lookup_bits: 7.0,
        samples: 0,
    },
    Aware {
        config: "iris",
        epochs: None,
        accuracy: 85.0,
        lookup_bits: 6.0,
        samples: 1,
    },
];

/// A figure beside what it has to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Check {
    pub(crate) what: String,
    needs: String,
    has: String,
    pub(crate) met: bool,
}

impl Check {
    fn at_least(what: String, limit: f64, has: Option<f64>) -> Self {
        Self {
            what,
            needs: format!(">= {limit:.1}%"),
            has: has.map_or("-".to_owned(), |x| format!("{x:.1}%")),
            met: has.is_some_and(|x| x >= limit),
        }
    }

    fn at_most(what: String, limit: f64, has: Option<f64>) -> Self {
        Self {
            what,
            needs: format!("<= {limit}"),
            has: has.map_or("-".to_owned(), |x| x.to_string()),
            met: has.is_some_and(|x| x <= limit),
        }
    }
}

/// Builds `cml`, runs the checks and prints them; exit code 1 if one is missed.
pub(crate) fn quick(json: bool) -> Result<ExitCode> {
    let cml = Cml::build(Some(&libtorch::ensure()?))?;
    fs::create_dir_all(root()?.join(FOLDER)).context(FOLDER)?;
    let start = Instant::now();
    let checks = checks(&cml, start);
    let seconds = start.elapsed().as_secs_f64();
    let missed = checks.iter().filter(|check| !check.met).count();
    if json {
        let list = checks
            .iter()
            .map(|c| json!({"what": c.what, "needs": c.needs, "has": c.has, "met": c.met}));
        let checks: Vec<Value> = list.collect();
        println!(
            "{}",
            json!({"checks": checks, "missed": missed, "seconds": seconds})
        );
    } else {
        print!("{}", table(&checks).text());
    }
    eprintln!("{} checks in {seconds:.0} s", checks.len());
    if missed > 0 {
        eprintln!("error: {missed} of {} checks missed, limit 0", checks.len());
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn table(checks: &[Check]) -> Table {
    let row = |c: &Check| {
        let met = if c.met { "met" } else { "missed" };
        vec![c.what.clone(), c.needs.clone(), c.has.clone(), met.to_owned()]
    };
    Table {
        header: vec!["check", "needs", "has", ""],
        rows: checks.iter().map(row).collect(),
    }
}

/// Runs every check, whatever the others say; a network that cannot be measured is a check missed.
pub(crate) fn checks(tool: &dyn Tool, start: Instant) -> Vec<Check> {
    let stages = |config: &str, epochs| Stages {
        tool,
        start,
        folder: FOLDER.to_owned(),
        label: format!("quick, {config}"),
        epochs,
    };
    let or_missed = |config: &str, result: Result<Vec<Check>>| {
        result.unwrap_or_else(|error| {
            vec![Check {
                what: config.to_owned(),
                needs: "figures".to_owned(),
                has: format!("{error:#}"),
                met: false,
            }]
        })
    };
    let mut checks = or_missed(FLOAT.config, float(&stages(FLOAT.config, FLOAT.epochs), &FLOAT));
    for network in AWARE {
        let result = aware(&stages(network.config, network.epochs), network);
        checks.extend(or_missed(network.config, result));
    }
    checks
}

fn percent(value: &Value) -> Option<f64> {
    value.as_f64().map(|x| 100.0 * x)
}

fn float(stages: &Stages<'_>, asked: &Float) -> Result<Vec<Check>> {
    let name = asked.config;
    let trained = stages.train(name, name, 0, &[])?;
    let float = percent(&trained.report["test_accuracy"]);
    let graph = quantize(stages, &trained, "8", "adaptive")?;
    let least = float.map_or(f64::INFINITY, |float| float - asked.loss);
    Ok(vec![
        Check::at_least(format!("{name}: float accuracy"), asked.accuracy, float),
        Check::at_least(
            format!("{name}: accuracy at 8 bits, quantized after training"),
            least,
            percent(&graph["accuracy"]),
        ),
        observed_within_proved(name, &graph),
    ])
}

fn aware(stages: &Stages<'_>, asked: &Aware) -> Result<Vec<Check>> {
    let name = asked.config;
    let trained = stages.train(name, name, 0, &[])?;
    let graph = stages.graph(&trained, ".cmlg", &[])?;
    let mut checks = vec![
        Check::at_least(
            format!("{name}: accuracy of the integer graph"),
            asked.accuracy,
            percent(&graph["accuracy"]),
        ),
        Check::at_most(
            format!("{name}: widest lookup, proved, in bits"),
            asked.lookup_bits,
            graph["lookup_bits"].as_f64(),
        ),
        observed_within_proved(name, &graph),
        network_is_graph(name, stages, &trained)?,
    ];
    if asked.samples > 0 {
        let figures = encrypted(stages, &trained, &graph, asked.samples)?;
        let off = percent(&figures["noisy_accuracy"])
            .zip(percent(&figures["exact_accuracy"]))
            .map(|(noisy, exact)| (noisy - exact).abs());
        checks.extend([
            Check::at_most(format!("{name}: points that sampled noise costs"), 1.0, off),
            Check::at_most(
                format!("{name}: decrypted results that differ"),
                0.0,
                figures["different"].as_f64(),
            ),
        ]);
    }
    Ok(checks)
}

/// Layers that take more values on data than were proved.
fn observed_within_proved(name: &str, graph: &Value) -> Check {
    let layers = graph["layers"].as_array();
    let wider = |layer: &&Value| {
        let values = |basis: &str| layer[basis]["values"].as_u64();
        match (values("observed"), values("proved")) {
            (Some(observed), Some(proved)) => observed > proved,
            _ => true,
        }
    };
    let wider = layers.map(|layers| layers.iter().filter(wider).count() as f64);
    Check::at_most(format!("{name}: layers wider than proved"), 0.0, wider)
}

/// Samples whose class is another in the forward pass than in the integer graph.
fn network_is_graph(name: &str, stages: &Stages<'_>, trained: &Trained) -> Result<Check> {
    let network = stages.on_data(&["simulate", &trained.network()], trained, &[])?;
    let graph = stages.on_data(&["simulate", &trained.file(".cmlg")], trained, &[])?;
    let both = network["classes"].as_array().zip(graph["classes"].as_array());
    let differ = both
        .filter(|(a, b)| a.len() == b.len())
        .map(|(a, b)| a.iter().zip(b).filter(|(a, b)| a != b).count() as f64);
    let what = format!("{name}: classes that differ from the forward pass");
    Ok(Check::at_most(what, 0.0, differ))
}
