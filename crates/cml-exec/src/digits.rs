//! From words of the torus to digits in floating point, and from sums of products back to words.
//!
//! An accumulator has words of 32 bits. A decomposition keeps the highest `base_log * levels` bits, so what is cut
//! off beyond 32 adds next to nothing; half as much memory moves.

use pulp::{Arch, Simd, WithSimd};

/// A base and a number of levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decomposition {
    pub(crate) base_log: u32,
    pub(crate) levels: usize,
}

impl Decomposition {
    pub(crate) fn new(base_log: u32, levels: u32) -> Self {
        Self {
            base_log,
            levels: levels as usize,
        }
    }

    pub(crate) fn bits(self) -> u32 {
        self.base_log * self.levels as u32
    }
}

/// Decompositions of the mask and of the body of an accumulator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decompositions {
    pub(crate) mask: Decomposition,
    pub(crate) body: Decomposition,
}

impl Decompositions {
    /// Digits of a coefficient.
    pub(crate) fn rows(self) -> usize {
        self.mask.levels + self.body.levels
    }
}

/// Takes `X^degree` times a mask and a body apart: digits of each, the least significant level first.
///
/// `state` has room for a polynomial. What is rounded off is not centred, as it is in a single rotation: beside the noise of
/// as many selectors as a step has, that would gain next to nothing.
pub(crate) fn decompose(
    arch: Arch,
    state: &mut [i32],
    digits: &mut [f64],
    words: &[u32],
    degree: usize,
    by: Decompositions,
) {
    arch.dispatch(Decompose {
        state,
        digits,
        words,
        degree,
        by,
    });
}

struct Decompose<'a> {
    state: &'a mut [i32],
    digits: &'a mut [f64],
    words: &'a [u32],
    degree: usize,
    by: Decompositions,
}

impl WithSimd for Decompose<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let n = self.words.len() / 2;
        let (mask, body) = self.words.split_at(n);
        let (mask_digits, body_digits) = self.digits.split_at_mut(self.by.mask.levels * n);
        let (negative, shift) = (self.degree >= n, self.degree % n);
        for (words, digits, by) in [
            (mask, mask_digits, self.by.mask),
            (body, body_digits, self.by.body),
        ] {
            let bits = by.bits();
            let (stay, wrap) = words.split_at(n - shift);
            if by.levels == 1 {
                let (low, high) = digits.split_at_mut(shift);
                round_to_digits(high, stay, negative, bits);
                round_to_digits(low, wrap, !negative, bits);
            } else {
                let (low, high) = self.state.split_at_mut(shift);
                round_words(high, stay, negative, bits);
                round_words(low, wrap, !negative, bits);
                take_apart(digits, self.state, by);
            }
        }
    }
}

/// The nearest signed number of so many bits, of a word or of its negative; between two of them the even one.
///
/// Words come from sums in floating point, whose last bits are 0. So many lie just between two numbers. If those were all
/// rounded up, what is rounded off would have a mean, of which a key of mean 1/2 makes much.
#[inline(always)]
fn round(word: u32, sign: u32, bits: u32) -> i32 {
    let word = (word ^ sign).wrapping_sub(sign);
    let odd = word >> (32 - bits) & 1;
    (word.wrapping_add((1 << (31 - bits)) - 1 + odd) as i32) >> (32 - bits)
}

#[inline(always)]
fn round_to_digits(to: &mut [f64], from: &[u32], negated: bool, bits: u32) {
    let sign = if negated { u32::MAX } else { 0 };
    for (to, &word) in to.iter_mut().zip(from) {
        *to = f64::from(round(word, sign, bits));
    }
}

#[inline(always)]
fn round_words(to: &mut [i32], from: &[u32], negated: bool, bits: u32) {
    let sign = if negated { u32::MAX } else { 0 };
    for (to, &word) in to.iter_mut().zip(from) {
        *to = round(word, sign, bits);
    }
}

/// Digits from `-B/2` to `B/2`, level by level from the least significant. Which of the two the half is, the next digit
/// says: so digits have no mean, which the noise of a key would turn into an error that never changes.
#[inline(always)]
fn take_apart(digits: &mut [f64], state: &mut [i32], by: Decomposition) {
    let n = state.len();
    let (lower, last) = digits.split_at_mut((by.levels - 1) * n);
    let mask = (1_i32 << by.base_log) - 1;
    for digits in lower.chunks_exact_mut(n) {
        for (to, state) in digits.iter_mut().zip(state.iter_mut()) {
            let digit = *state & mask;
            let rest = *state >> by.base_log;
            let carry = (((digit - 1) | rest) & digit) >> (by.base_log - 1);
            *state = rest + carry;
            *to = f64::from(digit - (carry << by.base_log));
        }
    }
    for (to, &state) in last.iter_mut().zip(state.iter()) {
        *to = f64::from(state);
    }
}

/// 1.5 times 2^52: the lowest bits of a sum with it are those of the other number, rounded.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// An integer of less than 52 bits. Some processors convert none in vectors.
#[inline(always)]
pub(crate) fn number(integer: i64) -> f64 {
    f64::from_bits(ROUNDER.to_bits().wrapping_add(integer as u64)) - ROUNDER
}

/// The nearest integer of a number of less than 51 bits.
#[inline(always)]
fn integer(number: f64) -> i64 {
    (number + ROUNDER).to_bits().wrapping_sub(ROUNDER.to_bits()) as i64
}

/// Sums in units of 2^-32 of the torus, rounded to words of 32 bits.
pub(crate) fn to_words(arch: Arch, words: &mut [u32], sums: &[f64]) {
    arch.dispatch(ToWords { words, sums });
}

struct ToWords<'a> {
    words: &'a mut [u32],
    sums: &'a [f64],
}

impl WithSimd for ToWords<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (turn, inverse) = (32_f64.exp2(), (-32_f64).exp2());
        for (word, &sum) in self.words.iter_mut().zip(self.sums) {
            let turns = sum.mul_add(inverse, ROUNDER) - ROUNDER;
            *word = (turns.mul_add(-turn, sum) + ROUNDER).to_bits() as u32;
        }
    }
}

/// Adds sums, in units of 2^-64 of the torus, to words of 64 bits.
pub(crate) fn add_to_wide_words(arch: Arch, words: &mut [u64], sums: &[f64]) {
    arch.dispatch(AddToWideWords { words, sums });
}

struct AddToWideWords<'a> {
    words: &'a mut [u64],
    sums: &'a [f64],
}

impl WithSimd for AddToWideWords<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (turn, inverse) = (64_f64.exp2(), (-64_f64).exp2());
        let (half_turn, half_inverse) = (32_f64.exp2(), (-32_f64).exp2());
        for (word, &sum) in self.words.iter_mut().zip(self.sums) {
            let turns = sum.mul_add(inverse, ROUNDER) - ROUNDER;
            // From -2^63 to 2^63: the higher half of its bits, and what is left.
            let rest = turns.mul_add(-turn, sum);
            let high = rest.mul_add(half_inverse, ROUNDER) - ROUNDER;
            let low = high.mul_add(-half_turn, rest);
            *word = word.wrapping_add((integer(high) << 32).wrapping_add(integer(low)) as u64);
        }
    }
}

/// Digits of words of 64 bits, level by level from the least significant. `state` has room for as many words.
pub(crate) fn decompose_wide(
    arch: Arch,
    state: &mut [i64],
    digits: &mut [f64],
    words: &[u64],
    by: Decomposition,
) {
    arch.dispatch(DecomposeWide {
        state,
        digits,
        words,
        by,
    });
}

struct DecomposeWide<'a> {
    state: &'a mut [i64],
    digits: &'a mut [f64],
    words: &'a [u64],
    by: Decomposition,
}

impl WithSimd for DecomposeWide<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self {
            state,
            digits,
            words,
            by,
        } = self;
        let bits = by.bits();
        for (state, &word) in state.iter_mut().zip(words) {
            // As above.
            let odd = word >> (64 - bits) & 1;
            *state = (word.wrapping_add((1 << (63 - bits)) - 1 + odd) as i64) >> (64 - bits);
        }
        let (lower, last) = digits.split_at_mut((by.levels - 1) * words.len());
        let mask = (1_i64 << by.base_log) - 1;
        for digits in lower.chunks_exact_mut(words.len()) {
            for (to, state) in digits.iter_mut().zip(state.iter_mut()) {
                let digit = *state & mask;
                let rest = *state >> by.base_log;
                let carry = (((digit - 1) | rest) & digit) >> (by.base_log - 1);
                *state = rest + carry;
                *to = number(digit - (carry << by.base_log));
            }
        }
        for (to, &state) in last.iter_mut().zip(state.iter()) {
            *to = number(state);
        }
    }
}
