//! libtorch, the network and the integer graph agree bit for bit.

use cml_data::Dataset;
use cml_nn::{TrainConfig, WeightScale, scores};
use cml_quant::{Network, network_from_bytes, network_to_bytes, read_network, to_graph, write_network};

use crate::support::{board, run, small_board, small_config};

pub(crate) fn check(network: &Network, data: &Dataset) {
    let torch = scores(network, data.features().view()).unwrap();
    let graph = to_graph(network).unwrap();
    let (_, _, spec) = graph.outputs().next().unwrap();
    for ((sample, _), torch) in data.samples().zip(torch.rows()) {
        let sample = sample.to_vec();
        let bits = |scores: &[f32]| scores.iter().map(|s| s.to_bits()).collect::<Vec<_>>();
        let expected = bits(&torch.to_vec());
        assert_eq!(bits(&network.forward(&sample).unwrap()), expected);
        let codes = cml_ir::interpret(&graph, &[graph.quantize_input(&sample).unwrap()]).unwrap();
        assert_eq!(bits(&spec.dequantize_all(&codes[0])), expected);
    }
}

#[test]
fn the_demo_is_exact_on_every_test_row() {
    let data = board(5);
    // `train` itself compares the model that was trained with the network.
    let trained = run(
        &data,
        &TrainConfig {
            epochs: 1,
            ..TrainConfig::default()
        },
    );
    check(&trained.network, &data.test);
    let right = data.test.samples().filter(|(x, class)| {
        let scores = trained.network.forward(&x.to_vec()).unwrap();
        usize::from(scores[1] > scores[0]) == *class
    });
    let accuracy = right.count() as f64 / data.test.len() as f64;
    assert!((accuracy - trained.test_accuracy).abs() < 1e-9);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    write_network(&path, &trained.network).unwrap();
    let read = read_network(&path).unwrap();
    assert_eq!(read, trained.network);
    check(&read, &data.test);
}

#[test]
fn every_quantizer_is_exact() {
    use WeightScale::{Constant, PerChannel, PerTensor, PowerOfTwo};
    let data = small_board(6);
    for weight_scale in [Constant, PerTensor, PerChannel, PowerOfTwo] {
        for (weight_bits, activation_bits) in [(2, 2), (3, 4), (5, 3), (8, 6)] {
            let config = TrainConfig {
                weight_scale,
                weight_bits,
                activation_bits,
                max_accumulator_values: None,
                epochs: 1,
                ..small_config()
            };
            let trained = run(&data, &config);
            let bytes = network_to_bytes(&trained.network).unwrap();
            let read = network_from_bytes("net", &bytes).unwrap();
            assert_eq!(read, trained.network);
            check(&read, &data.test);
        }
    }
}
