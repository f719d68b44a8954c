//! Three small networks at each stage: `NAME.1-graph`, `NAME.2-widths`,
//! `NAME.3-circuit`.

use crate::networks::{conv_residual, lowered, mlp, two_in_two_out};
use cml_bitwidth::{Report, analyze};
use cml_ir::{Graph, optimize};
use cml_quant::to_graph;

fn check(name: &str, graph: &Graph) {
    let graph = optimize(graph).unwrap();
    insta::assert_snapshot!(format!("{name}.1-graph"), graph);
    let report = Report::new(&analyze(&graph), None).unwrap();
    insta::assert_snapshot!(format!("{name}.2-widths"), report);
    let circuit = lowered(&graph);
    let failures = circuit.failure_lines().join("\n");
    insta::assert_snapshot!(format!("{name}.3-circuit"), format!("{circuit}{failures}"));
}

#[test]
fn mlp_at_each_stage() {
    check("mlp", &to_graph(&mlp()).unwrap());
}

#[test]
fn conv_residual_at_each_stage() {
    check("conv_residual", &conv_residual());
}

#[test]
fn two_in_two_out_at_each_stage() {
    check("two_in_two_out", &two_in_two_out());
}
