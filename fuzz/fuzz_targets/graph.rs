//! Any payload is a graph or a clear error; one that is accepted is written as the same bytes, and as text that is
//! read back. `cargo fuzz run graph -- -max_len=65536 -rss_limit_mb=4096`.

#![no_main]

use cml_file::Artifact;
use cml_ir::{GRAPH, Graph, graph_from_text, graph_to_text};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

const START: &str = r#"
graph "start"
%0 "x" = input [2,4,4] scale [0.5,0.25] offset [0.0,-0.25] zero -1 range -4..3
%1 "conv" = conv2d %0 weights [2,1,2,2] [1,-1,2,0, 0,0,3,-1] bias [0,2] stride [2,1] pad [1,0,1,1] with -1 groups 2
%2 "pool" = sumpool %1 kernel [1,2] stride [2,3]
%3 "flat" = reshape %2 [4]
%4 "step" = lut %3 {-1, 0:0, 9:1}
%5 "each" = lut %1 {0} {-5, -3:2, 100:-5}
%6 "axes" = transpose %5 [2,0,1]
%7 "both" = concat %4, %3, %4 axis 0
%8 "part" = slice %7 axis 0 3..7
%9 "sum" = add %8, %4
%10 "less" = sub %9, %8
%11 "more" = pad %10 before [1] after [0] with 7
%12 "fc" = dot %11 weights [2,5] [1,0,-2,0,0, 0,1,1,1,1] bias [-9,0]
%13 "y" = output %12 scale [0.5,2.0] offset [0.0,1.5] zero 3 labels ["no","yes"]
%14 "z" = output %6 scale 1.0
"#;

fuzz_target!(|payload: &[u8]| {
    let file = cml_file::encode(GRAPH, payload);
    let Ok(graph) = Graph::from_bytes("fuzz", &file, ()) else {
        return;
    };
    assert!(*graph.to_bytes().expect("it was as large") == file);
    let back = graph_from_text(&graph_to_text(&graph)).expect("own text");
    // By bytes: all of them are equal to themselves.
    assert!(*back.to_bytes().expect("it was as large") == file);
    assert!(!graph.to_string().is_empty());
});

// Starts from a real one.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, _seed: u32| {
    let mut size = size;
    if size < 8 {
        let graph = graph_from_text(START).expect("a good text");
        let payload = graph.encode().expect("a small graph");
        size = payload.len().min(max_size);
        data[..size].copy_from_slice(&payload[..size]);
    }
    fuzzer_mutate(data, size, max_size)
});
