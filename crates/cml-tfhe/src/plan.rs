//! What a circuit will cost, before any key exists.

use crate::circuit::{Circuit, Demand};
use crate::cost::{CostModel, LookupCost};
use crate::exec::{self, Load};
use crate::noise::{Reader, Requirement, Source};
use crate::optimizer::{Goal, Objective, search};
use crate::params::Parameters;
use serde::Serialize;

/// Cost of one inference on this host, by layer and in all.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Threads that share the work.
    pub threads: usize,
    /// Layers in order of execution, one entry for each level that they are spread over.
    pub layers: Vec<LayerPlan>,
    /// Seconds of one inference: the threads wait for each other at the end of each level.
    pub seconds: f64,
    /// Seconds if no thread ever waited: the work of all rotations, divided by the threads.
    pub limit_seconds: f64,
    /// Share of the keyswitches in the work.
    pub keyswitch_share: f64,
    /// Bytes of the key to upload.
    pub server_key_bytes: u64,
    /// Bytes of the expanded keys.
    pub evaluation_key_bytes: u64,
    /// Bytes of encrypted input, one sample.
    pub input_bytes: u64,
    /// Bytes of encrypted output, one sample.
    pub output_bytes: u64,
    /// Most memory of a server with one sample: while the keys are expanded, or while it runs.
    pub peak_bytes: u64,
    /// log2 of the probability that an inference fails, at most.
    pub inference_log2_p_fail: f64,
}

/// Cost of the rotations of one layer in one level.
#[derive(Clone, Debug, Serialize)]
pub struct LayerPlan {
    /// Number of the level, from 1.
    pub level: usize,
    /// Name of the layer.
    pub name: String,
    /// Lookups.
    pub lookups: usize,
    /// Blind rotations.
    pub rotations: usize,
    /// Largest half period, in values.
    pub half_period: u64,
    /// Most polynomials of a table.
    pub extension: u32,
    /// Largest slack: 0 if exact.
    pub slack: u64,
    /// Its share of the seconds of its level.
    pub seconds: f64,
    /// log2 of the failure probability of its worst rotation.
    pub log2_p_fail: f64,
    /// Seconds that one bit less in its accumulators would save, with parameters chosen anew.
    pub one_bit_less_saves: f64,
}

/// Bytes that are in the standard domain while keys are expanded.
const PART_BYTES: u64 = 64 << 20;

impl Plan {
    /// Times the kernels of the circuit's parameters on this host, which takes about a second, and adds up.
    pub fn measure(circuit: &Circuit) -> Self {
        let parameters = circuit.parameters();
        let threads = rayon::current_num_threads();
        let demands = circuit.demands();
        // Rotations of one level and extension run together.
        let mut groups: Vec<(usize, u32, usize, bool)> = Vec::new();
        for demand in demands.iter().filter(|d| !d.rotations.is_empty()) {
            let level = demand.rotations[0].0;
            match groups
                .iter_mut()
                .find(|g| (g.0, g.1) == (level, demand.extension))
            {
                Some(group) => group.2 += demand.rotations.len(),
                None => {
                    let switched = demand.requirement.source != Source::FreshSmall;
                    groups.push((level, demand.extension, demand.rotations.len(), switched));
                }
            }
        }
        let mut known: Vec<(u32, usize, LookupCost)> = Vec::new();
        let mut cost = |extension: u32, rotations: usize| {
            let load = Load {
                extension,
                rotations: rotations.min(Load::full(extension).rotations),
            };
            match known.iter().find(|k| (k.0, k.1) == (extension, load.rotations)) {
                Some(known) => known.2,
                None => {
                    let cost = exec::measure(parameters, &load);
                    known.push((extension, load.rotations, cost));
                    cost
                }
            }
        };
        // Seconds of one rotation of each group, waiting included, and the work without it.
        let (mut work, mut keyswitches, mut seconds) = (0.0, 0.0, 0.0);
        let mut each: Vec<(usize, u32, f64)> = Vec::new();
        for &(level, extension, rotations, switched) in &groups {
            let mut one = cost(extension, rotations);
            if !switched {
                one.keyswitch_ns = 0.0;
            }
            let (busy, total) = (rotations.div_ceil(threads), one.total_ns() / 1e9);
            seconds += busy as f64 * total;
            work += rotations as f64 * total;
            keyswitches += rotations as f64 * one.keyswitch_ns / 1e9;
            each.push((level, extension, busy as f64 * total / rotations as f64));
        }
        let layers = layers(circuit, &demands, &each, seconds);
        let input_bytes = Parameters::seeded_ciphertext_bytes(circuit.input_count() as u64);
        let output_bytes = parameters.ciphertext_bytes() * circuit.output_count() as u64;
        Self {
            threads,
            layers,
            seconds,
            limit_seconds: work / threads as f64,
            keyswitch_share: if work > 0.0 { keyswitches / work } else { 0.0 },
            server_key_bytes: parameters.server_key_bytes(),
            evaluation_key_bytes: parameters.evaluation_key_bytes(),
            input_bytes,
            output_bytes,
            peak_bytes: peak_bytes(circuit),
            inference_log2_p_fail: circuit.inference_log2_p_fail(),
        }
    }
}

/// The larger of the two: key file and its parts in the standard domain, or all wires.
fn peak_bytes(circuit: &Circuit) -> u64 {
    let parameters = circuit.parameters();
    let wires = circuit.input_count() + circuit.lookup_count() + circuit.output_count();
    let running = parameters.ciphertext_bytes() * wires as u64;
    // The file's bytes and the numbers read from them exist together.
    let expanding = 2 * parameters.server_key_bytes() + PART_BYTES;
    parameters.evaluation_key_bytes() + expanding.max(running)
}

fn layers(circuit: &Circuit, demands: &[Demand], each: &[(usize, u32, f64)], seconds: f64) -> Vec<LayerPlan> {
    let mut layers: Vec<LayerPlan> = Vec::new();
    for (number, demand) in demands.iter().enumerate() {
        for &(level, index) in &demand.rotations {
            let rotation = &circuit.levels()[level].rotations[index];
            let name = &circuit.layers()[rotation.lookups[0].layer as usize];
            let known = layers
                .iter()
                .position(|l| l.level == level + 1 && l.name == *name);
            let at = known.unwrap_or_else(|| {
                layers.push(LayerPlan {
                    level: level + 1,
                    name: name.clone(),
                    lookups: 0,
                    rotations: 0,
                    half_period: 0,
                    extension: 0,
                    slack: 0,
                    seconds: 0.0,
                    log2_p_fail: f64::NEG_INFINITY,
                    one_bit_less_saves: 0.0,
                });
                layers.len() - 1
            });
            let layer = &mut layers[at];
            layer.lookups += rotation.lookups.len();
            layer.rotations += 1;
            layer.half_period = layer.half_period.max(demand.requirement.half_period);
            layer.extension = layer.extension.max(rotation.extension);
            layer.slack = layer.slack.max(rotation.slack);
            let time = each.iter().find(|e| (e.0, e.1) == (level, demand.extension));
            layer.seconds += time.map_or(0.0, |t| t.2);
            layer.log2_p_fail = layer.log2_p_fail.max(circuit.log2_p_fail(&demands[number]));
        }
    }
    for layer in &mut layers {
        layer.one_bit_less_saves = seconds * one_bit_less(circuit, demands, layer);
    }
    layers
}

/// Share of the time that one bit less in a layer's accumulators would save, by the cost model.
fn one_bit_less(circuit: &Circuit, demands: &[Demand], layer: &LayerPlan) -> f64 {
    let goal = Goal {
        budget_log2: circuit.budget_log2(),
        objective: Objective::Time,
        max_key_bytes: u64::MAX,
        cost: CostModel::default(),
    };
    let of_layer = |demand: &Demand| {
        demand.rotations.iter().any(|&(level, index)| {
            let rotation = &circuit.levels()[level].rotations[index];
            level + 1 == layer.level && circuit.layers()[rotation.lookups[0].layer as usize] == layer.name
        })
    };
    let wishes = |less: bool| -> Vec<(Requirement, u64)> {
        let wish = |demand: &Demand| {
            let mut requirement = demand.requirement;
            if less && requirement.reader == Reader::Lookup && of_layer(demand) {
                requirement.half_period = requirement.half_period.div_ceil(2);
                requirement.slack /= 2;
            }
            (requirement, demand.rotations.len() as u64)
        };
        demands.iter().map(wish).collect()
    };
    let time = |less| search(&goal, &wishes(less)).map_or(f64::NAN, |choice| choice.total_ns);
    let (before, after) = (time(false), time(true));
    let share = 1.0 - after / before;
    if share.is_finite() { share.max(0.0) } else { 0.0 }
}
