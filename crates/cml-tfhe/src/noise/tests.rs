use super::*;
use cml_scheme::security::minimal_noise_bound;

/// The padding bit, message and carry bits of a published set as our `R` and `nu2`.
fn requirement(plaintexts: u64, max_noise_level: u64) -> Requirement {
    Requirement {
        half_period: plaintexts,
        scale: 1,
        nu2: max_noise_level * max_noise_level,
        alike: 0,
        pairs: 0,
        source: Source::Lookup,
        reader: Reader::Lookup,
        slack: 0,
    }
}

/// A set of the `tfhe` crate, version 1.4 of its parameters, for 2^-128: with TUniform noise, a centred modulus switch and
/// as many carry values as message values.
struct Published {
    lwe_dimension: u32,
    ring: (u32, u32),
    pbs: (u32, u32),
    ks: (u32, u32),
    /// log2 of the bounds of the noise, of the small key and of the big one.
    bounds: (u32, u32),
    message_modulus: u64,
    max_noise_level: u64,
    log2_p_fail: f64,
}

/// `V1_4_PARAM_MESSAGE_m_CARRY_m_KS_PBS_TUNIFORM_2M128` for `m` from 1 to 4.
const PUBLISHED: [Published; 4] = [
    Published {
        lwe_dimension: 879,
        ring: (4, 512),
        pbs: (23, 1),
        ks: (5, 3),
        bounds: (46, 17),
        message_modulus: 2,
        max_noise_level: 3,
        log2_p_fail: -144.322,
    },
    Published {
        lwe_dimension: 918,
        ring: (1, 2048),
        pbs: (23, 1),
        ks: (4, 4),
        bounds: (45, 17),
        message_modulus: 4,
        max_noise_level: 5,
        log2_p_fail: -129.581,
    },
    Published {
        lwe_dimension: 1077,
        ring: (1, 8192),
        pbs: (15, 2),
        ks: (4, 5),
        bounds: (41, 3),
        message_modulus: 8,
        max_noise_level: 9,
        log2_p_fail: -128.992,
    },
    Published {
        lwe_dimension: 1117,
        ring: (1, 65536),
        pbs: (11, 3),
        ks: (3, 7),
        bounds: (40, 3),
        message_modulus: 16,
        max_noise_level: 17,
        log2_p_fail: -141.559,
    },
];

/// `V1_4_PARAM_MESSAGE_2_CARRY_2_KS32_PBS_TUNIFORM_2M128`.
const PUBLISHED_32_BITS: Published = Published {
    bounds: (13, 17),
    ..PUBLISHED[1]
};

/// What the published sets do not have: keys are not rounded there, and the decomposition is not centred.
fn of_our_own(parameters: &Parameters, requirement: &Requirement) -> f64 {
    requirement.nu2 as f64 * variances::published::beyond_published(parameters)
}

/// On average over keys, with a keyswitch to that modulus.
fn variance_through(parameters: &Parameters, requirement: &Requirement, modulus_log: u32) -> f64 {
    let variance = Variances::expected(parameters).variance(&Variances::expected(parameters), 1, requirement);
    variance + variances::published::beyond_32_bits(parameters, modulus_log)
}

/// Compares the model with the published failure probability of a 64-bit keyswitch set.
fn check_published(set: &Published) {
    let parameters = Parameters {
        lwe_dimension: set.lwe_dimension,
        glwe_dimension: set.ring.0,
        polynomial_size: set.ring.1,
        pbs_base_log: set.pbs.0,
        pbs_level: set.pbs.1,
        pbs_body_base_log: set.pbs.0,
        pbs_body_level: set.pbs.1,
        ks_base_log: set.ks.0,
        ks_level: set.ks.1,
        lwe_noise_bound: set.bounds.0,
        glwe_noise_bound: set.bounds.1,
    };
    let needed = [
        minimal_noise_bound(parameters.lwe_dimension, 64),
        minimal_noise_bound(parameters.big_dimension(), 64),
    ];
    assert_eq!(
        [parameters.lwe_noise_bound, parameters.glwe_noise_bound],
        needed,
        "{parameters}"
    );
    let requirement = requirement(set.message_modulus.pow(2), set.max_noise_level);
    let found = log2_tails(
        margin(parameters.table_size(1), &requirement),
        variance_through(&parameters, &requirement, 64) - of_our_own(&parameters, &requirement),
    );
    let published = set.log2_p_fail;
    assert!(
        (found - published).abs() < 0.05,
        "{found} for {published} in {parameters}"
    );
}

#[test]
fn published_failure_probabilities_are_reproduced() {
    PUBLISHED.iter().for_each(check_published);
}

#[test]
fn published_32_bit_keyswitch_set_is_reproduced() {
    let set = PUBLISHED_32_BITS;
    let parameters = Parameters::new(set.lwe_dimension, set.ring, set.pbs, set.ks).expect("published set");
    let bounds = (parameters.lwe_noise_bound, parameters.glwe_noise_bound);
    assert_eq!(bounds, set.bounds);
    let requirement = requirement(set.message_modulus.pow(2), set.max_noise_level);
    let found = log2_tails(
        margin(parameters.table_size(1), &requirement),
        variance_through(&parameters, &requirement, 32) - of_our_own(&parameters, &requirement),
    );
    assert!(
        (found - set.log2_p_fail).abs() < 0.05,
        "{found} for {}",
        set.log2_p_fail
    );
}

#[test]
fn log2_erfc_matches_known_values() {
    // Values of erfc from the C library.
    for (x, expected) in [
        (0.0, 0.0),
        (0.5, 0.479_500_122_186_953_5_f64.log2()),
        (2.0, 0.004_677_734_981_047_266_f64.log2()),
        (5.0, 1.537_459_794_428_034_8e-12_f64.log2()),
        (10.0, 2.088_487_583_762_545e-45_f64.log2()),
        (26.0, 5.663_192_408_856_143e-296_f64.log2()),
    ] {
        let found = log2_erfc(x);
        assert!(
            (found - expected).abs() < 1e-9,
            "log2 erfc({x}) = {found}, not {expected}"
        );
    }
    // Both branches agree where they meet, and the far tail follows -x^2.
    assert!((log2_erfc(6.0) - libm::erfc(6.0_f64.next_down()).log2()).abs() < 1e-9);
    assert!((log2_erfc(1000.0) * std::f64::consts::LN_2 + 1e6 + 7.480_120_6).abs() < 1e-5);
}

#[test]
fn deviations_invert_the_tails() {
    for budget in [-1.0, -10.0, -40.0, -128.0, -1000.0] {
        let deviations = deviations(budget);
        assert!(
            (log2_tails(deviations, 1.0) - budget).abs() < 1e-6,
            "{budget}: {deviations}"
        );
    }
}

#[test]
fn margin_is_the_smallest_distance_to_a_rounded_change() {
    for size in [1024_u64, 3 * 256, 5 * 128, 7 * 64] {
        for (period, scale) in (1..=size / 2).flat_map(|p| [(p, 1), (3 * p / 2, 2), (2 * p + 1, 3)]) {
            // Changes at round((t - 1/2) c L / P), centres t c L / P, all times 2P.
            let spacing = crate::table::Spacing {
                half_period: period,
                scale,
            };
            let change = |t: u64| 2 * period * crate::table::boundary(t, spacing, size);
            let smallest = (1..=period)
                .flat_map(|t| {
                    [
                        (2 * t * scale * size).abs_diff(change(t)),
                        change(t).abs_diff(2 * (t - 1) * scale * size),
                    ]
                })
                .min()
                .expect("at least one change");
            let expected = smallest as f64 / (2 * period) as f64 / (2.0 * size as f64);
            let scaled = Requirement {
                scale,
                ..requirement(period, 1)
            };
            let found = margin(size, &scaled);
            assert!(
                (found - expected).abs() < 1e-15,
                "L = {size}, P = {period}, c = {scale}: {found}, not {expected}"
            );
        }
    }
    let client = Requirement {
        reader: Reader::Client { word_bytes: 8 },
        ..requirement(5, 1)
    };
    let slack = Requirement {
        slack: 3,
        ..requirement(4, 1)
    };
    assert_eq!(margin(1024, &requirement(513, 1)), 0.0);
    assert_eq!(margin(1024, &requirement(4, 1)), 1.0 / 16.0);
    assert_eq!(margin(1024, &slack), 7.0 / 16.0);
    assert_eq!(margin(1024, &client), 1.0 / 20.0);
}

#[test]
fn sources_and_readers_differ_as_they_should() {
    let parameters = Parameters::new(918, (1, 2048), (23, 1), (4, 4)).expect("published set");
    let lookup = requirement(16, 5);
    let fresh = Requirement {
        source: Source::Fresh,
        ..lookup
    };
    let client = Requirement {
        reader: Reader::Client { word_bytes: 8 },
        ..lookup
    };
    assert!(log2_p_fail(&parameters, 1, &fresh) < log2_p_fail(&parameters, 1, &lookup));
    assert!(log2_p_fail(&parameters, 1, &client) < log2_p_fail(&parameters, 1, &lookup));
    let wide = Requirement {
        half_period: 1025,
        ..lookup
    };
    assert_eq!(log2_p_fail(&parameters, 1, &wide), 0.0);
}
