//! Keyswitches in batches: a product of matrices, digits of the inputs by the key.
//!
//! One keyswitch alone streams the whole key (tens of MB) from memory. Here some rows of the key are
//! used for every ciphertext of a batch before the next ones are read. Sums modulo 2^32 do not depend
//! on their order, so results are those of
//! [`tfhe::core_crypto::prelude::keyswitch_lwe_ciphertext_with_scalar_change`] bit for bit.

use pulp::{Arch, Simd, WithSimd};
use tfhe::core_crypto::prelude::{
    DecompositionBaseLog, DecompositionLevelCount, LweCiphertextOwned, LweKeyswitchKeyOwned, SignedDecomposer,
};

use cml_scheme::Ciphertext;

/// Memory for the rows that are used for all of a batch at once, in bytes: about a first-level cache.
const ROWS_BYTES: usize = 32 << 10;
/// Rows that are added up before the sum is written.
const TOGETHER: usize = 8;

/// Keyswitches each input to the output of the same place.
pub(super) fn keyswitch_batch<'a>(
    key: &LweKeyswitchKeyOwned<u32>,
    inputs: impl Iterator<Item = &'a Ciphertext> + Clone,
    outputs: &mut [LweCiphertextOwned<u32>],
) {
    let levels = key.decomposition_level_count();
    let decomposer = SignedDecomposer::<u64>::new(key.decomposition_base_log(), levels);
    let rounder = SignedDecomposer::<u64>::new(DecompositionBaseLog(32), DecompositionLevelCount(1));
    let width = key.output_key_lwe_dimension().to_lwe_size().0;
    for (input, output) in inputs.clone().zip(outputs.iter_mut()) {
        let words = input.words();
        output.as_mut().fill(0);
        let body = words.last().copied().unwrap_or(0);
        *output.get_mut_body().data = (rounder.closest_representable(body) >> 32) as u32;
    }
    // Elements of the mask whose rows are used at once.
    let elements = (ROWS_BYTES / (4 * width * levels.0)).max(1);
    let arch = Arch::new();
    let mut digits = Vec::with_capacity(elements * levels.0);
    for (block, rows) in key.as_ref().chunks(elements * levels.0 * width).enumerate() {
        for (input, output) in inputs.clone().zip(outputs.iter_mut()) {
            let first = block * elements;
            let count = rows.len() / (levels.0 * width);
            digits.clear();
            for &word in &input.words()[first..first + count] {
                digits.extend(decomposer.decompose(word).map(|digit| digit.value() as u32));
            }
            arch.dispatch(SubtractProducts {
                output: output.as_mut(),
                rows,
                digits: &digits,
            });
        }
    }
}

/// Subtracts each row times its digit from the output.
///
/// A closure would not do: it is compiled for the instructions that every machine has.
struct SubtractProducts<'a> {
    output: &'a mut [u32],
    rows: &'a [u32],
    digits: &'a [u32],
}

impl WithSimd for SubtractProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let output = self.output;
        let width = output.len();
        let mut rows = self.rows.chunks_exact(TOGETHER * width);
        let mut digits = self.digits.chunks_exact(TOGETHER);
        for (rows, digits) in rows.by_ref().zip(digits.by_ref()) {
            let (a, rest) = rows.split_at(width);
            let (b, rest) = rest.split_at(width);
            let (c, rest) = rest.split_at(width);
            let (d, rest) = rest.split_at(width);
            let (e, rest) = rest.split_at(width);
            let (f, rest) = rest.split_at(width);
            let (g, h) = rest.split_at(width);
            let &[p, q, r, s, t, u, v, w] = digits else {
                continue;
            };
            let first = a.iter().zip(b).zip(c).zip(d);
            let second = e.iter().zip(f).zip(g).zip(h);
            for ((output, (((a, b), c), d)), (((e, f), g), h)) in output.iter_mut().zip(first).zip(second) {
                let sum = a.wrapping_mul(p).wrapping_add(b.wrapping_mul(q));
                let sum = sum
                    .wrapping_add(c.wrapping_mul(r))
                    .wrapping_add(d.wrapping_mul(s));
                let sum = sum
                    .wrapping_add(e.wrapping_mul(t))
                    .wrapping_add(f.wrapping_mul(u));
                let sum = sum
                    .wrapping_add(g.wrapping_mul(v))
                    .wrapping_add(h.wrapping_mul(w));
                *output = output.wrapping_sub(sum);
            }
        }
        let rows = rows.remainder().chunks_exact(width);
        for (row, &digit) in rows.zip(digits.remainder()) {
            for (output, a) in output.iter_mut().zip(row) {
                *output = output.wrapping_sub(a.wrapping_mul(digit));
            }
        }
    }
}
