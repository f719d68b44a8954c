//! Linear combinations and lookups, in the order linear, keyswitch, modulus switch, blind rotation.
//!
//! [`Evaluator::lookup`] is the reference, one ciphertext at a time and simple on purpose;
//! [`Evaluator::lookup_many`] does the same in batches, and is tested against it.

mod batch;
mod keyswitch;
mod measure;

use rayon::prelude::*;
use tfhe::core_crypto::prelude::{
    ComputationBuffers, GlweCiphertextOwned, LweCiphertextOwned, MonomialDegree,
    blind_rotate_assign_mem_optimized, blind_rotate_assign_mem_optimized_requirement,
    extract_lwe_sample_from_glwe_ciphertext, keyswitch_lwe_ciphertext_with_scalar_change,
    lwe_ciphertext_centered_binary_modulus_switch,
};

use crate::keys::{Ciphertext, Dimensions, EvaluationKey, modulus32, modulus64};
use crate::params::Parameters;

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
}

/// Runs linear combinations and lookups on ciphertexts.
pub struct Evaluator {
    key: EvaluationKey,
    dimensions: Dimensions,
}

/// Buffers of one thread.
struct Scratch {
    small: LweCiphertextOwned<u32>,
    accumulator: GlweCiphertextOwned<u64>,
    buffers: ComputationBuffers,
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

    /// The sum of `weight * wires[index]` over all `(index, weight)`, plus a clear `constant` of the
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
        let mut sum = Ciphertext::trivial(self.dimensions.big.0, constant);
        for &(wire, weight) in terms {
            let no_such_wire = ExecError::NoSuchWire {
                wire,
                wires: wires.len(),
            };
            let value = wires.get(wire).ok_or(no_such_wire)?;
            self.check(value)?;
            if weight != 0 {
                for (sum, word) in sum.words_mut().iter_mut().zip(value.words()) {
                    *sum = sum.wrapping_add(word.wrapping_mul(weight as u64));
                }
            }
        }
        Ok(sum)
    }

    /// One table lookup: `table` as [`crate::table::lookup_polynomial`] makes it.
    ///
    /// # Errors
    ///
    /// [`ExecError::Dimension`] or [`ExecError::TableSize`] for operands of other parameters.
    pub fn lookup(&self, input: &Ciphertext, table: &[u64]) -> Result<Ciphertext, ExecError> {
        self.lookup_in(input, table, &mut self.scratch())
    }

    /// Many lookups, in batches on all threads; the results in the order of the jobs, bit for bit those
    /// of [`Evaluator::lookup`].
    ///
    /// # Errors
    ///
    /// As [`Evaluator::lookup`], for any of them.
    pub fn lookup_many(&self, jobs: &[(&Ciphertext, &[u64])]) -> Result<Vec<Ciphertext>, ExecError> {
        let mut rest = jobs;
        let mut batches = Vec::new();
        for size in self.batch_sizes(jobs.len(), rayon::current_num_threads()) {
            let (batch, after) = rest.split_at(size);
            batches.push(batch);
            rest = after;
        }
        let results: Result<Vec<Vec<Ciphertext>>, ExecError> = batches
            .par_iter()
            .with_max_len(1)
            .map_init(
                || self.batch_scratch(),
                |scratch, batch| self.lookup_batch(batch, scratch),
            )
            .collect();
        Ok(results?.into_iter().flatten().collect())
    }

    fn lookup_in(
        &self,
        input: &Ciphertext,
        table: &[u64],
        scratch: &mut Scratch,
    ) -> Result<Ciphertext, ExecError> {
        self.check_job(input, table)?;
        self.keyswitch(input, scratch);
        Ok(self.blind_rotate(table, scratch))
    }

    fn check_job(&self, input: &Ciphertext, table: &[u64]) -> Result<(), ExecError> {
        self.check(input)?;
        let (has, needs) = (table.len(), self.dimensions.polynomial.0);
        if has == needs {
            Ok(())
        } else {
            Err(ExecError::TableSize { has, needs })
        }
    }

    fn check(&self, ciphertext: &Ciphertext) -> Result<(), ExecError> {
        let (has, needs) = (ciphertext.dimension(), self.dimensions.big.0);
        if has == needs {
            Ok(())
        } else {
            Err(ExecError::Dimension { has, needs })
        }
    }

    fn scratch(&self) -> Scratch {
        let (glwe_size, polynomial) = (self.dimensions.glwe_size(), self.dimensions.polynomial);
        let mut buffers = ComputationBuffers::new();
        let needed =
            blind_rotate_assign_mem_optimized_requirement::<u64>(glwe_size, polynomial, self.key.fft());
        buffers.resize(needed.unaligned_bytes_required());
        Scratch {
            small: LweCiphertextOwned::new(0, self.dimensions.lwe.to_lwe_size(), modulus32()),
            accumulator: GlweCiphertextOwned::new(0, glwe_size, polynomial, modulus64()),
            buffers,
        }
    }

    /// Leaves the input under the small key in the scratch.
    fn keyswitch(&self, input: &Ciphertext, scratch: &mut Scratch) {
        keyswitch_lwe_ciphertext_with_scalar_change(self.key.keyswitch(), input.inner(), &mut scratch.small);
    }

    /// Rotates the table by the ciphertext in the scratch, reads its first coefficient.
    fn blind_rotate(&self, table: &[u64], scratch: &mut Scratch) -> Ciphertext {
        scratch.accumulator.get_mut_mask().as_mut().fill(0);
        scratch.accumulator.get_mut_body().as_mut().copy_from_slice(table);
        let switched = lwe_ciphertext_centered_binary_modulus_switch::<u32, usize, _>(
            scratch.small.as_view(),
            self.dimensions.polynomial.to_blind_rotation_input_modulus_log(),
        );
        blind_rotate_assign_mem_optimized(
            &switched,
            &mut scratch.accumulator,
            self.key.bootstrap(),
            self.key.fft(),
            scratch.buffers.stack(),
        );
        let size = self.dimensions.big.to_lwe_size();
        let mut output = LweCiphertextOwned::new(0, size, modulus64());
        extract_lwe_sample_from_glwe_ciphertext(&scratch.accumulator, &mut output, MonomialDegree(0));
        Ciphertext::new(output)
    }
}

#[cfg(test)]
mod tests;
