//! Any payload is a graph or a clear error; one that is accepted is written as the same bytes, and as text that is
//! read back. `cargo fuzz run graph -- -max_len=65536 -rss_limit_mb=4096`.

#![no_main]

use cml_file::Artifact;
use cml_ir::{GRAPH, Graph, graph_from_text, graph_to_text};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

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
        let text = include_str!("../../crates/cml-ir/tests/graphs/every_operation.txt");
        let graph = graph_from_text(text).expect("a good text");
        let payload = graph.encode().expect("a small graph");
        size = payload.len().min(max_size);
        data[..size].copy_from_slice(&payload[..size]);
    }
    fuzzer_mutate(data, size, max_size)
});
