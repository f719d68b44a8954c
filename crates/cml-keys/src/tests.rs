//! Keys and ciphertexts, and their byte layouts.

use crate::insecure::Deterministic;
use crate::random::System;
use crate::{ClientKey, ClientKeys};
use cml_scheme::{
    Ciphertext, KeyError, LweKey, ParameterSets, Parameters, Progress, SeededCiphertexts, ServerKey, Stage,
    ciphertexts_from_bytes, ciphertexts_to_bytes,
};
use cml_tfhe::noise;

mod amortized;

fn parameters() -> Parameters {
    Parameters::new(639, (1, 1024), (23, 1), (4, 3)).expect("valid set")
}

fn message<T>(result: Result<T, KeyError>) -> String {
    result.err().expect("refused").to_string()
}

#[test]
fn values_come_back() {
    let client = ClientKey::insecure_from_seed(&parameters(), 1);
    let step = u64::MAX / 74;
    let values: Vec<i64> = (-36..37).collect();
    let pairs: Vec<(i64, u64)> = values.iter().map(|&value| (value, step)).collect();
    let sent = |key| {
        let sent = client
            .encrypt(key, &pairs, &mut System::new())
            .expect("randomness")
            .to_bytes();
        let sent = SeededCiphertexts::from_bytes(&sent, key, values.len()).expect("own bytes");
        sent.expand(ParameterSets::from(parameters()).dimension(key))
    };
    let read = |ciphertexts: &[Ciphertext]| -> Vec<i64> {
        let value = |c| client.decrypt(c, step).expect("own ciphertext");
        ciphertexts.iter().map(value).collect()
    };
    let bytes = ciphertexts_to_bytes(&sent(LweKey::Big));
    let received = ciphertexts_from_bytes(&bytes, &parameters().ring(), 8, values.len()).expect("own bytes");
    assert_eq!(read(&received), values);
    assert_eq!(read(&sent(LweKey::Small)), values);
    assert!(
        client
            .encrypt(LweKey::Big, &[], &mut System::new())
            .expect("randomness")
            .expand(parameters().big_dimension() as usize)
            .is_empty()
    );
}

/// What the mask and the noise do not reach would be the message itself, for everybody to read.
#[test]
fn every_bit_that_is_sent_is_masked() {
    let client = ClientKey::insecure_from_seed(&parameters(), 1);
    // Steps whose low halves are not zero, as of all half periods but powers of two.
    let pairs: Vec<(i64, u64)> = (1..64).map(|p| (p as i64, (1 << 63) / (2 * p + 1))).collect();
    assert!(
        pairs
            .iter()
            .all(|(value, step)| (*value as u64).wrapping_mul(*step) as u32 != 0)
    );
    for (key, mask_bits) in [(LweKey::Big, 64), (LweKey::Small, 32)] {
        let sent = client
            .encrypt(key, &pairs, &mut System::new())
            .expect("randomness");
        assert_eq!(8 * key.word_bytes(), mask_bits);
        assert_eq!(sent.to_bytes().len() as u64, key.seeded_bytes(pairs.len() as u64));
        for ciphertext in sent.expand(parameters().big_dimension() as usize) {
            let bits = ciphertext.words().iter().fold(0, |bits, word| bits | word);
            assert_eq!(
                bits.trailing_zeros(),
                64 - mask_bits,
                "{key} key: all words, the body too"
            );
        }
    }
}

/// Bodies of one value, and of another one, are spread alike: each bit of them is set half of the time.
#[test]
fn bodies_do_not_depend_on_the_value() {
    let client = ClientKey::insecure_from_seed(&parameters(), 1);
    let samples = 4096;
    for key in [LweKey::Big, LweKey::Small] {
        for value in [0, 3] {
            let sent = client.insecure_encrypt_under(key, &vec![(value, u64::MAX / 74); samples], 5);
            for bit in 64 - 8 * key.word_bytes()..64 {
                let body = |c: &Ciphertext| c.words()[c.dimension()] >> bit & 1;
                let set: u64 = sent.iter().map(body).sum();
                // Five standard deviations of 32.
                assert!(
                    (2048 - 160..=2048 + 160).contains(&set),
                    "{key} key, bit {bit}: {set} of 4096"
                );
            }
        }
    }
}

#[test]
fn fresh_noise_is_as_modelled() {
    let client = ClientKey::insecure_from_seed(&parameters(), 1);
    let samples = 20_000;
    let square =
        |c: &Ciphertext| (client.phase(c).expect("own ciphertext") as i64 as f64 / 64.0_f64.exp2()).powi(2);
    for (key, model) in [
        (LweKey::Big, noise::fresh_variance(&parameters())),
        (LweKey::Small, noise::fresh_small_variance(&parameters())),
    ] {
        let fresh = client.insecure_encrypt_under(key, &vec![(0, 0); samples], 2);
        let sum: f64 = fresh.iter().map(square).sum();
        let ratio = sum / samples as f64 / model;
        // TUniform has flat tails: the relative deviation of the estimate is sqrt(4/5 / samples) < 1%.
        assert!((ratio - 1.0).abs() < 0.03, "{key:?}: measured / model = {ratio}");
    }
}

#[test]
fn rounded_results_have_the_noise_of_the_model() {
    let client = ClientKey::insecure_from_seed(&parameters(), 1);
    let samples = 8000;
    let values = vec![(1, 1 << 60); samples];
    for word_bytes in [2, 3] {
        let rounded: Vec<Ciphertext> = client
            .insecure_encrypt(&values, 2)
            .into_iter()
            .map(|c| c.rounded(word_bytes))
            .collect();
        let bytes = ciphertexts_to_bytes(&rounded);
        let each = parameters().rounded_ciphertext_bytes(word_bytes);
        assert_eq!(bytes.len() as u64, samples as u64 * each);
        let read = ciphertexts_from_bytes(&bytes, &parameters().ring(), word_bytes, samples);
        assert_eq!(read.as_ref(), Ok(&rounded));
        let error = |c: &Ciphertext| {
            let phase = client.phase(c).expect("own ciphertext").wrapping_sub(1 << 60);
            (phase as i64 as f64 / 64.0_f64.exp2()).powi(2)
        };
        let sum: f64 = rounded.iter().map(error).sum();
        let model =
            noise::rounding_variance(&parameters(), word_bytes) + noise::fresh_variance(&parameters());
        let ratio = sum / samples as f64 / model;
        // The key of this seed has about half its bits set; the deviation of the estimate is 1.6%.
        assert!(
            (ratio - 1.0).abs() < 0.05,
            "{word_bytes} bytes: measured / model = {ratio}"
        );
    }
}

#[test]
fn every_encryption_has_its_own_masks() {
    let client = ClientKey::generate(&parameters(), &mut System::new()).expect("valid parameters");
    let [first, second] = [0, 1].map(|_| {
        let sent = client.encrypt(LweKey::Big, &[(0, 1)], &mut System::new());
        sent.expect("randomness")
    });
    assert_ne!(first.seed(), second.seed());
}

#[test]
fn client_keys_round_trip_and_bad_bytes_are_refused() {
    let second = Parameters::new(700, (1, 1024), (15, 2), (4, 4)).expect("valid set");
    let sets = ParameterSets::new(vec![parameters(), second], None);
    let client = ClientKeys::generate(&sets, &mut System::new()).expect("valid sets");
    let bytes = client.to_bytes();
    assert_eq!(bytes.len() as u64, sets.client_key_bytes());
    let again = ClientKeys::from_bytes(&bytes, &sets).expect("own bytes");
    assert_eq!(*again.to_bytes(), *bytes);
    assert_eq!(
        again.first().big_lwe().as_ref(),
        client.first().big_lwe().as_ref()
    );
    assert_eq!(
        again.first().small_lwe().as_ref(),
        client.first().small_lwe().as_ref()
    );

    let refused = |bytes: &[u8], sets: &ParameterSets| message(ClientKeys::from_bytes(bytes, sets));
    let short = refused(&bytes[1..], &sets);
    assert_eq!(short, "client key has 295 bytes, the parameters ask for 296");
    // Of the last byte, four bits are used.
    let mut padded = bytes.to_vec();
    *padded.last_mut().expect("not empty") |= 0x80;
    assert_eq!(refused(&padded, &sets), "small key has bits beyond its 700");
    let foreign = refused(&bytes, &parameters().into());
    assert_eq!(foreign, "client key has 296 bytes, the parameters ask for 208");
    let invalid = Parameters {
        lwe_dimension: 0,
        ..parameters()
    };
    let invalid = refused(&[], &invalid.into());
    assert_eq!(invalid, "parameter lwe_dimension is 0, supported are 512 to 2048");
    let shown = format!("{client:?}");
    assert!(
        !shown.contains("big") && !shown.contains("small"),
        "no key bits in the debug output"
    );
}

#[test]
fn server_key_round_trips_and_bad_bytes_are_refused() {
    let client = ClientKey::insecure_from_seed(&parameters(), 1);
    let mut reports = Vec::new();
    let server = client.server_key(&mut Deterministic::new(3), &mut |progress| reports.push(progress));
    let server = server.expect("a seed never ends");
    let stages = [(Stage::Keyswitch, 1024), (Stage::Bootstrap, 639)];
    for (stage, total) in stages {
        assert!(reports.contains(&Progress {
            stage,
            done: 0,
            total
        }));
        assert!(reports.contains(&Progress {
            stage,
            done: total,
            total
        }));
    }
    let bytes = server.to_bytes();
    assert_eq!(bytes.len() as u64, parameters().server_key_bytes());
    assert_eq!(ServerKey::from_bytes(&bytes, &parameters()), Ok(server));

    let needs = bytes.len();
    for length in [0, 15, needs - 1] {
        let error = message(ServerKey::from_bytes(&bytes[..length], &parameters()));
        let expected = format!("server key has {length} bytes, the parameters ask for {needs}");
        assert_eq!(error, expected);
    }
    let foreign = Parameters::new(600, (1, 1024), (23, 1), (4, 3)).expect("valid set");
    assert!(matches!(
        ServerKey::from_bytes(&bytes, &foreign),
        Err(KeyError::Length {
            what: "server key",
            ..
        })
    ));
}

#[test]
fn bad_ciphertexts_are_refused() {
    let client = ClientKey::insecure_from_seed(&parameters(), 1);
    let sent = client
        .encrypt(LweKey::Big, &[(1, 1 << 60), (2, 1 << 60)], &mut System::new())
        .expect("randomness");
    let bytes = sent.to_bytes();
    let error = message(SeededCiphertexts::from_bytes(&bytes, LweKey::Big, 3));
    assert_eq!(error, "encrypted input has 32 bytes, the parameters ask for 40");
    let error = message(SeededCiphertexts::from_bytes(&bytes, LweKey::Big, usize::MAX));
    assert_eq!(
        error,
        "encrypted input has 32 bytes, the parameters ask for 18446744073709551615"
    );
    let plain = ciphertexts_to_bytes(&sent.expand(parameters().big_dimension() as usize));
    let error = message(ciphertexts_from_bytes(&plain[8..], &parameters().ring(), 8, 2));
    assert_eq!(
        error,
        "encrypted output has 16392 bytes, the parameters ask for 16400"
    );
    assert!(ciphertexts_from_bytes(&plain, &parameters().ring(), 8, usize::MAX).is_err());

    let other = Parameters::new(639, (1, 2048), (23, 1), (4, 3)).expect("valid set");
    let foreign = &sent.expand(other.big_dimension() as usize)[0];
    assert_eq!(
        message(client.decrypt(foreign, 1)),
        "ciphertext has dimension 2048, the key has 1024"
    );
    let own = &sent.expand(parameters().big_dimension() as usize)[0];
    assert_eq!(
        message(client.decrypt(own, 0)),
        "step of an encoding is 0, at least 1 is needed"
    );
}
