//! The circuit in the clear, on the torus: same encodings, tables and
//! rounding as the encrypted run, without keys, with or without its noise.

use crate::circuit::Circuit;
use crate::noise;
use crate::table::nearest_value;
use cml_ir::{IrError, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

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
    polynomials: (Vec<Vec<u64>>, Vec<usize>),
    noise: Option<Sampler>,
}

#[derive(Debug)]
struct Sampler {
    rng: ChaCha8Rng,
    fresh: Normal<f64>,
    lookup: Normal<f64>,
    /// Keyswitch and modulus switch together.
    switch: Normal<f64>,
}

impl Sampler {
    fn new(circuit: &Circuit, seed: u64) -> Self {
        let p = circuit.parameters();
        // The standard deviation of a validated parameter set is finite.
        let normal = |variance: f64| {
            Normal::new(0.0, variance.sqrt())
                .unwrap_or_else(|_| unreachable!("variance {variance} is not finite"))
        };
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            fresh: normal(noise::fresh_variance(p)),
            lookup: normal(noise::lookup_variance(p)),
            switch: normal(noise::keyswitch_variance(p) + noise::modulus_switch_variance(p)),
        }
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
        let polynomials = circuit.polynomials();
        let noise = match noise {
            Noise::Exact => None,
            Noise::Sampled(seed) => Some(Sampler::new(circuit, seed)),
        };
        Self {
            circuit,
            polynomials,
            noise,
        }
    }

    /// Outputs of one sample of integer codes.
    ///
    /// # Errors
    /// If the inputs do not have the declared number, shapes and ranges.
    pub fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, IrError> {
        let codes = input_codes(self.circuit, inputs)?;
        let circuit = self.circuit;
        let mut wires: Vec<u64> = Vec::with_capacity(codes.len() + self.polynomials.1.len());
        for (code, step) in codes {
            let noise = self.noise.as_mut().map_or(0, |n| n.draw(|s| s.fresh));
            wires.push((code as u64).wrapping_mul(step).wrapping_add(noise));
        }
        let sizes = u64::from(circuit.parameters().polynomial_size);
        for (lookup, &number) in circuit.lookups().zip(&self.polynomials.1) {
            let polynomial = &self.polynomials.0[number];
            let mut phase = row_phase(circuit, &lookup.row, &wires);
            if let Some(noise) = &mut self.noise {
                phase = phase.wrapping_add(noise.draw(|s| s.switch));
            }
            // Coefficient j of 2N serves the phases in [j, j + 1).
            let index = ((u128::from(phase) * u128::from(2 * sizes)) >> 64) as u64;
            let read = polynomial[(index % sizes) as usize];
            let value = if index < sizes { read } else { read.wrapping_neg() };
            let noise = self.noise.as_mut().map_or(0, |n| n.draw(|s| s.lookup));
            wires.push(value.wrapping_add(noise));
        }
        let mut results = Vec::with_capacity(circuit.outputs().len());
        for output in circuit.outputs() {
            let decode = |(row, shift): (&crate::circuit::Row, &i64)| {
                nearest_value(row_phase(circuit, row, &wires), circuit.step(row.encoding)) + shift
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

/// Checked integer codes of a sample with the step of each, in wire order.
pub(crate) fn input_codes(circuit: &Circuit, inputs: &[Tensor]) -> Result<Vec<(i64, u64)>, IrError> {
    let needs = circuit.inputs().len();
    if inputs.len() != needs {
        return Err(IrError::InputCount {
            graph: circuit.name().to_owned(),
            needs,
            has: inputs.len(),
        });
    }
    let mut codes = Vec::with_capacity(circuit.input_count());
    for (input, given) in circuit.inputs().iter().zip(inputs) {
        if given.shape() != input.shape {
            return Err(IrError::Shape {
                node: input.name.clone(),
                what: "input",
                needs: format!("{:?}", input.shape),
                has: format!("{:?}", given.shape()),
            });
        }
        let range = input.spec.range;
        if let Some(index) = given.data().iter().position(|&v| !range.contains(v)) {
            return Err(IrError::InputRange {
                node: input.name.clone(),
                index,
                has: given.data()[index],
                range,
            });
        }
        codes.extend(
            given
                .data()
                .iter()
                .zip(&input.encodings)
                .map(|(&v, &e)| (v, circuit.step(e))),
        );
    }
    Ok(codes)
}
