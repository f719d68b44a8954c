//! Keys of amortized rotations.

use super::message;
use crate::random::System;
use crate::{ClientKeys, SparseKey};
use cml_scheme::{Amortized, ParameterSets, Ring, ServerKeys, security};

/// Amortized rotations of one of the known sets, in the smallest ring.
fn amortized() -> Amortized {
    let known = security::SPARSE_SETS[0];
    Amortized {
        ring: Ring::new(1, 2048).expect("a valid ring"),
        slots: known.slots,
        weight: known.weight,
        gap_bits: known.gap_bits,
        sparse_noise_bound: known.noise_bound(),
        gap_digits: 8,
        pbs_base_log: 23,
        pbs_level: 1,
        pbs_body_base_log: 20,
        pbs_body_level: 1,
        automorphism_base_log: 11,
        automorphism_level: 3,
        sparse_base_log: 1,
        sparse_level: 15,
    }
}

#[test]
fn sparse_keys_have_small_gaps_and_any_exponents() {
    let parameters = amortized();
    let keys = 300;
    let mut seen = vec![0_u32; parameters.slots as usize];
    for _ in 0..keys {
        let key = SparseKey::generate(&parameters, &mut System::new()).expect("randomness");
        let gaps = key.gaps();
        assert_eq!(gaps.len(), parameters.weight as usize + 1);
        assert_eq!(gaps.iter().sum::<u32>(), parameters.slots);
        assert!(gaps.iter().all(|&gap| gap < 1 << parameters.gap_bits));
        let selectors = key.selectors();
        assert_eq!(selectors.len(), parameters.selectors() as usize);
        assert_eq!(selectors.iter().sum::<u64>(), u64::from(parameters.steps()));
        key.coefficients()
            .iter()
            .zip(&mut seen)
            .for_each(|(&bit, seen)| *seen += bit);
    }
    // Each sixteenth of the ring has its share: 6 deviations, of exponents that are as good as independent.
    let all = f64::from(keys * parameters.weight);
    for part in seen.chunks(seen.len() / 16) {
        let share = f64::from(part.iter().sum::<u32>());
        assert!(
            (share - all / 16.0).abs() < 6.0 * (all / 16.0).sqrt(),
            "{share} of {all}"
        );
    }
}

#[test]
fn amortized_keys_round_trip_and_bad_ones_are_refused() {
    let sets = ParameterSets::new(Vec::new(), Some(amortized()));
    let client = ClientKeys::generate(&sets, &mut System::new()).expect("valid sets");
    let bytes = client.to_bytes();
    assert_eq!(bytes.len() as u64, sets.client_key_bytes());
    let again = ClientKeys::from_bytes(&bytes, &sets).expect("own bytes");
    assert_eq!(*again.to_bytes(), *bytes);
    let big = sets.ring().big_key_bytes() as usize;
    let changed = |change: &dyn Fn(&mut [u8])| {
        let mut bytes = bytes.to_vec();
        change(&mut bytes[big..]);
        message(ClientKeys::from_bytes(&bytes, &sets))
    };
    let why =
        "the sparse key is none of the parameters: exponents must descend, with gaps as small as they say";
    // Beyond the ring, not descending, a gap too large.
    assert_eq!(changed(&|sparse| sparse[..2].fill(0xff)), why);
    assert_eq!(changed(&|sparse| sparse.swap(0, 2)), why);
    assert_eq!(changed(&|sparse| sparse.fill(0)), why);
    assert!(message(ClientKeys::from_bytes(&bytes[1..], &sets)).starts_with("client key has "));

    let server = client
        .server_keys(&mut System::new(), &mut |_| {})
        .expect("randomness");
    let bytes = server.to_bytes();
    assert_eq!(bytes.len() as u64, sets.server_key_bytes());
    assert_eq!(server.parts().collect::<Vec<_>>().concat(), bytes);
    let again = ServerKeys::from_bytes(&bytes, &sets).expect("own bytes");
    assert_eq!(again, server);
    assert!(message(ServerKeys::from_bytes(&bytes[1..], &sets)).starts_with("server key has "));
    // Keys of other sets are no keys of these.
    let without = ServerKeys::from_sets(&sets, Vec::new(), None);
    assert_eq!(
        message(without),
        "the keys are not of the circuit's parameter sets"
    );
}

/// Every bit of a body is as good as random: nothing is sent in clear.
#[test]
fn every_bit_of_an_amortized_key_is_masked() {
    let sets = ParameterSets::new(Vec::new(), Some(amortized()));
    let client = ClientKeys::generate(&sets, &mut System::new()).expect("valid sets");
    let server = client
        .server_keys(&mut System::new(), &mut |_| {})
        .expect("randomness");
    let key = server.amortized().expect("amortized keys");
    let dropped = sets.ring().dropped_bits();
    let sparse: Vec<u64> = key.sparse().1.iter().map(|&body| u64::from(body) << 32).collect();
    let parts = [
        (key.selectors().1, dropped),
        (key.automorphisms().1, dropped),
        (&sparse, 32),
    ];
    for (bodies, least) in parts {
        let count = bodies.len() as f64;
        for bit in least..64 {
            let set = bodies.iter().filter(|&&body| body >> bit & 1 == 1).count() as f64;
            assert!(
                (set - count / 2.0).abs() < 3.0 * count.sqrt(),
                "bit {bit}: {set} of {count}"
            );
        }
        assert!(bodies.iter().all(|&body| body << (64 - least) == 0));
    }
    // Masks of the three parts, and of the selectors, are of seeds of their own.
    let seeds = [key.selectors().0, key.automorphisms().0, key.sparse().0];
    assert!(seeds[0] != seeds[1] && seeds[1] != seeds[2] && seeds[0] != seeds[2]);
}

#[test]
fn sets_that_nobody_estimated_are_refused() {
    let refused = |change: fn(&mut Amortized)| {
        let mut parameters = amortized();
        change(&mut parameters);
        message(SparseKey::generate(&parameters, &mut System::new()))
    };
    let unknown = [
        refused(|p| p.weight -= 1),
        refused(|p| p.sparse_noise_bound -= 1),
        refused(|p| p.gap_bits += 1),
    ];
    for why in unknown {
        assert!(
            why.ends_with("is none of those known to have 132-bit security"),
            "{why}"
        );
    }
    assert_eq!(
        refused(|p| p.slots = 1024),
        "parameter slots is 1024, supported are 2048 to 8192"
    );
    assert!(refused(|p| p.ring.noise_bound -= 1).starts_with("glwe noise bound is 2^16"));
    assert!(refused(|p| p.sparse_level = 40).starts_with("parameter sparse_level is 40"));
}
