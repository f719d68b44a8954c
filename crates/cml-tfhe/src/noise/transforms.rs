//! Errors of the transforms of the executor.

use super::modulus;

/// Significant bits of the floating point numbers in the transforms.
pub(super) const MANTISSA_BITS: u32 = 53;

/// Variance of the errors of the transforms in each polynomial of a sum of products of digits and words, relative to the torus:
/// for polynomials of that size, digits of which the variances add up to `digits`, and so many products.
///
/// Words are uniform, so a sum has the variance `N digits / 12`. Its errors are roundings to 53 bits: some for each of the
/// `log2 N` levels of the transforms of digits, words and sums, and some more for each product that is added. How many, was
/// measured on the transforms of `cml-exec`, from 256 to 16,384 coefficients with 2 to 15 products; a test there compares.
pub(super) fn transform_errors(polynomial_size: u32, digits: f64, products: f64) -> f64 {
    let levels = f64::from(polynomial_size.ilog2());
    let roundings = 1.58 * levels - 2.75 + 0.2 * products;
    f64::from(polynomial_size) * digits / 12.0 * roundings / modulus(2 * MANTISSA_BITS)
}
