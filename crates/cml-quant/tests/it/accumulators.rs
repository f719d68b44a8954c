//! Counted accumulators against the intervals of the integer graph.

use crate::images::image_networks;
use crate::random::{fixed, networks};
use cml_ir::Interval;
use cml_quant::{
    ActQuantizer, Conv2d, Linear, Network, Pool, PoolKind, QuantError, Univariate, WeightQuantizer,
    accumulators, to_graph,
};
use ndarray::{Array2, Array4, array};
use proptest::prelude::*;

/// No element of a layer's result takes more values than counted.
fn check(net: &Network) -> Result<(), TestCaseError> {
    let graph = to_graph(net).unwrap();
    let intervals = cml_ir::intervals(&graph);
    let found = match accumulators(net) {
        Err(QuantError::TooWide { .. }) => Vec::new(),
        found => found.unwrap(),
    };
    for found in found {
        let at = graph
            .nodes()
            .position(|(_, node)| node.name == found.layer)
            .unwrap();
        let values = |i: &Interval| 1 + i.hi.abs_diff(i.lo);
        let most = intervals[at].iter().map(values).max().unwrap();
        prop_assert!(
            most <= found.values,
            "{} takes {most}, counted {}",
            found.layer,
            found.values
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(fixed(200, 5))]

    #[test]
    fn no_dense_accumulator_takes_more_values_than_counted((recipe, _) in networks()) {
        check(&recipe.build())?;
    }

    #[test]
    fn no_accumulator_of_images_takes_more_values_than_counted((recipe, _) in image_networks()) {
        check(&recipe.build())?;
    }
}

#[test]
fn pools_sums_and_borders_are_counted() {
    let mut net = Network::new("net", vec![1, 2, 2]);
    let codes = ActQuantizer::new(2, false, false, 1.0, 0).unwrap();
    let x = net.quantize("q", net.input(), codes).unwrap();
    let weights = Array4::from_shape_fn((1, 1, 2, 2), |(_, _, y, x)| [1.0, -2.0, 0.0, 3.0][2 * y + x]);
    let quantizer = WeightQuantizer::new(3, true, vec![1.0]).unwrap();
    let conv = Conv2d::new(weights, Some(vec![0.5]), quantizer.clone()).unwrap();
    let x = net.conv2d("conv", x, conv.with_padding([1, 1, 0, 0])).unwrap();
    let kernel = [2, 1];
    let pool = Pool {
        kind: PoolKind::Average,
        kernel,
        stride: [1, 1],
        padding: [0; 4],
    };
    let x = net.pool("pool", x, pool).unwrap();
    let x = net.function("relu", x, Univariate::Relu).unwrap();
    let x = net.flatten("flat", x).unwrap();
    // Codes -4..=3, after ReLU 0..=3 of them.
    let codes = ActQuantizer::new(3, true, false, 1.0, 0).unwrap();
    let x = net.quantize("q1", x, codes).unwrap();
    let x = net.add("twice", x, x).unwrap();
    let fc = Linear::new(array![[3.0, -1.0], [0.0, 1.0]], None, quantizer).unwrap();
    let y = net.linear("fc", x, fc).unwrap();
    net.set_output(y, &[]).unwrap();
    let found: Vec<(String, u64, bool)> = accumulators(&net)
        .unwrap()
        .into_iter()
        .map(|a| (a.layer, a.values, a.lookup))
        .collect();
    let expected = [
        ("conv", 1 + 6 * 3, true),
        ("pool", 1 + 2 * 6 * 3, true),
        ("twice", 1 + 2 * 3, false),
        ("fc", 1 + 4 * 6, false),
    ];
    assert_eq!(
        found,
        expected.map(|(layer, values, lookup)| (layer.to_owned(), values, lookup))
    );
}

#[test]
fn an_accumulator_beyond_exact_floats_is_an_error() {
    let mut net = Network::new("wide", vec![2]);
    let q = ActQuantizer::new(12, false, false, 0.001, 0).unwrap();
    let x = net.quantize("q", net.input(), q).unwrap();
    let quantizer = WeightQuantizer::constant(13).unwrap();
    let fc = Linear::new(Array2::from_elem((1, 2), 1.0), None, quantizer).unwrap();
    let y = net.linear("fc", x, fc).unwrap();
    net.set_output(y, &[]).unwrap();
    let Err(QuantError::TooWide { layer, has, limit }) = accumulators(&net) else {
        panic!("too wide an accumulator");
    };
    assert_eq!((layer.as_str(), has, limit), ("fc", 2 * 4095 * 4095, 1 << 24));
}
