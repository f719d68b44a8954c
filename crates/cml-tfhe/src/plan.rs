//! What a circuit will cost, before any key exists.

use crate::circuit::{Circuit, Demand, Level};
use crate::cost::CostModel;
use crate::noise::{Reader, Requirement, Source};
use crate::optimizer::{Capabilities, Goal, Objective, search};
use crate::timing::{RotationShape, Timing};
use cml_scheme::Interface;
use serde::Serialize;

/// Cost of one inference on this host, by layer and in all.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Threads that share the work.
    pub threads: usize,
    /// Layers in order of execution, one entry for each level that they are spread over.
    pub layers: Vec<LayerPlan>,
    /// Samples of one client that run together. Times are those of one of them.
    pub samples_at_once: u32,
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
    /// Most memory of a server with the samples that run together: while the keys are expanded, or while it runs. Of a program that links
    /// nothing large.
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
    /// Rotations that take a digit off a wide row.
    pub digits: usize,
    /// Its share of the seconds of its level.
    pub seconds: f64,
    /// log2 of the failure probability of its worst rotation.
    pub log2_p_fail: f64,
    /// Seconds that one bit less in its accumulators would save, with parameters chosen anew.
    pub one_bit_less_saves: f64,
}

/// Bytes of the program itself, its threads and tables.
const PROGRAM_BYTES: u64 = 9_000_000;

impl Plan {
    /// Seconds of one inference, by an executor's timing.
    pub fn seconds(circuit: &Circuit, timing: &mut dyn Timing) -> f64 {
        Sum::of(circuit, &circuit.demands(), timing).seconds
    }

    /// Adds up what an executor's timing says of each level.
    pub fn of(circuit: &Circuit, timing: &mut dyn Timing) -> Self {
        let parameters = circuit.parameters();
        let demands = circuit.demands();
        let Sum {
            each,
            work,
            keyswitches,
            seconds,
        } = Sum::of(circuit, &demands, timing);
        let threads = timing.threads();
        Self {
            threads,
            samples_at_once: circuit.samples_at_once(),
            layers: layers(circuit, &demands, &each, seconds),
            seconds,
            limit_seconds: work / threads as f64,
            keyswitch_share: if work > 0.0 { keyswitches / work } else { 0.0 },
            server_key_bytes: parameters.server_key_bytes(),
            evaluation_key_bytes: parameters.evaluation_key_bytes(),
            input_bytes: circuit.input_bytes(),
            output_bytes: circuit.output_bytes(),
            peak_bytes: peak_bytes(circuit),
            inference_log2_p_fail: circuit.inference_log2_p_fail(),
        }
    }
}

/// Seconds of one inference.
struct Sum {
    /// Of one rotation of each demand, waiting included.
    each: Vec<f64>,
    /// Of all rotations on one thread, without waiting.
    work: f64,
    /// Of all keyswitches on one thread.
    keyswitches: f64,
    /// Of all levels, one after the other.
    seconds: f64,
}

impl Sum {
    fn of(circuit: &Circuit, demands: &[Demand], timing: &mut dyn Timing) -> Self {
        let (mut work, mut keyswitches, mut seconds) = (0.0, 0.0, 0.0);
        let mut each: Vec<f64> = vec![0.0; demands.len()];
        for (number, level) in circuit.levels().iter().enumerate() {
            let of_level = |d: &&Demand| d.rotations.first().is_some_and(|place| place.0 == number);
            let shape = |demand: &Demand| RotationShape {
                extension: demand.extension,
                keyswitch: demand.requirement.source != Source::FreshSmall,
                count: demand.rotations.len(),
            };
            let shapes: Vec<RotationShape> = demands.iter().filter(of_level).map(shape).collect();
            let Some(set) = circuit.set(level.set) else {
                continue;
            };
            let time = timing.level(set, circuit.samples_at_once(), &shapes);
            let level_work = |shape: &RotationShape, ns: f64| shape.count as f64 * ns / 1e9;
            let costs = || shapes.iter().zip(&time.each);
            let all: f64 = costs()
                .map(|(shape, cost)| level_work(shape, cost.total_ns()))
                .sum();
            keyswitches += costs()
                .map(|(shape, cost)| level_work(shape, cost.keyswitch_ns))
                .sum::<f64>();
            let own = demands.iter().zip(&mut each).filter(|(d, _)| of_level(d));
            for ((_, each), cost) in own.zip(&time.each) {
                *each = cost.total_ns() / 1e9 * time.seconds / all;
            }
            work += all;
            seconds += time.seconds;
        }
        Self {
            each,
            work,
            keyswitches,
            seconds,
        }
    }
}

/// The expanded keys, and the larger of the two beside them: the keys that they are expanded from, or all wires of the
/// samples that run together and the accumulators of a pack.
fn peak_bytes(circuit: &Circuit) -> u64 {
    let parameters = circuit.parameters();
    let wires = circuit
        .wire_bytes()
        .saturating_mul(circuit.samples_at_once().into());
    let running = wires.saturating_add(circuit.accumulator_bytes());
    let expanding = parameters.server_key_words_bytes();
    PROGRAM_BYTES + parameters.evaluation_key_bytes() + expanding.max(running)
}

fn layers(circuit: &Circuit, demands: &[Demand], each: &[f64], seconds: f64) -> Vec<LayerPlan> {
    let mut layers: Vec<LayerPlan> = Vec::new();
    let takes_digits = circuit.rotations_that_take_digits();
    let mut rotations = 0;
    let first = |level: &Level| {
        rotations += level.rotations.len();
        rotations - level.rotations.len()
    };
    let firsts: Vec<usize> = circuit.levels().iter().map(first).collect();
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
                    digits: 0,
                    seconds: 0.0,
                    log2_p_fail: f64::NEG_INFINITY,
                    one_bit_less_saves: 0.0,
                });
                layers.len() - 1
            });
            let layer = &mut layers[at];
            layer.lookups += rotation.lookups.len();
            layer.rotations += 1;
            layer.digits += usize::from(takes_digits[firsts[level] + index]);
            layer.half_period = layer.half_period.max(demand.requirement.half_period);
            layer.extension = layer.extension.max(rotation.extension);
            layer.slack = layer.slack.max(rotation.slack);
            layer.seconds += each[number];
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
        second_set_below: 0.0,
        cost: CostModel::default(),
        samples_at_once: 1,
        capabilities: Capabilities::default(),
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
