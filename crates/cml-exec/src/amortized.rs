//! Amortized blind rotation: as many lookups as there are slots, in one bootstrap.
//!
//! Guimarães and Pereira, "Fast amortized bootstrapping with small keys and polynomial noise overhead", CCS 2025 (ePrint
//! 2025/686). The ciphertexts are packed into one under a sparse key ([`pack`]), which is switched to the size of the tables. With `a`
//! its mask, `b` its body and `s` the key, accumulator `i` has to be turned by coefficient `i` of `a s - b`. Taken together
//! the turns are a polynomial, which Horner's rule makes of the gaps between the exponents of `s`: start
//! with `b`; for each gap but the last, multiply by `Y^gap` and add `a`; then multiply by the last. To add `a` turns the
//! accumulators by what everybody knows. To multiply by `Y^gap` moves them by a gap that is encrypted ([`rotate`]). As
//! `Y^M = -1`, what goes round changes its sign. Each accumulator does so once in all, so each one begins with its table
//! turned: `X^-1` for `X`.

mod key;
mod pack;
mod pool;
mod rotate;

use rayon::prelude::*;
use std::time::Instant;
use tfhe::core_crypto::prelude::{GlweCiphertext, LweCiphertextOwned, LweSize, PolynomialSize};

use crate::digits::{Decomposition, Decompositions};
use crate::evaluator::{ExecError, Job, check_job, read};
use cml_scheme::raw::modulus64;
use cml_scheme::{Amortized, AmortizedKey, Ciphertext, LweKey, Progress};
use cml_tfhe::cost::LookupCost;
use key::ExpandedKey;
use pool::Pool;
use rotate::{Accumulators, Steps};

/// Runs lookups in full packs.
pub(crate) struct AmortizedEvaluator {
    key: ExpandedKey,
}

impl AmortizedEvaluator {
    /// Expands a key on all threads; calls `report` as it goes.
    pub(crate) fn expand(key: &AmortizedKey, report: &mut dyn FnMut(Progress)) -> Self {
        Self {
            key: ExpandedKey::expand(key, report),
        }
    }

    /// Parameters of the key.
    pub(crate) fn parameters(&self) -> &Amortized {
        &self.key.parameters
    }

    /// What the jobs read, in order. Jobs of one extension are packed together; a pack that is not full takes as long as
    /// one that is. `done` is called with the number of rotations just finished.
    ///
    /// # Errors
    ///
    /// [`ExecError::Dimension`], [`ExecError::TableSize`] or [`ExecError::Coefficient`] for operands of other parameters.
    pub(crate) fn rotate_many(
        &self,
        jobs: &[Job<'_>],
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<Ciphertext>>, ExecError> {
        let size = self.key.transform.size();
        for job in jobs {
            check_job(job, LweKey::Big, size, size)?;
        }
        let mut results = vec![Vec::new(); jobs.len()];
        for pack in packs(jobs, self.parameters().slots as usize) {
            let together: Vec<&Job<'_>> = pack.iter().map(|&place| &jobs[place]).collect();
            let read = self.rotate_pack(&together);
            for (place, result) in pack.iter().zip(read) {
                results[*place] = result;
            }
            done(pack.len());
        }
        Ok(results)
    }

    /// One pack: jobs of one extension, no more than there are slots.
    fn rotate_pack(&self, jobs: &[&Job<'_>]) -> Vec<Vec<Ciphertext>> {
        let Some(first) = jobs.first() else {
            return Vec::new();
        };
        let parameters = self.parameters();
        let lanes = first.extension;
        let (size, slots) = (self.key.transform.size(), parameters.slots as usize);
        let inputs: Vec<Option<&Ciphertext>> = jobs.iter().map(|job| Some(job.input)).collect();
        let (mask, body) = self.key.pack(&inputs);
        let modulus = 2 * size * lanes;
        // The mask to the nearest, the body down: coefficient j of a table serves the phases in [j, j + 1).
        let scaled = |word: u64| u128::from(word) * modulus as u128;
        let nearest = |&word: &u64| ((scaled(word) + (1 << 63)) >> 64) as usize % modulus;
        let turn: Vec<usize> = mask.iter().map(nearest).collect();

        let mut accumulators = Accumulators::new(slots, lanes, size);
        accumulators
            .places_mut()
            .zip(jobs.par_iter().zip(&body))
            .enumerate()
            .for_each(|(slot, (words, (job, &body)))| {
                start(words, job.polynomial, (scaled(body) >> 64) as usize, lanes);
                hide(words, &self.key.zeros, slot, lanes);
            });
        let buffers = Buffers::new();
        for gap in 0..=parameters.weight as usize {
            self.turn_gap(&mut accumulators, gap, (gap > 0).then_some(&turn), &buffers);
        }
        let dimension = LweSize(size + 1);
        let results = jobs.par_iter().enumerate().map_init(
            || LweCiphertextOwned::new(0, dimension, modulus64()),
            |sample, (place, job)| {
                let lane = |lane| {
                    let words = accumulators.lane(place, lane).iter();
                    let words = words.map(|&word| u64::from(word) << 32).collect();
                    GlweCiphertext::from_container(words, PolynomialSize(size), modulus64())
                };
                let lanes: Vec<GlweCiphertext<Vec<u64>>> = (0..lanes).map(lane).collect();
                let read = |reading| read(reading, &lanes, sample, size);
                job.readings.iter().map(read).collect()
            },
        );
        results.collect()
    }

    /// The steps of one gap, before which accumulators are turned by the mask if there is one.
    fn turn_gap(
        &self,
        accumulators: &mut Accumulators,
        gap: usize,
        mask: Option<&[usize]>,
        buffers: &Buffers,
    ) {
        let parameters = self.parameters();
        let keyswitch = |words: &mut [u32]| {
            let mut scratch = buffers.switch.take(|| pack::Scratch::new(&self.key));
            self.key.switch_turned(words, &mut scratch);
            buffers.switch.put(scratch);
        };
        let steps = Steps {
            transform: &self.key.transform,
            by: decompositions(parameters),
            keyswitch: &keyswitch,
            scratch: &buffers.steps,
        };
        let selectors = parameters.digits().zip(self.key.selectors(gap));
        for (number, (digit, selectors)) in selectors.enumerate() {
            let turn = mask.filter(|_| number == 0);
            accumulators.step(&steps, digit, selectors, turn);
        }
    }
}

/// Adds an encryption of zero to each lane, another one in each slot: the same ones, turned.
///
/// A table in clear has the same digits wherever it is. What the first step rounds off it, and makes of it with the noise of
/// its selectors, would be the same for all lookups of one value in it. Rows that add up such lookups would add up that.
fn hide(words: &mut [u32], zeros: &[Vec<u32>], slot: usize, lanes: usize) {
    for (lane, words) in words.chunks_exact_mut(words.len() / lanes).enumerate() {
        let n = words.len() / 2;
        let number = slot * lanes + lane;
        let (zero, degree) = (&zeros[number % zeros.len()], number / zeros.len() % (2 * n));
        for (words, zero) in words.chunks_exact_mut(n).zip(zero.chunks_exact(n)) {
            for (i, &word) in zero.iter().enumerate() {
                let place = (i + degree) % (2 * n);
                let word = if place < n { word } else { word.wrapping_neg() };
                words[place % n] = words[place % n].wrapping_add(word);
            }
        }
    }
}

/// Buffers of all threads, for all steps of a pack.
struct Buffers {
    steps: Pool<rotate::Scratch>,
    switch: Pool<pack::Scratch>,
}

impl Buffers {
    fn new() -> Self {
        Self {
            steps: Pool::new(),
            switch: Pool::new(),
        }
    }
}

fn decompositions(parameters: &Amortized) -> Decompositions {
    Decompositions {
        mask: Decomposition::new(parameters.pbs_base_log, parameters.pbs_level),
        body: Decomposition::new(parameters.pbs_body_base_log, parameters.pbs_body_level),
    }
}

/// Jobs that are packed together: places in the list.
fn packs(jobs: &[Job<'_>], slots: usize) -> Vec<Vec<usize>> {
    let mut by_extension: std::collections::BTreeMap<usize, Vec<usize>> = Default::default();
    for (place, job) in jobs.iter().enumerate() {
        by_extension.entry(job.extension).or_default().push(place);
    }
    let all = by_extension.into_values();
    all.flat_map(|places| places.chunks(slots).map(<[usize]>::to_vec).collect::<Vec<_>>())
        .collect()
}

/// An accumulator's beginning: its table with `X^-1` for `X`, turned by the body.
fn start(words: &mut [u32], table: &[u64], body: usize, lanes: usize) {
    let size = table.len();
    let n = size / lanes;
    words.fill(0);
    for (i, &word) in table.iter().enumerate() {
        let exponent = (2 * size - i + body) % (2 * size);
        let place = exponent % size;
        let word = if exponent < size {
            word
        } else {
            word.wrapping_neg()
        };
        words[place % lanes * 2 * n + n + place / lanes] = (word.wrapping_add(1 << 31) >> 32) as u32;
    }
}

/// Times packing and the steps of one gap, whose places are full, on all threads: nanoseconds of one thread for one lookup.
///
/// Takes no keys; the parameters must be valid.
pub(crate) fn measure_amortized(parameters: &Amortized, extension: u32) -> LookupCost {
    let evaluator = AmortizedEvaluator {
        key: ExpandedKey::for_timing(parameters, 1),
    };
    let (size, lanes) = (evaluator.key.transform.size(), extension.max(1) as usize);
    let slots = parameters.slots as usize;
    let word = |i: usize| (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let input = Ciphertext::from_words(LweKey::Big, (0..=size).map(word).collect());
    let turn: Vec<usize> = (0..slots)
        .map(|i| word(i) as usize % (2 * size * lanes))
        .collect();
    let mut accumulators = Accumulators::new(slots, lanes, size);
    accumulators.places_mut().enumerate().for_each(|(place, words)| {
        words
            .iter_mut()
            .enumerate()
            .for_each(|(i, to)| *to = word(place + i) as u32);
    });
    let buffers = Buffers::new();
    evaluator.turn_gap(&mut accumulators, 0, Some(&turn), &buffers);
    let start = Instant::now();
    std::hint::black_box(evaluator.key.pack(&vec![Some(&input); slots]));
    let middle = Instant::now();
    evaluator.turn_gap(&mut accumulators, 0, Some(&turn), &buffers);
    let (packing, gap) = (middle - start, middle.elapsed());
    let each = rayon::current_num_threads() as f64 / slots as f64;
    LookupCost {
        keyswitch_ns: packing.as_nanos() as f64 * each,
        blind_rotation_ns: gap.as_nanos() as f64 * each * f64::from(parameters.weight + 1),
    }
}

#[cfg(test)]
mod tests;
