//! What is proved holds, is tight where it can be, and encloses what is seen.

use crate::random::{dense, graphs};
use cml_bitwidth::{analyze, observe};
use cml_ir::{Interval, Tensor, evaluate};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn values_stay_inside_their_interval((graph, samples) in graphs()) {
        let widths = analyze(&graph);
        for sample in samples {
            let values = evaluate(&graph, &[sample]).unwrap();
            for (id, node) in graph.nodes() {
                let data = values.get(id).data();
                prop_assert_eq!(data.len(), widths.elements(id).len());
                for (v, on) in data.iter().zip(widths.elements(id)) {
                    prop_assert!(on.contains(*v), "{} {} {}", node.name, v, on);
                }
            }
        }
    }

    #[test]
    fn a_dense_layer_reaches_both_ends(
        weights in prop::collection::vec(-7i64..8, 12),
        bias in prop::collection::vec(-50i64..50, 3),
        lo in -5i64..3,
        span in 0i64..6,
    ) {
        let codes = Interval::new(lo, lo + span);
        let weights = Tensor::new(vec![3, 4], weights).unwrap();
        let (graph, fc) = dense(weights.clone(), bias, codes);
        let widths = analyze(&graph);
        for row in 0..3 {
            let push = |up: bool| {
                let x = weights.row(row).iter().map(|&w| if (w > 0) == up { codes.hi } else { codes.lo });
                let x = Tensor::new(vec![4], x.collect()).unwrap();
                evaluate(&graph, &[x]).unwrap().get(fc).data()[row]
            };
            prop_assert_eq!(widths.elements(fc)[row], Interval { lo: push(false), hi: push(true) });
        }
    }

    #[test]
    fn observed_lies_inside_proved((graph, samples) in graphs()) {
        let widths = analyze(&graph);
        let samples: Vec<[Tensor; 1]> = samples.into_iter().map(|s| [s]).collect();
        let observed = observe(&graph, &samples).unwrap();
        for (id, node) in graph.nodes() {
            for (proved, seen) in widths.elements(id).iter().zip(observed.elements(id)) {
                prop_assert!(proved.encloses(*seen), "{} {} {}", node.name, proved, seen);
            }
        }
        for (proved, seen) in widths.carried().iter().zip(observed.carried()) {
            prop_assert_eq!(proved.node, seen.node);
            prop_assert!(proved.values >= seen.values && proved.bits >= seen.bits);
            prop_assert!(proved.storage_bits >= seen.storage_bits && proved.lookups >= seen.lookups);
        }
        // The samples observed never leave; later ones are counted one by one.
        prop_assert_eq!(observed.outside(&graph, &samples).unwrap().values_outside, 0);
        let first = observe(&graph, &samples[..1]).unwrap();
        let outside = first.outside(&graph, &samples).unwrap();
        let mut expected = 0;
        for sample in &samples {
            let values = evaluate(&graph, sample).unwrap();
            for row in first.carried() {
                let channels = first.channels(row.node);
                let data = values.get(row.node).data();
                let width = data.len() / channels.len();
                expected += data.chunks(width).zip(&channels).map(|(part, on)| {
                    part.iter().filter(|v| !on.contains(**v)).count() as u64
                }).sum::<u64>();
            }
        }
        prop_assert_eq!(outside.values_outside, expected);
        prop_assert_eq!(outside.require_none().is_ok(), expected == 0);
    }

    #[test]
    fn figures_agree((graph, _) in graphs()) {
        let widths = analyze(&graph);
        widths.check(&graph).unwrap();
        let bits = widths.widest().bits;
        widths.require_at_most(bits).unwrap();
        prop_assert!(bits == 0 || widths.require_at_most(bits - 1).is_err());
        prop_assert!(widths.carried().iter().all(|r| r.values <= widths.widest().values));
        prop_assert!(widths.carried().iter().all(|r| r.storage_bits <= widths.accumulator_size()));
        prop_assert_eq!(widths.lookups(), widths.carried().iter().map(|r| r.lookups).sum::<usize>());
        let accumulators = widths.accumulators();
        for row in widths.carried() {
            prop_assert_eq!(widths.is_accumulator(row.node), accumulators.contains(row));
            prop_assert_eq!(row.channels, graph.node(row.node).ty.shape[0]);
            prop_assert_eq!(row.range, widths.range(row.node));
            prop_assert_eq!(row.range, graph.node(row.node).ty.range);
            prop_assert!(row.bits <= row.storage_bits);
            prop_assert!(u128::from(row.values) <= 1 << row.bits);
        }
    }
}
