//! Keys of which more bits are set than of most: as many as a promise holds for.

use super::*;

/// Five standard deviations more than half of the bits of each key.
fn unlucky_client(parameters: &Parameters) -> ClientKey {
    let weight = |bits: u32| {
        let bits = f64::from(bits);
        (bits / 2.0 + noise::KEY_DEVIATIONS * bits.sqrt() / 2.0) as usize
    };
    let weights = (
        weight(parameters.big_dimension()),
        weight(parameters.lwe_dimension),
    );
    ClientKey::insecure_of_weights(parameters, 5, weights)
}

fn variances(client: &ClientKey) -> noise::Variances {
    let big = client.insecure_big().as_ref().iter().sum::<u64>();
    let small = client.insecure_small().as_ref().iter().sum::<u32>();
    let parameters = client.parameters().expect("a small key");
    noise::Variances::of_weights(parameters, (big as usize, small as usize))
}

#[test]
fn keyswitch_variance_is_that_of_the_weight() {
    // Few digits: most of the noise is what they round off.
    let parameters = Parameters::new(879, (3, 512), (17, 1), (3, 4)).expect("valid set");
    let client = unlucky_client(&parameters);
    let model = variances(&client).keyswitch();
    assert!(model > 1.05 * noise::keyswitch_variance(&parameters));
    check("keyswitch", &keyswitch_errors(&client, 8000), 0.0, model);
}

#[test]
fn blind_rotation_variance_is_that_of_the_weights() {
    let parameters = Parameters::new(600, (4, 512), (22, 1), (5, 3)).expect("valid set");
    let client = unlucky_client(&parameters);
    let model = variances(&client).lookup();
    assert!(model > 1.05 * noise::lookup_variance(&parameters));
    check(
        "blind rotation",
        &blind_rotation_errors(&client, 1, 420),
        0.0,
        model,
    );
}

/// The key that these meet is 1 or -1: nothing changes.
#[test]
fn modulus_switch_variance_does_not_depend_on_the_key() {
    let parameters = small_parameters();
    check_modulus_switch(&unlucky_client(&parameters), 1);
}

/// Lookups of fresh values on a set with far too little room.
#[test]
fn failures_are_no_more_than_promised() {
    let parameters = small_parameters();
    let client = unlucky_client(&parameters);
    for (half_period, lookups) in [(32, 1200), (64, 600)] {
        let requirement = Requirement {
            half_period,
            scale: 1,
            nu2: 1,
            alike: 0,
            pairs: 0,
            source: Source::Fresh,
            reader: Reader::Lookup,
            slack: 0,
        };
        let extension = (half_period / 32) as u32;
        let count = lookups as f64;
        let promised = count * noise::log2_p_fail(&parameters, extension, &requirement).exp2();
        let expected = count * noise::expected_log2_p_fail(&parameters, extension, &requirement).exp2();
        assert!(expected > 20.0, "too few failures to count: {expected}");
        let wrong = failures(&client, half_period, extension, lookups);
        assert!(
            (expected - 5.0 * expected.sqrt()..=promised + 5.0 * promised.sqrt()).contains(&wrong),
            "{wrong} wrong, {expected} of a lucky key expected, {promised} promised"
        );
    }
}
