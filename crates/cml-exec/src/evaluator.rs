//! Linear combinations and lookups, in the order linear, keyswitch, modulus switch, blind rotation.
//!
//! [`Evaluator::rotate`] is the reference, one ciphertext at a time and simple on purpose;
//! [`Evaluator::rotate_many`] does the same in batches, and is tested against it.

mod batch;
mod keyswitch;
mod measure;
mod product;
mod schedule;
mod split;
mod switch;

use pulp::Arch;
use rayon::prelude::*;
use tfhe::core_crypto::prelude::{
    GlweCiphertextOwned, LweCiphertextOwned, SignedDecomposer, keyswitch_lwe_ciphertext_with_scalar_change,
};

use crate::digits::add_to_wide_words;
use crate::key::EvaluationKey;
use crate::products::BLOCK;
pub(crate) use batch::{most_lanes, read};
use cml_scheme::raw::{Dimensions, modulus32, modulus64};
use cml_scheme::{Ciphertext, LweKey, Parameters};
use cml_tfhe::table::Reading;
use product::Digits;
use switch::Rotations;

pub(crate) use measure::measure_split;
pub use measure::{Load, measure};
pub(crate) use schedule::Schedule;

/// Why an operation on ciphertexts is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// A linear combination names a wire that does not exist.
    #[error("linear combination reads wire {wire}, there are {wires}")]
    NoSuchWire {
        /// The index.
        wire: usize,
        /// Number of wires.
        wires: usize,
    },
    /// A ciphertext does not belong to keys of these parameters.
    #[error("ciphertext has dimension {has}, the key has {needs}")]
    Dimension {
        /// Mask elements of the ciphertext.
        has: usize,
        /// Bits of the big key.
        needs: usize,
    },
    /// A table does not have one coefficient for each of the polynomial.
    #[error("table has {has} coefficients, the polynomial has {needs}")]
    TableSize {
        /// Coefficients of the table.
        has: usize,
        /// Coefficients of the polynomial.
        needs: usize,
    },
    /// A backend that did not give each task its results.
    #[error("the backend gave {has} results in all, the work asks for {needs}, each task for its own")]
    Results {
        /// Results given.
        has: usize,
        /// Results asked for.
        needs: usize,
    },
    /// Work under a parameter set that the keys do not have.
    #[error("work is for parameter set {set}, the keys have {sets}")]
    NoSuchSet {
        /// The number, from 0.
        set: usize,
        /// Sets of the keys.
        sets: usize,
    },
    /// A table is read at a coefficient that it does not have.
    #[error("a table is read at coefficient {degree}, it has {size}")]
    Coefficient {
        /// The coefficient.
        degree: usize,
        /// Number of coefficients.
        size: usize,
    },
}

/// The sum of weighted wires, all under one key, plus a clear constant of the torus modulo 2^64.
pub(crate) fn linear(
    key: LweKey,
    dimension: usize,
    terms: impl Iterator<Item = (usize, i64)>,
    constant: u64,
    wires: &[Ciphertext],
) -> Result<Ciphertext, ExecError> {
    let mut sum = Ciphertext::trivial(key, dimension, constant);
    for (wire, weight) in terms {
        let no_such_wire = ExecError::NoSuchWire {
            wire,
            wires: wires.len(),
        };
        let value = wires.get(wire).ok_or(no_such_wire)?;
        check(value, key, dimension)?;
        if weight != 0 {
            sum.add_multiple(value.words(), weight);
        }
    }
    Ok(sum)
}

/// Whether a ciphertext is under a key of that dimension.
fn check(ciphertext: &Ciphertext, key: LweKey, needs: usize) -> Result<(), ExecError> {
    let has = ciphertext.dimension();
    if has == needs && ciphertext.key() == key {
        Ok(())
    } else {
        Err(ExecError::Dimension { has, needs })
    }
}

/// Whether a job is of these parameters: its input under a key of that dimension, its table of polynomials of `size`
/// coefficients.
pub(crate) fn check_job(job: &Job<'_>, key: LweKey, dimension: usize, size: usize) -> Result<(), ExecError> {
    check(job.input, key, dimension)?;
    let (has, needs) = (job.polynomial.len(), size * job.extension);
    if has != needs || needs == 0 {
        return Err(ExecError::TableSize { has, needs });
    }
    let mut degrees = job.readings.iter().flat_map(|r| &r.terms).map(|t| t.0);
    match degrees.find(|&degree| degree >= needs) {
        Some(degree) => Err(ExecError::Coefficient { degree, size: needs }),
        None => Ok(()),
    }
}

/// Runs linear combinations and lookups on ciphertexts.
pub struct Evaluator {
    key: EvaluationKey,
    dimensions: Dimensions,
}

/// One blind rotation: what turns it, what it turns, what is read off it.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// Turns the polynomial.
    pub input: &'a Ciphertext,
    /// `extension * N` coefficients.
    pub polynomial: &'a [u64],
    /// Polynomials of the key's size that make up the table, at least 1.
    pub extension: usize,
    /// One for each result.
    pub readings: &'a [Reading],
}

/// Buffers of the reference.
struct Scratch {
    small: LweCiphertextOwned<u32>,
    rotations: Rotations,
    /// The accumulator: see [`batch`].
    lanes: Vec<GlweCiphertextOwned<u64>>,
}

impl Evaluator {
    /// An evaluator with an expanded key.
    pub fn new(key: EvaluationKey) -> Self {
        let dimensions = Dimensions::of(key.parameters());
        Self { dimensions, key }
    }

    /// Parameters of the key.
    pub fn parameters(&self) -> &Parameters {
        self.key.parameters()
    }

    /// The sum of `weight * wires[index]` over all `(index, weight)`, all under one key, plus a clear `constant` of the
    /// torus modulo 2^64.
    ///
    /// # Errors
    ///
    /// [`ExecError::NoSuchWire`] or [`ExecError::Dimension`] for a wire that cannot be read.
    pub fn linear(
        &self,
        terms: &[(usize, i64)],
        constant: u64,
        wires: &[Ciphertext],
    ) -> Result<Ciphertext, ExecError> {
        let read = terms.first().and_then(|t| wires.get(t.0));
        let key = read.map_or(LweKey::Big, Ciphertext::key);
        let terms = terms.iter().copied();
        linear(key, self.dimension(key), terms, constant, wires)
    }

    /// One blind rotation, and what is read off it.
    ///
    /// # Errors
    ///
    /// [`ExecError::Dimension`], [`ExecError::TableSize`] or [`ExecError::Coefficient`] for operands of
    /// other parameters.
    pub fn rotate(&self, job: &Job<'_>) -> Result<Vec<Ciphertext>, ExecError> {
        self.check_job(job)?;
        let mut scratch = self.scratch();
        self.keyswitch(job.input, &mut scratch);
        self.blind_rotate(job.polynomial, job.extension, &mut scratch);
        let mut sample = LweCiphertextOwned::new(0, self.dimensions.big.to_lwe_size(), modulus64());
        let read = |reading| read(reading, &scratch.lanes, &mut sample, self.dimensions.big.0);
        Ok(job.readings.iter().map(read).collect())
    }

    /// Many blind rotations, in batches on all threads; the results in the order of the jobs, bit for
    /// bit those of [`Evaluator::rotate`].
    ///
    /// # Errors
    ///
    /// As [`Evaluator::rotate`], for any of them.
    pub fn rotate_many(&self, jobs: &[Job<'_>]) -> Result<Vec<Vec<Ciphertext>>, ExecError> {
        for job in jobs {
            self.check_job(job)?;
        }
        let threads = rayon::current_num_threads();
        let extensions: Vec<usize> = jobs.iter().map(|job| job.extension).collect();
        let Schedule { split, batches } = Schedule::of(&extensions, threads, most_lanes(self.parameters()));
        let run = |scratch: &mut batch::Scratch, batch: &Vec<usize>| {
            let jobs: Vec<Job<'_>> = batch.iter().map(|&i| jobs[i]).collect();
            self.rotate_batch(&jobs, scratch)
        };
        let done: Result<Vec<Vec<Vec<Ciphertext>>>, ExecError> = batches
            .par_iter()
            .with_max_len(1)
            .map_init(|| self.batch_scratch(), run)
            .collect();
        let mut results = vec![Vec::new(); jobs.len()];
        for (place, result) in batches.into_iter().flatten().zip(done?.into_iter().flatten()) {
            results[place] = result;
        }
        for place in split {
            results[place] = self.rotate_split(&jobs[place], threads);
        }
        Ok(results)
    }

    fn check_job(&self, job: &Job<'_>) -> Result<(), ExecError> {
        let key = job.input.key();
        check_job(job, key, self.dimension(key), self.dimensions.polynomial.0)
    }

    /// Mask elements under a key.
    fn dimension(&self, key: LweKey) -> usize {
        match key {
            LweKey::Big => self.dimensions.big.0,
            LweKey::Small => self.dimensions.lwe.0,
        }
    }

    fn scratch(&self) -> Scratch {
        Scratch {
            small: LweCiphertextOwned::new(0, self.dimensions.lwe.to_lwe_size(), modulus32()),
            rotations: Rotations::default(),
            lanes: Vec::new(),
        }
    }

    /// Leaves the input under the small key in the scratch.
    fn keyswitch(&self, input: &Ciphertext, scratch: &mut Scratch) {
        if input.key() == LweKey::Small {
            let words: Vec<u32> = input.halves().collect();
            scratch.small.as_mut().copy_from_slice(&words);
            return;
        }
        keyswitch_lwe_ciphertext_with_scalar_change(self.key.keyswitch(), input.inner(), &mut scratch.small);
    }

    /// Rotates the table by the ciphertext in the scratch, and leaves the accumulator there.
    fn blind_rotate(&self, table: &[u64], extension: usize, scratch: &mut Scratch) {
        scratch.rotations.switch(scratch.small.as_ref(), table.len());
        let (glwe_size, polynomial) = (self.dimensions.glwe_size(), self.dimensions.polynomial);
        // Polynomials of the whole size, taken apart for each product and put together again.
        let size = table.len();
        let mut whole = vec![vec![0_u64; size]; glwe_size.0];
        let rotations = &scratch.rotations;
        batch::rotate(
            &mut whole[glwe_size.0 - 1],
            table,
            (2 * size - rotations.body) % (2 * size),
        );
        let apart = |whole: &[Vec<u64>]| -> Vec<GlweCiphertextOwned<u64>> {
            let lane = |j: usize| {
                let words = whole.iter().flat_map(|p| p.iter().skip(j).step_by(extension));
                GlweCiphertextOwned::from_container(words.copied().collect(), polynomial, modulus64())
            };
            (0..extension).map(lane).collect()
        };
        for (element, &degree) in self.key.bootstrap().elements().zip(&rotations.mask) {
            let mut difference = whole.clone();
            for (difference, polynomial) in difference.iter_mut().zip(&whole) {
                batch::rotate(difference, polynomial, degree);
                difference
                    .iter_mut()
                    .zip(polynomial)
                    .for_each(|(d, &p)| *d = d.wrapping_sub(p));
            }
            let mut lanes = apart(&whole);
            for (j, (lane, mut difference)) in lanes.iter_mut().zip(apart(&difference)).enumerate() {
                self.centre(&mut difference);
                self.add_product(lane, &difference, element);
                for (whole, lane) in whole.iter_mut().zip(lane.as_ref().chunks_exact(polynomial.0)) {
                    for (to, &from) in whole.iter_mut().skip(j).step_by(extension).zip(lane) {
                        *to = from;
                    }
                }
            }
        }
        scratch.lanes = apart(&whole);
    }

    /// Adds the product of a difference and an element: number by number, where [`product`] goes through all of them at once.
    fn add_product(
        &self,
        to: &mut GlweCiphertextOwned<u64>,
        difference: &GlweCiphertextOwned<u64>,
        element: &[f64],
    ) {
        let (arch, transform) = (Arch::new(), self.key.transform());
        let (columns, size) = (self.dimensions.glwe_size().0, self.dimensions.polynomial.0);
        let mut digits = Digits::of(&self.dimensions, difference.as_ref());
        digits
            .polynomials()
            .for_each(|polynomial| transform.forward(arch, polynomial));
        let digits: Vec<&mut [f64]> = digits.polynomials().collect();
        let (half, polynomials) = (size / 2, digits.len() * columns);
        for (column, words) in to.as_mut().chunks_exact_mut(size).enumerate() {
            let mut sum = vec![0.0; size];
            for i in 0..half {
                let (mut re, mut im): (f64, f64) = (0.0, 0.0);
                for (row, digits) in digits.iter().enumerate() {
                    let polynomial = row * columns + column;
                    let place = (i / BLOCK * polynomials + polynomial) * 2 * BLOCK + i % BLOCK;
                    let (a, b) = (element[place], element[place + BLOCK]);
                    let (x, y) = (digits[i], digits[i + half]);
                    (re, im) = (a.mul_add(x, re), a.mul_add(y, im));
                    (re, im) = ((-b).mul_add(y, re), b.mul_add(x, im));
                }
                (sum[i], sum[i + half]) = (re, im);
            }
            transform.backward(arch, &mut sum);
            add_to_wide_words(arch, words, &sum);
        }
    }

    /// Takes half the sum of what the decomposition will round off the mask from the body: see [`product`].
    fn centre(&self, difference: &mut GlweCiphertextOwned<u64>) {
        let (base_log, levels) = self.dimensions.pbs;
        let decomposer = SignedDecomposer::<u64>::new(base_log, levels);
        let n = self.dimensions.polynomial.0;
        let mut roundings = vec![0_i64; n];
        for polynomial in difference.get_mask().as_ref().chunks_exact(n) {
            for (sum, &word) in roundings.iter_mut().zip(polynomial) {
                let rounding = word.wrapping_sub(decomposer.closest_representable(word)) as i64;
                *sum = sum.wrapping_add(rounding);
            }
        }
        let half = roundings.iter().fold(0_i64, |sum, &r| sum.wrapping_add(r)) >> 1;
        let mut up_to = 0_i64;
        for (word, rounding) in difference.get_mut_body().as_mut().iter_mut().zip(roundings) {
            up_to = up_to.wrapping_add(rounding);
            *word = word.wrapping_sub(up_to.wrapping_sub(half) as u64);
        }
    }
}

#[cfg(test)]
mod tests;
