use cml_data::{CheckerboardConfig, Dataset, Error, Split, checkerboard, checkerboard_label};

fn default_board(seed: u64) -> Split {
    checkerboard(seed, &CheckerboardConfig::default()).unwrap()
}

/// How often the noise-free rule is right on the points as they are.
pub(crate) fn rule_hits(data: &Dataset) -> usize {
    data.samples()
        .filter(|(point, label)| checkerboard_label(point[0].into(), point[1].into()) == *label)
        .count()
}

/// FNV-1a over the bits of every value and label.
fn fingerprint(data: &Dataset) -> u64 {
    let words = data
        .samples()
        .flat_map(|(point, label)| [point[0].to_bits(), point[1].to_bits(), label as u32]);
    words
        .flat_map(u32::to_le_bytes)
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

#[test]
fn has_the_shape_and_balance_of_the_board() {
    let Split { train, test } = default_board(0);
    assert_eq!((train.len(), test.len()), (9_500, 500));
    assert_eq!(
        (train.feature_count(), train.class_count(), test.class_count()),
        (2, 2, 2)
    );
    assert_eq!(train.feature_names(), ["x", "y"]);
    // A board of 100 x 100 points is exactly balanced before the split.
    let (train, test) = (train.class_sizes(), test.class_sizes());
    assert_eq!([train[0] + test[0], train[1] + test[1]], [5_000, 5_000]);
    assert!(test.iter().all(|size| (200..=300).contains(size)), "{test:?}");
}

#[test]
fn is_pinned() {
    let board = default_board(42);
    assert_eq!(
        (fingerprint(&board.train), fingerprint(&board.test)),
        (1_319_387_805_896_193_579, 30_078_615_539_404_885)
    );
}

#[test]
fn depends_on_the_seed() {
    assert_eq!(default_board(1), default_board(1));
    assert_ne!(default_board(1), default_board(2));
}

#[test]
fn the_number_of_test_rows_leaves_the_points_alone() {
    let points = |test| {
        let split = checkerboard(
            9,
            &CheckerboardConfig {
                test,
                ..Default::default()
            },
        )
        .unwrap();
        let bits = |data: &Dataset| {
            data.samples()
                .map(|(p, label)| (p[0].to_bits(), p[1].to_bits(), label))
                .collect::<Vec<_>>()
        };
        let mut all = [bits(&split.train), bits(&split.test)].concat();
        all.sort_unstable();
        all
    };
    assert_eq!(points(500), points(3));
}

#[test]
fn without_noise_the_rule_is_always_right() {
    let config = CheckerboardConfig {
        noise: 0.0,
        ..Default::default()
    };
    let Split { train, test } = checkerboard(0, &config).unwrap();
    assert_eq!((rule_hits(&train), rule_hits(&test)), (9_500, 500));
    assert!(train.features().iter().all(|value| (0.0..=1.0).contains(value)));
}

/// Noise 0.01 moves 2.27% of the coordinates across a border (Gaussian tails
/// summed over the grid lines), so the rule is right on 95.57% of the points.
#[test]
fn with_noise_the_rule_is_right_on_95_6_percent() {
    let hits: usize = (0..10).map(|seed| rule_hits(&default_board(seed).train)).sum();
    let rate = hits as f64 / 95_000.0;
    assert!((rate - 0.9557).abs() < 0.003, "{rate}");
}

#[test]
fn the_noise_has_the_deviation_asked_for() {
    let config = CheckerboardConfig {
        side: 200,
        noise: 0.001,
        test: 1,
    };
    let board = checkerboard(3, &config).unwrap();
    // Finer than the grid's step of 1/199: the nearest grid line is the point's own.
    let errors = board.train.features().mapv(|value| {
        let scaled = f64::from(value) * 199.0;
        (scaled - scaled.round()) / 199.0
    });
    let deviation = (errors.mapv(|error| error * error).sum() / errors.len() as f64).sqrt();
    assert!((deviation - 0.001).abs() < 0.00003, "{deviation}");
}

#[test]
fn labels_round_halves_to_even() {
    // Along x, at y = 0: borders at 1/6, 1/2, 5/6, where 3x is 0.5, 1.5, 2.5.
    for (x, expected) in [
        (0.0, 0),
        (0.16, 0),
        (0.17, 1),
        (0.49, 1),
        (0.5, 0),
        (0.51, 0),
        (0.83, 0),
        (0.84, 1),
        (1.0, 1),
        (-0.1, 0),
    ] {
        assert_eq!(checkerboard_label(x, 0.0), expected, "x = {x}");
        assert_eq!(checkerboard_label(0.0, x), expected, "y = {x}");
        assert_eq!(checkerboard_label(x, 1.0), 1 - expected, "x = {x}, y = 1");
    }
    for x in [f64::NAN, f64::INFINITY, f64::MAX, f64::MIN] {
        assert_eq!(checkerboard_label(x, 0.0), 0);
    }
}

#[test]
fn refuses_what_it_cannot_draw() {
    let draw = |side, noise, test| checkerboard(0, &CheckerboardConfig { side, noise, test });
    for side in [0, 1, 4_097, usize::MAX] {
        assert!(matches!(draw(side, 0.01, 1), Err(Error::CheckerboardSide { .. })));
    }
    for noise in [-0.01, f64::NAN, f64::INFINITY] {
        assert!(matches!(draw(10, noise, 1), Err(Error::CheckerboardNoise { .. })));
    }
    for test in [0, 100, usize::MAX] {
        assert!(matches!(
            draw(10, 0.01, test),
            Err(Error::TestRows { rows: 100, .. })
        ));
    }
    assert!(matches!(draw(10, 1e300, 1), Err(Error::NotFinite { .. })));
    assert!(draw(2, 0.0, 3).is_ok());
}
