//! Which layers may be approximate: found by trying, within a loss that the user states.

use crate::circuit::Circuit;
use crate::lower::{LowerError, Options, lower_reported};
use crate::noise::Reader;
use crate::optimizer::SearchError;
use crate::program::PassReport;
use cml_bitwidth::Widths;
use cml_ir::Graph;
use std::collections::BTreeMap;

/// Slacks that are tried, the loosest first; each layer keeps below its narrowest plateau anyway.
const SLACKS: [u64; 5] = [u64::MAX, 8, 4, 2, 1];

/// A circuit with approximate layers.
#[derive(Clone, Debug)]
pub struct Tuned {
    /// The circuit.
    pub circuit: Circuit,
    /// What each pass on the program did.
    pub passes: Vec<PassReport>,
    /// Loss of the circuit, as the caller measures it.
    pub loss: f64,
}

/// Lowers a graph with the loosest slack for each layer that keeps the loss within a bound.
///
/// `loss` tells what a circuit loses, compared with an exact one: simulated with its
/// noise, on data ([`crate::Simulator`]). All layers are loosened at once; if that loses
/// too much, one after the other, those first that take the most time. A circuit that
/// is not faster for it is exact.
///
/// # Errors
/// As [`crate::lower`], and whatever `loss` fails with.
pub fn lower_tuned<E: From<LowerError>>(
    graph: &Graph,
    widths: &Widths,
    options: &Options,
    max_loss: f64,
    loss: &mut dyn FnMut(&Circuit) -> Result<f64, E>,
) -> Result<Tuned, E> {
    let time = |circuit: &Circuit| -> f64 {
        let cost = |r: &crate::circuit::Rotation| {
            options.goal.cost.lookup(circuit.parameters(), r.extension).total_ns()
        };
        circuit.rotations().map(cost).sum()
    };
    // Keys may have to be smaller than those of the exact circuit.
    let mut exact = options.clone();
    exact.approximate.clear();
    exact.goal.max_key_bytes = u64::MAX;
    let (circuit, passes) = lower_reported(graph, widths, &exact)?;
    let fits = circuit.parameters().server_key_bytes() <= options.goal.max_key_bytes;
    let mut best = Tuned {
        circuit,
        passes,
        loss: 0.0,
    };
    let mut least = if fits { time(&best.circuit) } else { f64::INFINITY };
    let mut refused = None;
    let mut attempt = |approximate: &BTreeMap<String, u64>, best: &mut Tuned| -> Result<bool, E> {
        let options = Options {
            approximate: approximate.clone(),
            ..options.clone()
        };
        let (circuit, passes) = match lower_reported(graph, widths, &options) {
            Ok(lowered) => lowered,
            Err(error @ LowerError::Search(_)) => {
                refused = Some(error);
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        if time(&circuit) >= least {
            return Ok(false);
        }
        let found = loss(&circuit)?;
        let good = found <= max_loss;
        if good {
            least = time(&circuit);
            *best = Tuned {
                circuit,
                passes,
                loss: found,
            };
        }
        Ok(good)
    };
    let mut names = by_time(&best.circuit);
    names.extend(best.circuit.outputs().iter().map(|o| o.name.clone()));
    let all = |slack| names.iter().map(|name| (name.clone(), slack)).collect();
    if attempt(&all(u64::MAX), &mut best)? {
        return Ok(best);
    }
    let mut accepted = BTreeMap::new();
    for name in &names {
        for slack in SLACKS {
            let mut wider = accepted.clone();
            wider.insert(name.clone(), slack);
            if attempt(&wider, &mut best)? {
                accepted = wider;
                break;
            }
        }
    }
    match refused {
        Some(error) if least.is_infinite() => Err(error.into()),
        _ if least.is_infinite() => Err(LowerError::Search(SearchError::KeySize {
            smallest: best.circuit.parameters().server_key_bytes(),
            limit: options.goal.max_key_bytes,
        })
        .into()),
        _ => Ok(best),
    }
}

/// Names of the layers that have rotations, those first whose rotations take the most time.
fn by_time(circuit: &Circuit) -> Vec<String> {
    let mut weights: BTreeMap<&str, u64> = BTreeMap::new();
    for demand in circuit.demands() {
        if demand.requirement.reader == Reader::Client {
            continue;
        }
        for &(level, index) in &demand.rotations {
            let rotation = &circuit.levels()[level].rotations[index];
            for lookup in &rotation.lookups {
                let name = circuit.layers()[lookup.layer as usize].as_str();
                *weights.entry(name).or_default() += u64::from(rotation.extension);
            }
        }
    }
    let mut names: Vec<(u64, &str)> = weights.into_iter().map(|(name, weight)| (weight, name)).collect();
    names.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    names.into_iter().map(|(_, name)| name.to_owned()).collect()
}
