//! The demo: the default configuration on the default checkerboard.

use cml_nn::{Control, TrainConfig, accumulators, train};

use crate::support::{board, linears, run, small_board, small_config};

#[test]
fn the_default_network_learns_the_board_within_its_bound() {
    let data = board(3);
    let config = TrainConfig {
        seed: 3,
        ..TrainConfig::default()
    };
    let trained = run(&data, &config);
    assert!(trained.test_accuracy > 0.93, "{}", trained.test_accuracy);
    let limit = config.max_accumulator_values.unwrap();
    for found in accumulators(&trained.network).unwrap() {
        assert!(!found.lookup || found.values <= limit, "{found:?}");
    }
    for linear in linears(&trained.network) {
        let inputs = |row: ndarray::ArrayView1<'_, i64>| row.iter().filter(|c| **c != 0).count();
        assert!(
            linear
                .codes()
                .unwrap()
                .rows()
                .into_iter()
                .all(|row| inputs(row) <= 30)
        );
    }
}

#[test]
fn a_seed_gives_the_same_network_every_time() {
    let data = small_board(1);
    let one = run(&data, &small_config());
    let two = run(&data, &small_config());
    assert_eq!(one.network, two.network);
    let other = run(
        &data,
        &TrainConfig {
            seed: 1,
            ..small_config()
        },
    );
    assert_ne!(one.network, other.network);
}

#[test]
fn progress_is_reported_and_can_stop() {
    let mut seen = Vec::new();
    let config = TrainConfig {
        epochs: 10,
        max_accumulator_values: Some(40),
        ..small_config()
    };
    let stopped = train(&small_board(2), &config, &mut |now| {
        seen.push(now);
        if now.epoch < 2 {
            Control::Continue
        } else {
            Control::Stop
        }
    });
    let trained = stopped.unwrap();
    assert_eq!(trained.history, seen);
    assert_eq!((seen.len(), seen[1].epoch, seen[1].epochs), (2, 2, 10));
    assert_eq!(trained.best_epoch, 2);
    // Stopped long before the budget is narrow, and narrow all the same.
    let found = accumulators(&trained.network).unwrap();
    assert!(found.iter().all(|a| !a.lookup || a.values <= 40), "{found:?}");
}

#[test]
fn an_absurd_learning_rate_is_an_error() {
    for learning_rate in [1e20, 1e30] {
        let config = TrainConfig {
            learning_rate,
            ..small_config()
        };
        let error = train(&small_board(1), &config, &mut |_| Control::Continue).unwrap_err();
        assert!(
            error.to_string().starts_with("training diverged in epoch 1: "),
            "{error}"
        );
    }
}
