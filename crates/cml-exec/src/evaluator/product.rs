//! The external product of a rotated difference and a key element, for one lane.
//!
//! With one level of one base the arithmetic is that of `add_external_product_assign` of the `tfhe` crate, bit
//! for bit. There the decomposition into digits is compiled for the instructions that every machine has, and
//! takes a fifth of the time; here it is one pass with the rotation and the difference, compiled for this machine.
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
use tfhe::core_crypto::fft_impl::fft64::c64;
use tfhe::core_crypto::fft_impl::fft64::math::fft::FftView;
use tfhe::core_crypto::fft_impl::fft64::math::polynomial::FourierPolynomialMutView;
use tfhe::core_crypto::prelude::{
    ComputationBuffers, DecompositionBaseLog, DecompositionLevelCount, Polynomial, SignedDecomposer,
};

use crate::aligned::{self, Aligned};
use cml_scheme::raw::Dimensions;

/// What the decomposition of a mask rounds off: the sum over its polynomials, coefficient by coefficient.
pub(super) struct Roundings(Vec<i64>);

impl Roundings {
    pub(super) fn new(dimensions: &Dimensions) -> Self {
        Self(vec![0; dimensions.polynomial.0])
    }
}

/// A base and a number of levels.
#[derive(Clone, Copy)]
struct Decomposition {
    base_log: u32,
    levels: usize,
}

impl Decomposition {
    fn of((base_log, levels): (DecompositionBaseLog, DecompositionLevelCount)) -> Self {
        Self {
            base_log: base_log.0 as u32,
            levels: levels.0,
        }
    }

    fn bits(self) -> u32 {
        self.base_log * self.levels as u32
    }
}

/// Signed digits of the polynomials of one lane, in the order of the rows of the key ([`Dimensions::rows`]).
pub(super) struct Digits {
    words: Aligned<u64>,
    mask: Decomposition,
    body: Decomposition,
    n: usize,
}

impl Digits {
    pub(super) fn new(dimensions: &Dimensions) -> Self {
        let n = dimensions.polynomial.0;
        Self {
            words: aligned::zeros(dimensions.rows() * n),
            mask: Decomposition::of(dimensions.pbs),
            body: Decomposition::of(dimensions.pbs_body),
            n,
        }
    }

    /// The digits of a ciphertext, not centred, by the decomposer of the `tfhe` crate.
    pub(super) fn of(dimensions: &Dimensions, ciphertext: &[u64]) -> Self {
        let mut digits = Self::new(dimensions);
        let mask_words = ciphertext.len() - digits.n;
        let (mask_digits, body_digits) = digits.words.split_at_mut(digits.mask.levels * mask_words);
        let (mask, body) = ciphertext.split_at(mask_words);
        for ((base_log, levels), words, digits) in [
            (dimensions.pbs, mask, mask_digits),
            (dimensions.pbs_body, body, body_digits),
        ] {
            let decomposer = SignedDecomposer::<u64>::new(base_log, levels);
            for (place, &word) in words.iter().enumerate() {
                let terms = decomposer.decompose(word);
                let to = digits.iter_mut().skip(place).step_by(words.len());
                to.zip(terms).for_each(|(to, term)| *to = term.value());
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
        let (mask_digits, body_digits) = self.words.split_at_mut(self.mask.levels * (from.len() - self.n));
        arch.dispatch(DecomposeDifference {
            mask_digits,
            body_digits,
            from,
            less,
            n: self.n,
            degree,
            mask: self.mask,
            body: self.body,
            roundings: &mut roundings.0,
        });
    }
}

struct DecomposeDifference<'a> {
    mask_digits: &'a mut [u64],
    body_digits: &'a mut [u64],
    from: &'a [u64],
    less: &'a [u64],
    n: usize,
    degree: usize,
    mask: Decomposition,
    body: Decomposition,
    roundings: &'a mut [i64],
}

impl WithSimd for DecomposeDifference<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let n = self.n;
        let (negative, shift) = (self.degree >= n, self.degree % n);
        // The last level's digits hold what is still to be taken apart.
        let (mask_lower, mask_state) = last_level(self.mask_digits, self.mask);
        let (body_lower, body_state) = last_level(self.body_digits, self.body);
        let (mask_from, body_from) = self.from.split_at(mask_state.len());
        let (mask_less, body_less) = self.less.split_at(mask_state.len());
        let rounded = self.roundings;
        rounded.fill(0);
        let bits = self.mask.bits();
        let polynomials = mask_from.chunks_exact(n).zip(mask_less.chunks_exact(n));
        for (state, (from, less)) in mask_state.chunks_exact_mut(n).zip(polynomials) {
            let (stay, wrap) = from.split_at(n - shift);
            let (low, high) = state.split_at_mut(shift);
            let (less_low, less_high) = less.split_at(shift);
            let (rounded_low, rounded_high) = rounded.split_at_mut(shift);
            round_mask(high, stay, less_high, rounded_high, negative, bits);
            round_mask(low, wrap, less_low, rounded_low, !negative, bits);
        }
        take_apart(mask_lower, mask_state, self.mask.base_log);

        centre(rounded);
        let bits = self.body.bits();
        let (stay, wrap) = body_from.split_at(n - shift);
        let (low, high) = body_state.split_at_mut(shift);
        let (less_low, less_high) = body_less.split_at(shift);
        let (centre_low, centre_high) = rounded.split_at(shift);
        round_body(high, stay, less_high, centre_high, negative, bits);
        round_body(low, wrap, less_low, centre_low, !negative, bits);
        take_apart(body_lower, body_state, self.body.base_log);
    }
}

/// Digits of the levels before the last one, and of that.
#[inline(always)]
fn last_level(digits: &mut [u64], decomposition: Decomposition) -> (&mut [u64], &mut [u64]) {
    let level = digits.len() / decomposition.levels;
    digits.split_at_mut(digits.len() - level)
}

/// Takes the digits of all levels off the rounded numbers, the least significant first.
#[inline(always)]
fn take_apart(lower: &mut [u64], state: &mut [u64], base_log: u32) {
    let mask = (1 << base_log) - 1;
    for digits in lower.chunks_exact_mut(state.len()) {
        for (digit, state) in digits.iter_mut().zip(state.iter_mut()) {
            (*digit, *state) = take_digit(*state, mask, base_log);
        }
    }
    for state in state {
        (*state, _) = take_digit(*state, mask, base_log);
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
/// In four parts at once, since each sum waits for the one before it.
#[inline(always)]
pub(super) fn centre(roundings: &mut [i64]) {
    let quarter = roundings.len() / 4;
    let (first, second) = roundings.split_at_mut(2 * quarter);
    let ((a, b), (c, d)) = (first.split_at_mut(quarter), second.split_at_mut(quarter));
    let sum = |part: &[i64]| {
        part.iter()
            .fold(0_i64, |sum, &rounding| sum.wrapping_add(rounding))
    };
    let (sum_a, sum_b, sum_c, sum_d) = (sum(a), sum(b), sum(c), sum(d));
    let total = sum_a.wrapping_add(sum_b).wrapping_add(sum_c).wrapping_add(sum_d);
    let mut up_to_a = -(total >> 1);
    let mut up_to_b = up_to_a.wrapping_add(sum_a);
    let mut up_to_c = up_to_b.wrapping_add(sum_b);
    let mut up_to_d = up_to_c.wrapping_add(sum_c);
    for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
        up_to_a = up_to_a.wrapping_add(*a);
        up_to_b = up_to_b.wrapping_add(*b);
        up_to_c = up_to_c.wrapping_add(*c);
        up_to_d = up_to_d.wrapping_add(*d);
        (*a, *b, *c, *d) = (up_to_a, up_to_b, up_to_c, up_to_d);
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
    fourier: Aligned<c64>,
    sum: Aligned<c64>,
}

impl Products {
    pub(super) fn new(dimensions: &Dimensions) -> Self {
        let half = dimensions.polynomial.0 / 2;
        Self {
            fourier: aligned::zeros(half),
            sum: aligned::zeros(half * dimensions.glwe_size().0),
        }
    }

    /// Adds the product of the digits and the element to a lane.
    pub(super) fn add(
        &mut self,
        arch: Arch,
        lane: &mut [u64],
        digits: &Digits,
        element: &[c64],
        fft: FftView<'_>,
        buffers: &mut ComputationBuffers,
    ) {
        let n = digits.n;
        let rows = element.chunks_exact(self.sum.len());
        for (number, (polynomial, row)) in digits.words.chunks_exact(n).zip(rows).enumerate() {
            let fourier = FourierPolynomialMutView {
                data: &mut self.fourier[..],
            };
            let standard = Polynomial::from_container(polynomial);
            fft.forward_as_integer(fourier, standard, buffers.stack());
            arch.dispatch(AddProducts {
                sum: &mut self.sum,
                row,
                fourier: &self.fourier,
                first: number == 0,
            });
        }
        for (polynomial, sum) in lane.chunks_exact_mut(n).zip(self.sum.chunks_exact_mut(n / 2)) {
            let polynomial = Polynomial::from_container(polynomial);
            fft.add_backward_in_place_as_torus(
                polynomial,
                FourierPolynomialMutView { data: sum },
                buffers.stack(),
            );
        }
    }
}

/// Adds the products of one polynomial with each one of a row; the first time it sets them.
struct AddProducts<'a> {
    sum: &'a mut [c64],
    row: &'a [c64],
    fourier: &'a [c64],
    first: bool,
}

impl WithSimd for AddProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (factor, _) = S::as_simd_c64s(self.fourier);
        let half = self.fourier.len();
        let polynomials = self.sum.chunks_exact_mut(half).zip(self.row.chunks_exact(half));
        for (sum, key) in polynomials {
            let (sum, _) = S::as_mut_simd_c64s(sum);
            let (key, _) = S::as_simd_c64s(key);
            let all = sum.iter_mut().zip(key).zip(factor);
            if self.first {
                all.for_each(|((sum, &key), &factor)| *sum = simd.mul_c64s(key, factor));
            } else {
                all.for_each(|((sum, &key), &factor)| *sum = simd.mul_add_c64s(key, factor, *sum));
            }
        }
    }
}
