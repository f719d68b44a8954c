//! Needs optimization: `cargo test --release`.

use super::*;
use cml_keys::{ClientKey, SparseKey, random::System};
use cml_scheme::{GapDigit, Ring, security};
use cml_tfhe::table::{Reading, table_polynomial};
use pulp::Arch;
use transform::Transform;

/// A set of the table, with decompositions for lookups of some bits.
pub(super) fn set(slots: u32, size: u32, gap_digits: u32, pbs: (u32, u32)) -> Amortized {
    let known = security::SPARSE_SETS.iter().filter(|set| set.slots == slots);
    let known = known.last().expect("a set of these slots");
    let parameters = Amortized {
        ring: Ring::new(1, size).expect("a valid ring"),
        slots,
        weight: known.used_weight(),
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
                rotate::arrange(&mut arranged, size);
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

/// Keys, and lookups of all values of a half period: how many are wrong, and the errors of the others.
fn look_up(parameters: &Amortized, values: u64, extension: usize, lookups: usize) -> (usize, Vec<f64>) {
    let client = ClientKey::of_ring(&parameters.ring, &mut System::new()).expect("randomness");
    let sparse = SparseKey::generate(parameters, &mut System::new()).expect("randomness");
    let key = client
        .amortized_key(&sparse, &mut System::new(), &mut |_| {})
        .expect("randomness");
    let bytes = key.to_bytes();
    assert_eq!(bytes.len() as u64, parameters.server_key_bytes());
    let key = AmortizedKey::from_bytes(&bytes, parameters).expect("own bytes");
    let evaluator = AmortizedEvaluator::expand(&key, &mut |_| {});
    let half_step = (1_u64 << 62) / values;
    let size = u64::from(parameters.ring.polynomial_size) * extension as u64;
    // Tables of their own.
    let tables: Vec<Vec<i64>> = (0..7)
        .map(|t| {
            (0..values as i64)
                .map(|v| (v * (2 * t + 1) + t) % values as i64)
                .collect()
        })
        .collect();
    let prepared: Vec<(Vec<u64>, Reading)> = tables
        .iter()
        .map(|table| table_polynomial(table, values, size, half_step))
        .collect();
    let wanted: Vec<(usize, u64)> = (0..lookups).map(|i| (i % 7, (i as u64 * 31) % values)).collect();
    let messages: Vec<(i64, u64)> = wanted.iter().map(|w| (w.1 as i64, 2 * half_step)).collect();
    let sent = client
        .encrypt(LweKey::Big, &messages, &mut System::new())
        .expect("randomness");
    let inputs = sent.expand(parameters.ring.big_dimension() as usize);
    let readings: Vec<[Reading; 1]> = prepared.iter().map(|p| [p.1.clone()]).collect();
    let jobs: Vec<Job<'_>> = inputs
        .iter()
        .zip(&wanted)
        .map(|(input, &(table, _))| Job {
            input,
            polynomial: &prepared[table].0,
            extension,
            readings: &readings[table],
        })
        .collect();
    let mut reported = 0;
    let results = evaluator
        .rotate_many(&jobs, &mut |count| reported += count)
        .expect("operands fit");
    assert_eq!(reported, lookups);
    let mut errors = Vec::new();
    let mut wrong = 0;
    for (result, &(table, value)) in results.iter().zip(&wanted) {
        let exact = (tables[table][value as usize] as u64).wrapping_mul(2 * half_step);
        let error = client
            .insecure_phase(&result[0])
            .expect("own key")
            .wrapping_sub(exact) as i64;
        if error.unsigned_abs() > half_step {
            wrong += 1;
        } else {
            errors.push(error as f64 / 64_f64.exp2());
        }
    }
    (wrong, errors)
}

fn variance(errors: &[f64]) -> f64 {
    errors.iter().map(|e| e * e).sum::<f64>() / errors.len() as f64
}

#[test]
fn lookups_give_what_their_tables_hold() {
    for (slots, size, digits, extension, values) in [(2048, 2048, 3, 1, 64), (4096, 2048, 3, 3, 64)] {
        let parameters = set(slots, size, digits, (23, 1));
        let count = slots as usize + 100;
        let start = Instant::now();
        let (wrong, errors) = look_up(&parameters, values, extension, count);
        println!(
            "{parameters}: {wrong} wrong, noise 2^{:.2}, model 2^{:.2}, {:.1} s",
            variance(&errors).log2() / 2.0,
            cml_tfhe::noise::AmortizedParts::of(&parameters).lookup().log2() / 2.0,
            start.elapsed().as_secs_f64()
        );
        assert_eq!(wrong, 0);
    }
}

#[test]
#[ignore]
fn speed() {
    for (slots, digits, extension, pbs) in [
        (2048, 4, 1, (23, 1)),
        (2048, 3, 1, (23, 1)),
        (2048, 2, 1, (23, 1)),
        (4096, 3, 1, (23, 1)),
        (4096, 3, 4, (14, 2)),
    ] {
        let parameters = set(slots, 2048, digits, pbs);
        let mut best = (f64::MAX, f64::MAX);
        for _ in 0..3 {
            let cost = measure_amortized(&parameters, extension);
            best = (best.0.min(cost.keyswitch_ns), best.1.min(cost.blind_rotation_ns));
        }
        println!(
            "M {slots} digits {digits} e {extension} pbs {pbs:?}: packing {:.1} us, steps {:.0} us ({:.2} us each)",
            best.0 / 1e3,
            best.1 / 1e3,
            best.1 / 1e3 / f64::from(parameters.steps()) / f64::from(extension)
        );
    }
}

#[test]
#[ignore]
fn parts_speed() {
    let size = 2048;
    let transform = Transform::new(size);
    let arch = Arch::new();
    let by = Decompositions {
        mask: Decomposition::new(23, 1),
        body: Decomposition::new(23, 1),
    };
    let words: Vec<u32> = (0..2 * size as u32)
        .map(|i| i.wrapping_mul(2_654_435_761))
        .collect();
    let mut state = vec![0; size];
    let mut out = aligned::zeros(2 * size);
    let time = |what: &str, f: &mut dyn FnMut()| {
        let mut best = f64::MAX;
        for _ in 0..50 {
            let start = Instant::now();
            for _ in 0..20 {
                f();
            }
            best = best.min(start.elapsed().as_nanos() as f64 / 20.0);
        }
        println!("{what}: {best:.0} ns");
    };
    time("decompose", &mut || {
        digits::decompose(arch, &mut state, &mut out, &words, 777, by)
    });
    let mut p = aligned::of(&vec![1.0; size]);
    time("forward", &mut || transform.forward(arch, &mut p));
    p.fill(1e-3);
    time("backward", &mut || {
        transform.backward(arch, &mut p);
        p[0] = 1.0;
    });
    p.fill(12345.678e9);
    let mut w = vec![0_u32; size];
    time("to_words", &mut || digits::to_words(arch, &mut w, &p));
    for values in [4, 8, 16] {
        let window = aligned::of(&vec![0.5; (8 + values - 1) * 2 * size]);
        let selectors = aligned::of(&vec![0.25; values * 4 * size]);
        let mut sums = aligned::zeros(8 * 2 * size);
        time(&format!("products of 8 places, {values} values"), &mut || {
            rotate::products(&window, 2, &selectors, &mut sums, size)
        });
    }
}

#[test]
#[ignore]
fn noise_parts() {
    for (pbs, digits) in [((22, 1), 3), ((23, 1), 3), ((23, 1), 8), ((15, 2), 3)] {
        let parameters = set(2048, 2048, digits, pbs);
        println!(
            "{parameters} {:?}",
            cml_tfhe::noise::AmortizedParts::of(&parameters)
        );
        let (wrong, errors) = look_up(&parameters, 32, 1, 2048);
        let mut sorted: Vec<f64> = errors.iter().map(|e| e.abs()).collect();
        sorted.sort_by(f64::total_cmp);
        let q = |p: f64| sorted[((sorted.len() - 1) as f64 * p) as usize].log2();
        println!(
            "quantiles {:.2} {:.2} {:.2} {:.2} {:.2} max {:.2} mean {:e}",
            q(0.1),
            q(0.5),
            q(0.68),
            q(0.9),
            q(0.99),
            q(1.0),
            errors.iter().sum::<f64>() / errors.len() as f64
        );
        println!(
            "{wrong} wrong, variance {:e}, model {:e}",
            variance(&errors),
            cml_tfhe::noise::AmortizedParts::of(&parameters).lookup()
        );
    }
}

#[test]
#[ignore]
fn one_step() {
    for (pbs, digits) in [((22, 1), 3), ((23, 1), 3), ((23, 1), 8), ((15, 2), 3)] {
        let parameters = set(2048, 2048, digits, pbs);
        let client = ClientKey::of_ring(&parameters.ring, &mut System::new()).expect("randomness");
        let sparse = SparseKey::generate(&parameters, &mut System::new()).expect("randomness");
        let key = client
            .amortized_key(&sparse, &mut System::new(), &mut |_| {})
            .expect("randomness");
        let key = ExpandedKey::expand(&key, &mut |_| {});
        let size = 2048;
        let secret: Vec<u32> = client.insecure_big().as_ref().iter().map(|&b| b as u32).collect();
        let phase = |words: &[u32]| -> Vec<u32> {
            let mut p = words[size..].to_vec();
            for (i, &a) in words[..size].iter().enumerate() {
                for (j, &s) in secret.iter().enumerate() {
                    if s == 1 {
                        if i + j < size {
                            p[i + j] = p[i + j].wrapping_sub(a);
                        } else {
                            p[i + j - size] = p[i + j - size].wrapping_add(a);
                        }
                    }
                }
            }
            p
        };
        let places = 2048;
        let mut acc = Accumulators::new(places, 1, size);
        let mut state = 1_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 32) as u32
        };
        let from: Vec<Vec<u32>> = (0..places)
            .map(|_| (0..2 * size).map(|_| next()).collect())
            .collect();
        acc.places_mut()
            .zip(&from)
            .for_each(|(to, from)| to.copy_from_slice(from));
        let steps = Steps {
            transform: &key.transform,
            by: decompositions(&parameters),
            keyswitch: &|_| {},
            scratch: &Pool::new(),
        };
        let gaps = sparse.insecure_gaps();
        let model = cml_tfhe::noise::AmortizedParts::of(&parameters);
        let per = f64::from(parameters.steps());
        println!(
            "{pbs:?} digits {digits}; model selectors {:e} rounding {:e} transforms {:e}",
            model.selector_noise / per,
            2.0 * model.mask_rounding / per,
            model.transforms / per
        );
        let (mut moved, mut count) = (0, 0);
        for (number, gap) in gaps.iter().enumerate() {
            moved += *gap as usize;
            if moved > 2000 {
                break;
            }
            for (digit, selectors) in parameters.digits().zip(key.selectors(number)) {
                acc.step(&steps, digit, selectors, None);
                count += 1;
            }
            if number % 8 != 0 {
                continue;
            }
            let mut errors = Vec::new();
            for place in [2020, 2035, 2047] {
                let (new, old) = (phase(acc.lane(place, 0)), phase(&from[place - moved]));
                errors.extend(
                    new.iter()
                        .zip(&old)
                        .map(|(a, b)| f64::from(a.wrapping_sub(*b) as i32) / 32_f64.exp2()),
                );
            }
            println!(
                "after {count} steps {:e} a step",
                variance(&errors) / f64::from(count)
            );
        }
    }
}
