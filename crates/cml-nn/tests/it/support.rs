//! Small trainings that tests share.

use cml_data::{CheckerboardConfig, Split, checkerboard};
use cml_nn::{Control, TrainConfig, Trained, train};
use cml_quant::{Layer, Linear, Network};

/// The default checkerboard.
pub(crate) fn board(seed: u64) -> Split {
    checkerboard(seed, &CheckerboardConfig::default()).unwrap()
}

/// A coarse checkerboard, quick to train on.
pub(crate) fn small_board(seed: u64) -> Split {
    let config = CheckerboardConfig {
        side: 32,
        test: 200,
        ..CheckerboardConfig::default()
    };
    checkerboard(seed, &config).unwrap()
}

/// A small network, quick to train.
pub(crate) fn small_config() -> TrainConfig {
    TrainConfig {
        hidden: Some(vec![24, 16]),
        epochs: 3,
        ..TrainConfig::default()
    }
}

pub(crate) fn run(data: &Split, config: &TrainConfig) -> Trained {
    train(data, config, &mut |_| Control::Continue).unwrap()
}

pub(crate) fn linears(network: &Network) -> Vec<&Linear> {
    let mut linears = Vec::new();
    for node in network.layers() {
        if let Layer::Linear(linear) = &node.layer {
            linears.push(linear);
        }
    }
    linears
}
