//! Bounds and pruning hold in what is exported, for every seed and quantizer.

use cml_nn::{Pruning, TrainConfig, WeightScale, accumulators};
use cml_quant::to_graph;
use ndarray::ArrayView1;

use crate::support::{linears, run, small_board, small_config};

fn check(config: &TrainConfig) {
    let data = small_board(config.seed);
    let trained = run(&data, config);
    let limit = config.max_accumulator_values.unwrap_or(u64::MAX);
    let found = accumulators(&trained.network).unwrap();
    assert_eq!(
        found.iter().map(|a| a.lookup).collect::<Vec<_>>(),
        [true, true, false]
    );
    // Counted again by the graph's own intervals.
    let graph = to_graph(&trained.network).unwrap();
    for (id, node) in graph.nodes() {
        let Some(dense) = found.iter().find(|a| a.layer == node.name) else {
            continue;
        };
        let widest = cml_ir::intervals(&graph)[id.index()]
            .iter()
            .map(|i| i.hi.abs_diff(i.lo) + 1)
            .max();
        assert!(
            widest.unwrap() <= dense.values,
            "{}: {widest:?}, {dense:?}",
            node.name
        );
        let limit = if dense.lookup {
            limit
        } else {
            config.max_output_values.unwrap_or(u64::MAX)
        };
        assert!(dense.values <= limit, "{dense:?}, limit {limit}");
    }
}

#[test]
fn every_seed_keeps_to_the_bound() {
    for seed in 0..4 {
        for bound in [20, 40, 110] {
            check(&TrainConfig {
                seed,
                max_accumulator_values: Some(bound),
                epochs: 2,
                ..small_config()
            });
        }
    }
}

#[test]
fn the_output_layer_keeps_to_its_own_bound() {
    for bound in [10, 60, 256] {
        check(&TrainConfig {
            max_output_values: Some(bound),
            hidden: Some(vec![24, 100]),
            ..small_config()
        });
    }
}

#[test]
fn every_weight_scale_keeps_to_the_bound() {
    use WeightScale::{Constant, PerChannel, PerTensor, PowerOfTwo};
    for weight_scale in [Constant, PerTensor, PerChannel, PowerOfTwo] {
        for weight_bits in [2, 4] {
            check(&TrainConfig {
                weight_scale,
                weight_bits,
                max_accumulator_values: Some(30),
                ..small_config()
            });
        }
    }
}

/// Inputs of each neuron, layer by layer: those of float weights, or those whose integer weights are not 0.
fn inputs(pruning: Pruning, quantized: bool) -> Vec<Vec<usize>> {
    let config = TrainConfig {
        pruning,
        max_accumulator_values: None,
        quantized,
        ..small_config()
    };
    let trained = run(&small_board(4), &config);
    let count = |row: ArrayView1<'_, f32>| row.iter().filter(|w| **w != 0.0).count();
    let layer = |l: &cml_quant::Linear| l.weights().floats().rows().into_iter().map(count).collect();
    linears(&trained.network).into_iter().map(layer).collect()
}

#[test]
fn pruning_per_neuron_holds_for_each() {
    let floats = inputs(Pruning::PerNeuron(5), false);
    let codes = inputs(Pruning::PerNeuron(5), true);
    for ((floats, codes), n) in floats.iter().zip(codes).zip([2, 5, 5]) {
        assert!(floats.iter().all(|&count| count == n), "{floats:?}");
        // What is small is rounded to 0 besides.
        assert!(codes.iter().all(|&count| count <= n), "{codes:?}");
    }
}

#[test]
fn pruning_of_the_matrix_holds_in_all() {
    let layers = inputs(Pruning::WholeMatrix(5), false);
    let sums: Vec<usize> = layers.iter().map(|l| l.iter().sum()).collect();
    assert_eq!(sums, [2 * 24, 5 * 16, 5 * 2]);
    assert!(layers[1].iter().any(|&count| count > 5));
}

#[test]
fn nothing_is_pruned_without_pruning() {
    assert!(inputs(Pruning::None, false)[1].iter().all(|&count| count == 24));
}
