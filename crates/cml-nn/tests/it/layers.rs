//! Every kind of layer: exact, within its bound, and as configured.

use cml_data::{Split, named};
use cml_nn::{
    ActivationScale, Augment, LayerConfig, Normalization, OpConfig, Pruning, TrainConfig, WeightScale,
    accumulators, scores,
};
use cml_quant::{Layer, Network, to_graph};

use crate::exact::check;
use crate::support::{run, small_board, small_config};

/// A few digits.
fn digits() -> Split {
    let all = named("digits", 0).unwrap();
    Split::new(all.train.sample(160, 1).unwrap(), all.test.sample(40, 1).unwrap()).unwrap()
}

fn conv(channels: usize, kernel: usize) -> OpConfig {
    OpConfig::Conv2d {
        channels,
        kernel: [kernel; 2],
        stride: [1, 1],
        padding: [0; 4],
        groups: 1,
    }
}

fn layer(name: &str, op: OpConfig, from: &[&str]) -> LayerConfig {
    LayerConfig {
        name: Some(name.to_owned()),
        from: from.iter().map(|&f| f.to_owned()).collect(),
        ..LayerConfig::new(op)
    }
}

/// Two epochs on a few digits, with bounds that bite.
fn images(layers: Vec<LayerConfig>) -> TrainConfig {
    TrainConfig {
        data: "digits".to_owned(),
        input_shape: vec![1, 8, 8],
        normalize: Normalization::MinMax,
        input_bits: 3,
        input_signed: false,
        weight_scale: WeightScale::PerChannel,
        activation_bits: 2,
        activation_scale: ActivationScale::Learned,
        pruning: Pruning::None,
        max_accumulator_values: Some(60),
        layers,
        epochs: 2,
        batch: 16,
        ..TrainConfig::default()
    }
}

/// Trains, and checks exactness and bounds by the graph's own intervals.
fn trained(config: &TrainConfig) -> Network {
    let data = digits();
    let network = run(&data, config).network;
    check(&network, &data.test);
    let graph = to_graph(&network).unwrap();
    let intervals = cml_ir::intervals(&graph);
    for found in accumulators(&network).unwrap() {
        let (id, _) = graph.nodes().find(|(_, n)| n.name == found.layer).unwrap();
        let widest = intervals[id.index()]
            .iter()
            .map(|i| i.hi.abs_diff(i.lo) + 1)
            .max();
        assert!(widest.unwrap() <= found.values, "{found:?}");
        if found.lookup {
            let limit = config.max_accumulator_values.unwrap_or(u64::MAX);
            assert!(found.values <= limit, "{found:?}");
        }
    }
    network
}

fn count(network: &Network, is: impl Fn(&Layer) -> bool) -> usize {
    network.layers().iter().filter(|l| is(&l.layer)).count()
}

#[test]
fn convolutions_with_stride_padding_and_groups() {
    let grouped = OpConfig::Conv2d {
        channels: 6,
        kernel: [3, 2],
        stride: [2, 1],
        padding: [1, 0, 2, 1],
        groups: 2,
    };
    let mut layers = vec![LayerConfig::new(conv(4, 3)), LayerConfig::new(grouped)];
    for batch_norm in [false, true] {
        layers.iter_mut().for_each(|l| l.batch_norm = batch_norm);
        let network = trained(&images(layers.clone()));
        assert_eq!(count(&network, |l| matches!(l, Layer::Conv2d(_))), 2);
        let named = |name: &str| {
            network
                .layers()
                .iter()
                .find(|l| l.name == name)
                .unwrap()
                .shape
                .clone()
        };
        assert_eq!((named("conv1"), named("conv2")), (vec![4, 6, 6], vec![6, 4, 6]));
    }
}

#[test]
fn residual_sums_have_one_scale() {
    let inner = OpConfig::Conv2d {
        channels: 4,
        kernel: [3, 3],
        stride: [1, 1],
        padding: [1; 4],
        groups: 1,
    };
    let network = trained(&images(vec![
        layer("stem", conv(4, 3), &[]),
        LayerConfig {
            relu: false,
            batch_norm: true,
            ..layer("branch", inner, &[])
        },
        layer("sum", OpConfig::Add, &["stem", "branch"]),
    ]));
    assert_eq!(count(&network, |l| matches!(l, Layer::Add)), 1);
    let signed = network
        .layers()
        .iter()
        .find(|l| l.name == "branch/quant")
        .unwrap();
    assert!(matches!(signed.layer, Layer::Quantize(q) if q.signed));
}

#[test]
fn pools_and_concatenations() {
    let pool = |average: bool| {
        let (kernel, stride) = ([2, 2], [2, 2]);
        if average {
            OpConfig::AveragePool { kernel, stride }
        } else {
            OpConfig::SumPool { kernel, stride }
        }
    };
    for average in [false, true] {
        let network = trained(&images(vec![
            layer("a", conv(3, 3), &["x"]),
            layer("b", conv(2, 3), &["x"]),
            layer("both", OpConfig::Concat, &["a", "b"]),
            LayerConfig::new(pool(average)),
            LayerConfig::linear(12),
        ]));
        assert_eq!(
            count(&network, |l| matches!(l, Layer::Concat(_) | Layer::Pool(_))),
            2
        );
    }
}

#[test]
fn a_narrow_budget_keeps_weights_alive() {
    // Less than the largest code of a weight by itself.
    for weight_scale in [
        WeightScale::PerChannel,
        WeightScale::PerTensor,
        WeightScale::PowerOfTwo,
    ] {
        let config = TrainConfig {
            weight_bits: 5,
            weight_scale,
            max_accumulator_values: Some(29),
            epochs: 6,
            ..images(vec![LayerConfig::linear(24), LayerConfig::linear(24)])
        };
        let network = trained(&config);
        for node in network.layers() {
            if let Layer::Linear(linear) = &node.layer {
                let codes = linear.codes().unwrap();
                let alive = codes
                    .rows()
                    .into_iter()
                    .filter(|r| r.iter().any(|&c| c != 0))
                    .count();
                assert!(
                    2 * alive > codes.nrows(),
                    "{weight_scale:?} {}: {alive}",
                    node.name
                );
            }
        }
    }
}

#[test]
fn a_layer_may_have_its_own_rules() {
    let own = LayerConfig {
        weight_bits: Some(2),
        activation_bits: Some(1),
        max_accumulator_values: Some(20),
        pruning: Some(Pruning::PerNeuron(3)),
        ..LayerConfig::linear(10)
    };
    let network = run(&digits(), &images(vec![LayerConfig::linear(10), own])).network;
    let found = accumulators(&network).unwrap();
    assert!(found[0].values > 20 && found[1].values <= 20, "{found:?}");
    let Layer::Linear(linear) = &network.layers().iter().find(|l| l.name == "fc2").unwrap().layer else {
        panic!("fc2 is not dense");
    };
    assert!(linear.codes().unwrap().iter().all(|c| c.abs() <= 1));
    let inputs = |row: ndarray::ArrayView1<'_, i64>| row.iter().filter(|c| **c != 0).count();
    assert!(
        linear
            .codes()
            .unwrap()
            .rows()
            .into_iter()
            .all(|row| inputs(row) <= 3)
    );
}

#[test]
fn pruned_neurons_cost_no_lookup() {
    let lookups = |pruning| {
        let config = TrainConfig {
            pruning,
            max_accumulator_values: Some(40),
            ..small_config()
        };
        let network = run(&small_board(2), &config).network;
        let mut graph = to_graph(&network).unwrap();
        for pass in cml_ir::PASSES {
            graph = cml_ir::passes::run_verified(pass, &graph).unwrap();
        }
        let luts = graph.nodes().filter(|(_, n)| matches!(n.op, cml_ir::Op::Lut(_)));
        luts.map(|(_, n)| n.ty.shape[0]).collect::<Vec<_>>()
    };
    let left = lookups(Pruning::Neurons(5));
    assert!(left.iter().all(|&n| n <= 5), "{left:?}");
    assert!(lookups(Pruning::None)[0] > 5);
}

#[test]
fn float_networks_have_no_quantizer() {
    let config = TrainConfig {
        quantized: false,
        normalize: Normalization::Standard,
        augment: Augment { noise: 0.1, shift: 1 },
        label_smoothing: 0.1,
        epochs: 6,
        ..images(vec![
            LayerConfig {
                batch_norm: true,
                ..LayerConfig::new(conv(8, 3))
            },
            LayerConfig::linear(32),
        ])
    };
    let data = digits();
    let trained = run(&data, &config);
    assert!(trained.network.is_float());
    assert!(trained.train_accuracy > 0.6, "{}", trained.train_accuracy);
    let torch = scores(&trained.network, data.test.features().view()).unwrap();
    for ((sample, _), torch) in data.test.samples().zip(torch.rows()) {
        for (a, b) in trained
            .network
            .forward(&sample.to_vec())
            .unwrap()
            .iter()
            .zip(torch)
        {
            assert!((a - b).abs() < 1e-3 * (1.0 + a.abs()), "{a} {b}");
        }
    }
}

#[test]
fn layers_that_do_not_fit_are_refused() {
    let refused = |config: TrainConfig, message: &str| {
        let error = cml_nn::train(&digits(), &config, &mut |_| cml_nn::Control::Continue).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    };
    refused(
        TrainConfig {
            input_shape: vec![1, 8, 9],
            ..images(vec![])
        },
        "input_shape is [1, 8, 9], needs 64 elements",
    );
    refused(images(vec![LayerConfig::new(conv(4, 9))]), "conv1");
    refused(
        images(vec![layer("sum", OpConfig::Add, &["x", "nobody"])]),
        "nobody in sum, needs the name of a layer before",
    );
    refused(
        images(vec![layer("sum", OpConfig::Add, &["x", "x"])]),
        "sum that reads the input",
    );
    refused(
        images(vec![layer("a", conv(2, 3), &[]), layer("a", conv(2, 3), &[])]),
        "a",
    );
    refused(
        images(vec![
            layer("a", conv(2, 3), &["x"]),
            layer("b", conv(3, 3), &["x"]),
            layer("sum", OpConfig::Add, &["a", "b"]),
        ]),
        "sum",
    );
}
