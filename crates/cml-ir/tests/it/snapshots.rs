//! Dumps, and what each pass does to them.

use cml_ir::passes::run_verified;
use cml_ir::{Graph, GraphBuilder, InputSpec, Interval, Lut, OutputSpec, PASSES, Steps, Tensor, to_dot};

/// One unit is constant, one is read by nobody, and two lookups follow each
/// other.
fn example() -> Graph {
    let mut b = GraphBuilder::new("example");
    let x = b
        .input("x", vec![2], InputSpec::new(0.25, 0, Interval::new(-3, 3)))
        .unwrap();
    let w = Tensor::new(vec![3, 2], vec![1, 2, 0, 1, 3, -1]).unwrap();
    let acc = b.dot("fc1", x, w, vec![0, 20, 0]).unwrap();
    let relu = b
        .lut(
            "fc1/relu",
            acc,
            Lut::from_fn(Interval::new(-40, 40), |v| v.max(0)),
        )
        .unwrap();
    let narrow = |shift: i64| Steps::from_fn(Interval::new(0, 40), |v| ((v + shift) / 4).min(3));
    let quant = Lut::per_channel(vec![narrow(0), narrow(1), narrow(2)]).unwrap();
    let act = b.lut("fc1/quant", relu, quant).unwrap();
    let y = b
        .dot(
            "fc2",
            act,
            Tensor::new(vec![2, 3], vec![1, -2, 0, 2, 1, 0]).unwrap(),
            vec![0, 1],
        )
        .unwrap();
    let spec = OutputSpec {
        zero_point: 0,
        scale: vec![0.5],
        offset: vec![0.0, 0.125],
        labels: vec!["no".into(), "yes".into()],
        ..OutputSpec::identity()
    };
    b.output("y", y, spec).unwrap();
    b.finish().unwrap()
}

#[test]
fn dump() {
    insta::assert_snapshot!("example.graph", example());
    insta::assert_snapshot!("example.dot", to_dot(&example()));
}

#[test]
fn each_pass_before_and_after() {
    let mut graph = example();
    for pass in PASSES {
        let after = run_verified(pass, &graph).unwrap();
        insta::assert_snapshot!(
            format!("pass.{}", pass.name),
            format!("before:\n{graph}\nafter:\n{after}")
        );
        graph = after;
    }
}

/// A file of somebody else's must not move the cursor of who looks at it.
#[test]
fn dumps_hold_no_control_characters() {
    let mut b = GraphBuilder::new("\u{1b}[2J\n");
    let spec = InputSpec::new(1.0, 0, Interval::new(0, 1));
    let x = b.input("x", vec![1], spec).unwrap();
    let spec = OutputSpec {
        labels: vec!["\u{9b}A".into()],
        ..OutputSpec::identity()
    };
    b.output("y", x, spec).unwrap();
    let graph = b.finish().unwrap();
    let dump = graph.to_string();
    assert!(dump.starts_with("graph \u{fffd}[2J\u{fffd}\n"), "{dump}");
    assert!(dump.contains("labels \u{fffd}A"), "{dump}");
    assert!(to_dot(&graph).starts_with("digraph \"\u{fffd}[2J\u{fffd}\" {"));
}
