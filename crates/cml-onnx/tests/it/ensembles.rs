//! Trees and linear models that scikit-learn, XGBoost and LightGBM trained, against the classes and probabilities that
//! onnxruntime gives for all test rows. `tests/vectors/make_trees.py` writes the files.

use crate::wire::{Attr, File};
use crate::world::{class, imported, outputs, vector};
use cml_onnx::import_bytes;
use cml_quant::{Network, Probabilities, PtqConfig, quantize_network};
use ndarray::Array2;

fn numbers(file: &str) -> Vec<Vec<f32>> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_path(vector(file))
        .unwrap();
    let row =
        |record: Result<csv::StringRecord, _>| record.unwrap().iter().map(|v| v.parse().unwrap()).collect();
    reader.records().map(row).collect()
}

/// Test rows of a model, and what onnxruntime says of each: a class or value, and probabilities if they are kept.
fn rows(name: &str) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
    let (data, _) = name.split_once('.').unwrap();
    let (rows, results) = (
        numbers(&format!("{data}.rows.csv")),
        numbers(&format!("{name}.results.csv")),
    );
    assert_eq!(rows.len(), results.len());
    assert!(rows.len() >= 54);
    (rows, results)
}

/// Classes of all rows are equal, and probabilities as far as leaves are rounded.
fn check_classes(name: &str, network: &Network, ours: &[Vec<f32>], tolerance: f64) {
    let (_, results) = rows(name);
    for (row, (scores, result)) in ours.iter().zip(&results).enumerate() {
        assert_eq!(class(scores) as f32, result[0], "{name}, row {row}: {scores:?}");
        let stated = network.probabilities().of(scores);
        let probabilities = stated.unwrap_or_else(|| scores.iter().map(|&s| s.into()).collect());
        for (p, theirs) in probabilities.iter().zip(&result[1..]) {
            assert!(
                (p - f64::from(*theirs)).abs() < tolerance,
                "{name}, row {row}: {probabilities:?}"
            );
        }
    }
}

#[test]
fn trees_give_the_class_of_every_row() {
    for (name, probabilities) in [
        ("breast_cancer.xgboost", Probabilities::Logistic),
        ("breast_cancer.lightgbm", Probabilities::Logistic),
        ("breast_cancer.forest", Probabilities::Unstated),
        ("breast_cancer.boosting", Probabilities::Logistic),
        ("breast_cancer.scaled", Probabilities::Unstated),
        ("digits.forest", Probabilities::Unstated),
        ("wine.tree", Probabilities::Unstated),
        ("wine.xgboost", Probabilities::Softmax),
        ("wine.lightgbm", Probabilities::Softmax),
        ("wine.boosting", Probabilities::Softmax),
    ] {
        let network = imported(&format!("{name}.onnx")).network;
        assert_eq!(network.probabilities(), probabilities, "{name}");
        // Forward pass and graph are equal, which `outputs` asserts.
        let ours = outputs(&network, &rows(name).0);
        check_classes(name, &network, &ours, 1e-4);
    }
}

#[test]
fn a_forest_of_regressors_gives_its_values() {
    let network = imported("wine.forest_regressor.onnx").network;
    let (samples, results) = rows("wine.forest_regressor");
    for (ours, theirs) in outputs(&network, &samples).iter().zip(&results) {
        assert!((ours[0] - theirs[0]).abs() < 1e-4, "{ours:?} {theirs:?}");
    }
}

#[test]
fn linear_models_give_the_class_of_every_row() {
    for name in ["breast_cancer.logistic", "breast_cancer.svm", "digits.logistic"] {
        let network = imported(&format!("{name}.onnx")).network;
        assert!(network.is_float());
        let (samples, _) = rows(name);
        let ours: Vec<Vec<f32>> = samples.iter().map(|x| network.forward(x).unwrap()).collect();
        check_classes(name, &network, &ours, 1e-4);
        // With codes of some bits too.
        let all = Array2::from_shape_vec((samples.len(), samples[0].len()), samples.concat()).unwrap();
        let config = PtqConfig {
            input_bits: 11,
            weight_bits: 9,
            ..PtqConfig::default()
        };
        let quantized = quantize_network(&network, all.view(), &config).unwrap();
        assert_eq!(quantized.probabilities(), network.probabilities());
        check_classes(name, &quantized, &outputs(&quantized, &samples), 2e-2);
    }
}

#[test]
fn a_linear_regressor_gives_its_values() {
    let network = imported("wine.linear_regressor.onnx").network;
    let (samples, results) = rows("wine.linear_regressor");
    for (x, theirs) in samples.iter().zip(&results) {
        let ours = network.forward(x).unwrap();
        assert!((ours[0] - theirs[0]).abs() < 1e-4, "{ours:?} {theirs:?}");
    }
}

#[test]
fn notes_say_what_stands_in_the_client_spec_and_how_far_scores_are_off() {
    let notes = imported("wine.xgboost.onnx").notes;
    let text: Vec<String> = notes.iter().map(ToString::to_string).collect();
    let text = text.join("\n");
    for expected in [
        "12 trees, ",
        "which moves a score by at most ",
        "which stand in its spec: they are a part of the model",
        "softmax of the scores is left to the client",
    ] {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
}

/// One tree of one comparison, of two targets: 1 and 8 where it is true, 2 and 16 where it is not.
pub(crate) struct Stump {
    pub(crate) trees: Vec<i64>,
    pub(crate) ids: Vec<i64>,
    pub(crate) modes: Vec<&'static str>,
    pub(crate) features: Vec<i64>,
    pub(crate) values: Vec<f32>,
    pub(crate) yes: Vec<i64>,
    pub(crate) no: Vec<i64>,
    pub(crate) missing: Vec<i64>,
    pub(crate) leaf_trees: Vec<i64>,
    pub(crate) leaves: Vec<i64>,
    pub(crate) targets: Vec<i64>,
    pub(crate) weights: Vec<f32>,
}

impl Stump {
    pub(crate) fn new(mode: &'static str, value: f32) -> Self {
        Self {
            trees: vec![4, 4, 4],
            ids: vec![7, 8, 9],
            modes: vec![mode, "LEAF", "LEAF"],
            features: vec![1, 0, 0],
            values: vec![value, 0.0, 0.0],
            yes: vec![8, 0, 0],
            no: vec![9, 0, 0],
            missing: vec![0, 0, 0],
            leaf_trees: vec![4; 4],
            leaves: vec![8, 8, 9, 9],
            targets: vec![0, 1, 0, 1],
            weights: vec![1.0, 8.0, 2.0, 16.0],
        }
    }

    pub(crate) fn file(&self, more: &[(&str, Attr<'_>)]) -> File {
        let mut attributes = vec![
            ("n_targets", Attr::Int(2)),
            ("nodes_treeids", Attr::Ints(&self.trees)),
            ("nodes_nodeids", Attr::Ints(&self.ids)),
            ("nodes_modes", Attr::Texts(&self.modes)),
            ("nodes_featureids", Attr::Ints(&self.features)),
            ("nodes_values", Attr::Floats(&self.values)),
            ("nodes_truenodeids", Attr::Ints(&self.yes)),
            ("nodes_falsenodeids", Attr::Ints(&self.no)),
            ("nodes_missing_value_tracks_true", Attr::Ints(&self.missing)),
            ("target_treeids", Attr::Ints(&self.leaf_trees)),
            ("target_nodeids", Attr::Ints(&self.leaves)),
            ("target_ids", Attr::Ints(&self.targets)),
            ("target_weights", Attr::Floats(&self.weights)),
        ];
        attributes.extend(more.iter().copied());
        File::new(&[-1, 2]).node("ai.onnx.ml:TreeEnsembleRegressor", "x", "y", &attributes)
    }
}

#[test]
fn every_mode_compares_as_floats_do() {
    type Compare = fn(f32, f32) -> bool;
    let modes: [(&str, Compare); 6] = [
        ("BRANCH_LEQ", |x, t| x <= t),
        ("BRANCH_LT", |x, t| x < t),
        ("BRANCH_GTE", |x, t| x >= t),
        ("BRANCH_GT", |x, t| x > t),
        ("BRANCH_EQ", |x, t| x == t),
        ("BRANCH_NEQ", |x, t| x != t),
    ];
    for (mode, compare) in modes {
        for value in [0.1f32, 0.0, -0.0, -2.5e-40, 1e30] {
            for tracks in [None, Some(0), Some(1)] {
                let mut stump = Stump::new(mode, value);
                stump.missing = tracks.map_or(Vec::new(), |t| vec![t, 0, 0]);
                let network = import_bytes(&stump.file(&[]).build(), None, &cml_onnx::Options::default())
                    .unwrap()
                    .network;
                let mut samples = vec![value, value.next_up(), value.next_down(), 0.0, -0.0, 1.0, -1.0];
                if tracks == Some(1) {
                    samples.push(f32::NAN);
                } else {
                    assert!(network.forward(&[0.0, f32::NAN]).is_err());
                }
                let samples: Vec<Vec<f32>> = samples.into_iter().map(|x| vec![9.0, x]).collect();
                for (sample, ours) in samples.iter().zip(outputs(&network, &samples)) {
                    let is_true = compare(sample[1], value) || sample[1].is_nan();
                    let expected = if is_true { [1.0, 8.0] } else { [2.0, 16.0] };
                    assert_eq!(ours, expected, "{mode} {value} {tracks:?} {sample:?}");
                }
            }
        }
    }
}

#[test]
fn averages_and_base_values_are_added() {
    let more = [
        ("aggregate_function", Attr::Text("AVERAGE")),
        ("base_values", Attr::Floats(&[0.5, 100.0])),
    ];
    let network = import_bytes(
        &Stump::new("BRANCH_LT", 0.0).file(&more).build(),
        None,
        &cml_onnx::Options::default(),
    )
    .unwrap()
    .network;
    assert_eq!(network.forward(&[0.0, -1.0]).unwrap(), [1.5, 108.0]);
}
