//! Times of this machine: for plans, and for the cost model of the compiler.

use crate::amortized::measure_amortized;
use crate::evaluator::{Load, Schedule, measure, measure_split, most_lanes};
use cml_scheme::{Amortized, ParameterError, ParameterSets, Parameters, Ring, Set, security};
use cml_tfhe::cost::{CostModel, LookupCost, SIZES};
use cml_tfhe::timing::{LevelTime, RotationShape, Timing};
use cml_tfhe::{Circuit, Plan};

/// Each kernel is timed so often, all of them once before any a second time.
const ROUNDS: usize = 3;

/// What a circuit will cost on this machine. Times the kernels of its parameters, which takes some seconds.
pub fn plan(circuit: &Circuit) -> Plan {
    let mut times = Times::of(circuit.parameters());
    // What other programs do at one time should not count.
    Plan::seconds(circuit, &mut times);
    for _ in 1..ROUNDS {
        times.clocks.iter_mut().for_each(|clock| clock.again());
        times.amortized.iter_mut().for_each(|clock| clock.again());
    }
    Plan::of(circuit, &mut times)
}

/// Seconds of one inference on this machine, from one round of timing: for those who need no more than the order of
/// magnitude, in a third of the time of [`plan`].
pub fn estimate_seconds(circuit: &Circuit) -> f64 {
    Plan::seconds(circuit, &mut Times::of(circuit.parameters()))
}

/// Measures the constants on this host, on all threads, in about a second. Sizes of
/// more than 2^14 coefficients, which no good choice has, are extrapolated.
///
/// # Errors
///
/// None in fact: the sets that are measured are valid.
pub fn measure_costs() -> Result<CostModel, ParameterError> {
    let mut model = CostModel::default();
    for log in SIZES {
        let i = (log - SIZES.start()) as usize;
        if log > 14 {
            model.transform_ns[i] = model.transform_ns[i - 1] * 1.05;
            model.multiply_ns[i] = model.multiply_ns[i - 1];
            continue;
        }
        let (size, k) = (1 << log, (1024 >> log).max(1));
        let step = |level| -> Result<f64, ParameterError> {
            let set = Parameters::new(800, (k, size), (10, level), (4, 4))?;
            Ok(measure(&set, &Load::full(1)).blind_rotation_ns / 800.0)
        };
        let (one, two) = (step(1)?, step(2)?);
        // one = N ((k + 1) 2 t + (k + 1)^2 m), two = N ((k + 1) 3 t + 2 (k + 1)^2 m).
        let (p, n) = (f64::from(k + 1), f64::from(size));
        let transform = (2.0 * one - two) / (n * p);
        let multiply = (two - 1.5 * one) / (0.5 * n * p * p);
        model.transform_ns[i] = transform.max(0.05);
        model.multiply_ns[i] = multiply.max(0.0);
    }
    let set = Parameters::new(800, (1, 2048), (22, 1), (4, 4))?;
    let words = set.keyswitch_key_bodies() as f64 * 801.0;
    model.keyswitch_ns = measure(&set, &Load::full(1)).keyswitch_ns / words;
    let (transform, multiply) = measure_steps()?;
    let known = (model.amortized_transform_ns[3], model.amortized_multiply_ns[3]);
    model
        .amortized_transform_ns
        .iter_mut()
        .for_each(|ns| *ns *= transform / known.0);
    model
        .amortized_multiply_ns
        .iter_mut()
        .for_each(|ns| *ns *= multiply / known.1);
    Ok(model)
}

/// A transform and a multiplication of amortized rotations with `N` of 2048, for each coefficient.
fn measure_steps() -> Result<(f64, f64), ParameterError> {
    let known = security::SPARSE_SETS.first().ok_or(ParameterError::NoSet)?;
    let gap = |gap_digits| -> Result<f64, ParameterError> {
        let set = Amortized {
            ring: Ring::new(1, 2048)?,
            slots: known.slots,
            weight: known.weight,
            gap_bits: known.gap_bits,
            sparse_noise_bound: known.noise_bound(),
            gap_digits,
            pbs_base_log: 23,
            pbs_level: 1,
            pbs_body_base_log: 23,
            pbs_body_level: 1,
            automorphism_base_log: 11,
            automorphism_level: 3,
            sparse_base_log: 2,
            sparse_level: 8,
        };
        set.validate()?;
        let ns = measure_amortized(&set, 1).blind_rotation_ns;
        Ok(ns / f64::from(set.weight + 1) / f64::from(set.ring.polynomial_size))
    };
    // Four digits of 2 bits take 4 steps of 4 transforms and 16 selectors of 4 products, two of 4 bits 2 steps and 32 selectors.
    let (four, two) = (gap(4)?, gap(2)?);
    let transform = (2.0 * four - two) / (2.0 * 16.0 - 8.0);
    let multiply = (four - 16.0 * transform) / 64.0;
    Ok((transform.max(0.05), multiply.max(0.005)))
}

/// The times of a circuit's parameter sets, by the schedule of the executor.
pub(crate) struct Times {
    clocks: Vec<Clock>,
    amortized: Option<AmortizedClock>,
}

impl Times {
    pub(crate) fn of(parameters: &ParameterSets) -> Self {
        Self {
            clocks: parameters.single().iter().map(Clock::of).collect(),
            amortized: None,
        }
    }

    fn clock(&mut self, parameters: &Parameters) -> &mut Clock {
        let known = self.clocks.iter().position(|c| c.parameters == *parameters);
        let at = known.unwrap_or_else(|| {
            self.clocks.push(Clock::of(parameters));
            self.clocks.len() - 1
        });
        &mut self.clocks[at]
    }
}

impl Timing for Times {
    fn threads(&self) -> usize {
        rayon::current_num_threads()
    }

    fn level(&mut self, set: Set<'_>, samples: u32, rotations: &[RotationShape]) -> LevelTime {
        let parameters = match set {
            Set::Single(parameters) => parameters,
            Set::Amortized(parameters) => return self.amortized_level(parameters, samples, rotations),
        };
        let threads = self.threads();
        let clock = self.clock(parameters);
        let lanes: usize = rotations.iter().map(|r| r.extension as usize * r.count).sum();
        let one = |shape: &RotationShape| {
            let cost = clock.rotation(shape.extension, lanes.div_ceil(shape.extension as usize));
            LookupCost {
                keyswitch_ns: if shape.keyswitch { cost.keyswitch_ns } else { 0.0 },
                ..cost
            }
        };
        let each: Vec<LookupCost> = rotations.iter().map(one).collect();
        let (mut extensions, mut times): (Vec<usize>, Vec<LookupCost>) = Default::default();
        for (shape, cost) in rotations.iter().zip(&each) {
            extensions.resize(extensions.len() + shape.count, shape.extension as usize);
            times.resize(extensions.len(), *cost);
        }
        let schedule = Schedule::of(&extensions, threads, most_lanes(parameters));
        let seconds = schedule.makespan(
            threads,
            |i| times[i].total_ns() / 1e9,
            |i| (times[i].keyswitch_ns + clock.split(extensions[i] as u32)) / 1e9,
        );
        LevelTime { seconds, each }
    }
}

impl Times {
    /// Packs of all samples, one after the other, of which each sample takes its share.
    fn amortized_level(
        &mut self,
        parameters: &Amortized,
        samples: u32,
        rotations: &[RotationShape],
    ) -> LevelTime {
        let threads = self.threads() as f64;
        let clock = self.amortized.get_or_insert_with(|| AmortizedClock {
            parameters: *parameters,
            known: Vec::new(),
        });
        let slots = parameters.slots as usize;
        let mut extensions: Vec<u32> = rotations.iter().map(|r| r.extension).collect();
        extensions.sort_unstable();
        extensions.dedup();
        let mut seconds = 0.0;
        let mut by_extension: Vec<(u32, LookupCost)> = Vec::new();
        for extension in extensions {
            let own = rotations.iter().filter(|r| r.extension == extension);
            let count = own.map(|r| r.count).sum::<usize>() * samples as usize;
            let full = clock.lookup(extension);
            let packed = (count.div_ceil(slots) * slots) as f64;
            seconds += packed * full.total_ns() / 1e9 / threads / f64::from(samples);
            // Empty slots are paid for by the others.
            let share = packed / count.max(1) as f64;
            by_extension.push((
                extension,
                LookupCost {
                    keyswitch_ns: full.keyswitch_ns * share,
                    blind_rotation_ns: full.blind_rotation_ns * share,
                },
            ));
        }
        let of = |r: &RotationShape| by_extension.iter().find(|(e, _)| *e == r.extension).map(|e| e.1);
        let each = rotations.iter().filter_map(of).collect();
        LevelTime { seconds, each }
    }
}

/// Times amortized rotations, each extension when it is first asked for.
struct AmortizedClock {
    parameters: Amortized,
    known: Vec<(u32, LookupCost)>,
}

impl AmortizedClock {
    /// One of a full pack: nanoseconds of one thread while all are at work.
    fn lookup(&mut self, extension: u32) -> LookupCost {
        if let Some(known) = self.known.iter().find(|k| k.0 == extension) {
            return known.1;
        }
        let cost = measure_amortized(&self.parameters, extension);
        self.known.push((extension, cost));
        cost
    }

    /// Times all again: the least counts.
    fn again(&mut self) {
        for (extension, cost) in &mut self.known {
            let again = measure_amortized(&self.parameters, *extension);
            cost.keyswitch_ns = cost.keyswitch_ns.min(again.keyswitch_ns);
            cost.blind_rotation_ns = cost.blind_rotation_ns.min(again.blind_rotation_ns);
        }
    }
}

/// Times the kernels of one parameter set, each when it is first asked for.
struct Clock {
    parameters: Parameters,
    known: Vec<(Load, LookupCost)>,
    split: Vec<(u32, f64)>,
}

impl Clock {
    fn of(parameters: &Parameters) -> Self {
        Self {
            parameters: *parameters,
            known: Vec::new(),
            split: Vec::new(),
        }
    }

    /// One of so many rotations of that extension.
    fn rotation(&mut self, extension: u32, rotations: usize) -> LookupCost {
        let load = Load {
            extension,
            rotations: rotations.min(Load::full(extension).rotations),
        };
        if let Some(known) = self.known.iter().find(|k| k.0 == load) {
            return known.1;
        }
        let cost = measure(&self.parameters, &load);
        self.known.push((load, cost));
        cost
    }

    /// One blind rotation on all threads, in nanoseconds.
    fn split(&mut self, extension: u32) -> f64 {
        if let Some(known) = self.split.iter().find(|k| k.0 == extension) {
            return known.1;
        }
        let ns = measure_split(&self.parameters, extension);
        self.split.push((extension, ns));
        ns
    }

    /// Times all again that it was asked for; the least counts, since other work can only slow one down.
    fn again(&mut self) {
        for (load, cost) in &mut self.known {
            let again = measure(&self.parameters, load);
            cost.keyswitch_ns = cost.keyswitch_ns.min(again.keyswitch_ns);
            cost.blind_rotation_ns = cost.blind_rotation_ns.min(again.blind_rotation_ns);
        }
        for (extension, ns) in &mut self.split {
            *ns = ns.min(measure_split(&self.parameters, *extension));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_times_like_any_other() {
        let model = measure_costs().expect("valid sets");
        let times = model.transform_ns.iter().chain([&model.keyswitch_ns]);
        for ns in times {
            assert!((0.001..1000.0).contains(ns), "{model:?}");
        }
    }
}
