//! The circuit in the clear, on the torus: same encodings, tables and
//! rounding as the encrypted run, without keys, with or without its noise.

use crate::circuit::{Circuit, Prepared};
use crate::noise::Variances;
use cml_ir::{IrError, Tensor};
use cml_scheme::{LweKey, input_codes, nearest_value};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};
use std::collections::{BTreeMap, BTreeSet};

/// Whether the simulation adds the noise of encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noise {
    /// None: the result is the interpreter's, bit for bit.
    Exact,
    /// Gaussian noise of the variances that the noise model predicts, drawn
    /// from this seed.
    Sampled(u64),
}

/// A simulator of one circuit.
#[derive(Debug)]
pub struct Simulator<'c> {
    circuit: &'c Circuit,
    prepared: Prepared,
    noise: Option<Sampler>,
}

#[derive(Debug)]
struct Sampler {
    rng: ChaCha8Rng,
    fresh: Normal<f64>,
    /// By parameter set.
    variances: Vec<Variances>,
    /// Of results.
    rounding: Normal<f64>,
    standard: Normal<f64>,
    /// Keyswitch, if there is one, and modulus switch together, by parameter set and extension.
    switches: BTreeMap<(u32, u32, bool), Normal<f64>>,
}

impl Sampler {
    fn new(circuit: &Circuit, seed: u64) -> Self {
        let variances: Vec<Variances> = circuit.parameters().iter().map(Variances::expected).collect();
        let first = variances[0];
        let of_set = |set: u32| variances.get(set as usize).unwrap_or(&first);
        // The standard deviation of a validated parameter set is finite.
        let normal = |variance: f64| {
            Normal::new(0.0, variance.sqrt())
                .unwrap_or_else(|_| unreachable!("variance {variance} is not finite"))
        };
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            fresh: normal(match circuit.input_key() {
                LweKey::Big => first.fresh(),
                LweKey::Small => first.fresh_small(),
            }),
            rounding: normal(first.rounding(circuit.output_word_bytes())),
            standard: normal(1.0),
            switches: circuit
                .rotations_with_sets()
                .map(|(r, set)| {
                    let switched = !circuit.reads_small(&r.row);
                    let keyswitch = if switched { of_set(set).keyswitch() } else { 0.0 };
                    let variance = keyswitch + of_set(set).switch(r.extension);
                    ((set, r.extension, switched), normal(variance))
                })
                .collect(),
            variances,
        }
    }

    /// Noises of some coefficients of one rotation, of `extension` polynomials and `size` coefficients.
    ///
    /// What is alike in those of one polynomial has the correlation `1 - 2 d / L` at a distance `d`, as `2 B(x) - B(1)` of
    /// a Brownian motion `B` has; polynomials are independent of each other ([`noise`](crate::noise)).
    fn draw_coefficients(
        &mut self,
        set: u32,
        degrees: &BTreeSet<usize>,
        (extension, size): (u32, u64),
    ) -> BTreeMap<usize, u64> {
        let variances = self.variances[set as usize];
        let (alike, independent) = (variances.alike().sqrt(), variances.independent().sqrt());
        let mut noises = BTreeMap::new();
        let extension = extension.max(1) as usize;
        for polynomial in 0..extension {
            let degrees = || degrees.iter().filter(|&&d| d % extension == polynomial);
            let (mut motion, mut last) = (Vec::new(), (0, 0.0));
            for &degree in degrees() {
                let step = (degree - last.0) as f64 / size as f64;
                last = (degree, last.1 + step.sqrt() * self.standard.sample(&mut self.rng));
                motion.push(last.1);
            }
            let rest = (size as usize - last.0) as f64 / size as f64;
            let end = last.1 + rest.sqrt() * self.standard.sample(&mut self.rng);
            for (&degree, at) in degrees().zip(motion) {
                let both = alike * (2.0 * at - end) + independent * self.standard.sample(&mut self.rng);
                noises.insert(degree, (both * 2f64.powi(64)) as i64 as u64);
            }
        }
        noises
    }

    fn draw_switch(&mut self, set: u32, extension: u32, switched: bool) -> u64 {
        self.draw(|s| s.switches[&(set, extension, switched)])
    }

    fn draw(&mut self, which: impl Fn(&Self) -> Normal<f64>) -> u64 {
        let normal = which(self);
        // Torus units; a cast to i64 saturates, far beyond any real noise.
        (normal.sample(&mut self.rng) * 2f64.powi(64)) as i64 as u64
    }
}

impl<'c> Simulator<'c> {
    /// Prepares the tables.
    pub fn new(circuit: &'c Circuit, noise: Noise) -> Self {
        let prepared = circuit.prepare();
        let noise = match noise {
            Noise::Exact => None,
            Noise::Sampled(seed) => Some(Sampler::new(circuit, seed)),
        };
        Self {
            circuit,
            prepared,
            noise,
        }
    }

    /// Outputs of one sample of integer codes.
    ///
    /// # Errors
    /// If the inputs do not have the declared number, shapes and ranges.
    pub fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, IrError> {
        let circuit = self.circuit;
        let codes = input_codes(circuit.name(), circuit.inputs(), circuit.encodings(), inputs)?;
        let mut wires: Vec<u64> = Vec::with_capacity(codes.len() + circuit.lookup_count());
        for (code, step) in codes {
            let noise = self.noise.as_mut().map_or(0, |n| n.draw(|s| s.fresh));
            wires.push((code as u64).wrapping_mul(step).wrapping_add(noise));
        }
        let rotations = circuit.rotations_with_sets();
        for ((rotation, set), (number, readings)) in rotations.zip(&self.prepared.rotations) {
            let polynomial = &self.prepared.polynomials[*number];
            let size = polynomial.len() as u64;
            let mut phase = row_phase(circuit, &rotation.row, &wires).wrapping_mul(rotation.scale);
            if let Some(noise) = &mut self.noise {
                let switched = !circuit.reads_small(&rotation.row);
                phase = phase.wrapping_add(noise.draw_switch(set, rotation.extension, switched));
            }
            // Coefficient j of 2L serves the phases in [j, j + 1).
            let index = ((u128::from(phase) * u128::from(2 * size)) >> 64) as u64;
            let degrees: BTreeSet<usize> = readings.iter().flat_map(|r| &r.terms).map(|t| t.0).collect();
            let noises = self
                .noise
                .as_mut()
                .map(|n| n.draw_coefficients(set, &degrees, (rotation.extension, size)));
            for reading in readings {
                let mut value = reading.constant;
                for &(degree, weight) in &reading.terms {
                    let place = (index + degree as u64) % (2 * size);
                    let word = polynomial[(place % size) as usize];
                    let word = if place < size { word } else { word.wrapping_neg() };
                    let noise = noises.as_ref().map_or(0, |n| n[&degree]);
                    let word = word.wrapping_add(noise);
                    value = value.wrapping_add(word.wrapping_mul(weight as u64));
                }
                wires.push(value);
            }
        }
        let mut results = Vec::with_capacity(circuit.outputs().len());
        for output in circuit.outputs() {
            let decode = |(row, shift): (&crate::circuit::Row, &i64)| {
                let rounding = self.noise.as_mut().map_or(0, |n| n.draw(|s| s.rounding));
                let phase = row_phase(circuit, row, &wires).wrapping_add(rounding);
                let steps = nearest_value(phase, circuit.step(row.encoding));
                circuit.output_value(output, row, steps) + shift
            };
            let data = output.rows.iter().zip(&output.shifts).map(decode).collect();
            results.push(Tensor::new(output.shape.clone(), data)?);
        }
        Ok(results)
    }
}

/// Phase of a row whose wires have these phases.
fn row_phase(circuit: &Circuit, row: &crate::circuit::Row, wires: &[u64]) -> u64 {
    let start = (row.constant as u64).wrapping_mul(circuit.step(row.encoding));
    row.terms.iter().fold(start, |sum, &(wire, w)| {
        sum.wrapping_add(wires[wire as usize].wrapping_mul(w as u64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::{Options, lower};
    use cml_ir::{GraphBuilder, InputSpec, Interval, Lut, OutputSpec, interpret};
    use cml_scheme::Parameters;

    /// Two clipped tables of 15 levels on one accumulator, one rising from 2 and one from 112, with `P` of 128, subtracted and
    /// read by the client. Changes of one lie half a period and more from those of the other, and have the opposite
    /// sign, so what is alike in their noise adds up.
    #[test]
    fn failures_of_changes_far_apart_are_no_more_than_promised() {
        let mut b = GraphBuilder::new("far_apart");
        let codes = InputSpec::new(1.0, 0, Interval::new(0, 129));
        let x = b.input("x", vec![1], codes).unwrap();
        let clipped = |first: i64| Lut::from_fn(Interval::new(0, 129), move |v| (v - first + 1).clamp(0, 14));
        let low = b.lut("low", x, clipped(2)).unwrap();
        let high = b.lut("high", x, clipped(112)).unwrap();
        let y = b.sub("difference", low, high).unwrap();
        b.output("y", y, OutputSpec::identity()).unwrap();
        let graph = b.finish().unwrap();
        let options = Options {
            fuse: false,
            ..Options::default()
        };
        let mut circuit = lower(&graph, &cml_bitwidth::analyze(&graph), &options).unwrap();
        assert_eq!((circuit.rotation_count(), circuit.lookup_count()), (1, 2));
        // Digits so large that what is looked up is barely told apart; the lookup itself is as good as certain.
        circuit.parameters = Parameters::new(900, (1, 2048), (29, 1), (4, 4)).unwrap().into();
        let rotations = circuit.body.levels.iter_mut().flat_map(|l| &mut l.rotations);
        rotations.for_each(|r| r.extension = 4);
        let samples = 5000;
        let mut simulator = Simulator::new(&circuit, Noise::Sampled(7));
        let wrong = (0..samples).filter(|at| {
            let inputs = [Tensor::new(vec![1], vec![at % 130]).unwrap()];
            simulator.run(&inputs).unwrap() != interpret(&graph, &inputs).unwrap()
        });
        let (wrong, count) = (wrong.count() as f64, samples as f64);
        let most = |p: f64| count * p + 5.0 * (count * p).sqrt();
        // What was promised when only pairs nearer than half a period were counted.
        assert!(
            wrong > most(0.028),
            "{wrong} of {count}: not the case that was missed"
        );
        let promised = circuit.inference_log2_p_fail().exp2();
        assert!(
            wrong <= most(promised),
            "{wrong} of {count} wrong, promised {promised}"
        );
        let demands = circuit.demands();
        let expected: f64 = demands
            .iter()
            .map(|d| circuit.expected_log2_p_fail(d).exp2())
            .sum();
        let least = count * expected - 5.0 * (count * expected).sqrt();
        assert!(
            (least..most(expected)).contains(&wrong),
            "{wrong} of {count} wrong, expected {expected}"
        );
    }
}
