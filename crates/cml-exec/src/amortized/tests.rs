mod noise;

use super::*;
use crate::digits;
use crate::transform::Transform;
use cml_scheme::{GapDigit, Ring, security};
use pulp::Arch;

/// A set of the table, with decompositions for lookups of some bits.
pub(super) fn set(slots: u32, size: u32, gap_digits: u32, pbs: (u32, u32)) -> Amortized {
    let known = security::SPARSE_SETS.iter().rfind(|set| set.slots == slots);
    let known = known.expect("a set of these slots");
    let parameters = Amortized {
        ring: Ring::new(1, size).expect("a valid ring"),
        slots,
        weight: known.weight,
        gap_bits: known.gap_bits,
        sparse_noise_bound: known.noise_bound(),
        gap_digits,
        pbs_base_log: pbs.0,
        pbs_level: pbs.1,
        pbs_body_base_log: pbs.0,
        pbs_body_level: pbs.1,
        automorphism_base_log: 11,
        automorphism_level: 3,
        sparse_base_log: 2,
        sparse_level: 10,
    };
    parameters.validate().expect("valid parameters");
    parameters
}

/// A step by its definition: one place and one sum after the other, nothing in place, each product on its own.
fn simple_step(
    accumulators: &[Vec<Vec<u32>>],
    steps: &Steps<'_>,
    digit: GapDigit,
    selectors: &[f64],
    turn: Option<&[usize]>,
) -> Vec<Vec<Vec<u32>>> {
    let (places, lanes) = (accumulators.len(), accumulators[0].len());
    let size = steps.transform.size();
    // Whole polynomials of `lanes * size` coefficients, turned.
    let turned = |place: usize, around: bool| -> Vec<Vec<u32>> {
        let degree = turn.map_or(0, |turn| turn[place]);
        let whole = lanes * size;
        let mut result = vec![vec![0; 2 * size]; lanes];
        for (lane, words) in accumulators[place].iter().enumerate() {
            for (i, &word) in words.iter().enumerate() {
                let (polynomial, i) = (i / size, i % size);
                let exponent = (i * lanes + lane + degree) % (2 * whole);
                let exponent = if around {
                    (2 * whole - exponent) % (2 * whole)
                } else {
                    exponent
                };
                let word = if exponent < whole {
                    word
                } else {
                    word.wrapping_neg()
                };
                let place = exponent % whole;
                result[place % lanes][polynomial * size + place / lanes] = word;
            }
        }
        if around {
            result.iter_mut().for_each(|words| (steps.keyswitch)(words));
        }
        result
    };
    let arch = Arch::new();
    let ciphertext = 2 * size;
    let selector = steps.by.rows() * ciphertext;
    let sum = |place: usize| -> Vec<Vec<u32>> {
        let mut sums = vec![vec![0.0; ciphertext]; lanes];
        for value in 0..1 << digit.bits {
            let back = value << digit.shift;
            let from = if back <= place {
                turned(place - back, false)
            } else {
                turned(place + places - back, true)
            };
            for (sums, words) in sums.iter_mut().zip(from) {
                let mut digits = vec![0.0; steps.by.rows() * size];
                digits::decompose(arch, &mut vec![0; size], &mut digits, &words, 0, steps.by);
                let rows = selectors[value * selector..][..selector].chunks_exact(ciphertext);
                for (digits, row) in digits.chunks_exact_mut(size).zip(rows) {
                    steps.transform.forward(arch, digits);
                    let half = size / 2;
                    for (sum, row) in sums.chunks_exact_mut(size).zip(row.chunks_exact(size)) {
                        for k in 0..half {
                            let (a, b, x, y) = (row[k], row[half + k], digits[k], digits[half + k]);
                            sum[k] = (-b).mul_add(y, a.mul_add(x, sum[k]));
                            sum[half + k] = b.mul_add(x, a.mul_add(y, sum[half + k]));
                        }
                    }
                }
            }
        }
        let words = |sums: Vec<f64>| {
            let mut words = vec![0; ciphertext];
            for (words, sum) in words.chunks_exact_mut(size).zip(sums.chunks_exact(size)) {
                let mut sum = sum.to_vec();
                steps.transform.backward(arch, &mut sum);
                digits::to_words(arch, words, &sum);
            }
            words
        };
        sums.into_iter().map(words).collect()
    };
    (0..places).map(sum).collect()
}

#[test]
fn steps_equal_the_simple_ones_bit_for_bit() {
    let (size, places) = (256, 64);
    let transform = Transform::new(size);
    // Any function will do, as long as it is the same.
    let keyswitch = |words: &mut [u32]| {
        words
            .iter_mut()
            .for_each(|word| *word = word.rotate_left(7) ^ 0x5a5a)
    };
    let mut state = 1_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    };
    for (mask, body) in [((23, 1), (23, 1)), ((10, 2), (12, 1)), ((7, 3), (8, 2))] {
        let by = Decompositions {
            mask: Decomposition::new(mask.0, mask.1),
            body: Decomposition::new(body.0, body.1),
        };
        let steps = Steps {
            transform: &transform,
            by,
            keyswitch: &keyswitch,
            scratch: &Pool::new(),
        };
        for lanes in [1, 3] {
            let mut simple: Vec<Vec<Vec<u32>>> = (0..places)
                .map(|_| {
                    (0..lanes)
                        .map(|_| (0..2 * size).map(|_| next()).collect())
                        .collect()
                })
                .collect();
            let mut fast = Accumulators::new(places, lanes, size);
            let from = simple.iter().map(|lanes| lanes.concat()).collect::<Vec<_>>();
            fast.places_mut()
                .zip(&from)
                .for_each(|(to, from)| to.copy_from_slice(from));
            for (shift, bits, turned) in [
                (0, 3, false),
                (3, 2, true),
                (5, 1, false),
                (0, 1, true),
                (2, 4, true),
            ] {
                let digit = GapDigit { shift, bits };
                let turn: Vec<usize> = (0..places)
                    .map(|_| next() as usize % (2 * lanes * size))
                    .collect();
                let turn = turned.then_some(turn.as_slice());
                let count = (1 << bits) * by.rows() * 2 * size;
                let selectors: Vec<f64> = (0..count).map(|_| f64::from(next() as i32) / 4096.0).collect();
                simple = simple_step(&simple, &steps, digit, &selectors, turn);
                let mut arranged = selectors.clone();
                crate::products::arrange(&mut arranged, size);
                fast.step(&steps, digit, &arranged, turn);
                for (place, lanes) in simple.iter().enumerate() {
                    for (lane, words) in lanes.iter().enumerate() {
                        assert!(
                            fast.lane(place, lane) == words,
                            "digit {digit:?} place {place} lane {lane}"
                        );
                    }
                }
            }
        }
    }
}
