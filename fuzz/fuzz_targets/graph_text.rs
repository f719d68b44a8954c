//! Any text is a graph or an error that names a line; one that is accepted is written as text that is read back, and
//! as bytes that are. Start from a graph with every operation:
//! `cargo fuzz run graph_text corpus crates/cml-ir/tests/graphs -- -max_len=65536 -rss_limit_mb=4096`.

#![no_main]

use cml_file::Artifact;
use cml_ir::{Graph, graph_from_text, graph_hash, graph_to_text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let graph = match graph_from_text(text) {
        Ok(graph) => graph,
        Err(e) => {
            assert!(e.to_string().starts_with("line "));
            return;
        }
    };
    let text = graph_to_text(&graph);
    let back = graph_from_text(&text).expect("own text");
    assert!(graph_hash(&back).expect("a small graph") == graph_hash(&graph).expect("a small graph"));
    let file = graph.to_bytes().expect("a small graph");
    let back = Graph::from_bytes("fuzz", &file, ()).expect("own bytes");
    assert!(graph_to_text(&back) == text);
});
