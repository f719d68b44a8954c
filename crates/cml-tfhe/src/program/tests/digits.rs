//! Digits of wide rows, and large weights in parts, keep what a program computes.

use super::super::multiples::with_multiples;
use super::*;
use crate::table;

/// Costs that grow with the half period, and none for those that no parameters serve.
fn cost_of_wide(program: &Program) -> f64 {
    let periods = program.lookups.iter().map(|l| table::half_period(&l.values));
    let cost = |period: u64| {
        if period > 1500 {
            f64::INFINITY
        } else {
            20.0 + period as f64
        }
    };
    periods.map(cost).sum()
}

/// Sums of two or three inputs, far wider than any lookup, read by tables of some changes; sums may be the same up to sign.
fn wide_program(d: &mut Draw) -> Program {
    let inputs = 3;
    let input_ranges: Vec<Interval> = (0..inputs)
        .map(|_| Interval::new(d.next(-300, 0), d.next(1, 300)))
        .collect();
    let mut wires = input_ranges.clone();
    let mut lookups: Vec<ProgramLookup> = Vec::new();
    for number in 0..d.next(1, 4) {
        let mut row = Affine {
            terms: (0..inputs as u32)
                .map(|w| (w, d.next(1, 120) * (2 * d.next(0, 1) - 1)))
                .collect(),
            constant: d.next(-5000, 5000),
        };
        if number > 0 && d.next(0, 2) == 0 {
            let sign = 2 * d.next(0, 1) - 1;
            row.terms = lookups[0]
                .row
                .terms
                .iter()
                .map(|(&w, &v)| (w, sign * v))
                .collect();
        }
        let range = row_range(&row, &wires);
        let (changes, apart) = (d.next(1, 30), d.next(1, 900));
        let (from, fold) = (d.next(range.lo, range.hi), d.next(2, 40));
        let table = |v: i64| ((v - from).div_euclid(apart).clamp(0, changes) - fold / 2).abs();
        let values: Vec<i64> = (range.lo..=range.hi).map(table).collect();
        wires.push(Interval::hull_of(values.iter().map(|&v| Interval::point(v))).unwrap());
        lookups.push(ProgramLookup {
            row,
            range,
            values,
            grid: Grid::ALL,
            layer: 0,
            level: 1,
        });
    }
    let results = inputs as u32..wires.len() as u32;
    let row = Affine {
        terms: results.map(|wire| (wire, d.next(1, 3))).collect(),
        constant: d.next(-3, 3),
    };
    let range = row_range(&row, &wires);
    Program {
        inputs: vec![(node(), inputs)],
        input_ranges,
        layers: vec!["layer".to_owned()],
        lookups,
        outputs: vec![ProgramOutput {
            node: node(),
            rows: vec![(row, range)],
        }],
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        rng_seed: proptest::test_runner::RngSeed::Fixed(12),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn weights_in_parts_are_exact(mut before in programs(), parts in 2_u32..5, by in 1_i64..200) {
        for (row, range) in before.outputs.iter_mut().flat_map(|o| &mut o.rows) {
            row.terms.values_mut().for_each(|w| *w *= by);
            row.constant *= by;
            *range = Interval::new(by * range.lo, by * range.hi);
        }
        let after = with_multiples(&before, parts);
        prop_assert_eq!(after.ranges().pop(), before.ranges().pop());
        let most = 1_u64 << 8_u32.div_ceil(parts).max(2);
        for (row, _) in after.outputs.iter().flat_map(|o| &o.rows) {
            let lookups = row.terms.iter().filter(|(wire, _)| **wire as usize >= after.input_count());
            for (_, w) in lookups {
                prop_assert!(w.unsigned_abs() < 2 * most, "{}", w);
            }
        }
        for sample in before.samples() {
            prop_assert_eq!(after.eval(&sample).1, before.eval(&sample).1);
        }
    }

    /// Whatever is taken off, results stay, and the analysis proves all ranges again.
    #[test]
    fn digits_of_wide_rows_are_exact(seed in prop::collection::vec(0i64..1 << 40, 8..40)) {
        let before = wide_program(&mut Draw(seed, 0)).without_unread();
        let wide = Settings { cost: &cost_of_wide, ..settings() };
        let (after, reports) = optimize(before.clone(), &wide).expect("sound passes");
        let digits = reports.iter().find(|r| r.name == "digits").map(|r| r.counts[1].1);
        let widest = before.lookups.iter().map(|l| table::half_period(&l.values)).max();
        // A table of one change is folded where it is never reached.
        prop_assert!(widest < Some(1500) || after.lookups.is_empty() || digits > Some(0), "{after}");
        prop_assert!(cost_of_wide(&after).is_finite());
        let mut reach = Reach::new(after.input_ranges.iter().copied());
        for lookup in &after.lookups {
            let found = lookup.row.reached(&mut reach).unwrap();
            if let Some(window) = lookup.window() {
                let shown = reach.through(&found, window).unwrap();
                prop_assert!(shown.lo >= 0 && shown.hi < lookup.values.len() as i64, "{shown}");
            } else {
                prop_assert!(reach.are_multiples(&found, lookup.grid.unit));
                prop_assert_eq!(found.range, lookup.range);
            }
            lookup.defined(&mut reach, &found);
        }
        for sample in before.samples() {
            prop_assert_eq!(after.eval(&sample).1, before.eval(&sample).1);
        }
    }
}
