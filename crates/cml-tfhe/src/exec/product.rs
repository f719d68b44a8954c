//! The external product of a rotated difference and a key element, for one lane.
//!
//! The arithmetic is that of `add_external_product_assign` of the `tfhe` crate, bit for bit. There the
//! decomposition into digits is compiled for the instructions that every machine has, and takes a fifth
//! of the time; here it is one pass with the rotation and the difference, compiled for this machine.

use pulp::{Arch, Simd, WithSimd};
use tfhe::core_crypto::fft_impl::fft64::crypto::ggsw::FourierGgswCiphertextView;
use tfhe::core_crypto::fft_impl::fft64::math::fft::FftView;
use tfhe::core_crypto::fft_impl::fft64::math::polynomial::FourierPolynomialMutView;
use tfhe::core_crypto::fft_impl::fft64::{ABox, AVec, c64};
use tfhe::core_crypto::prelude::{ComputationBuffers, Polynomial};

use crate::keys::Dimensions;

/// Alignment of buffers: that of a cache line.
const ALIGN: usize = 64;

/// Zeros at an address that suits vector loads.
pub(super) fn aligned(len: usize) -> ABox<[u64]> {
    AVec::from_iter(ALIGN, std::iter::repeat_n(0, len)).into_boxed_slice()
}

/// Signed digits of the polynomials of one lane: level by level, the least significant first.
pub(super) struct Digits {
    words: ABox<[u64]>,
    base_log: u32,
    levels: usize,
    n: usize,
}

impl Digits {
    pub(super) fn new(dimensions: &Dimensions) -> Self {
        let (base_log, levels) = dimensions.pbs;
        let n = dimensions.polynomial.0;
        Self {
            words: aligned(levels.0 * dimensions.glwe_size().0 * n),
            base_log: base_log.0 as u32,
            levels: levels.0,
            n,
        }
    }

    /// Takes `X^degree * p - q` apart, for each polynomial `p` and the `q` of the same place.
    pub(super) fn decompose_difference(&mut self, arch: Arch, from: &[u64], less: &[u64], degree: usize) {
        arch.dispatch(DecomposeDifference {
            digits: &mut self.words,
            from,
            less,
            n: self.n,
            degree,
            base_log: self.base_log,
            levels: self.levels as u32,
        });
    }
}

struct DecomposeDifference<'a> {
    digits: &'a mut [u64],
    from: &'a [u64],
    less: &'a [u64],
    n: usize,
    degree: usize,
    base_log: u32,
    levels: u32,
}

impl WithSimd for DecomposeDifference<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (n, base_log) = (self.n, self.base_log);
        let (negative, shift) = (self.degree >= n, self.degree % n);
        let bits = base_log * self.levels;
        // The last level's digits hold what is still to be taken apart.
        let (lower, state) = self
            .digits
            .split_at_mut((self.levels as usize - 1) * self.from.len());
        let polynomials = self.from.chunks_exact(n).zip(self.less.chunks_exact(n));
        for (state, (from, less)) in state.chunks_exact_mut(n).zip(polynomials) {
            let (stay, wrap) = from.split_at(n - shift);
            let (low, high) = state.split_at_mut(shift);
            let (less_low, less_high) = less.split_at(shift);
            round_difference(high, stay, less_high, negative, bits);
            round_difference(low, wrap, less_low, !negative, bits);
        }
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
}

/// The difference, negated first if so, rounded to its highest bits.
#[inline(always)]
fn round_difference(to: &mut [u64], from: &[u64], less: &[u64], negated: bool, bits: u32) {
    let all = to.iter_mut().zip(from).zip(less);
    if negated {
        all.for_each(|((to, &p), &q)| *to = round(p.wrapping_add(q).wrapping_neg(), bits));
    } else {
        all.for_each(|((to, &p), &q)| *to = round(p.wrapping_sub(q), bits));
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
    fourier: ABox<[c64]>,
    sum: ABox<[c64]>,
}

impl Products {
    pub(super) fn new(dimensions: &Dimensions) -> Self {
        let half = dimensions.polynomial.0 / 2;
        let zeros = |len| AVec::from_iter(ALIGN, std::iter::repeat_n(c64::default(), len)).into_boxed_slice();
        Self {
            fourier: zeros(half),
            sum: zeros(half * dimensions.glwe_size().0),
        }
    }

    /// Adds the product of the digits and the element to a lane.
    pub(super) fn add(
        &mut self,
        arch: Arch,
        lane: &mut [u64],
        digits: &Digits,
        element: FourierGgswCiphertextView<'_>,
        fft: FftView<'_>,
        buffers: &mut ComputationBuffers,
    ) {
        let n = digits.n;
        let rows = element.data().chunks_exact(self.sum.len());
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
