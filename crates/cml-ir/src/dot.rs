//! Graphviz form.

use crate::Graph;
use crate::dump::plain;
use std::fmt::Write;

/// The graph in the DOT language: one box a node, with name, operation and
/// type; edges from operand to user.
pub fn to_dot(graph: &Graph) -> String {
    let mut text = format!(
        "digraph {} {{\n  node [shape=box, fontname=\"monospace\"];\n",
        quote(&plain(graph.name()))
    );
    for (id, node) in graph.nodes() {
        let label = format!("{}\n{}\n{}", node.name, node.op.mnemonic(), node.ty);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  n{} [label={}];", id.index(), quote(&label));
        for operand in graph.operands(id) {
            let _ = writeln!(text, "  n{} -> n{};", operand.index(), id.index());
        }
    }
    text + "}\n"
}

fn quote(text: &str) -> String {
    format!(
        "\"{}\"",
        text.replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n")
    )
}
