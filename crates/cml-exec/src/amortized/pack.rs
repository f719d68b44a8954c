//! From ciphertexts under the big key to one under the sparse key: packing by automorphisms, and a keyswitch.
//!
//! Packing: Chen, Dai, Kim, Song, "Efficient homomorphic conversion between (ring) LWE ciphertexts", ACNS 2021 (ePrint
//! 2020/015), algorithm 2. Merging multiplies what is packed by the number of ciphertexts. That is made good before: words
//! are shifted down, and what that adds to them at the top is a multiple of the torus once they are multiplied.

use pulp::{Arch, Simd, WithSimd};

use super::key::ExpandedKey;
use crate::aligned::{self, Aligned};
use crate::digits::{Decomposition, add_to_wide_words, decompose_wide};
use crate::transform::Transform;
use cml_scheme::Ciphertext;

/// Packs of fewer ciphertexts are made by one thread.
const ALONE: usize = 64;

/// A ciphertext of two polynomials: mask and body.
type Words = Vec<u64>;

/// Buffers of one thread.
pub(crate) struct Scratch {
    turned: Vec<u64>,
    switch: Switch,
}

/// Buffers of a keyswitch.
struct Switch {
    state: Aligned<i64>,
    digits: Aligned<f64>,
    sums: Aligned<f64>,
}

impl Switch {
    fn new(size: usize, levels: usize) -> Self {
        Self {
            state: aligned::zeros(size),
            digits: aligned::zeros(levels * size),
            sums: aligned::zeros(2 * size),
        }
    }
}

impl Scratch {
    pub(crate) fn new(key: &ExpandedKey) -> Self {
        let size = key.transform.size();
        Self {
            turned: vec![0; 2 * size],
            switch: Switch::new(size, key.parameters.automorphism_level as usize),
        }
    }
}

impl ExpandedKey {
    /// Packs up to one ciphertext for each slot, and switches them to the sparse key: mask and body. A slot of none is 0.
    pub(crate) fn pack(&self, inputs: &[Option<&Ciphertext>]) -> (Words, Words) {
        let (mask, body) = self.packed(inputs);
        self.to_sparse(&mask, body)
    }

    /// The same under the big key, in the ring of the sparse one: mask and body.
    pub(crate) fn packed(&self, inputs: &[Option<&Ciphertext>]) -> (Words, Words) {
        let (size, slots) = (self.transform.size(), self.parameters.slots as usize);
        let packs = slots / size;
        let (mut mask, mut body) = (vec![0; slots], vec![0; slots]);
        for pack in 0..packs {
            let inputs: Vec<Option<&Ciphertext>> = (pack..slots)
                .step_by(packs)
                .map(|slot| inputs.get(slot).copied().flatten())
                .collect();
            let Some(packed) = self.merge_all(&inputs, 0, 1, &mut Scratch::new(self)) else {
                continue;
            };
            let (own_mask, own_body) = packed.split_at(size);
            for (j, (a, b)) in own_mask.iter().zip(own_body).enumerate() {
                (mask[packs * j + pack], body[packs * j + pack]) = (*a, *b);
            }
        }
        (mask, body)
    }

    /// Packs each `apart`-th ciphertext from the first one on.
    fn merge_all(
        &self,
        inputs: &[Option<&Ciphertext>],
        first: usize,
        apart: usize,
        scratch: &mut Scratch,
    ) -> Option<Words> {
        let size = self.transform.size();
        let count = size / apart;
        if count == 1 {
            return inputs[first].map(|input| self.leaf(input));
        }
        let (even, odd) = if count > ALONE {
            rayon::join(
                || self.merge_all(inputs, first, 2 * apart, &mut Scratch::new(self)),
                || self.merge_all(inputs, first + apart, 2 * apart, &mut Scratch::new(self)),
            )
        } else {
            (
                self.merge_all(inputs, first, 2 * apart, scratch),
                self.merge_all(inputs, first + apart, 2 * apart, scratch),
            )
        };
        self.merge(even, odd, count, scratch)
    }

    /// A ciphertext whose message is the first coefficient, divided by the size of the ring.
    fn leaf(&self, input: &Ciphertext) -> Words {
        let size = self.transform.size();
        let log = size.ilog2();
        let shifted = |word: u64| (word >> log) + (word >> (log - 1) & 1);
        let (mask, body) = input.words().split_at(size);
        let mut words = vec![0; 2 * size];
        words[0] = shifted(mask[0]);
        for (to, &word) in words[1..size].iter_mut().zip(mask[1..].iter().rev()) {
            *to = shifted(word.wrapping_neg());
        }
        words[size] = shifted(body[0]);
        words
    }

    /// Two packs of half of `count` ciphertexts, one shifted between the other, as one.
    fn merge(
        &self,
        even: Option<Words>,
        odd: Option<Words>,
        count: usize,
        scratch: &mut Scratch,
    ) -> Option<Words> {
        let size = self.transform.size();
        let shift = size / count;
        let shifted = |odd: &mut Words| {
            for odd in odd.chunks_exact_mut(size) {
                odd.rotate_right(shift);
                odd[..shift]
                    .iter_mut()
                    .for_each(|word| *word = word.wrapping_neg());
            }
        };
        let (mut sum, difference) = match (even, odd) {
            (None, None) => return None,
            (Some(even), None) => (even.clone(), even),
            (None, Some(mut odd)) => {
                shifted(&mut odd);
                let minus = odd.iter().map(|word| word.wrapping_neg()).collect();
                (odd, minus)
            }
            (Some(mut even), Some(mut odd)) => {
                shifted(&mut odd);
                for (even, odd) in even.iter_mut().zip(&mut odd) {
                    (*even, *odd) = (even.wrapping_add(*odd), even.wrapping_sub(*odd));
                }
                (even, odd)
            }
        };
        let exponent = count + 1;
        for (to, from) in scratch
            .turned
            .chunks_exact_mut(size)
            .zip(difference.chunks_exact(size))
        {
            // Sizes are powers of two.
            let mut place = 0;
            for &word in from {
                let sign = ((place & size) as u64 / size as u64).wrapping_neg();
                to[place & (size - 1)] = (word ^ sign).wrapping_sub(sign);
                place = (place + exponent) & (2 * size - 1);
            }
        }
        let (mask, body) = scratch.turned.split_at(size);
        let (_, sum_body) = sum.split_at_mut(size);
        sum_body
            .iter_mut()
            .zip(body)
            .for_each(|(sum, &word)| *sum = sum.wrapping_add(word));
        let number = count.ilog2() as usize - 1;
        self.add_switched(&mut sum, mask, number, &mut scratch.switch);
        Some(sum)
    }

    /// Adds what an automorphism's key makes of a mask.
    fn add_switched(&self, to: &mut [u64], mask: &[u64], number: usize, scratch: &mut Switch) {
        let by = Decomposition::new(
            self.parameters.automorphism_base_log,
            self.parameters.automorphism_level,
        );
        switch(&self.transform, mask, by, self.automorphism(number), scratch);
        add_to_wide_words(Arch::new(), to, &scratch.sums);
    }

    /// Brings mask and body of an accumulator, of which `X` was turned to `X^-1`, back to the key.
    pub(crate) fn switch_turned(&self, words: &mut [u32], scratch: &mut Scratch) {
        let size = self.transform.size();
        let wide = |word: u32| u64::from(word) << 32;
        let mask: Vec<u64> = words[..size].iter().map(|&word| wide(word)).collect();
        let turned = &mut scratch.turned;
        turned[..size].fill(0);
        turned[size..]
            .iter_mut()
            .zip(&words[size..])
            .for_each(|(to, &word)| *to = wide(word));
        let mut turned = std::mem::take(turned);
        self.add_switched(&mut turned, &mask, self.turn(), &mut scratch.switch);
        let rounded = turned
            .iter()
            .map(|word| (word.wrapping_add(1 << 31) >> 32) as u32);
        words.iter_mut().zip(rounded).for_each(|(to, word)| *to = word);
        scratch.turned = turned;
    }

    /// From the big key to the sparse one.
    pub(crate) fn to_sparse(&self, mask: &[u64], body: Words) -> (Words, Words) {
        let slots = mask.len();
        let by = Decomposition::new(self.parameters.sparse_base_log, self.parameters.sparse_level);
        let mut scratch = Switch::new(slots, by.levels);
        switch(&self.sparse_transform, mask, by, self.sparse(), &mut scratch);
        let mut words = [vec![0; slots], body].concat();
        add_to_wide_words(Arch::new(), &mut words, &scratch.sums);
        let body = words.split_off(slots);
        (words, body)
    }
}

/// Sums of the digits of a mask times ciphertexts, level by level: mask and body.
fn switch(transform: &Transform, mask: &[u64], by: Decomposition, key: &[f64], scratch: &mut Switch) {
    let (arch, size) = (Arch::new(), transform.size());
    let Switch { state, digits, sums } = scratch;
    decompose_wide(arch, state, digits, mask, by);
    sums.fill(0.0);
    for (digits, key) in digits.chunks_exact_mut(size).zip(key.chunks_exact(2 * size)) {
        transform.forward(arch, digits);
        for (sum, key) in sums.chunks_exact_mut(size).zip(key.chunks_exact(size)) {
            arch.dispatch(AddProduct { sum, key, digits });
        }
    }
    for sum in sums.chunks_exact_mut(size) {
        transform.backward(arch, sum);
    }
}

/// Adds the product of two transformed polynomials.
struct AddProduct<'a> {
    sum: &'a mut [f64],
    key: &'a [f64],
    digits: &'a [f64],
}

impl WithSimd for AddProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let half = self.sum.len() / 2;
        let (sum_re, sum_im) = self.sum.split_at_mut(half);
        let (key_re, key_im) = self.key.split_at(half);
        let (re, im) = self.digits.split_at(half);
        let keys = key_re.iter().zip(key_im);
        let numbers = re.iter().zip(im);
        for (((sum_re, sum_im), (a, b)), (x, y)) in sum_re.iter_mut().zip(sum_im).zip(keys).zip(numbers) {
            *sum_re = (-b).mul_add(*y, a.mul_add(*x, *sum_re));
            *sum_im = b.mul_add(*x, a.mul_add(*y, *sum_im));
        }
    }
}
