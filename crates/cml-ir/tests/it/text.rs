//! Graphs as text: written, read back, and refused with the line.

use crate::random::graphs;
use cml_file::Artifact;
use cml_ir::{
    Graph, GraphBuilder, InputSpec, InputStep, Interval, OutputSpec, Probabilities, Tensor, graph_from_text,
    graph_hash, graph_to_text,
};
use proptest::prelude::*;

const ALL: &str = include_str!("../graphs/every_operation.txt");

fn round_trip(graph: &Graph) -> String {
    let text = graph_to_text(graph);
    let back = graph_from_text(&text).unwrap();
    assert!(back == *graph, "{text}");
    assert_eq!(graph_hash(&back).unwrap(), graph_hash(graph).unwrap());
    assert_eq!(graph_to_text(&back), text);
    text
}

#[test]
fn every_operation_is_read_back() {
    let graph = graph_from_text(ALL).unwrap();
    let again = Graph::from_bytes("all", &graph.to_bytes().unwrap(), ()).unwrap();
    assert!(again == graph);
    insta::assert_snapshot!("text.all", round_trip(&graph));
}

#[test]
fn a_single_number_has_no_axes() {
    let text = "graph \"\"\n%0 \"x\": u1[] 0..1 = input [] scale 1.0 range 0..1\n\
        %1 \"not\": u1[] 0..1 = lut %0 {1, 1:0}\n%2 \"y\": u1[] 0..1 = output %1 scale 1.0\n";
    assert_eq!(round_trip(&graph_from_text(text).unwrap()), text);
}

proptest! {
    #[test]
    fn random_graphs_are_read_back((graph, _) in graphs()) {
        round_trip(&graph);
    }

    #[test]
    fn names_and_numbers_are_read_back(
        network in any::<String>(),
        name in r"[^\s\p{Cc}]{1,50}",
        labels in prop::collection::vec(any::<String>(), 2),
        column in r"\P{Cc}{1,50}",
        scale in prop::num::f32::POSITIVE | prop::num::f32::SUBNORMAL,
        offset in prop::num::f32::NORMAL | prop::num::f32::ZERO | prop::num::f32::SUBNORMAL,
        zero_point in -(1i64 << 40) + 1..1 << 40,
    ) {
        let scale = scale.abs();
        let mut b = GraphBuilder::new(network);
        let input = InputSpec {
            scale: vec![scale],
            offset: vec![1.0, offset],
            zero_point,
            columns: vec![format!("{column}'"), column],
            steps: vec![InputStep::Add(vec![offset, 0.1]), InputStep::Floor, InputStep::Min(vec![scale])],
            ..InputSpec::new(1.0, 0, Interval::point(zero_point))
        };
        let x = b.input("x", vec![2], input).unwrap();
        let output = OutputSpec {
            zero_point,
            scale: vec![scale, 1.0],
            offset: vec![offset],
            labels,
            probabilities: Probabilities::Logistic,
            ..OutputSpec::identity()
        };
        b.output(&name, x, output).unwrap();
        round_trip(&b.finish().unwrap());
    }

    /// Whatever the damage, there is a graph or an error that names a line.
    #[test]
    fn damaged_text_is_refused_with_its_line(
        at in any::<prop::sample::Index>(),
        bytes in 0usize..20,
        with in "[0-9%,\\[\\]{}:= \"\\\\.\na-z-]{0,8}",
    ) {
        let start = at.index(ALL.len());
        let end = (start + bytes).min(ALL.len());
        if let (Some(before), Some(after)) = (ALL.get(..start), ALL.get(end..))
            && let Err(e) = graph_from_text(&format!("{before}{with}{after}"))
        {
            let message = e.to_string();
            prop_assert!(message.starts_with("line "), "{}", message);
        }
    }
}

#[test]
fn every_part_of_a_text_is_needed() {
    let whole = graph_to_text(&graph_from_text(ALL).unwrap());
    let last = whole.lines().count();
    for (end, _) in whole.trim_end().char_indices() {
        let line = whole[..end].lines().count().max(1);
        match graph_from_text(&whole[..end]) {
            // Up to a field that may be missing, or the end of a number.
            Ok(graph) => assert!(
                line > last - 3 && graph.outputs().count() > 0,
                "{}",
                &whole[..end]
            ),
            Err(e) => assert!(e.to_string().starts_with(&format!("line {line}: ")), "{e}"),
        }
    }
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let refused = |text: &str, expected: &str| {
        let message = graph_from_text(text).unwrap_err().to_string();
        assert_eq!(message, expected, "{text}");
    };
    refused("", "line 1: needs `graph` and its name, has the end of the text");
    refused(
        "; nothing\n\n",
        "line 1: needs `graph` and its name, has the end of the text",
    );
    refused("\ngraf \"g\"", "line 2: needs `graph`, has `graf`");
    refused("graph g", "line 1: needs the graph's name in quotes, has `g`");
    refused("graph \"g\" 1", "line 1: needs the end of the line, has `1`");
    refused(
        "graph \"g\n",
        "line 1: needs a quote at the end of the text, has `\\\"g`",
    );
    refused("graph \"g\"\n", "line 1: graph g has no input");
    refused("graph \"\\u{1b}[2J\"", "line 1: graph \u{fffd}[2J has no input");

    // After a good header and two nodes: line 4 is `%2`.
    let node = |line: &str, expected: &str| {
        let start =
            "graph \"g\"\n%0 \"x\" = input [2] scale 1.0 range 0..3\n%1 \"y\" = output %0 scale 1.0\n";
        refused(&format!("{start}{line}"), &format!("line 4: {expected}"));
    };
    node("%3 \"a\" = add %0, %0", "needs `%2`, has `%3`");
    node("%2 a = add %0, %0", "needs the node's name in quotes, has `a`");
    node("%2 \"x\" = add %0, %0", "node name \"x\" is taken");
    node("%2 \"\" = add %0, %0", "node name \"\" is empty");
    node(
        "%2 \"a b\" = add %0, %0",
        "node name \"a b\" holds white space or control characters",
    );
    node("%2 \"a\" add %0, %0", "needs `=`, has `add`");
    node("%2 \"a\" =", "needs an operation, has the end of the line");
    node("%2 \"a\" = mul %0, %0", "needs an operation, has `mul`");
    node("%2 \"a\" = add %0", "node a: operands: needs 2, has 1");
    node("%2 \"a\" = add %0,", "needs an operand, has the end of the line");
    node(
        "%2 \"a\" = add %0, %2",
        "node a: operand %2 is not defined before it",
    );
    node(
        "%2 \"a\" = add %0, %1",
        "node a: operand: needs a value, has output y",
    );
    node(
        "%2 \"a\" = add %0, %4294967296",
        "needs the number of a node, has `%4294967296`",
    );
    node("%2 \"a\" = add %0, %0 %0", "needs the end of the line, has `%0`");
    node(
        "%2 \"a\": u3[3] 0..6 = add %0, %0",
        "node a: type: needs u3[2] 0..6, has u3[3] 0..6",
    );
    node(
        "%2 \"a\": u4[2] 0..6 = add %0, %0",
        "node a: type: needs u3[2] 0..6, has u4[2] 0..6",
    );
    node("%2 \"a\": u3[2] 6..0 = add %0, %0", "interval 6..0 is empty");
    node(
        "%2 \"a\" = dot %0 weights [1,2] [1] bias [0]",
        "tensor of shape [1, 2] needs 2 values, has 1",
    );
    node(
        "%2 \"a\" = dot %0 weights [1,2] [1,2.5]",
        "needs a whole number of 64 bits, has `2.5`",
    );
    node(
        "%2 \"a\" = dot %0 weights [1,2] [1,9223372036854775808]",
        "needs a whole number of 64 bits, has `9223372036854775808`",
    );
    node(
        "%2 \"a\" = dot %0 weights [1,-2] [1]",
        "needs a whole number from 0, has `-2`",
    );
    node(
        "%2 \"a\" = dot %0 weights [4611686018427387904,0] []",
        "node a: dot input: needs [0], has [2]",
    );
    node(
        "%2 \"a\" = dot %0 weights [1,2] [1,1099511627776]",
        "node a: values reach a magnitude of 3298534883331, limit 1099511627776",
    );
    node(
        "%2 \"a\" = input [4194305] scale 1.0 range 0..1",
        "shape [4194305] has more than 4194304 elements or more than 6 dimensions",
    );
    node(
        "%2 \"a\" = input [2] scale 1e39 range 0..1",
        "node a: scale is inf, must be finite and positive",
    );
    node(
        "%2 \"a\" = input [2] scale inf range 0..1",
        "needs `[`, has `inf`",
    );
    node("%2 \"a\" = input [2] range 0..1", "needs `scale`, has `range`");
    node(
        "%2 \"a\" = lut %0 {1, 2:2, 2:3}",
        "lookup table: break positions must ascend",
    );
    node(
        "%2 \"a\" = lut %0 {1, 2:1}",
        "lookup table: neighbouring plateaus must differ",
    );
    node(
        "%2 \"a\" = lut %0 {1} {2} {3}",
        "node a: lut channels: needs 1 or 2, has 3",
    );
    node("%2 \"a\" = lut %0", "needs `{`, has the end of the line");
    node(
        "%2 \"a\" = sumpool %0 kernel [1] stride [1,1]",
        "needs 2 numbers in the list, has 1",
    );
    node("%2 \"a\" = output %0 scale 1.0 labels [\"a\",\"\\q\"]", {
        "needs an escape \\\\, \\\", \\', \\n, \\r, \\t, \\0 or \\u{..}, has `\\\"\\\\q\\\"`"
    });
    node(
        "%2 \"a\" = slice %0 axis 0 0.5..1",
        "needs a whole number from 0, has `0.5`",
    );
    node(
        &format!("%2 \"a\" = {}", "x".repeat(1000)),
        &format!("needs an operation, has `{}...`", "x".repeat(40)),
    );
}

/// A line of 50 bytes must not cost hours.
#[test]
fn a_large_graph_in_few_lines_is_refused() {
    let text = "graph \"g\"\n%0 \"x\" = input [1,1024,1024] scale 1.0 range 0..1\n\
        %1 \"w\" = sumpool %0 kernel [512,512] stride [1,1]\n";
    let message = graph_from_text(text).unwrap_err().to_string();
    // 513 by 513 windows of 512 by 512, and the input's elements.
    let expected = "line 3: node w: the graph has 68989222912 terms up to here, limit 8589934592";
    assert_eq!(message, expected);
}

#[test]
fn the_short_form_is_not_the_long_one() {
    let mut b = GraphBuilder::new("g");
    let x = b
        .input("x", vec![2], InputSpec::new(1.0, 0, Interval::new(0, 1)))
        .unwrap();
    let w = Tensor::new(vec![1, 2], vec![1, 2]).unwrap();
    let y = b.dot("fc", x, w, vec![0]).unwrap();
    b.output("y", y, OutputSpec::identity()).unwrap();
    let short = b.finish().unwrap().to_string();
    let message = graph_from_text(&short).unwrap_err().to_string();
    assert_eq!(message, "line 1: needs the graph's name in quotes, has `g`");
}
