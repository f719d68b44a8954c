//! Which layers may be approximate: found by trying, within a loss that the user states.

use crate::circuit::Circuit;
use crate::lower::{LowerError, Options, lower_reported};
use crate::optimizer::SearchError;
use crate::program::PassReport;
use crate::table::SLACK_SHARE;
use cml_bitwidth::Widths;
use cml_ir::{Graph, Op, OpKind};
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
/// noise, on data ([`crate::Simulator`]). The search begins with the loosest circuit and ends with the fastest that loses
/// little enough.
///
/// - From above, where an exact circuit exists: all layers and outputs get all the slack that keeps them within one level;
///   if that loses too much, what they can have while the others are exact.
/// - From below, where accumulators are so wide that not even that slack makes a circuit: layers get a share of
///   their half period ([`Options::slack_share`]), half as much each time, as long as that loses too much and parameters exist.
///
/// While the result loses too much, a quarter of the slack is taken where it lowers the loss the most. An approximate circuit that is
/// not faster than the exact one is not taken, unless that one does not exist or its keys are too large.
///
/// # Errors
/// As [`crate::lower`], [`LowerError::Loss`] if every circuit loses too much, and whatever `loss` fails with.
pub fn lower_tuned<E: From<LowerError>>(
    graph: &Graph,
    widths: &Widths,
    options: &Options,
    max_loss: f64,
    loss: &mut dyn FnMut(&Circuit) -> Result<f64, E>,
) -> Result<Tuned, E> {
    let exact = match lower_exact(graph, widths, options) {
        Err(error) if !is_too_wide(&error) => return Err(error.into()),
        other => other,
    };
    let mut search = Search {
        graph,
        widths,
        options,
        names: names(graph),
        max_loss,
        loss,
    };
    let best = search.best(exact.is_ok())?;
    let time = |tuned: &Tuned| tuned.circuit.predicted_ns(&options.goal.cost);
    let limit = options.goal.max_key_bytes;
    let fits = |tuned: &Tuned| tuned.circuit.parameters().server_key_bytes() <= limit;
    let good = |attempt: &Attempt| attempt.tuned.loss <= max_loss;
    match (best, exact) {
        (Some(best), Err(_)) if good(&best) => Ok(best.tuned),
        (Some(best), Ok(exact)) if good(&best) && (!fits(&exact) || time(&best.tuned) < time(&exact)) => {
            Ok(best.tuned)
        }
        (_, Ok(exact)) if fits(&exact) => Ok(exact),
        (_, Ok(exact)) => {
            let smallest = exact.circuit.parameters().server_key_bytes();
            Err(LowerError::Search(SearchError::KeySize { smallest, limit }).into())
        }
        (Some(best), Err(_)) => {
            let least = best.tuned.loss;
            Err(LowerError::Loss { least, max_loss }.into())
        }
        (None, Err(error)) => Err(error.into()),
    }
}

/// The fastest circuit of approximate layers that is worth measuring: with as much slack as keeps results within one level, or, where
/// that makes none, with the largest share of the half period. A lower bound on what an approximate circuit takes; none
/// if there is none.
pub fn lower_loosest(graph: &Graph, widths: &Widths, options: &Options) -> Option<Circuit> {
    let mut options = options.clone();
    options.approximate = names(graph).into_iter().map(|name| (name, u64::MAX)).collect();
    [None, Some(SLACK_SHARE)].into_iter().find_map(|share| {
        options.slack_share = share;
        let lowered = lower_reported(graph, widths, &options);
        lowered.ok().map(|(circuit, _)| circuit)
    })
}

/// The exact circuit, however large its keys are: approximate ones may have smaller ones.
fn lower_exact(graph: &Graph, widths: &Widths, options: &Options) -> Result<Tuned, LowerError> {
    let mut exact = options.clone();
    exact.approximate.clear();
    let lowered = match lower_reported(graph, widths, &exact) {
        Err(LowerError::Search(SearchError::KeySize { .. })) => {
            exact.goal.max_key_bytes = u64::MAX;
            lower_reported(graph, widths, &exact)
        }
        other => other,
    };
    let (circuit, passes) = lowered?;
    Ok(Tuned {
        circuit,
        passes,
        loss: 0.0,
    })
}

/// Whether looser layers may make a circuit where this error says that there is none.
fn is_too_wide(error: &LowerError) -> bool {
    matches!(error, LowerError::TooWide { .. } | LowerError::Search(_))
}

/// Layers, in the order of the circuit's, and outputs after them: what may have slack.
fn names(graph: &Graph) -> Vec<String> {
    let layers = graph.nodes().filter(|(_, node)| is_lookup(&node.op));
    let outputs = graph.outputs().map(|(_, node, _)| node.name.clone());
    layers.map(|(_, node)| node.name.clone()).chain(outputs).collect()
}

fn is_lookup(op: &Op) -> bool {
    match op.kind() {
        OpKind::Lookup(_) => true,
        OpKind::Input(_) | OpKind::Linear | OpKind::Output(_) => false,
    }
}

/// The most slack of each layer and each output, by name.
type Slacks = BTreeMap<String, u64>;

/// A circuit, and the slacks that were allowed.
struct Attempt {
    slacks: Slacks,
    share: Option<u64>,
    tuned: Tuned,
}

struct Search<'a, E> {
    graph: &'a Graph,
    widths: &'a Widths,
    options: &'a Options,
    names: Vec<String>,
    max_loss: f64,
    loss: &'a mut dyn FnMut(&Circuit) -> Result<f64, E>,
}

impl<E: From<LowerError>> Search<'_, E> {
    /// The fastest circuit that loses little enough; if none does, one that loses too much, or none at all.
    fn best(&mut self, has_exact: bool) -> Result<Option<Attempt>, E> {
        let limit = self.options.goal.max_key_bytes;
        let all: Slacks = self.names.iter().map(|name| (name.clone(), u64::MAX)).collect();
        let Some(best) = self.attempt(&all, None, limit)? else {
            let best = self.loosest(&all)?;
            return best.map(|best| self.tighten(best)).transpose();
        };
        if best.tuned.loss <= self.max_loss || !has_exact {
            return self.tighten(best).map(Some);
        }
        let slacks = self.alone()?;
        let best = self.attempt(&slacks, None, limit)?;
        best.map(|best| self.tighten(best)).transpose()
    }

    /// The loosest circuit that loses little enough, of those whose layers all have the same share of their half period; else the
    /// tightest.
    fn loosest(&mut self, all: &Slacks) -> Result<Option<Attempt>, E> {
        let limit = self.options.goal.max_key_bytes;
        let mut best = None;
        // With the last share a slack is 0, or that of a plateau.
        let shares = (0..u64::BITS).map_while(|doubled| SLACK_SHARE.checked_shl(doubled));
        for share in shares.take_while(|&share| share <= cml_scheme::LARGEST_HALF_PERIOD) {
            let Some(found) = self.attempt(all, Some(share), limit)? else {
                break;
            };
            let good = found.tuned.loss <= self.max_loss;
            best = Some(found);
            if good {
                break;
            }
        }
        Ok(best)
    }

    /// What each layer and output may have if all others are exact.
    fn alone(&mut self) -> Result<Slacks, E> {
        let mut slacks = Slacks::new();
        for name in self.names.clone() {
            let mut alone = Slacks::from([(name.clone(), u64::MAX)]);
            while let Some(found) = self.attempt(&alone, None, u64::MAX)?
                && found.tuned.loss > self.max_loss
            {
                let slack = self.used(&found.tuned.circuit).get(&name).copied().unwrap_or(0);
                alone.insert(name.clone(), slack - slack.div_ceil(4));
                if slack == 0 {
                    break;
                }
            }
            slacks.extend(alone);
        }
        Ok(slacks)
    }

    /// Takes slack, a quarter of one layer's at a time, until little enough is lost or nothing is left that could be taken.
    fn tighten(&mut self, mut best: Attempt) -> Result<Attempt, E> {
        let (cost, max_loss) = (&self.options.goal.cost, self.max_loss);
        let limit = self.options.goal.max_key_bytes;
        while best.tuned.loss > max_loss {
            let mut tighter: Option<Attempt> = None;
            let has = self.used(&best.tuned.circuit);
            for (name, &slack) in has.iter().filter(|(_, slack)| **slack > 0) {
                let mut fewer = best.slacks.clone();
                fewer.insert(name.clone(), slack - slack.div_ceil(4));
                let Some(found) = self.attempt(&fewer, best.share, limit)? else {
                    continue;
                };
                let time = |tuned: &Tuned| tuned.circuit.predicted_ns(cost);
                let better = |than: &Tuned| match (found.tuned.loss <= max_loss, than.loss <= max_loss) {
                    (true, true) => time(&found.tuned) < time(than),
                    (good, other) if good != other => good,
                    _ => found.tuned.loss < than.loss,
                };
                if tighter.as_ref().is_none_or(|than| better(&than.tuned)) {
                    tighter = Some(found);
                }
            }
            match tighter {
                Some(tighter) => best = tighter,
                None => break,
            }
        }
        Ok(best)
    }

    /// A circuit of these slacks and its loss; none where there are no parameters.
    fn attempt(&mut self, slacks: &Slacks, share: Option<u64>, limit: u64) -> Result<Option<Attempt>, E> {
        let mut options = self.options.clone();
        options.approximate.clone_from(slacks);
        options.slack_share = share;
        options.goal.max_key_bytes = limit;
        let (circuit, passes) = match lower_reported(self.graph, self.widths, &options) {
            Ok(lowered) => lowered,
            Err(error) if is_too_wide(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let loss = (self.loss)(&circuit)?;
        Ok(Some(Attempt {
            slacks: slacks.clone(),
            share,
            tuned: Tuned {
                circuit,
                passes,
                loss,
            },
        }))
    }

    /// The most slack that each layer and each output really has.
    fn used(&self, circuit: &Circuit) -> Slacks {
        let mut used = Slacks::new();
        let mut note = |name: &String, slack: u64| {
            let most = used.entry(name.clone()).or_default();
            *most = slack.max(*most);
        };
        for rotation in circuit.rotations() {
            for lookup in &rotation.lookups {
                note(&self.names[lookup.layer as usize], rotation.slack);
            }
        }
        let outputs = &self.names[circuit.layers().len()..];
        let slacks = circuit.outputs().iter().zip(outputs);
        slacks.for_each(|(output, name)| note(name, output.slack));
        used
    }
}
