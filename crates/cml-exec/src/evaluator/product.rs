//! The external product of a rotated difference and a key element, for one lane.
//!
//! Digits are those of the `tfhe` crate. There the decomposition is compiled for the instructions that every machine has, and
//! takes a fifth of the time; here it is one pass with the rotation and the difference, compiled for this machine. All
//! digits are transformed before products begin, so each sum is made in registers and written once.
//!
//! **Two decompositions.** What is rounded off the mask meets a key of `k N` bits, what is rounded off the body meets
//! none: see [`Parameters`](cml_scheme::Parameters).
//!
//! **Centring.** Decomposition rounds the mask of the difference, by `e` for each of its polynomials. The key
//! that these roundings meet is binary: half of it is its mean, the polynomial `J / 2` of halves, and the
//! other half its deviation from that. The mean's part of the error, `sum(e) J / 2`, is known to whoever rounds, and is
//! taken off the body before that is rounded itself. What is left has half the variance, and is not alike
//! in neighbouring coefficients. It is to the decomposition what the centred modulus switch is to that switch.

use pulp::{Arch, Simd, WithSimd};
use tfhe::core_crypto::prelude::{DecompositionBaseLog, DecompositionLevelCount, SignedDecomposer};

use crate::aligned::{self, Aligned};
use crate::digits::{Decomposition, add_to_wide_words, number};
use crate::products::{BLOCK, TOGETHER, add_product, nothing, part, put};
use crate::transform::Transform;
use cml_scheme::raw::Dimensions;

/// Buffers of the decompositions of one thread.
pub(super) struct Roundings {
    /// What the decomposition of a mask rounds off: the sum over its polynomials, coefficient by coefficient.
    sums: Vec<i64>,
    /// What is still to be taken apart of a polynomial.
    state: Aligned<u64>,
}

impl Roundings {
    pub(super) fn new(dimensions: &Dimensions) -> Self {
        let n = dimensions.polynomial.0;
        Self {
            sums: vec![0; n],
            state: aligned::zeros(n),
        }
    }
}

fn decomposition((base_log, levels): (DecompositionBaseLog, DecompositionLevelCount)) -> Decomposition {
    Decomposition::new(base_log.0 as u32, levels.0 as u32)
}

/// Signed digits of the polynomials of one lane, in the order of the rows of the key ([`Dimensions::rows`]).
pub(super) struct Digits {
    numbers: Aligned<f64>,
    mask: Decomposition,
    body: Decomposition,
    n: usize,
}

impl Digits {
    pub(super) fn new(dimensions: &Dimensions) -> Self {
        let n = dimensions.polynomial.0;
        Self {
            numbers: aligned::zeros(dimensions.rows() * n),
            mask: decomposition(dimensions.pbs),
            body: decomposition(dimensions.pbs_body),
            n,
        }
    }

    /// The digits of a ciphertext, not centred, by the decomposer of the `tfhe` crate.
    pub(super) fn of(dimensions: &Dimensions, ciphertext: &[u64]) -> Self {
        let mut digits = Self::new(dimensions);
        let mask_words = ciphertext.len() - digits.n;
        let (mask_digits, body_digits) = digits.numbers.split_at_mut(digits.mask.levels * mask_words);
        let (mask, body) = ciphertext.split_at(mask_words);
        for ((base_log, levels), words, digits) in [
            (dimensions.pbs, mask, mask_digits),
            (dimensions.pbs_body, body, body_digits),
        ] {
            let decomposer = SignedDecomposer::<u64>::new(base_log, levels);
            for (place, &word) in words.iter().enumerate() {
                let terms = decomposer.decompose(word);
                let to = digits.iter_mut().skip(place).step_by(words.len());
                to.zip(terms)
                    .for_each(|(to, term)| *to = term.value() as i64 as f64);
            }
        }
        digits
    }

    /// Takes `X^degree * p - q` apart, for each polynomial `p` and the `q` of the same place, centred.
    pub(super) fn decompose_difference(
        &mut self,
        arch: Arch,
        from: &[u64],
        less: &[u64],
        degree: usize,
        roundings: &mut Roundings,
    ) {
        let (mask_digits, body_digits) = self
            .numbers
            .split_at_mut(self.mask.levels * (from.len() - self.n));
        arch.dispatch(DecomposeDifference {
            mask_digits,
            body_digits,
            from,
            less,
            n: self.n,
            degree,
            mask: self.mask,
            body: self.body,
            roundings,
        });
    }

    /// The polynomials.
    pub(super) fn polynomials(&mut self) -> impl Iterator<Item = &mut [f64]> {
        self.numbers.chunks_exact_mut(self.n)
    }
}

struct DecomposeDifference<'a> {
    mask_digits: &'a mut [f64],
    body_digits: &'a mut [f64],
    from: &'a [u64],
    less: &'a [u64],
    n: usize,
    degree: usize,
    mask: Decomposition,
    body: Decomposition,
    roundings: &'a mut Roundings,
}

impl WithSimd for DecomposeDifference<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let n = self.n;
        let (negative, shift) = (self.degree >= n, self.degree % n);
        let Roundings { sums, state } = self.roundings;
        let (mask_from, body_from) = self.from.split_at(self.from.len() - n);
        let (mask_less, body_less) = self.less.split_at(self.less.len() - n);
        sums.fill(0);
        let polynomials = mask_from.chunks_exact(n).zip(mask_less.chunks_exact(n));
        let level = mask_from.len();
        for (number, (from, less)) in polynomials.enumerate() {
            let bits = self.mask.bits();
            let (stay, wrap) = from.split_at(n - shift);
            let (low, high) = state.split_at_mut(shift);
            let (less_low, less_high) = less.split_at(shift);
            let (sums_low, sums_high) = sums.split_at_mut(shift);
            round_mask(high, stay, less_high, sums_high, negative, bits);
            round_mask(low, wrap, less_low, sums_low, !negative, bits);
            take_apart(&mut self.mask_digits[number * n..], level, state, self.mask);
        }

        centre(sums);
        let bits = self.body.bits();
        let (stay, wrap) = body_from.split_at(n - shift);
        let (low, high) = state.split_at_mut(shift);
        let (less_low, less_high) = body_less.split_at(shift);
        let (centre_low, centre_high) = sums.split_at(shift);
        round_body(high, stay, less_high, centre_high, negative, bits);
        round_body(low, wrap, less_low, centre_low, !negative, bits);
        take_apart(self.body_digits, n, state, self.body);
    }
}

/// Takes the digits of all levels off rounded numbers, the least significant first. Those of a level lie `apart` from those of
/// the next one.
#[inline(always)]
fn take_apart(digits: &mut [f64], apart: usize, state: &mut [u64], by: Decomposition) {
    let mask = (1 << by.base_log) - 1;
    for level in 0..by.levels - 1 {
        let digits = &mut digits[level * apart..][..state.len()];
        for (to, state) in digits.iter_mut().zip(state.iter_mut()) {
            let (digit, rest) = take_digit(*state, mask, by.base_log);
            (*to, *state) = (number(digit as i64), rest);
        }
    }
    let digits = &mut digits[(by.levels - 1) * apart..][..state.len()];
    for (to, &mut state) in digits.iter_mut().zip(state) {
        *to = number(state as i64);
    }
}

/// The difference, `from` negated first if so, rounded to its highest bits; adds what is rounded off.
#[inline(always)]
fn round_mask(to: &mut [u64], from: &[u64], less: &[u64], rounded: &mut [i64], negated: bool, bits: u32) {
    let sign = if negated { u64::MAX } else { 0 };
    for (((to, &p), &q), rounded) in to.iter_mut().zip(from).zip(less).zip(rounded) {
        let difference = (p ^ sign).wrapping_sub(sign).wrapping_sub(q);
        *to = round(difference, bits);
        *rounded = rounded.wrapping_add(difference.wrapping_sub(*to << (64 - bits)) as i64);
    }
}

/// The difference less its centre, rounded to its highest bits.
#[inline(always)]
fn round_body(to: &mut [u64], from: &[u64], less: &[u64], centre: &[i64], negated: bool, bits: u32) {
    let sign = if negated { u64::MAX } else { 0 };
    for (((to, &p), &q), &centre) in to.iter_mut().zip(from).zip(less).zip(centre) {
        let difference = (p ^ sign).wrapping_sub(sign).wrapping_sub(q);
        *to = round(difference.wrapping_sub(centre as u64), bits);
    }
}

/// Half the product with `J = 1 + X + .. + X^(N - 1)`, modulo `X^N + 1`: what is up to each coefficient, less
/// half of all.
///
/// Eight at a time, in a vector: each gets those one, two and four before it, and then what was up to the eight.
#[inline(always)]
pub(super) fn centre(roundings: &mut [i64]) {
    let total = roundings.iter().fold(0_i64, |sum, &r| sum.wrapping_add(r));
    let mut before = -(total >> 1);
    for eight in roundings.as_chunks_mut::<8>().0 {
        let mut sums = *eight;
        for distance in [1, 2, 4] {
            let from = sums;
            sums = std::array::from_fn(|i| {
                let other = if i < distance { 0 } else { from[i - distance] };
                from[i].wrapping_add(other)
            });
        }
        *eight = sums.map(|sum| sum.wrapping_add(before));
        before = before.wrapping_add(sums[7]);
    }
}

/// `SignedDecomposer::init_decomposer_state`: the nearest number of so many bits, balanced round zero.
#[inline(always)]
fn round(word: u64, bits: u32) -> u64 {
    let shifted = word >> (63 - bits);
    let rounding = shifted & 1;
    let rounded = ((shifted + 1) >> 1) & (u64::MAX >> (64 - bits));
    let balance = ((rounded.wrapping_sub(1) | (rounding << (bits - 1))) & rounded) >> (bits - 1);
    rounded.wrapping_sub(balance << bits)
}

/// The least digit, from `-B/2` to `B/2`, and what is left.
#[inline(always)]
fn take_digit(state: u64, mask: u64, base_log: u32) -> (u64, u64) {
    let digit = state & mask;
    let rest = ((state as i64) >> base_log) as u64;
    let carry = ((digit.wrapping_sub(1) | rest) & digit) >> (base_log - 1);
    (digit.wrapping_sub(carry << base_log), rest.wrapping_add(carry))
}

/// Buffers of the products of one thread.
pub(super) struct Products {
    sums: Aligned<f64>,
}

impl Products {
    pub(super) fn new(dimensions: &Dimensions) -> Self {
        Self {
            sums: aligned::zeros(dimensions.polynomial.0 * dimensions.glwe_size().0),
        }
    }

    /// Adds the product of the digits, which are transformed, and the element to a lane.
    pub(super) fn add(
        &mut self,
        arch: Arch,
        lane: &mut [u64],
        digits: &mut Digits,
        element: &[f64],
        transform: &Transform,
    ) {
        for polynomial in digits.polynomials() {
            transform.forward(arch, polynomial);
        }
        let size = digits.n;
        arch.dispatch(SumProducts {
            sums: &mut self.sums,
            digits: &digits.numbers,
            element,
            size,
        });
        for (words, sum) in lane.chunks_exact_mut(size).zip(self.sums.chunks_exact_mut(size)) {
            transform.backward(arch, sum);
            add_to_wide_words(arch, words, sum);
        }
    }
}

/// For each polynomial of a ciphertext the sum over all rows of digits times that polynomial of the row.
struct SumProducts<'a> {
    sums: &'a mut [f64],
    /// A polynomial for each row.
    digits: &'a [f64],
    /// Of each row as many polynomials as there are sums, [arranged](crate::products::arrange).
    element: &'a [f64],
    size: usize,
}

impl WithSimd for SumProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let size = self.size;
        let row = self.sums.len() / size * 2 * BLOCK;
        let blocks = self.element.chunks_exact(self.digits.len() / size * row);
        for (block, element) in blocks.enumerate() {
            for at in (0..BLOCK).step_by(TOGETHER * S::F64_LANES) {
                let place = block * BLOCK + at;
                for (column, sum) in self.sums.chunks_exact_mut(size).enumerate() {
                    let mut total = nothing(simd);
                    for (digits, row) in self.digits.chunks_exact(size).zip(element.chunks_exact(row)) {
                        let key = &row[column * 2 * BLOCK..][..2 * BLOCK];
                        add_product(simd, &mut total, part::<S>(key, at), part::<S>(digits, place));
                    }
                    put::<S>(sum, place, total);
                }
            }
        }
    }
}
