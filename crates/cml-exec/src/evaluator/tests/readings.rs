//! Noise of what is read off one rotation.

use super::*;

/// Reads coefficients of one rotation with these weights, and compares the variance with that of one
/// coefficient, by the model.
fn check_reading(terms: &[(usize, i64)]) {
    let parameters = Parameters::new(600, (4, 512), (23, 1), (5, 3)).expect("valid set");
    let client = balanced_client(&parameters);
    let evaluator = evaluator(&client);
    // The same distances elsewhere, without a wrap: that would change signs.
    let shifted = |terms: &[(usize, i64)], shift: usize| Reading {
        terms: terms.iter().map(|&(d, w)| (d + 9 * shift, w)).collect(),
        constant: 0,
    };
    let several = (0..12).map(|shift| shifted(terms, shift));
    let readings: Vec<Reading> = several
        .chain((0..12).map(|shift| shifted(&[(10, 1)], shift)))
        .collect();
    // Coefficients are this or its negative, so what is read is a multiple of it, and noise.
    let constant = 1_u64 << 59;
    let polynomial = vec![constant; 512];
    let inputs = client.insecure_encrypt(&vec![(1, 1 << 60); 4000], 3);
    let jobs: Vec<Job<'_>> = inputs
        .iter()
        .map(|input| Job {
            input,
            polynomial: &polynomial,
            extension: 1,
            readings: &readings,
        })
        .collect();
    let error = |c: &Ciphertext| {
        let phase = client.insecure_phase(c).expect("own ciphertext");
        let nearest = cml_scheme::nearest_value(phase, constant) as u64;
        phase.wrapping_sub(nearest.wrapping_mul(constant))
    };
    let errors: Vec<Vec<u64>> = evaluator
        .rotate_many(&jobs)
        .expect("own ciphertexts")
        .iter()
        .map(|results| results.iter().map(error).collect())
        .collect();
    let squares: i64 = terms.iter().map(|&(_, w)| w * w).sum();
    let square = |&error: &u64| (error as i64 as f64 / 64.0_f64.exp2()).powi(2);
    let mean = |first: usize| {
        let part = errors.iter().flat_map(|e| &e[first..first + 12]);
        part.map(square).sum::<f64>() / (12 * errors.len()) as f64
    };
    let growth = mean(0) / mean(12);
    let mut alike = 0.0;
    for &(d, v) in terms {
        for &(e, w) in terms.iter().filter(|t| t.0 > d) {
            alike += 2.0 * (v * w) as f64 * (1.0 - 2.0 * (e - d) as f64 / 512.0);
        }
    }
    // Without centring the first growth would be 7. Four deviations of the estimate are 6%.
    let model = squares as f64 + noise::alike_share(&parameters) * alike;
    assert!(
        (0.94..1.06).contains(&(growth / model)),
        "reading of {terms:?}: noise grows by {growth}, {model} expected"
    );
}

#[test]
fn noise_of_a_reading_is_as_modelled() {
    // Neighbours, and coefficients far apart.
    check_reading(&[(10, 1), (18, 1), (26, 1), (34, 1)]);
    check_reading(&[(10, 1), (137, -2), (263, 3), (401, 1)]);
}

/// Errors of all coefficients of rotations of a constant polynomial, relative to 1: rotation by rotation, polynomial by
/// polynomial of its table.
fn all_errors(client: &ClientKey, extension: usize, rotations: usize) -> Vec<Vec<Vec<f64>>> {
    let n = client.ring().polynomial_size as usize;
    let evaluator = evaluator(client);
    let constant = 0x1234_5678_9abc_def0_u64;
    let table = vec![constant; extension * n];
    let error = |phase: &u64| {
        let both = [phase.wrapping_sub(constant), phase.wrapping_add(constant)];
        let least = both
            .into_iter()
            .min_by_key(|&error| (error as i64).unsigned_abs());
        least.unwrap_or(0) as i64 as f64 / 64.0_f64.exp2()
    };
    let inputs = client.insecure_encrypt(&vec![(1, 1 << 60); rotations], 3);
    let turned = inputs.par_iter().map_init(
        || evaluator.scratch(),
        |scratch, input| {
            evaluator.keyswitch(input, scratch);
            evaluator.blind_rotate(&table, extension, scratch);
            let lane = |lane| {
                let mut phases = PlaintextListOwned::new(0, PlaintextCount(n));
                decrypt_glwe_ciphertext(&client.insecure_glwe(), lane, &mut phases);
                phases.as_ref().iter().map(error).collect()
            };
            scratch.lanes.iter().map(lane).collect()
        },
    );
    turned.collect()
}

/// Checks a mean over independent rotations: within four of its own deviations of the range.
fn check_mean(what: &str, each: &[f64], (low, high): (f64, f64)) {
    let count = each.len() as f64;
    let mean = each.iter().sum::<f64>() / count;
    let spread = each.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let slack = 4.0 * (spread / count).sqrt();
    assert!(
        (low - slack..=high + slack).contains(&mean),
        "{what} is {mean}, {low} to {high} +- {slack} expected"
    );
}

/// Two polynomials, so that coefficients of one and of different ones are there; about a fifth of the variance is alike.
#[test]
fn coefficients_are_alike_as_modelled() {
    let parameters = Parameters::new(512, (1, 2048), (24, 1), (5, 3)).expect("valid set");
    let client = balanced_client(&parameters);
    let rotations = all_errors(&client, 2, 200);
    let n = parameters.polynomial_size as usize;
    let (variance, share) = (
        noise::lookup_variance(&parameters),
        noise::alike_share(&parameters),
    );
    let covariance = |a: &[f64], b: &[f64], distance: usize| {
        let products = a.iter().zip(&b[distance..]).map(|(a, b)| a * b);
        products.sum::<f64>() / (n - distance) as f64 / variance
    };
    for distance in [1, n / 4, n / 4 + 37, 3 * n / 4, 3 * n / 4 + 37, 15 * n / 16 + 5] {
        let own = |lanes: &Vec<Vec<f64>>| lanes.iter().map(|l| covariance(l, l, distance)).sum::<f64>() / 2.0;
        let each: Vec<f64> = rotations.iter().map(own).collect();
        let correlation = share * (1.0 - 2.0 * distance as f64 / n as f64);
        check_mean(
            &format!("correlation at {distance}"),
            &each,
            (correlation, correlation),
        );
    }
    for distance in [0, 1, n / 4, 3 * n / 4] {
        let other = |lanes: &Vec<Vec<f64>>| covariance(&lanes[0], &lanes[1], distance);
        let each: Vec<f64> = rotations.iter().map(other).collect();
        check_mean(&format!("between polynomials at {distance}"), &each, (0.0, 0.0));
    }
}

/// The difference of two tables of 15 levels, one rising from 2 and one from 112 of a half period of 128, is read off one
/// rotation: their changes are farther apart than half of it, and of opposite sign, so what is alike in them adds up.
#[test]
fn failures_of_changes_far_apart_are_no_more_than_promised() {
    const ROTATIONS: usize = 2500;
    let parameters = Parameters::new(512, (2, 1024), (24, 1), (5, 3)).expect("valid set");
    let n = parameters.polynomial_size as usize;
    let first = (0..14).map(|i| (2 + i, 1_i64));
    let changes: Vec<(u64, i64)> = first.chain((0..14).map(|i| (112 + i, -1))).collect();
    let near = |&(t, _): &(u64, i64), &(u, _): &(u64, i64)| 1.0 - 2.0 * t.abs_diff(u) as f64 / 128.0;
    let sum = |of: &dyn Fn(f64, i64) -> f64| {
        let pairs = changes.iter().flat_map(|a| changes.iter().map(move |b| (a, b)));
        pairs
            .filter(|(a, b)| a.0 != b.0)
            .map(|(a, b)| of(near(a, b), a.1 * b.1))
            .sum::<f64>()
    };
    // Were only pairs counted whose correlation is positive, 2.8% would be promised of this margin.
    let counted = 28.0 + noise::alike_share(&parameters) * sum(&|near, _| near.max(0.0));
    let deviation = (1.1 * noise::lookup_variance(&parameters) * counted).sqrt();
    let requirement = Requirement {
        half_period: (1.0 / (4.0 * 2.197 * deviation)).round() as u64,
        scale: 1,
        nu2: 28,
        alike: sum(&|near, product| near * product as f64).ceil() as i64,
        pairs: 28 * 27,
        source: Source::Lookup,
        reader: Reader::Client { word_bytes: 8 },
        slack: 0,
    };
    let promised = noise::log2_p_fail(&parameters, 1, &requirement).exp2();
    let expected = noise::expected_log2_p_fail(&parameters, 1, &requirement).exp2();
    let margin = 0.25 / requirement.half_period as f64;
    let client = balanced_client(&parameters);
    let rotations = all_errors(&client, 1, ROTATIONS);
    // Half a polynomial further what is alike is independent.
    let read = |errors: &[f64], shift: usize| -> f64 {
        let term = |&(t, weight): &(u64, i64)| {
            let place = t as usize * n / 128 + shift;
            let sign = if place < n { 1.0 } else { -1.0 };
            sign * weight as f64 * errors[place % n]
        };
        changes.iter().map(term).sum()
    };
    let readings = rotations
        .iter()
        .flat_map(|lanes| [0, n / 2].map(|shift| read(&lanes[0], shift)));
    let wrong = readings.filter(|error| error.abs() > margin).count() as f64;
    let count = 2.0 * ROTATIONS as f64;
    let most = |p: f64| count * p + 5.0 * (count * p).sqrt();
    assert!(wrong > most(0.028), "{wrong} wrong: not the case that was missed");
    assert!(
        wrong <= most(promised),
        "{wrong} of {count} wrong, promised {promised}"
    );
    assert!(
        wrong >= 0.9 * count * expected - 5.0 * (count * expected).sqrt(),
        "{wrong} of {count}, {expected} expected"
    );
}
