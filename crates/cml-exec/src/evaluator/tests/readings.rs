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
        let phase = client.phase(c).expect("own ciphertext");
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
    // Without centring the first growth would be 7. Four deviations of the estimate are 6%; the published fit of the
    // Fourier noise is an upper one, by a sixth.
    let model = squares as f64 + noise::alike_share(&parameters) * alike;
    assert!(
        (0.9..1.06).contains(&(growth / model)),
        "reading of {terms:?}: noise grows by {growth}, {model} expected"
    );
}

#[test]
fn noise_of_a_reading_is_as_modelled() {
    // Neighbours, and coefficients far apart.
    check_reading(&[(10, 1), (18, 1), (26, 1), (34, 1)]);
    check_reading(&[(10, 1), (137, -2), (263, 3), (401, 1)]);
}
