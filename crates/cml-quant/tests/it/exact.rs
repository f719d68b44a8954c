//! Forward pass and integer graph agree bit for bit.

use crate::images::image_networks;
use crate::random::{fixed, networks};
use cml_ir::{Graph, InputStep, interpret, optimize};
use cml_quant::{ActQuantizer, Linear, Network, Univariate, WeightQuantizer, to_graph};
use ndarray::array;
use proptest::prelude::*;

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Float scores of the integer graph.
fn through_graph(graph: &Graph, sample: &[f32]) -> Vec<f32> {
    let codes = interpret(graph, &[graph.quantize_input(sample).unwrap()]).unwrap();
    let (_, _, spec) = graph.outputs().next().unwrap();
    spec.dequantize_all(&codes[0])
}

fn check(net: &Network, samples: &[Vec<f32>]) -> Result<(), TestCaseError> {
    let graph = to_graph(net).unwrap();
    let optimized = optimize(&graph).unwrap();
    for sample in samples {
        let expected = net.forward(sample).unwrap();
        prop_assert!(expected.iter().all(|y| y.is_finite()), "{expected:?}");
        prop_assert_eq!(
            bits(&through_graph(&graph, sample)),
            bits(&expected),
            "{:?}",
            sample
        );
        prop_assert_eq!(
            bits(&through_graph(&optimized, sample)),
            bits(&expected),
            "{:?}",
            sample
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(fixed(300, 1))]

    #[test]
    fn forward_is_the_integer_graph((recipe, samples) in networks()) {
        check(&recipe.build(), &samples)?;
    }

    #[test]
    fn forward_of_images_is_the_integer_graph((recipe, samples) in image_networks()) {
        check(&recipe.build(), &samples)?;
    }
}

/// Codes that the steps never lead to do not count, and a factor below 0 turns the order round.
#[test]
fn steps_before_the_quantizer_bound_its_codes() {
    let mut net = Network::new("steps", vec![2]);
    let steps = vec![
        InputStep::Multiply(vec![-2.0, 0.5]),
        InputStep::Add(vec![1.0]),
        InputStep::Max(vec![-1.0]),
        InputStep::Min(vec![0.75, 2.0]),
    ];
    net.set_input_steps(steps).unwrap();
    let q = ActQuantizer::new(8, true, false, 0.25, 0).unwrap();
    let x = net.quantize("x/quant", net.input(), q).unwrap();
    net.set_output(x, &[]).unwrap();
    let spec = net.input_spec().unwrap();
    assert_eq!(spec.range, cml_ir::Interval::new(-4, 8));
    // -2 * 0.4 + 1 = 0.2, 0.5 * 0.4 + 1 = 1.2; of -9, 19 and -3.5.
    assert_eq!(spec.quantize_all(&[2], &[0.4, 0.4]), Ok(vec![1, 5]));
    assert_eq!(spec.quantize_all(&[2], &[-9.0, -9.0]), Ok(vec![3, -4]));
    assert!(net.set_input_steps(vec![InputStep::Add(vec![0.0; 3])]).is_err());
}

/// Scores computed here by hand: the forward pass shares code with the
/// translation, so their agreement alone would not show a common mistake.
#[test]
fn a_small_network_by_hand() {
    let mut net = Network::new("hand", vec![2]);
    // Codes 0..7, code 2 stands for 0.0.
    let q = ActQuantizer::new(3, false, false, 0.5, 2).unwrap();
    let x = net.quantize("q", net.input(), q).unwrap();
    // Codes [[1, -3], [2, 0]], scales 0.25 and 0.5.
    let quantizer = WeightQuantizer::new(3, true, vec![0.25, 0.5]).unwrap();
    let weights = array![[0.25, -0.9], [1.1, 0.0]];
    let x = net
        .linear(
            "fc1",
            x,
            Linear::new(weights, Some(vec![0.125, -1.0]), quantizer).unwrap(),
        )
        .unwrap();
    let x = net.function("relu", x, Univariate::Relu).unwrap();
    // Signed: without the function, negative values would come through.
    let q = ActQuantizer::new(3, true, true, 0.5, 0).unwrap();
    let x = net.quantize("q1", x, q).unwrap();
    // One bit: codes [[1, -1]], scale 2.
    let binary = WeightQuantizer::new(1, true, vec![2.0]).unwrap();
    let y = net
        .linear("fc2", x, Linear::new(array![[0.1, -7.0]], None, binary).unwrap())
        .unwrap();
    net.set_output(y, &["score"]).unwrap();
    let graph = to_graph(&net).unwrap();
    let check = |sample: [f32; 2], expected: f32| {
        assert_eq!(net.forward(&sample).unwrap(), [expected], "forward of {sample:?}");
        assert_eq!(through_graph(&graph, &sample), [expected], "graph of {sample:?}");
    };
    // Codes 4 and 1, less 2: accumulators 2 + 3 = 5 and 4; floats
    // 5 * 0.125 + 0.125 = 0.75 and 4 * 0.25 - 1 = 0; codes 2 (1.5 to even) and 0.
    check([1.0, -0.5], 2.0);
    // Codes 7 (clamped) and 2: 5 and 10; 0.75 and 1.5; codes 2 and 3: -1 * 1.0.
    check([100.0, 0.2], -1.0);
    // Codes 0 (clamped) and 0: -2 + 6 = 4 and -4; 0.625 and -2; codes 1 and 0.
    check([-9.0, -9.0], 1.0);
    // Halves go to the even code: 0.25 / 0.5 + 2 = 2.5 is 2, 0.75 / 0.5 + 2 = 3.5 is 4.
    // Accumulators 0 - 6 and 0: -0.625 and -1; codes 0 and 0.
    check([0.25, 0.75], 0.0);
}
