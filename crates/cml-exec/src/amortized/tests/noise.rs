//! Every step measured against the model, and failures counted. Needs optimization: `cargo test --release`.

use super::*;
use cml_keys::insecure::Deterministic;
use cml_keys::{ClientKey, SparseKey};
use cml_tfhe::noise::{AmortizedParts, Reader, Requirement, Source, Variances};
use cml_tfhe::table::{Reading, table_polynomial};

/// Keys of a set. The model averages over keys: one with as good as half of its bits set represents them.
struct Kit {
    big: Vec<u64>,
    client: ClientKey,
    /// Exponents of the sparse key.
    exponents: Vec<usize>,
    evaluator: AmortizedEvaluator,
}

impl Kit {
    fn new(parameters: &Amortized) -> Self {
        let ring = parameters.ring;
        let clients = (1..1000).map(|seed| ClientKey::of_ring(&ring, &mut Deterministic::new(seed)));
        let balanced = |client: &ClientKey| {
            let ones = client.insecure_big().as_ref().iter().sum::<u64>();
            ones.abs_diff(u64::from(ring.polynomial_size / 2)) <= 2
        };
        let client = clients
            .map(|client| client.expect("a seed never ends"))
            .find(balanced);
        let client = client.expect("a balanced key");
        let random = &mut Deterministic::new(7);
        let sparse = SparseKey::generate(parameters, random).expect("a seed never ends");
        let key = client
            .amortized_key(&sparse, random, &mut |_| {})
            .expect("a seed never ends");
        let bytes = key.to_bytes();
        assert_eq!(bytes.len() as u64, parameters.server_key_bytes());
        let key = AmortizedKey::from_bytes(&bytes, parameters).expect("own bytes");
        let mut from = parameters.slots as usize;
        let mut exponents = Vec::new();
        for gap in sparse.insecure_gaps() {
            from -= gap as usize;
            exponents.push(from);
        }
        // The last gap leads to 0, which is no exponent.
        exponents.pop();
        Self {
            big: client.insecure_big().as_ref().to_vec(),
            evaluator: AmortizedEvaluator::expand(&key, &mut |_| {}),
            client,
            exponents,
        }
    }

    /// A ciphertext without noise.
    fn exact(&self, message: u64, state: &mut u64) -> Ciphertext {
        let mask: Vec<u64> = self.big.iter().map(|_| next(state)).collect();
        let products = mask.iter().zip(&self.big).map(|(&a, &s)| a.wrapping_mul(s));
        let body = products.fold(message, u64::wrapping_add);
        Ciphertext::from_words(LweKey::Big, [mask, vec![body]].concat())
    }

    /// What is left of a body without mask times key, for exponents of the key.
    fn phase(mask: &[u64], body: &[u64], exponents: impl Iterator<Item = usize>) -> Vec<u64> {
        let n = mask.len();
        let mut phase = body.to_vec();
        for exponent in exponents {
            for (i, &word) in mask.iter().enumerate() {
                match i + exponent {
                    at if at < n => phase[at] = phase[at].wrapping_sub(word),
                    at => phase[at - n] = phase[at - n].wrapping_add(word),
                }
            }
        }
        phase
    }

    /// Exponents of the big key in the ring of the sparse one.
    fn big_exponents(&self) -> impl Iterator<Item = usize> {
        let apart = self.evaluator.parameters().slots as usize / self.big.len();
        let set = self.big.iter().enumerate().filter(|(_, s)| **s == 1);
        set.map(move |(i, _)| i * apart)
    }
}

/// The next word of a fixed stream.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn turns(word: u64) -> f64 {
    word as i64 as f64 / 64_f64.exp2()
}

fn variance(errors: &[f64]) -> f64 {
    errors.iter().map(|e| e * e).sum::<f64>() / errors.len() as f64
}

/// Within 5% of the model, from at least 10,000 errors.
fn check(what: &str, errors: &[f64], model: f64) {
    assert!(errors.len() >= 10_000, "{what}: {} errors", errors.len());
    let ratio = variance(errors) / model;
    println!("{what}: {ratio:.3} of the model");
    assert!((0.95..1.05).contains(&ratio), "{what}: {ratio:.3} of the model");
}

#[test]
fn packing_and_the_switch_to_the_sparse_key_have_the_modelled_noise() {
    // Each decomposition once so coarse that its roundings count, and once so fine that its noise does.
    for (automorphism, sparse) in [((10, 3), (2, 5)), ((16, 2), (3, 8))] {
        let parameters = Amortized {
            automorphism_base_log: automorphism.0,
            automorphism_level: automorphism.1,
            sparse_base_log: sparse.0,
            sparse_level: sparse.1,
            ..set(4096, 2048, 9, (23, 1))
        };
        let kit = Kit::new(&parameters);
        let parts = AmortizedParts::of(&parameters);
        let mut state = 1;
        let slots = parameters.slots as usize;
        let (mut packing, mut switching, mut rounding) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..4 {
            let messages: Vec<u64> = (0..slots).map(|_| next(&mut state)).collect();
            let inputs: Vec<Ciphertext> = messages.iter().map(|&m| kit.exact(m, &mut state)).collect();
            let inputs: Vec<Option<&Ciphertext>> = inputs.iter().map(Some).collect();
            let (mask, body) = kit.evaluator.key.packed(&inputs);
            let packed = Kit::phase(&mask, &body, kit.big_exponents());
            packing.extend(
                packed
                    .iter()
                    .zip(&messages)
                    .map(|(p, m)| turns(p.wrapping_sub(*m))),
            );
        }
        // Roundings that meet the mean of the key are alike in all slots, so this takes many ciphertexts.
        for _ in 0..160 {
            let mut words = || (0..slots).map(|_| next(&mut state)).collect::<Vec<u64>>();
            let (mask, body) = (words(), words());
            let before = Kit::phase(&mask, &body, kit.big_exponents());
            let (mask, body) = kit.evaluator.key.to_sparse(&mask, body);
            let after = Kit::phase(&mask, &body, kit.exponents.iter().copied());
            switching.extend(after.iter().zip(&before).map(|(a, b)| turns(a.wrapping_sub(*b))));
            // Of the mask alone: the body is rounded down, as tables are read.
            let size = 2 * u64::from(parameters.ring.polynomial_size);
            let shift = 64 - size.ilog2();
            let nearest = |a: &u64| ((a >> shift) + (a >> (shift - 1) & 1)) << shift;
            let rounded: Vec<u64> = mask.iter().map(nearest).collect();
            let switched = Kit::phase(&rounded, &body, kit.exponents.iter().copied());
            rounding.extend(
                switched
                    .iter()
                    .zip(&after)
                    .map(|(r, s)| turns(r.wrapping_sub(*s))),
            );
        }
        let packed = parts.packing_noise + parts.packing_rounding;
        if automorphism.1 == 3 {
            check("packing", &packing, packed);
        } else {
            // The errors of the transforms are those of masks of any words, which packs do not have: no more than that.
            let ratio = variance(&packing) / packed;
            println!("packing: {ratio:.3} of the model");
            assert!((0.4..1.05).contains(&ratio), "packing: {ratio:.3} of the model");
        }
        check(
            "switch to the sparse key",
            &switching,
            parts.sparse_noise + parts.sparse_rounding,
        );
        check("modulus switch", &rounding, parts.switch);
    }
}

#[test]
fn what_goes_round_has_the_modelled_noise() {
    for automorphism in [(8, 3), (12, 2)] {
        let parameters = Amortized {
            automorphism_base_log: automorphism.0,
            automorphism_level: automorphism.1,
            ..set(2048, 2048, 8, (23, 1))
        };
        let kit = Kit::new(&parameters);
        let size = kit.big.len();
        let mut state = 3;
        let mut errors = Vec::new();
        let mut scratch = pack::Scratch::new(&kit.evaluator.key);
        for _ in 0..160 {
            let words: Vec<u32> = (0..2 * size).map(|_| (next(&mut state) >> 32) as u32).collect();
            let wide = |words: &[u32]| words.iter().map(|&w| u64::from(w) << 32).collect::<Vec<u64>>();
            let exponents = || kit.big_exponents();
            let before = Kit::phase(&wide(&words[..size]), &wide(&words[size..]), exponents());
            let turned = |words: &[u64]| -> Vec<u64> {
                let minus = words[1..].iter().rev().map(|word| word.wrapping_neg());
                std::iter::once(words[0]).chain(minus).collect()
            };
            let narrow = |words: Vec<u64>| words.into_iter().map(|w| (w >> 32) as u32);
            let (mask, body) = (turned(&wide(&words[..size])), turned(&wide(&words[size..])));
            let mut after: Vec<u32> = narrow(mask).chain(narrow(body)).collect();
            kit.evaluator.key.switch_turned(&mut after, &mut scratch);
            let after = Kit::phase(&wide(&after[..size]), &wide(&after[size..]), exponents());
            errors.extend(
                after
                    .iter()
                    .zip(turned(&before))
                    .map(|(a, b)| turns(a.wrapping_sub(b))),
            );
        }
        // The result is rounded to 32 bits, which is counted with the steps.
        let words = (size as f64 / 2.0 + 1.0) / 12.0 * (-64_f64).exp2();
        check("turn", &errors, AmortizedParts::of(&parameters).turn + words);
    }
}

#[test]
fn what_hides_tables_is_an_encryption_of_zero() {
    let kit = Kit::new(&set(2048, 2048, 4, (15, 2)));
    let size = kit.big.len();
    let wide = |words: &[u32]| words.iter().map(|&w| u64::from(w) << 32).collect::<Vec<u64>>();
    let zeros = &kit.evaluator.key.zeros;
    assert_eq!(zeros.len(), 4);
    for zero in zeros {
        let phase = Kit::phase(&wide(&zero[..size]), &wide(&zero[size..]), kit.big_exponents());
        let errors: Vec<f64> = phase.into_iter().map(turns).collect();
        // Words of 32 bits that meet half of the key; the noise of the selectors is below them.
        let model = (size as f64 / 2.0 + 1.0) / 12.0 * (-64_f64).exp2();
        let ratio = variance(&errors) / model;
        assert!((0.2..3.0).contains(&ratio), "{ratio:.2}");
        let masks: std::collections::BTreeSet<u32> = zero[..size].iter().copied().collect();
        assert!(masks.len() > size - 10);
    }
    // Every lane of every slot has its own.
    let hidden = |slot| {
        let mut words = vec![0; 2 * 2 * size];
        hide(&mut words, zeros, slot, 2);
        words
    };
    let all: std::collections::BTreeSet<Vec<u32>> = (0..40)
        .flat_map(|slot| {
            hidden(slot)
                .chunks_exact(2 * size)
                .map(<[u32]>::to_vec)
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(all.len(), 80);
}

/// Lookups of tables of their own, in packs: by slot of each pack the error of the result.
fn look_up(kit: &Kit, values: u64, extension: usize, packs: usize) -> Vec<Vec<f64>> {
    let parameters = kit.evaluator.parameters();
    let half_step = (1_u64 << 62) / values;
    let size = u64::from(parameters.ring.polynomial_size) * extension as u64;
    let tables: Vec<Vec<i64>> = (0..7)
        .map(|t| {
            (0..values as i64)
                .map(|v| (v * (2 * t + 1) + t) % values as i64)
                .collect()
        })
        .collect();
    let prepared: Vec<(Vec<u64>, [Reading; 1])> = tables
        .iter()
        .map(|table| table_polynomial(table, values, size, half_step))
        .map(|(polynomial, reading)| (polynomial, [reading]))
        .collect();
    let mut state = 5;
    let slots = parameters.slots as usize;
    let pack = |number: usize| {
        let wanted: Vec<(usize, u64)> = (0..slots)
            .map(|i| ((i + number) % 7, next(&mut state) % values))
            .collect();
        let inputs: Vec<Ciphertext> = wanted
            .iter()
            .map(|w| kit.exact(w.1.wrapping_mul(2 * half_step), &mut state))
            .collect();
        let job = |(input, &(table, _)): (_, &(usize, u64))| Job {
            input,
            polynomial: &prepared[table].0,
            extension,
            readings: &prepared[table].1,
        };
        let jobs: Vec<Job<'_>> = inputs.iter().zip(&wanted).map(job).collect();
        let mut reported = 0;
        let results = kit
            .evaluator
            .rotate_many(&jobs, &mut |count| reported += count)
            .expect("operands fit");
        assert_eq!(reported, slots);
        let error = |(result, &(table, value)): (&Vec<Ciphertext>, &(usize, u64))| {
            let exact = (tables[table][value as usize] as u64).wrapping_mul(2 * half_step);
            turns(
                kit.client
                    .insecure_phase(&result[0])
                    .expect("own key")
                    .wrapping_sub(exact),
            )
        };
        results.iter().zip(&wanted).map(error).collect()
    };
    (0..packs).map(pack).collect()
}

#[test]
fn lookups_have_the_modelled_noise_in_every_slot() {
    for (pbs, body, digits) in [((23, 1), (20, 1), 3), ((15, 2), (20, 1), 2)] {
        let parameters = Amortized {
            pbs_body_base_log: body.0,
            pbs_body_level: body.1,
            ..set(2048, 2048, digits, pbs)
        };
        let kit = Kit::new(&parameters);
        let packs = look_up(&kit, 16, 1, 5);
        let all: Vec<f64> = packs.concat();
        check("lookups", &all, AmortizedParts::of(&parameters).lookup());
        // No part of the slots has more than another: three deviations of as many errors.
        for part in 0..8 {
            let slots = |pack: &Vec<f64>| pack[part * 256..(part + 1) * 256].to_vec();
            let own: Vec<f64> = packs.iter().flat_map(slots).collect();
            let ratio = variance(&own) / variance(&all);
            let deviation = (2.0 / own.len() as f64).sqrt();
            assert!(
                (ratio - 1.0).abs() < 4.0 * deviation,
                "slots of part {part}: {ratio:.3}"
            );
        }
        // As Gaussian as the model takes it: the fourth moment is three times the squared second.
        let fourth = all.iter().map(|e| e.powi(4)).sum::<f64>() / all.len() as f64;
        let kurtosis = fourth / variance(&all).powi(2);
        assert!(
            (kurtosis - 3.0).abs() < 5.0 * (24.0 / all.len() as f64).sqrt(),
            "{kurtosis:.2}"
        );
    }
}

/// Failures of a set whose tables are too narrow, against what is expected.
#[test]
fn failures_are_as_many_as_expected() {
    let parameters = set(2048, 2048, 3, (23, 1));
    let kit = Kit::new(&parameters);
    let values = 256;
    let errors = look_up(&kit, values, 1, 3).concat();
    let half_step = 0.25 / values as f64;
    let wrong = errors.iter().filter(|e| e.abs() > half_step).count() as f64;
    let requirement = Requirement {
        half_period: values,
        scale: 1,
        nu2: 0,
        alike: 0,
        pairs: 0,
        source: Source::Lookup,
        reader: Reader::Lookup,
        slack: 0,
    };
    let expected = Variances::expected(&parameters);
    let expected = errors.len() as f64 * expected.log2_p_fail(&expected, 1, &requirement).exp2();
    println!("{wrong} wrong, {expected:.0} expected");
    assert!(expected > 100.0, "{expected}");
    assert!(
        (wrong - expected).abs() < 5.0 * expected.sqrt(),
        "{wrong} wrong, {expected:.0} expected"
    );
}

/// Tables of several polynomials, rings of two sizes, and packs that are not full.
#[test]
fn packs_need_not_be_full() {
    let parameters = set(4096, 2048, 3, (23, 1));
    let kit = Kit::new(&parameters);
    let (values, half_step) = (64_u64, (1_u64 << 62) / 64);
    let table: Vec<i64> = (0..64).map(|v| (v * 29 + 3) % 64).collect();
    let mut state = 9;
    let mut inputs = Vec::new();
    let wanted: Vec<u64> = (0..70).map(|_| next(&mut state) % values).collect();
    inputs.extend(wanted.iter().map(|w| kit.exact(w * 2 * half_step, &mut state)));
    // Of two sizes: they go to packs of their own.
    let prepared = [1, 2].map(|extension| {
        let (polynomial, reading) = table_polynomial(&table, values, 2048 * extension, half_step);
        (polynomial, [reading], extension as usize)
    });
    let of = |place: usize| &prepared[usize::from(place % 7 == 3)];
    let jobs: Vec<Job<'_>> = inputs
        .iter()
        .enumerate()
        .map(|(place, input)| Job {
            input,
            polynomial: &of(place).0,
            extension: of(place).2,
            readings: &of(place).1,
        })
        .collect();
    let results = kit
        .evaluator
        .rotate_many(&jobs, &mut |_| {})
        .expect("operands fit");
    for (result, value) in results.iter().zip(&wanted) {
        let read = kit.client.decrypt(&result[0], 2 * half_step).expect("own key");
        assert_eq!(read, table[*value as usize]);
    }
    // Operands of other parameters are refused.
    let short = Ciphertext::from_words(LweKey::Big, vec![0; 100]);
    let bad = [Job {
        input: &short,
        ..jobs[0]
    }];
    assert!(kit.evaluator.rotate_many(&bad, &mut |_| {}).is_err());
    let bad = [Job {
        extension: 2,
        ..jobs[0]
    }];
    assert!(kit.evaluator.rotate_many(&bad, &mut |_| {}).is_err());
}
