//! The table of a small graph, its JSON, and what is refused.

use cml_bitwidth::{BitwidthError, Report, analyze, observe};
use cml_ir::{Conv2d, Graph, GraphBuilder, InputSpec, Interval, Lut, NodeId, Op, OutputSpec, Steps, Tensor};

fn tensor(shape: &[usize], data: &[i64]) -> Tensor {
    Tensor::new(shape.to_vec(), data.to_vec()).unwrap()
}

/// A convolution with padding, a lookup that is constant on one channel, a
/// residual sum and a dense head.
fn example(name: &str) -> Graph {
    let mut b = GraphBuilder::new(name);
    let spec = InputSpec::new(0.25, 0, Interval::new(0, 3));
    let x = b.input("x", vec![1, 2, 2], spec).unwrap();
    let conv = Conv2d {
        weights: tensor(&[2, 1, 2, 2], &[1, -2, 0, 3, 1, 0, 0, 1]),
        bias: vec![-4, 100],
        stride: [1, 1],
        padding: [1, 1, 0, 0],
        pad_value: 0,
        groups: 1,
    };
    let conv = b.conv2d("conv", x, conv).unwrap();
    let relu = |zero: i64| Steps::from_fn(Interval::new(-20, 120), |v| (v - zero).clamp(0, 3));
    let relu = b
        .lut(
            "conv/relu",
            conv,
            Lut::per_channel(vec![relu(0), relu(50)]).unwrap(),
        )
        .unwrap();
    let sign = Lut::from_fn(Interval::new(-9, 9), |v| v.signum());
    let sign = b.lut("conv/sign", conv, sign).unwrap();
    let sum = b.push("residual", Op::Add, &[relu, sign]).unwrap();
    let act = b
        .lut("act", sum, Lut::from_fn(Interval::new(-1, 4), |v| v.max(0)))
        .unwrap();
    let flat = b.reshape("flat", act, vec![8]).unwrap();
    let weights = tensor(&[2, 8], &[1, 0, 0, -2, 0, 0, 5, 1, 0, 0, 0, 1, 0, 0, 0, 0]);
    let fc = b.dot("fc", flat, weights, vec![0, 7]).unwrap();
    b.output("y", fc, OutputSpec::identity()).unwrap();
    b.finish().unwrap()
}

fn samples(data: &[[i64; 4]]) -> Vec<Vec<Tensor>> {
    data.iter().map(|d| vec![tensor(&[1, 2, 2], d)]).collect()
}

fn id(graph: &Graph, name: &str) -> NodeId {
    graph.nodes().find(|(_, n)| n.name == name).unwrap().0
}

#[test]
fn proved() {
    let report = Report::new(&analyze(&example("example")), None).unwrap();
    insta::assert_snapshot!("example.widths", report);
}

#[test]
fn proved_beside_observed() {
    let graph = example("example");
    let observed = observe(&graph, samples(&[[0, 1, 2, 1], [1, 1, 0, 2], [3, 0, 0, 1]])).unwrap();
    let report = Report::new(&analyze(&graph), Some(&observed)).unwrap();
    insta::assert_snapshot!("example.observed", report);
    let outside = observed
        .outside(&graph, samples(&[[0, 1, 2, 1], [3, 3, 0, 3]]))
        .unwrap();
    insta::assert_snapshot!("example.outside", outside);
    insta::assert_snapshot!("example.refused", outside.require_none().unwrap_err());
}

#[test]
fn overflow() {
    let graph = example("example");
    let widths = analyze(&graph);
    let inputs = samples(&[[0, 1, 2, 1], [3, 3, 0, 3], [3, 3, 3, 3]]);
    for bits in 0..=8 {
        let overflow = widths.overflow(&graph, &inputs, bits).unwrap();
        // Counted by hand: elements of the interpreter outside the middle of their channel.
        let mut expected = 0;
        for input in &inputs {
            let values = cml_ir::evaluate(&graph, input).unwrap();
            for row in widths.carried() {
                let data = values.get(row.node).data();
                let channels = widths.channels(row.node);
                for (i, v) in data.iter().enumerate() {
                    let c = channels[i / (data.len() / channels.len())];
                    let surplus = c.count().saturating_sub(1 << bits) as i64;
                    let (cut, above) = (surplus / 2, surplus - surplus / 2);
                    expected += u64::from(!(c.lo + cut..=c.hi - above).contains(v));
                }
            }
        }
        assert_eq!(overflow.overflowing, expected, "{bits} bits");
        assert_eq!(overflow.samples, 3);
        assert_eq!(overflow.layers.len(), widths.carried().len());
    }
    let overflow = |bits| {
        widths
            .overflow(&graph, &inputs, bits)
            .unwrap()
            .samples_overflowing
    };
    assert_eq!((overflow(0), overflow(widths.widest().bits)), (3, 0));
    let error = analyze(&example("other")).overflow(&graph, &inputs, 4);
    assert!(matches!(error, Err(BitwidthError::OtherGraph { .. })));
}

#[test]
fn json() {
    let graph = example("example");
    let observed = observe(&graph, samples(&[[0, 1, 2, 1]])).unwrap();
    let report = Report::new(&analyze(&graph), Some(&observed)).unwrap();
    insta::assert_snapshot!("example.json", serde_json::to_string_pretty(&report).unwrap());
}

#[test]
fn accumulators_are_linear_and_read_by_a_lookup_or_an_output() {
    let graph = example("example");
    let widths = analyze(&graph);
    let names: Vec<String> = widths.accumulators().into_iter().map(|a| a.layer).collect();
    assert_eq!(names, ["conv", "residual", "fc"]);
    for name in ["x", "conv/relu", "act", "flat", "y"] {
        assert!(!widths.is_accumulator(id(&graph, name)), "{name}");
    }
}

#[test]
fn inputs_and_lookups_read_directly_are_carried() {
    let mut b = GraphBuilder::new("direct");
    let spec = InputSpec::new(1.0, 0, Interval::new(-128, 127));
    let x = b.input("x", vec![2], spec).unwrap();
    let half = Lut::from_fn(Interval::new(-128, 127), |v| v / 64);
    let y = b.lut("half", x, half).unwrap();
    b.output("y", y, OutputSpec::identity()).unwrap();
    let widths = analyze(&b.finish().unwrap());
    assert!(widths.accumulators().is_empty());
    let rows: Vec<(&str, u32, usize)> = widths
        .carried()
        .iter()
        .map(|r| (r.layer.as_str(), r.bits, r.lookups))
        .collect();
    assert_eq!(rows, [("x", 8, 2), ("half", 2, 0)]);
    assert_eq!((widths.accumulator_size(), widths.lookups()), (8, 2));
    let error = widths.require_at_most(7).unwrap_err();
    assert_eq!(
        error.to_string(),
        "layer x: 256 values need 8 bits (proved), limit 7"
    );
}

#[test]
fn constant_lookups_are_free() {
    let graph = example("example");
    let widths = analyze(&graph);
    let conv = &widths.accumulators()[0];
    // Channel 1 is beyond every break of both lookups; the 4 elements of
    // channel 0 cross breaks of both.
    assert_eq!((conv.channels, conv.lookups), (2, 8));
    let residual = &widths.accumulators()[1];
    assert_eq!(residual.lookups, 4);
    assert_eq!(widths.channels(residual.node)[1], Interval::point(4));
}

#[test]
fn a_table_of_another_graph_is_refused() {
    let (graph, other) = (example("example"), example("renamed"));
    let widths = analyze(&graph);
    widths.check(&graph).unwrap();
    assert_eq!(widths.graph_len(), graph.len());
    assert!(matches!(
        widths.check(&other),
        Err(BitwidthError::OtherGraph { .. })
    ));
    let foreign = observe(&other, samples(&[[0; 4]])).unwrap();
    assert!(Report::new(&widths, Some(&foreign)).is_err());
    assert!(foreign.outside(&graph, samples(&[[0; 4]])).is_err());
}

#[test]
fn one_weight_makes_another_graph() {
    let dense = |w: i64| crate::random::dense(tensor(&[1, 2], &[w, 1]), vec![0], Interval::new(-1, 1)).0;
    let widths = analyze(&dense(2));
    widths.check(&dense(2)).unwrap();
    // Same name, size and every interval.
    let error = widths.check(&dense(-2)).unwrap_err().to_string();
    assert!(
        error.starts_with("widths are of graph dense (3 nodes, #"),
        "{error}"
    );
}

#[test]
fn samples_are_checked() {
    let graph = example("example");
    let check = |data: &[[i64; 4]], message: &str| {
        assert_eq!(observe(&graph, samples(data)).unwrap_err().to_string(), message);
    };
    check(&[], "graph example: no samples to observe, needs at least 1");
    check(
        &[[0; 4], [0, 9, 0, 0]],
        "sample 1: input x: element 1 is 9, outside 0..3",
    );
}
