//! The weight budget is exactly what fits.

use crate::random::dense;
use cml_bitwidth::{BitwidthError, analyze, l1_budget};
use cml_ir::{Interval, Tensor};
use proptest::prelude::*;

/// Bits of a row with this norm, spread with alternating signs.
fn bits(l1: u64, bias: i64, codes: Interval) -> u32 {
    let part = (l1 / 3) as i64;
    let weights = vec![part, -part, l1 as i64 - 2 * part];
    let (graph, _) = dense(Tensor::new(vec![1, 3], weights).unwrap(), vec![bias], codes);
    let widths = analyze(&graph);
    assert_eq!(widths.widest().l1, Some(l1));
    widths.widest().bits
}

proptest! {
    #[test]
    fn at_the_budget_fits_and_one_above_does_not(
        p in 1u32..20,
        lo in -20i64..20,
        span in 1i64..20,
        bias in -1000i64..1000,
    ) {
        let codes = Interval::new(lo, lo + span);
        let budget = l1_budget(p, codes);
        prop_assert!(bits(budget, bias, codes) <= p);
        prop_assert!(bits(budget + 1, bias, codes) > p);
    }
}

#[test]
fn refusal_names_layer_width_and_limit() {
    let (graph, _) = dense(
        Tensor::new(vec![1, 2], vec![5, -6]).unwrap(),
        vec![0],
        Interval::new(-3, 3),
    );
    let error = analyze(&graph).require_at_most(6).unwrap_err();
    assert!(matches!(
        error,
        BitwidthError::TooWide {
            bits: 7,
            limit: 6,
            ..
        }
    ));
    assert_eq!(
        error.to_string(),
        "layer fc: 67 values need 7 bits (proved), limit 6"
    );
}
