//! Keys of all parameter sets, and their expansion.

use crate::evaluator::{Evaluator, Job};
use crate::key::EvaluationKey;
use crate::products::arrange;
use crate::transform::Transform;
use cml_keys::ClientKeys;
use cml_keys::random::System;
use cml_scheme::raw::{Dimensions, compression_seed, modulus64};
use cml_scheme::{LweKey, ParameterSets, Parameters, ServerKey, ServerKeys};
use pulp::Arch;

#[test]
fn keys_of_all_sets_work_on_each_others_results() {
    let set = |n, pbs| Parameters::new(n, (1, 2048), pbs, (4, 4)).expect("valid set");
    let sets = ParameterSets::new(vec![set(879, (22, 1)), set(800, (15, 2))], None);
    let client = ClientKeys::generate(&sets, &mut System::new()).expect("valid sets");
    let server = client
        .server_keys(&mut System::new(), &mut |_| {})
        .expect("randomness");
    let bytes = server.to_bytes();
    assert_eq!(bytes.len() as u64, sets.server_key_bytes());
    let server = ServerKeys::from_bytes(&bytes, &sets).expect("own bytes");
    assert_eq!(server.to_bytes(), bytes);
    let error = ServerKeys::from_bytes(&bytes, &sets.single()[0].into());
    let error = error.expect_err("refused").to_string();
    assert!(error.starts_with("server key has "), "{error}");

    let table: Vec<i64> = (0..5).map(|v| (3 * v + 1) % 5).collect();
    let half_step = (1 << 62) / 5;
    let (polynomial, reading) = cml_tfhe::table::table_polynomial(&table, 5, 2048, half_step);
    let values: Vec<(i64, u64)> = (0..5).map(|v| (v, 2 * half_step)).collect();
    let mut wires = client
        .first()
        .encrypt(LweKey::Big, &values, &mut System::new())
        .expect("randomness")
        .expand(sets.dimension(LweKey::Big));
    for key in server.single() {
        let evaluator = Evaluator::new(EvaluationKey::expand(key, &mut |_| {}));
        let look_up = |input| Job {
            input,
            polynomial: &polynomial,
            extension: 1,
            readings: std::slice::from_ref(&reading),
        };
        let jobs: Vec<_> = wires.iter().map(look_up).collect();
        let read = evaluator.rotate_many(&jobs).expect("own ciphertexts");
        wires = read.into_iter().flatten().collect();
    }
    for (v, wire) in wires.iter().enumerate() {
        let expected = table[table[v] as usize];
        assert_eq!(client.first().decrypt(wire, 2 * half_step), Ok(expected));
    }
}

#[test]
fn expansion_is_that_of_the_library() {
    use tfhe::core_crypto::prelude::SeededLweBootstrapKey;
    // With one level the rows of an element have the same order there.
    let parameters = Parameters::new(639, (2, 4096), (15, 1), (4, 3)).expect("valid set");
    let bodies: Vec<u64> = (0..parameters.bootstrap_key_bodies()).collect();
    let keyswitch = vec![3; parameters.keyswitch_key_bodies() as usize];
    let server = ServerKey::from_parts(&parameters, (1, bodies), (2, keyswitch)).expect("right lengths");
    let dimensions = Dimensions::of(&parameters);
    let (glwe_size, size) = (dimensions.glwe_size(), dimensions.polynomial);
    let (base_log, level) = dimensions.pbs;
    let whole = SeededLweBootstrapKey::from_container(
        server.bootstrap().1.to_vec(),
        glwe_size,
        size,
        base_log,
        level,
        compression_seed(1),
        modulus64(),
    )
    .par_decompress_into_lwe_bootstrap_key();
    let n = size.0;
    let transform = Transform::new(n);
    let expanded = EvaluationKey::expand(&server, &mut |_| {});
    let element = dimensions.rows() * glwe_size.0 * n;
    let elements = whole.as_ref().chunks_exact(element);
    assert_eq!(elements.len(), expanded.bootstrap().elements().count());
    for (words, expanded) in elements.zip(expanded.bootstrap().elements()) {
        let mut transformed = vec![0.0; element];
        for (to, words) in transformed.chunks_exact_mut(n).zip(words.chunks_exact(n)) {
            transform.forward_words(Arch::new(), to, words, 1.0);
        }
        arrange(&mut transformed, n);
        assert_eq!(transformed, expanded);
    }
}
