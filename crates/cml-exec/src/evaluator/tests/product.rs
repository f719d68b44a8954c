//! Products against those in integers.

use super::*;
use crate::evaluator::product::{Products, Roundings};
use crate::products::arrange;
use crate::transform::Transform;

/// The product of digits and words modulo `X^N + 1`, by its definition, added to a sum.
fn add_exact(sum: &mut [u64], digits: &[f64], words: &[u64]) {
    let n = sum.len();
    for (i, &digit) in digits.iter().enumerate() {
        let digit = digit as i64 as u64;
        let (stay, wrap) = words.split_at(n - i);
        let (low, high) = sum.split_at_mut(i);
        high.iter_mut()
            .zip(stay)
            .for_each(|(sum, &word)| *sum = sum.wrapping_add(digit.wrapping_mul(word)));
        low.iter_mut()
            .zip(wrap)
            .for_each(|(sum, &word)| *sum = sum.wrapping_sub(digit.wrapping_mul(word)));
    }
}

/// Mean square of the errors of a sum of products of digits and any words, beside the exact one, relative to the torus.
fn errors_of_transforms(parameters: &Parameters, arch: Arch, seed: u64) -> f64 {
    let dimensions = Dimensions::of(parameters);
    let (n, columns) = (dimensions.polynomial.0, dimensions.glwe_size().0);
    let transform = Transform::new(n);
    let mut state = seed;
    let mut words = |count: usize| -> Vec<u64> { (0..count).map(|_| next(&mut state)).collect() };
    let element = words(dimensions.rows() * columns * n);
    let mut transformed = vec![0.0; element.len()];
    for (to, words) in transformed.chunks_exact_mut(n).zip(element.chunks_exact(n)) {
        transform.forward_words(arch, to, words, 1.0);
    }
    arrange(&mut transformed, n);
    let (from, less) = (words(columns * n), words(columns * n));
    let (mut digits, mut products) = (Digits::new(&dimensions), Products::new(&dimensions));
    digits.decompose_difference(arch, &from, &less, 3, &mut Roundings::new(&dimensions));
    let mut exact = vec![0; columns * n];
    for (row, digits) in digits.polynomials().enumerate() {
        let row = &element[row * columns * n..][..columns * n];
        for (sum, words) in exact.chunks_exact_mut(n).zip(row.chunks_exact(n)) {
            add_exact(sum, digits, words);
        }
    }
    let mut sums = vec![0; columns * n];
    products.add(arch, &mut sums, &mut digits, &transformed, &transform);
    let error = |(sum, exact): (&u64, &u64)| sum.wrapping_sub(*exact) as i64 as f64 / 64.0_f64.exp2();
    let squares = sums.iter().zip(&exact).map(error).map(|error| error * error);
    squares.sum::<f64>() / sums.len() as f64
}

#[test]
fn errors_of_transforms_are_as_modelled() {
    let set = |ring, pbs| Parameters::new(900, ring, pbs, (5, 3)).expect("valid set");
    let mixed = set((1, 2048), (15, 2)).with_body((21, 1)).expect("valid set");
    let sets = [
        set((6, 256), (23, 1)),
        set((4, 512), (23, 1)),
        set((4, 512), (12, 3)),
        set((2, 1024), (15, 2)),
        set((1, 2048), (23, 1)),
        set((1, 2048), (11, 3)),
        mixed,
        set((1, 4096), (15, 2)),
        set((1, 8192), (23, 1)),
        set((1, 16384), (15, 2)),
    ];
    for set in sets {
        let big = f64::from(set.big_dimension());
        // Of one product, in one polynomial: those of the mask meet the key.
        let model = noise::transforms_variance(&set) / f64::from(set.lwe_dimension) / (1.0 + big / 2.0);
        let repetitions = (1 << 16) / u64::from(set.big_dimension() + set.polynomial_size);
        for (arch, repetitions) in [(Arch::new(), repetitions), (Arch::Scalar, repetitions)] {
            let squares: f64 = (0..repetitions)
                .map(|seed| errors_of_transforms(&set, arch, seed))
                .sum();
            let ratio = squares / repetitions as f64 / model;
            // Of so many errors the mean square is known to 0.6%.
            assert!((0.95..1.05).contains(&ratio), "{set}: measured / model = {ratio}");
        }
    }
}
