//! How far keys differ.

use super::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Natural logarithm of `n!`, for each `n` up to some number.
fn log_factorials(most: usize) -> Vec<f64> {
    let mut sum = 0.0;
    let next = |n: usize| {
        sum += (n.max(1) as f64).ln();
        sum
    };
    (0..=most).map(next).collect()
}

#[test]
fn weights_beyond_the_deviations_are_rarer_than_stated() {
    let log = log_factorials(1 << 17);
    // Small keys, and big ones, from the least to the largest.
    for n in [512, 600, 800, 1024, 1316, 2048, 4096, 1 << 14, 1 << 17] {
        let least = (n as f64 / 2.0 + KEY_DEVIATIONS * (n as f64).sqrt() / 2.0).floor() as usize + 1;
        let probability = |k: usize| (log[n] - log[k] - log[n - k] - n as f64 * 2_f64.ln()).exp();
        let tail: f64 = (least..=n).map(probability).sum();
        // That of a Gaussian; two small keys and a big one together are beyond it with three times that.
        assert!(tail < (-21.6_f64).exp2(), "{n}: 2^{}", tail.log2());
        assert!(3.0 * tail < f64::from(KEY_SHARE_LOG2).exp2(), "{n}");
    }
}

/// What one key has of the variance of a reading, without the allowance.
fn variance_with(parameters: &Parameters, reading: &[(usize, i64)], big: &[bool], small: usize) -> f64 {
    let parts = BlindRotation::of(parameters);
    let n = parameters.polynomial_size as usize;
    // Squares of the negacyclic product with the bits, and with bits of 1 and -1.
    let (mut of_bits, mut of_signs) = (0, 0);
    for polynomial in big.chunks_exact(n) {
        let (mut bits, mut signs) = (vec![0_i64; n], vec![0_i64; n]);
        for &(degree, weight) in reading {
            let (low, high) = polynomial.split_at(n - degree);
            let turned = high.iter().map(|&bit| (bit, -weight));
            let terms = turned.chain(low.iter().map(|&bit| (bit, weight)));
            for ((place, sign), (bit, w)) in bits.iter_mut().zip(&mut signs).zip(terms) {
                *place += i64::from(bit) * w;
                *sign += (2 * i64::from(bit) - 1) * w;
            }
        }
        of_bits += bits.iter().map(|b| b * b).sum::<i64>();
        of_signs += signs.iter().map(|s| s * s).sum::<i64>();
    }
    let nu2: i64 = reading.iter().map(|t| t.1 * t.1).sum();
    let weight = 2.0 * small as f64 / f64::from(parameters.lwe_dimension);
    nu2 as f64 * (parts.key_noise + weight * parts.body_rounding)
        + weight * parts.mask_rounding * of_signs as f64 / big.len() as f64
        + parts.transforms * of_bits as f64 / (0.5 * big.len() as f64)
}

/// Compares the variance of a reading with what is stated of keys: its mean, and the shares of keys beyond two and three
/// deviations. `tight` for a reading of which the deviation is known, and not only bounded.
fn check_keys(reading: &[(usize, i64)], tight: bool) {
    const KEYS: usize = 4_000;
    let parameters = Parameters::new(600, (4, 512), (23, 1), (5, 3)).expect("valid set");
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let n = f64::from(parameters.polynomial_size);
    let nu2: i64 = reading.iter().map(|t| t.1 * t.1).sum();
    let magnitudes: i64 = reading.iter().map(|t| t.1.abs()).sum();
    let mut together = 0.0;
    for &(d, v) in reading {
        for &(e, w) in reading {
            together += (v * w) as f64 * (1.0 - 2.0 * d.abs_diff(e) as f64 / n);
        }
    }
    let requirement = Requirement {
        half_period: 16,
        scale: 1,
        nu2: nu2 as u64,
        alike: together.round() as i64 - nu2,
        pairs: (magnitudes * magnitudes - nu2) as u64,
        source: Source::Lookup,
        reader: Reader::Client { word_bytes: 8 },
        slack: 0,
    };
    let model = |deviations| {
        let variances = Variances::of(&parameters, 1.0, (deviations, deviations));
        variances.variance(&variances, 1, &requirement)
    };
    let drawn: Vec<f64> = (0..KEYS)
        .map(|_| {
            let big: Vec<bool> = (0..parameters.big_dimension()).map(|_| rng.random()).collect();
            let small = (0..parameters.lwe_dimension).filter(|_| rng.random()).count();
            variance_with(&parameters, reading, &big, small)
        })
        .collect();
    let mean = drawn.iter().sum::<f64>() / KEYS as f64;
    // Five deviations of the estimate; the sum over pairs is rounded to an integer, and the mask is all but 1/1000 of what
    // the transforms err on.
    let tolerance = 5.0 * (model(1.0) - model(0.0)) / (KEYS as f64).sqrt()
        + 0.5 * BlindRotation::of(&parameters).alike()
        + 1e-3 * model(0.0);
    let expected = model(0.0);
    assert!(
        (mean - expected).abs() < tolerance,
        "{mean:e} for {expected:e}: {reading:?}"
    );
    // Shares of a Gaussian. The tail of what is quadratic in the key is a little heavier: up to twice that beyond three.
    for (deviations, share, factor) in [(2.0, 0.02275, 1.3), (3.0, 0.00135, 2.0)] {
        let beyond = drawn.iter().filter(|&&v| v > model(deviations)).count() as f64;
        let expected = share * KEYS as f64;
        let slack = 4.0 * expected.sqrt();
        let most = factor * expected + slack;
        let least = if tight { expected / factor - slack } else { 0.0 };
        assert!(
            (least..=most).contains(&beyond),
            "{beyond} keys beyond {deviations}, {least} to {most} expected: {reading:?}"
        );
    }
}

#[test]
fn keys_differ_as_stated() {
    let stairs = |first: usize, weight: i64| (0..12).map(move |i| (first + 5 * i, weight));
    check_keys(&[(7, 1)], true);
    check_keys(&stairs(3, 1).collect::<Vec<_>>(), true);
    check_keys(&stairs(3, 1).chain(stairs(400, -1)).collect::<Vec<_>>(), false);
    // One that rises and falls again and again: next to nothing is alike.
    let falls = (0..40).map(|i| (3 + 9 * i, 1 - 2 * (i as i64 % 2)));
    check_keys(&falls.collect::<Vec<_>>(), false);
}

#[test]
fn rows_of_two_sets_have_the_worse_of_each_part() {
    let set = |pbs| Parameters::new(700, (1, 2048), pbs, (4, 4)).expect("valid set");
    // Rounding counts with the first, noise of the key and transforms with the second.
    let [a, b] = [(22, 1), (23, 1)].map(|pbs| Variances::expected(&set(pbs)));
    let both = a.worse(&b);
    assert!(a.independent > b.independent && a.alike < b.alike);
    assert_eq!((both.independent, both.alike), (a.independent, b.alike));
    let requirement = |nu2: u64, alike: i64, pairs| Requirement {
        half_period: 16,
        scale: 1,
        nu2,
        alike,
        pairs,
        source: Source::Lookup,
        reader: Reader::Client { word_bytes: 8 },
        slack: 0,
    };
    let variance = |wires: &Variances, r: &Requirement| a.variance(wires, 1, r);
    // Some results of each: alone and together.
    let (of_a, of_b) = (requirement(40, 0, 0), requirement(12, 120, 132));
    let all = requirement(52, 120, 132);
    let parts = variance(&a, &of_a) + variance(&b, &of_b);
    assert!(variance(&both, &all) >= parts);
    // The worse of the two sets for all would not do.
    assert!(variance(&a, &all).max(variance(&b, &all)) < parts);
}
