//! Products of transformed polynomials, and how the polynomials of a key lie in memory for them.
//!
//! Polynomials have a power of two of numbers. So what is at one place of all of them falls into a few sets of a cache, and
//! would not stay there; and to read so many of them at once is more than a processor foresees. So what products take
//! together is put side by side, in blocks.

use pulp::Simd;

/// Numbers of a block: see [`arrange`].
pub(crate) const BLOCK: usize = 32;
/// Vectors that a sum is made of at a time: enough that none waits for itself, and few enough for the first cache.
pub(crate) const TOGETHER: usize = 4;

/// Puts what products take together side by side, for polynomials of `size` numbers: [`BLOCK`] real parts and as many imaginary
/// ones of each polynomial, then the next ones of each.
pub(crate) fn arrange(polynomials: &mut [f64], size: usize) {
    let half = size / 2;
    let mut arranged: Vec<f64> = Vec::with_capacity(polynomials.len());
    for first in (0..half).step_by(BLOCK) {
        for polynomial in polynomials.chunks_exact(size) {
            let (re, im) = polynomial.split_at(half);
            arranged.extend_from_slice(&re[first..first + BLOCK]);
            arranged.extend_from_slice(&im[first..first + BLOCK]);
        }
    }
    polynomials.copy_from_slice(&arranged);
}

/// A vector of complex numbers: real parts and imaginary ones.
pub(crate) type Complex<S> = (<S as Simd>::f64s, <S as Simd>::f64s);

/// Some vectors of real parts, and of imaginary ones.
pub(crate) type Part<'a, S> = (
    &'a [<S as Simd>::f64s; TOGETHER],
    &'a [<S as Simd>::f64s; TOGETHER],
);

/// A sum of products, of as many vectors as a [`Part`] has.
pub(crate) type Sum<S> = [Complex<S>; TOGETHER];

/// A sum of none.
#[inline(always)]
pub(crate) fn nothing<S: Simd>(simd: S) -> Sum<S> {
    let zero = simd.splat_f64s(0.0);
    [(zero, zero); TOGETHER]
}

/// Vectors of a polynomial, or of a block of it, from the number `at` on.
#[inline(always)]
pub(crate) fn part<S: Simd>(polynomial: &[f64], at: usize) -> Part<'_, S> {
    let (re, im) = polynomial.split_at(polynomial.len() / 2);
    let (re, im) = (S::as_simd_f64s(&re[at..]).0, S::as_simd_f64s(&im[at..]).0);
    match (re.first_chunk(), im.first_chunk()) {
        (Some(re), Some(im)) => (re, im),
        _ => unreachable!("polynomials are made of whole blocks"),
    }
}

/// Adds a product, number by number.
#[inline(always)]
pub(crate) fn add_product<S: Simd>(simd: S, sum: &mut Sum<S>, (a, b): Part<'_, S>, (x, y): Part<'_, S>) {
    *sum = std::array::from_fn(|i| {
        let (re, im) = sum[i];
        let re = simd.mul_add_f64s(a[i], x[i], re);
        let im = simd.mul_add_f64s(a[i], y[i], im);
        (
            simd.mul_add_f64s(simd.neg_f64s(b[i]), y[i], re),
            simd.mul_add_f64s(b[i], x[i], im),
        )
    });
}

/// Writes a sum to a polynomial, from the number `at` on.
#[inline(always)]
pub(crate) fn put<S: Simd>(polynomial: &mut [f64], at: usize, sum: Sum<S>) {
    let (re, im) = polynomial.split_at_mut(polynomial.len() / 2);
    let (re, im) = (
        S::as_mut_simd_f64s(&mut re[at..]).0,
        S::as_mut_simd_f64s(&mut im[at..]).0,
    );
    for ((re, im), sum) in re.iter_mut().zip(im).zip(sum) {
        (*re, *im) = sum;
    }
}
