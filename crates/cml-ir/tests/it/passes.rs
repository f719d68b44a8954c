//! Passes and files keep what a graph computes.

use crate::random::graphs;
use cml_file::Artifact;
use cml_ir::passes::run_verified;
use cml_ir::{Graph, PASSES, evaluate, interpret, intervals, optimize, verify};
use proptest::prelude::*;

proptest! {
    #[test]
    fn every_pass_is_exact((graph, samples) in graphs()) {
        let optimized = optimize(&graph).unwrap();
        for sample in &samples {
            let expected = interpret(&graph, std::slice::from_ref(sample)).unwrap();
            for pass in PASSES {
                let after = run_verified(pass, &graph).unwrap();
                prop_assert_eq!(&interpret(&after, std::slice::from_ref(sample)).unwrap(), &expected, "{}", pass.name);
            }
            prop_assert_eq!(&interpret(&optimized, std::slice::from_ref(sample)).unwrap(), &expected);
        }
    }

    #[test]
    fn values_stay_in_their_intervals((graph, samples) in graphs()) {
        let intervals = intervals(&graph);
        for sample in &samples {
            let values = evaluate(&graph, std::slice::from_ref(sample)).unwrap();
            for (id, node) in graph.nodes() {
                for (v, e) in values.get(id).data().iter().zip(&intervals[id.index()]) {
                    prop_assert!(e.contains(*v), "{} of {} outside {}", v, node.name, e);
                    prop_assert!(node.ty.range.contains(*v));
                }
            }
        }
    }

    #[test]
    fn files_round_trip((graph, _) in graphs()) {
        let bytes = graph.to_bytes().unwrap();
        let back = Graph::from_bytes("test", &bytes, ()).unwrap();
        verify(&back).unwrap();
        prop_assert!(back == graph);
        prop_assert_eq!(back.to_string(), graph.to_string());
    }
}
