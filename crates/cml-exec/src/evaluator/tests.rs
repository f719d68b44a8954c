mod product;
mod readings;
mod unlucky;

use tfhe::core_crypto::prelude::{
    PlaintextCount, PlaintextListOwned, decrypt_glwe_ciphertext, decrypt_lwe_ciphertext,
};

use super::*;
use cml_keys::ClientKey;
use cml_tfhe::noise::{self, Reader, Requirement, Source};
use cml_tfhe::optimizer;
use cml_tfhe::table::{half_period, table_changes, table_polynomial};

/// The model averages over keys: a key with close to half its bits set represents them.
fn balanced_client(parameters: &Parameters) -> ClientKey {
    (1..10_000)
        .map(|seed| ClientKey::insecure_from_seed(parameters, seed))
        .find(|client| {
            let balanced =
                |ones: u64, bits: u32| ones.abs_diff(u64::from(bits / 2)) <= u64::from(bits / 1000);
            balanced(
                client.insecure_big().as_ref().iter().sum(),
                parameters.big_dimension(),
            ) && balanced(
                client
                    .insecure_small()
                    .as_ref()
                    .iter()
                    .map(|&bit| u64::from(bit))
                    .sum(),
                parameters.lwe_dimension,
            )
        })
        .expect("a balanced key among ten thousand")
}

fn evaluator(client: &ClientKey) -> Evaluator {
    let server = client.insecure_server_key(1);
    Evaluator::new(EvaluationKey::expand(&server, &mut |_| {}))
}

/// The next word of a fixed stream.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Checks the mean square of torus errors, signed 64-bit fractions, against a modelled variance.
///
/// The errors come in groups, independent of each other but not within. The
/// standard deviation of the estimate is taken from the spread over the groups;
/// there must be enough of them that the tolerance of 5% is three of it.
fn check(what: &str, groups: &[Vec<u64>], subtract: f64, model: f64) {
    let square = |&error: &u64| (error as i64 as f64 / 64.0_f64.exp2()).powi(2);
    let means: Vec<f64> = groups
        .iter()
        .map(|group| group.iter().map(square).sum::<f64>() / group.len() as f64)
        .collect();
    let count = means.len() as f64;
    let mean = means.iter().sum::<f64>() / count;
    let spread = means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let (ratio, deviation) = ((mean - subtract) / model, (spread / count).sqrt() / model);
    assert!(
        3.0 * deviation <= 0.05,
        "too few samples to tell 5%: {what}, {deviation}"
    );
    assert!(
        (ratio - 1.0).abs() < 0.05,
        "{what}: measured / model = {ratio} +- {deviation}"
    );
}

/// The smallest set that still does something: a key of 1536 bits, two or three bits of message.
fn small_parameters() -> Parameters {
    Parameters::new(879, (3, 512), (17, 1), (5, 3)).expect("valid set")
}

#[test]
fn keyswitch_variance_is_as_modelled() {
    let parameters = small_parameters();
    let errors = keyswitch_errors(&balanced_client(&parameters), 8000);
    check("keyswitch", &errors, 0.0, noise::keyswitch_variance(&parameters));
}

/// Errors of so many keyswitches, each a group.
fn keyswitch_errors(client: &ClientKey, count: usize) -> Vec<Vec<u64>> {
    let evaluator = evaluator(client);
    let inputs = client.insecure_encrypt(&vec![(1, 1 << 60); count], 2);
    inputs
        .par_iter()
        .map_init(
            || evaluator.scratch(),
            |scratch, input| {
                evaluator.keyswitch(input, scratch);
                let after = decrypt_lwe_ciphertext(&client.insecure_small(), &scratch.small).0;
                let before = client.insecure_phase(input).expect("own ciphertext");
                vec![(u64::from(after) << 32).wrapping_sub(before)]
            },
        )
        .collect()
}

#[test]
fn modulus_switch_variance_is_as_modelled() {
    let parameters = small_parameters();
    // Powers of two, and others.
    for extension in [1, 3, 8] {
        check_modulus_switch(&balanced_client(&parameters), extension);
    }
}

fn check_modulus_switch(client: &ClientKey, extension: u32) {
    let parameters = client.parameters().expect("a small key");
    {
        let size = parameters.table_size(extension);
        let mut state = 0;
        let mut rotations = Rotations::default();
        let errors: Vec<Vec<u64>> = (0..20_000)
            .map(|_| {
                let words: Vec<u32> = (0..=parameters.lwe_dimension)
                    .map(|_| next(&mut state) as u32)
                    .collect();
                rotations.switch(&words, size as usize);
                let input = LweCiphertextOwned::from_container(words, modulus32());
                let phase = decrypt_lwe_ciphertext(&client.insecure_small(), &input).0;
                let key = client.insecure_small();
                let mask = rotations.mask.iter().zip(key.as_ref());
                let sum: u64 = mask.map(|(&word, &bit)| word as u64 * u64::from(bit)).sum();
                // Coefficient j stands for the phases in [j, j + 1): its middle is half a coefficient up.
                let index = (rotations.body as i64 - sum as i64).rem_euclid(2 * size as i64) as u128;
                let middle = (((2 * index + 1) << 64) / (4 * u128::from(size))) as u64;
                vec![middle.wrapping_sub(u64::from(phase) << 32)]
            })
            .collect();
        // Rounding to a coefficient is what the boxes of a table are for; it is no part of the model.
        let rounding = (2.0 * size as f64).powi(-2) / 12.0;
        check(
            &format!("modulus switch to {size}"),
            &errors,
            rounding,
            noise::modulus_switch_variance(parameters, extension),
        );
    }
}

/// Errors at every eighth coefficient of rotations of a constant polynomial.
fn check_blind_rotation(parameters: &Parameters, extension: usize, rotations: usize) {
    let errors = blind_rotation_errors(&balanced_client(parameters), extension, rotations);
    let model = noise::lookup_variance(parameters);
    let what = format!("blind rotation {parameters}, {extension} polynomials");
    check(&what, &errors, 0.0, model);
}

fn blind_rotation_errors(client: &ClientKey, extension: usize, rotations: usize) -> Vec<Vec<u64>> {
    let parameters = client.parameters().expect("a small key");
    let evaluator = evaluator(client);
    let constant = 0x1234_5678_9abc_def0;
    let table = vec![constant; extension * parameters.polynomial_size as usize];
    let inputs = client.insecure_encrypt(&vec![(1, 1 << 60); rotations], 3);
    inputs
        .par_iter()
        .map_init(
            || evaluator.scratch(),
            |scratch, input| {
                evaluator.keyswitch(input, scratch);
                evaluator.blind_rotate(&table, extension, scratch);
                let error = |phase: &u64| {
                    let both = [phase.wrapping_sub(constant), phase.wrapping_add(constant)];
                    both.into_iter()
                        .min_by_key(|&error| (error as i64).unsigned_abs())
                };
                let mut found = Vec::new();
                for lane in &scratch.lanes {
                    let mut phases =
                        PlaintextListOwned::new(0, PlaintextCount(parameters.polynomial_size as usize));
                    decrypt_glwe_ciphertext(&client.insecure_glwe(), lane, &mut phases);
                    found.extend(phases.as_ref().iter().step_by(8).filter_map(error));
                }
                found
            },
        )
        .collect()
}

#[test]
fn blind_rotation_variance_is_as_modelled() {
    // Rounding, key noise and Fourier noise in about equal parts.
    let set = |ring, pbs| Parameters::new(600, ring, pbs, (5, 3)).expect("valid set");
    check_blind_rotation(&set((4, 512), (23, 1)), 1, 420);
    // Key noise and Fourier noise at two levels.
    check_blind_rotation(&set((1, 2048), (18, 2)), 1, 240);
    // The body decomposed less finely than the mask, so that about half of the noise is its digits'; and with fewer levels.
    let two = |body| set((1, 2048), (18, 2)).with_body(body).expect("valid set");
    check_blind_rotation(&two((19, 2)), 1, 240);
    check_blind_rotation(&two((23, 1)), 1, 240);
    // Of several polynomials each has the noise of one.
    check_blind_rotation(&set((4, 512), (23, 1)), 3, 150);
}

fn job<'a>(input: &'a Ciphertext, table: &'a (Vec<u64>, Reading), extension: usize) -> Job<'a> {
    Job {
        input,
        polynomial: &table.0,
        extension,
        readings: std::slice::from_ref(&table.1),
    }
}

/// The one result of each rotation.
fn flat(results: Result<Vec<Vec<Ciphertext>>, ExecError>) -> Vec<Ciphertext> {
    let results = results.expect("own ciphertexts");
    assert!(results.iter().all(|r| r.len() == 1));
    results.into_iter().flatten().collect()
}

/// Computes `f(g(x) - h(y) + offset)` with a layer of lookups, a dot product, another lookup.
fn check_end_to_end(values: u64) {
    let requirement = Requirement {
        half_period: values,
        scale: 1,
        nu2: 2,
        alike: 0,
        pairs: 0,
        source: Source::Lookup,
        reader: Reader::Lookup,
        slack: 0,
    };
    let choice = optimizer::search(&optimizer::Goal::default(), &[(requirement, 1)]).expect("servable");
    let (parameters, extension) = (choice.parameters, choice.extensions[0] as usize);
    let client = ClientKey::insecure_from_seed(&parameters, 4);
    let evaluator = evaluator(&client);
    let half_step = (1 << 62) / values;
    let (count, step) = (values as i64, 2 * half_step);
    let size = parameters.table_size(extension as u32);

    // All values of x, and a few of y.
    let inputs: Vec<i64> = (0..count).chain([0, count / 2, count - 1]).collect();
    let encoded: Vec<(i64, u64)> = inputs.iter().map(|&value| (value, step)).collect();
    let wires = client.insecure_encrypt(&encoded, 5);
    let g: Vec<i64> = (0..count).map(|x| (x * x + 1) % count / 2).collect();
    let h: Vec<i64> = (0..count).map(|y| y / 2 - 3).collect();
    let offset = count / 2 - 3;
    let f: Vec<i64> = (0..count).map(|a| (3 * a) % count - count / 2).collect();
    let [g_table, h_table, f_table] = [&g, &h, &f].map(|t| table_polynomial(t, values, size, half_step));

    let table = |index| if index < g.len() { &g_table } else { &h_table };
    let jobs: Vec<Job<'_>> = wires
        .iter()
        .enumerate()
        .map(|(i, wire)| job(wire, table(i), extension))
        .collect();
    let hidden = flat(evaluator.rotate_many(&jobs));

    let constant = (offset as u64).wrapping_mul(step);
    let y_wire = |x: usize| g.len() + x % 3;
    let sums: Vec<Ciphertext> = (0..g.len())
        .map(|x| evaluator.linear(&[(x, 1), (y_wire(x), -1)], constant, &hidden))
        .collect::<Result<_, _>>()
        .expect("own ciphertexts");
    let jobs: Vec<_> = sums.iter().map(|sum| job(sum, &f_table, extension)).collect();
    let outputs = flat(evaluator.rotate_many(&jobs));
    for (x, (sum, output)) in sums.iter().zip(&outputs).enumerate() {
        let expected = g[x] - h[inputs[y_wire(x)] as usize] + offset;
        assert_eq!(
            client.decrypt(sum, step),
            Ok(expected),
            "sum at x = {x} of {count}"
        );
        let expected = f[expected as usize];
        assert_eq!(
            client.decrypt(output, step),
            Ok(expected),
            "output at x = {x} of {count}"
        );
    }
}

#[test]
fn lookups_of_odd_domains_are_exact() {
    for values in [5, 37, 61] {
        check_end_to_end(values);
    }
}

#[test]
fn batches_give_the_bits_of_single_rotations() {
    for parameters in [
        small_parameters(),
        Parameters::new(900, (1, 2048), (15, 2), (3, 5)).expect("valid set"),
        Parameters::new(900, (2, 1024), (12, 3), (3, 5))
            .and_then(|set| set.with_body((22, 1)))
            .expect("valid set"),
    ] {
        let client = ClientKey::insecure_from_seed(&parameters, 3);
        let evaluator = evaluator(&client);
        let (values, half_step) = (5, (1 << 62) / 5);
        let pairs: Vec<(i64, u64)> = (0..37).map(|i| (i % values, 2 * half_step)).collect();
        // Under both keys, in one batch.
        let mut wires = client.insecure_encrypt(&pairs[..30], 6);
        wires.extend(client.insecure_encrypt_under(LweKey::Small, &pairs[30..], 7));
        wires.swap(1, 34);
        let table = |shift: i64, extension| {
            let values: Vec<i64> = (0..values).map(|v| (v + shift) % values).collect();
            let size = parameters.table_size(extension);
            let (polynomial, reading) = table_polynomial(&values, 5, size, half_step);
            let changes = table_changes(&values, 5, size, half_step);
            (polynomial, vec![reading, changes], extension as usize)
        };
        let tables = [table(0, 1), table(1, 1), table(2, 3), table(0, 2)];
        let jobs: Vec<Job<'_>> = wires
            .iter()
            .enumerate()
            .map(|(i, input)| {
                let (polynomial, readings, extension) = &tables[i % 4];
                Job {
                    input,
                    polynomial,
                    extension: *extension,
                    readings,
                }
            })
            .collect();
        for count in [1, 2, 3, 13] {
            let together = evaluator.rotate_many(&jobs[..count]).expect("own ciphertexts");
            for (i, (job, results)) in jobs.iter().zip(&together).enumerate() {
                let alone = evaluator.rotate(job).expect("own ciphertexts");
                assert!(&alone == results, "job {i} of {count}");
            }
        }
    }
}

#[test]
fn several_tables_are_read_off_one_rotation() {
    // A saturating staircase, its mirror, a comparison, and one that is constant.
    let parameters = Parameters::new(900, (1, 2048), (15, 2), (4, 4)).expect("valid set");
    let client = ClientKey::insecure_from_seed(&parameters, 8);
    let evaluator = evaluator(&client);
    let values = 30_i64;
    let stairs = |v: i64| ((v - 14) / 2).clamp(0, 7);
    let tables: [Vec<i64>; 4] = [
        (0..values).map(stairs).collect(),
        (0..values).map(|v| 7 - stairs(v)).collect(),
        (0..values).map(|v| i64::from(v >= 20)).collect(),
        vec![3; 30],
    ];
    let period = tables.iter().map(|t| half_period(t)).max().expect("tables");
    assert!(period < values as u64);
    let (half_step, extension) = ((1 << 62) / period, 2);
    let size = parameters.table_size(extension);
    let polynomial = vec![half_step; size as usize];
    let readings: Vec<Reading> = tables
        .iter()
        .map(|t| table_changes(t, period, size, half_step))
        .collect();
    let pairs: Vec<(i64, u64)> = (0..values).map(|v| (v, 2 * half_step)).collect();
    let wires = client.insecure_encrypt(&pairs, 6);
    let job = |input| Job {
        input,
        polynomial: &polynomial,
        extension: extension as usize,
        readings: &readings,
    };
    let jobs: Vec<Job<'_>> = wires.iter().map(job).collect();
    for (v, results) in evaluator
        .rotate_many(&jobs)
        .expect("own ciphertexts")
        .iter()
        .enumerate()
    {
        for (table, result) in tables.iter().zip(results) {
            assert_eq!(client.decrypt(result, 2 * half_step), Ok(table[v]), "value {v}");
        }
    }
}

/// Counts wrong lookups on a set with far too little room.
fn check_failures(values: u64, extension: u32, lookups: usize, at_least: f64) {
    let parameters = small_parameters();
    let requirement = Requirement {
        half_period: values,
        scale: 1,
        nu2: 1,
        alike: 0,
        pairs: 0,
        source: Source::Fresh,
        reader: Reader::Lookup,
        slack: 0,
    };
    let p_fail = noise::expected_log2_p_fail(&parameters, extension, &requirement).exp2();
    let expected = lookups as f64 * p_fail;
    assert!(expected > 20.0, "too few failures to count: {expected}");
    let wrong = failures(&balanced_client(&parameters), values, extension, lookups);
    let slack = 4.0 * expected.sqrt();
    let range = at_least * expected - slack..=expected + slack;
    assert!(
        range.contains(&wrong),
        "{wrong} wrong, predicted {expected} +- {slack}"
    );
}

/// How many of so many lookups of fresh values go wrong, in a half period of `values`.
fn failures(client: &ClientKey, values: u64, extension: u32, lookups: usize) -> f64 {
    let evaluator = evaluator(client);
    let step = 2 * ((1 << 62) / values);
    let inputs: Vec<i64> = (0..lookups).map(|i| (i as u64 % values) as i64).collect();
    let pairs: Vec<(i64, u64)> = inputs.iter().map(|&value| (value, step)).collect();
    let wires = client.insecure_encrypt(&pairs, 6);
    // The outputs must be told apart reliably: neighbours differ by an eighth of the torus.
    let mark = |value: i64| value % 2;
    let marks: Vec<i64> = (0..values as i64).map(mark).collect();
    let table = table_polynomial(&marks, values, client.ring().table_size(extension), 1 << 60);
    let jobs: Vec<_> = wires
        .iter()
        .map(|wire| job(wire, &table, extension as usize))
        .collect();
    let outputs = flat(evaluator.rotate_many(&jobs));
    outputs
        .iter()
        .zip(&inputs)
        .filter(|(output, input)| client.decrypt(output, 1 << 61) != Ok(mark(**input)))
        .count() as f64
}

#[test]
fn failures_are_as_frequent_as_predicted() {
    // Powers of two lose no margin, so the prediction is exact; for the others
    // it takes the worst value on both sides.
    check_failures(32, 1, 1200, 1.0);
    check_failures(27, 1, 600, 0.5);
    check_failures(64, 2, 600, 1.0);
}

#[test]
fn operands_of_other_parameters_are_refused() {
    let parameters = Parameters::new(639, (1, 1024), (23, 1), (4, 3)).expect("valid set");
    let client = ClientKey::insecure_from_seed(&parameters, 7);
    let evaluator = evaluator(&client);
    let (small, own) = (
        Ciphertext::trivial(LweKey::Big, 1023, 0),
        Ciphertext::trivial(LweKey::Big, 1024, 0),
    );
    let at = |degree| Reading {
        terms: vec![(degree, 1)],
        constant: 0,
    };
    let table = |size, degree| (vec![0; size], at(degree));
    let dimension = ExecError::Dimension {
        has: 1023,
        needs: 1024,
    };
    let refused = |wire, size, degree, extension| {
        let table = table(size, degree);
        let error = evaluator
            .rotate(&job(wire, &table, extension))
            .expect_err("refused");
        assert_eq!(
            evaluator.rotate_many(&[job(wire, &table, extension)]),
            Err(error.clone())
        );
        error
    };
    assert_eq!(refused(&small, 1024, 0, 1), dimension);
    let size = |has, needs| ExecError::TableSize { has, needs };
    assert_eq!(refused(&own, 1023, 0, 1), size(1023, 1024));
    assert_eq!(refused(&own, 1024, 0, 2), size(1024, 2048));
    assert_eq!(refused(&own, 0, 0, 0), size(0, 0));
    assert_eq!(
        refused(&own, 2048, 2048, 2),
        ExecError::Coefficient {
            degree: 2048,
            size: 2048
        }
    );
    let wires = [own, small];
    assert_eq!(evaluator.linear(&[(1, 1)], 0, &wires), Err(dimension));
    assert_eq!(
        evaluator.linear(&[(2, 1)], 0, &wires),
        Err(ExecError::NoSuchWire { wire: 2, wires: 2 })
    );
    assert_eq!(
        evaluator.linear(&[], 9, &wires),
        Ok(Ciphertext::trivial(LweKey::Big, 1024, 9))
    );
}
