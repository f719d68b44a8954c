//! Which layers may be approximate: found by trying, within a loss that the user states.

use crate::circuit::Circuit;
use crate::lower::{LowerError, Options, lower_reported};
use crate::optimizer::SearchError;
use crate::program::PassReport;
use cml_bitwidth::Widths;
use cml_ir::Graph;
use std::collections::BTreeMap;

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

/// Lowers a graph with so much slack in each layer as keeps the loss within a bound.
///
/// `loss` tells what a circuit loses, compared with an exact one: simulated with its
/// noise, on data ([`crate::Simulator`]). All layers and outputs get all the slack that they
/// can have; if that loses too much, what they can have while the others are exact. While that loses
/// too much, a quarter of the slack is taken where it lowers the loss the most; of circuits that lose little enough the fastest is taken. One that is not faster than
/// the exact circuit is not taken, unless that one's keys are too large.
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
    let cost = &options.goal.cost;
    let time = |circuit: &Circuit| circuit.predicted_ns(cost);
    let limit = options.goal.max_key_bytes;
    let mut exact = options.clone();
    exact.approximate.clear();
    let (circuit, passes) = match lower_reported(graph, widths, &exact) {
        Err(LowerError::Search(SearchError::KeySize { .. })) => {
            // Approximate ones may have smaller keys.
            exact.goal.max_key_bytes = u64::MAX;
            lower_reported(graph, widths, &exact)?
        }
        other => other?,
    };
    let smallest = circuit.parameters().server_key_bytes();
    let exact = Tuned {
        circuit,
        passes,
        loss: 0.0,
    };
    let mut attempt = |approximate: &BTreeMap<String, u64>, limit: u64| -> Result<Option<Tuned>, E> {
        let mut options = options.clone();
        options.approximate.clone_from(approximate);
        options.goal.max_key_bytes = limit;
        match lower_reported(graph, widths, &options) {
            Ok((circuit, passes)) => {
                let loss = loss(&circuit)?;
                Ok(Some(Tuned {
                    circuit,
                    passes,
                    loss,
                }))
            }
            // Too large keys, for one.
            Err(LowerError::Search(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    };
    let layers = exact.circuit.layers().iter();
    let names = layers.chain(exact.circuit.outputs().iter().map(|o| &o.name));
    let names: Vec<String> = names.cloned().collect();
    let mut slacks: BTreeMap<String, u64> = names.iter().map(|name| (name.clone(), u64::MAX)).collect();
    let mut best = attempt(&slacks, limit)?;
    if best.as_ref().is_none_or(|found| found.loss > max_loss) {
        for name in &names {
            // What each may have if all others are exact.
            let mut alone = BTreeMap::from([(name.clone(), u64::MAX)]);
            while let Some(found) = attempt(&alone, u64::MAX)?
                && found.loss > max_loss
            {
                let slack = used(&found.circuit).get(name).copied().unwrap_or(0);
                alone.insert(name.clone(), slack - slack.div_ceil(4));
                if slack == 0 {
                    break;
                }
            }
            slacks.extend(alone);
        }
        best = attempt(&slacks, limit)?;
    }
    while let Some(found) = &best
        && found.loss > max_loss
    {
        let has = used(&found.circuit);
        let mut tighter: Option<(BTreeMap<String, u64>, Tuned)> = None;
        for (name, &slack) in has.iter().filter(|(_, slack)| **slack > 0) {
            let mut fewer = slacks.clone();
            fewer.insert(name.clone(), slack - slack.div_ceil(4));
            let Some(tuned) = attempt(&fewer, limit)? else {
                continue;
            };
            let better = |than: &Tuned| match (tuned.loss <= max_loss, than.loss <= max_loss) {
                (true, true) => time(&tuned.circuit) < time(&than.circuit),
                (good, other) if good != other => good,
                _ => tuned.loss < than.loss,
            };
            if tighter.as_ref().is_none_or(|(_, than)| better(than)) {
                tighter = Some((fewer, tuned));
            }
        }
        let Some((fewer, tuned)) = tighter else {
            best = None;
            break;
        };
        (slacks, best) = (fewer, Some(tuned));
    }
    let fits = smallest <= limit;
    match best {
        Some(best) if !fits || time(&best.circuit) < time(&exact.circuit) => Ok(best),
        _ if fits => Ok(exact),
        _ => Err(LowerError::Search(SearchError::KeySize { smallest, limit }).into()),
    }
}

/// The most slack that each layer and each output really has.
fn used(circuit: &Circuit) -> BTreeMap<String, u64> {
    let mut used: BTreeMap<String, u64> = BTreeMap::new();
    let mut note = |name: &String, slack: u64| {
        let most = used.entry(name.clone()).or_default();
        *most = slack.max(*most);
    };
    for rotation in circuit.rotations() {
        for lookup in &rotation.lookups {
            note(&circuit.layers()[lookup.layer as usize], rotation.slack);
        }
    }
    circuit.outputs().iter().for_each(|o| note(&o.name, o.slack));
    used
}
