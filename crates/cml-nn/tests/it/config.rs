//! Configurations: defaults, files, and what is refused.

use cml_nn::{Control, NnError, Pruning, TrainConfig, scores};
use cml_quant::Network;
use ndarray::array;

use crate::support::small_board;

fn check(change: impl FnOnce(&mut TrainConfig), message: &str) {
    let mut config = TrainConfig::default();
    change(&mut config);
    let error = config.validate().unwrap_err();
    assert_eq!(error.to_string(), format!("training configuration: {message}"));
}

#[test]
fn the_default_is_valid_and_survives_json() {
    let config = TrainConfig::default();
    config.validate().unwrap();
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<TrainConfig>(&json).unwrap(), config);
    assert_eq!(serde_json::from_str::<TrainConfig>("{}").unwrap(), config);
    let changed: TrainConfig = serde_json::from_str(r#"{"pruning": {"whole_matrix": 7}}"#).unwrap();
    assert_eq!(changed.pruning, Pruning::WholeMatrix(7));
    let unknown = serde_json::from_str::<TrainConfig>(r#"{"epoch": 7}"#).unwrap_err();
    assert!(unknown.to_string().contains("unknown field `epoch`"), "{unknown}");
}

#[test]
fn fields_out_of_range_are_named() {
    check(|c| c.epochs = 0, "epochs is 0, needs at least 1");
    check(|c| c.batch = 0, "batch is 0, needs at least 1");
    check(|c| c.weight_bits = 1, "weight_bits is 1, needs 2 to 16");
    check(|c| c.input_bits = 17, "input_bits is 17, needs 2 to 16");
    check(|c| c.activation_bits = 0, "activation_bits is 0, needs 2 to 16");
    check(
        |c| c.hidden = Some(vec![]),
        "hidden is [], needs at least one layer of 1 to 65536 units",
    );
    check(
        |c| c.hidden = Some(vec![3, 0]),
        "hidden is [3, 0], needs at least one layer of 1 to 65536 units",
    );
    check(
        |c| c.pruning = Pruning::PerNeuron(0),
        "pruning is 0, needs at least 1",
    );
    check(
        |c| c.learning_rate = f64::NAN,
        "learning_rate is NaN, needs a number above 0, at most 1e30",
    );
    check(
        |c| c.learning_rate = 0.0,
        "learning_rate is 0, needs a number above 0, at most 1e30",
    );
    check(|c| c.weight_decay = -1.0, "weight_decay is -1, needs 0 to 1000");
}

#[test]
fn a_bound_that_no_weight_fits_is_refused() {
    let config = TrainConfig {
        max_accumulator_values: Some(6),
        ..TrainConfig::default()
    };
    let error = cml_nn::train(&small_board(0), &config, &mut |_| Control::Continue).unwrap_err();
    assert_eq!(
        error.to_string(),
        "training configuration: max_accumulator_values is 6, needs more than 6, the span of the inputs of fc1"
    );
}

#[test]
fn features_that_do_not_fit_are_refused() {
    let mut network = Network::new("n", vec![2]);
    network.set_output(network.input(), &[]).unwrap();
    let wrong = scores(&network, array![[1.0]].view()).unwrap_err();
    assert_eq!(wrong.to_string(), "layer x: input values: needs [2], has [1]");
    let infinite = scores(&network, array![[1.0, f32::INFINITY]].view()).unwrap_err();
    assert!(matches!(infinite, NnError::Quant(_)), "{infinite}");
}
