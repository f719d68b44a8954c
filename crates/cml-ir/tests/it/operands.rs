//! Who reads whom, in which order.

use cml_ir::{GraphBuilder, InputSpec, Interval, NodeId, Op, OutputSpec};

#[test]
fn operands_stand_in_their_order_and_users_once() {
    let mut b = GraphBuilder::new("order");
    let spec = InputSpec::new(1.0, 0, Interval::new(0, 3));
    let x = b.input("x", vec![2], spec.clone()).unwrap();
    let y = b.input("y", vec![1], spec).unwrap();
    let join = |b: &mut GraphBuilder, name, of: &[NodeId]| b.push(name, Op::Concat { axis: 0 }, of).unwrap();
    let all = join(&mut b, "all", &[y, x, y, y]);
    let twice = join(&mut b, "twice", &[all, y, all]);
    let sum = b.sub("sum", twice, twice).unwrap();
    let out = b.output("out", sum, OutputSpec::identity()).unwrap();
    let graph = b.finish().unwrap();

    let operands = |id| graph.operands(id).collect::<Vec<_>>();
    let users = |id| graph.users(id).collect::<Vec<_>>();
    assert_eq!(operands(x), []);
    assert_eq!(operands(all), [y, x, y, y]);
    assert_eq!(operands(twice), [all, y, all]);
    assert_eq!(operands(sum), [twice, twice]);
    assert_eq!(users(y), [twice, all]);
    assert_eq!(users(twice), [sum]);
    assert_eq!(users(out), []);
}
