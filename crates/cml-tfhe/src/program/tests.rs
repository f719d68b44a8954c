//! Passes keep what a program computes, and their counts are right.

mod digits;

use super::passes::{Counts, PASSES, Pass, Settings, optimize, run};
use super::verify;
use super::{Affine, Grid, Program, ProgramLookup, ProgramOutput, Reach, Window, row_range};
use cml_ir::{Graph, GraphBuilder, InputSpec, Interval, Lut, NodeId, OutputSpec, Steps, Tensor, interpret};
use proptest::prelude::*;
use std::collections::BTreeMap;

impl Program {
    /// Values of all lookups and all outputs; every row must be in its range.
    fn eval(&self, inputs: &[i64]) -> (Vec<i64>, Vec<i64>) {
        let mut wires = inputs.to_vec();
        let value = |row: &Affine, range: Interval, window: Option<Window>, wires: &[i64]| {
            let terms = row.terms.iter().map(|(&wire, &w)| w * wires[wire as usize]);
            let value = row.constant + terms.sum::<i64>();
            let shown = window.map_or(value, |w| w.residue(value) * w.unit);
            assert!(range.contains(shown), "{shown} is not in {range}");
            value
        };
        for lookup in &self.lookups {
            let (unit, last) = (lookup.grid.unit, lookup.values.len() as i64 - 1);
            assert_eq!(lookup.range.hi, lookup.range.lo + last * unit);
            let at = value(&lookup.row, lookup.range, lookup.window(), &wires);
            assert_eq!((at - lookup.range.lo) % unit, 0);
            wires.push(lookup.read(at));
        }
        let rows = self.outputs.iter().flat_map(|o| &o.rows);
        let output = |(row, range): &(Affine, Interval)| value(row, *range, None, &wires);
        let outputs = rows.map(output).collect();
        (wires.split_off(inputs.len()), outputs)
    }

    /// All inputs, or many of them.
    fn samples(&self) -> Vec<Vec<i64>> {
        let combinations: u64 = self.input_ranges.iter().map(|r| r.count()).product();
        let each = (combinations / 400).max(1) | 1;
        let sample = |mut number: u64| {
            let mut digit = |range: &Interval| {
                let (count, n) = (range.count(), number);
                number /= count;
                range.lo + (n % count) as i64
            };
            self.input_ranges.iter().map(&mut digit).collect()
        };
        let numbers = (0..combinations).step_by(each as usize);
        numbers.chain([combinations - 1]).map(sample).collect()
    }

    fn ranges(&self) -> Vec<Interval> {
        let outputs = self.outputs.iter().flat_map(|o| &o.rows);
        let lookups = self.lookups.iter().map(|l| l.range);
        lookups.chain(outputs.map(|r| r.1)).collect()
    }
}

/// Small numbers, again and again.
struct Draw(Vec<i64>, usize);

impl Draw {
    fn next(&mut self, lo: i64, hi: i64) -> i64 {
        self.1 += 1;
        let seed = self.0[self.1 % self.0.len()].wrapping_add(self.1 as i64);
        lo + (seed.wrapping_mul(6364136223846793005) >> 20).rem_euclid(hi - lo + 1)
    }

    fn row(&mut self, wires: usize) -> Affine {
        let term = |d: &mut Self| {
            (
                d.next(0, wires as i64 - 1) as u32,
                d.next(1, 3) * (2 * d.next(0, 1) - 1),
            )
        };
        Affine {
            terms: (0..self.next(1, 4)).map(|_| term(self)).collect(),
            constant: self.next(-5, 5),
        }
    }
}

/// An id to put where none is needed.
fn node() -> NodeId {
    let codes = InputSpec::new(1.0, 0, Interval::new(0, 1));
    GraphBuilder::new("").input("x", vec![1], codes).unwrap()
}

/// Rows and tables at random; some lookups are others turned round.
fn program(d: &mut Draw) -> Program {
    let inputs = d.next(1, 4) as usize;
    let range = |d: &mut Draw| {
        let hi = if d.next(0, 5) == 0 { 260 } else { d.next(0, 3) };
        Interval::new(d.next(-3, 0), hi)
    };
    let input_ranges: Vec<Interval> = (0..inputs).map(|_| range(d)).collect();
    let mut wires = input_ranges.clone();
    let mut lookups: Vec<ProgramLookup> = Vec::new();
    for _ in 0..d.next(0, 12) {
        let mut row = d.row(wires.len());
        let again = lookups.get(d.next(0, 20) as usize);
        if let Some(other) = again {
            let sign = 2 * d.next(0, 1) - 1;
            row.terms = other.row.terms.iter().map(|(&w, &v)| (w, sign * v)).collect();
        }
        let range = row_range(&row, &wires);
        let few = d.next(0, 3);
        let mut values: Vec<i64> = (0..range.count()).map(|_| d.next(-few, 3)).collect();
        if let Some(other) = again.filter(|_| d.next(0, 1) == 0) {
            values.clone_from(&other.values);
            if row.terms != other.row.terms {
                values.reverse();
            }
        }
        let image = Interval::hull_of(values.iter().map(|&v| Interval::point(v)));
        wires.push(image.unwrap());
        lookups.push(ProgramLookup {
            row,
            range,
            values,
            grid: Grid::ALL,
            layer: 0,
            level: 1,
        });
    }
    let row = |d: &mut Draw| {
        let row = d.row(wires.len());
        let range = row_range(&row, &wires);
        (row, range)
    };
    let rows = (0..d.next(1, 3)).map(|_| row(d)).collect();
    Program {
        inputs: vec![(node(), inputs)],
        input_ranges,
        layers: vec!["layer".to_owned()],
        lookups,
        outputs: vec![ProgramOutput { node: node(), rows }],
    }
}

fn programs() -> impl Strategy<Value = Program> {
    let seeds = prop::collection::vec(0i64..1 << 40, 8..40);
    seeds.prop_map(|seed| program(&mut Draw(seed, 0)).without_unread())
}

fn cost(program: &Program) -> f64 {
    let widest = program.lookups.iter().map(|l| l.range.count()).max();
    program.lookups.len() as f64 * (20 + widest.unwrap_or(0)) as f64
}

/// With fusing, whether it is cheaper or not.
fn eager() -> Settings<'static> {
    Settings {
        fuse_limit: 1 << 12,
        cost: &|p| p.lookups.iter().map(|l| l.level * l.level).sum::<usize>() as f64,
        exact: &|_| true,
    }
}

fn settings() -> Settings<'static> {
    Settings {
        fuse_limit: 256,
        cost: &cost,
        exact: &|_| true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        rng_seed: proptest::test_runner::RngSeed::Fixed(11),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_pass_is_exact(before in programs()) {
        for pass in PASSES {
            for settings in [settings(), eager()] {
                let after = (pass.run)(before.clone(), &settings).0.without_unread();
                prop_assert!(after.lookups.len() <= before.lookups.len() || pass.name == "fuse");
                for sample in before.samples() {
                    prop_assert_eq!(after.eval(&sample).1, before.eval(&sample).1, "{}", pass.name);
                }
            }
        }
    }

    #[test]
    fn all_passes_are_exact_and_their_ranges_can_be_proved_again(before in programs()) {
        for settings in [settings(), eager()] {
            let (after, reports) = optimize(before.clone(), &settings).expect("sound passes");
            prop_assert_eq!(reports.len(), PASSES.len());
            for sample in before.samples() {
                prop_assert_eq!(after.eval(&sample).1, before.eval(&sample).1);
            }
            let mut reach = Reach::new(after.input_ranges.iter().copied());
            for lookup in &after.lookups {
                let found = lookup.row.reached(&mut reach).unwrap();
                prop_assert_eq!(found.range, lookup.range);
                lookup.defined(&mut reach, &found);
            }
            for (row, range) in after.outputs.iter().flat_map(|o| &o.rows) {
                prop_assert_eq!(row.reached(&mut reach).unwrap().range, *range);
            }
        }
    }

    #[test]
    fn reached_ranges_are_attained(before in programs()) {
        prop_assume!(before.input_ranges.iter().map(|r| r.count()).product::<u64>() <= 400);
        let (after, _) = (PASSES[0].run)(before.clone(), &settings());
        for (narrow, wide) in after.ranges().iter().zip(before.ranges()) {
            prop_assert!(wide.encloses(*narrow));
        }
        let mut hulls: Vec<Option<Interval>> = vec![None; after.ranges().len()];
        for sample in after.samples() {
            let (wires, outputs) = after.eval(&sample);
            let all: Vec<i64> = sample.iter().copied().chain(wires).collect();
            let row = |row: &Affine| row.constant + row.terms.iter().map(|(&i, &w)| w * all[i as usize]).sum::<i64>();
            let values = after.lookups.iter().map(|l| row(&l.row)).chain(outputs);
            for (hull, v) in hulls.iter_mut().zip(values) {
                let point = Interval::point(v);
                *hull = Some(hull.map_or(point, |h| h.hull(point)));
            }
        }
        let attained: Vec<Interval> = hulls.into_iter().flatten().collect();
        prop_assert_eq!(attained, after.ranges());
    }
}

/// One hidden layer of `hidden` lookups, then one of half as many, on two
/// inputs of seven values, as for the checkerboard.
fn checkerboard(hidden: usize) -> Graph {
    let mut b = GraphBuilder::new("checkerboard");
    let codes = InputSpec::new(0.25, 0, Interval::new(-3, 3));
    let mut x = b.input("x", vec![2], codes).unwrap();
    let weights = |n: usize, m: usize| {
        let data = (0..n * m).map(|i| (i * i * 7 + i * 3 + n) as i64 % 7 - 3);
        Tensor::new(vec![n, m], data.collect()).unwrap()
    };
    let relu = |shift: i64| Steps::from_fn(Interval::new(-60, 60), |v| (v + shift).clamp(0, 6) / 2);
    for (layer, (out, fan_in)) in [(hidden, 2), (hidden / 2, hidden)].into_iter().enumerate() {
        let bias = (0..out).map(|i| i as i64 % 5 - 2).collect();
        x = b
            .dot(&format!("fc{layer}"), x, weights(out, fan_in), bias)
            .unwrap();
        let lut = Lut::per_channel((0..out).map(|i| relu(i as i64 % 3)).collect()).unwrap();
        x = b.lut(&format!("act{layer}"), x, lut).unwrap();
    }
    let y = b.dot("head", x, weights(1, hidden / 2), vec![3]).unwrap();
    b.output("y", y, OutputSpec::identity()).unwrap();
    b.finish().unwrap()
}

#[test]
fn a_checkerboard_becomes_one_lookup() {
    let graph = checkerboard(12);
    let widths = cml_bitwidth::analyze(&graph);
    let before = Program::of(&graph, &widths).unwrap();
    let (after, reports) = optimize(before.clone(), &settings()).expect("sound passes");
    for sample in before.samples() {
        let input = Tensor::new(vec![2], sample.clone()).unwrap();
        let expected = interpret(&graph, &[input]).unwrap();
        assert_eq!(after.eval(&sample).1, expected[0].data());
    }
    let reports: Vec<String> = reports.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(format!("before\n{before}\n{}", reports.join("\n")));
}

#[test]
fn fusing_can_be_switched_off() {
    let graph = checkerboard(12);
    let before = Program::of(&graph, &cml_bitwidth::analyze(&graph)).unwrap();
    let off = Settings {
        fuse_limit: 0,
        ..settings()
    };
    let levels = |p: &Program| p.lookups.iter().map(|l| l.level).max();
    assert_eq!(levels(&optimize(before, &off).expect("sound passes").0), Some(2));
}

/// Weights and constant of a row, and a table on it.
type Summand = ([i64; 2], i64, fn(i64) -> i64);

/// Lookups on rows of two inputs of four values, all added up.
fn sums(rows: &[Summand]) -> Program {
    let input_ranges = vec![Interval::new(0, 3); 2];
    let mut wires = input_ranges.clone();
    let mut sum = Affine::default();
    let mut lookups = Vec::new();
    for (weights, constant, table) in rows {
        let row = Affine {
            terms: (0..).zip(*weights).collect(),
            constant: *constant,
        };
        let range = row_range(&row, &wires[..2]);
        let values: Vec<i64> = (range.lo..=range.hi).map(table).collect();
        sum.terms.insert(wires.len() as u32, 1);
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
    let range = row_range(&sum, &wires);
    Program {
        inputs: vec![(node(), 2)],
        input_ranges,
        layers: vec!["layer".to_owned()],
        lookups,
        outputs: vec![ProgramOutput {
            node: node(),
            rows: vec![(sum, range)],
        }],
    }
}

#[test]
fn lookups_equal_up_to_sign_and_offset_are_merged() {
    let before = sums(&[
        ([1, -2], 0, |v| v.max(0)),
        // The same row, moved and turned, with the same results.
        ([1, -2], 5, |v| (v - 5).max(0)),
        ([-1, 2], 1, |v| (1 - v).max(0)),
        // Its negative and 7.
        ([1, -2], 0, |v| 7 - v.max(0)),
        // Another table, another row.
        ([-1, 2], 1, |v| v.max(0)),
        ([1, 2], 0, |v| v.max(0)),
    ]);
    let (after, counts) = (PASSES[1].run)(before.clone(), &settings());
    let after = after.without_unread();
    assert_eq!(PASSES[1].name, "merge");
    assert_eq!(counts, [("lookups merged", 3), ("rows aligned", 1)]);
    assert_eq!(after.lookups.len(), 3);
    assert_eq!(after.lookups[0].row, after.lookups[1].row);
    let weights: Vec<i64> = after.outputs[0].rows[0].0.terms.values().copied().collect();
    assert_eq!(weights, [2, 1, 1]);
    assert_eq!(after.outputs[0].rows[0].0.constant, 7);
    for sample in before.samples() {
        assert_eq!(after.eval(&sample).1, before.eval(&sample).1);
    }
}

#[test]
fn dependent_wires_reach_less_than_intervals_say() {
    let before = sums(&[([1, 1], 0, |v| v.min(3)), ([1, 1], 0, |v| (v - 3).max(0) - v)]);
    // min(s, 3) + max(s - 3, 0) - s is 0.
    assert_eq!(before.outputs[0].rows[0].1, Interval::new(-3, 3));
    let (after, counts) = (PASSES[0].run)(before, &settings());
    assert_eq!(after.outputs[0].rows[0].1, Interval::point(0));
    assert_eq!(counts, [("ranges narrowed", 1), ("lookups folded", 0)]);
}

#[test]
fn too_many_combinations_leave_intervals() {
    let mut reach = Reach::new([Interval::new(0, 255), Interval::new(0, 256), Interval::new(7, 7)]);
    let of = |reach: &mut Reach, terms: &[(u32, i64)]| {
        let row = reach.row(terms.iter().copied(), 0).unwrap();
        let combinations = reach.of_row(&row).map(|(_, values)| values.len());
        (row.range, combinations)
    };
    assert_eq!(
        of(&mut reach, &[(0, 1), (2, 2)]),
        (Interval::new(14, 269), Some(256))
    );
    assert_eq!(
        of(&mut reach, &[(0, 1), (1, -1)]),
        (Interval::new(-256, 255), None)
    );
    // A wire that is 0 wherever it is read.
    let row = reach.row([(0, 1)].into_iter(), 0).unwrap();
    let even = reach.define(&row, |v| v % 2, Interval::new(0, 1));
    assert_eq!(even, Interval::new(0, 1));
    assert_eq!(
        of(&mut reach, &[(0, 1), (3, -1)]),
        (Interval::new(0, 254), Some(256))
    );
    assert!(reach.row([(1, i64::MAX)].into_iter(), 0).is_none());
}

#[test]
fn fused_lookups_of_the_same_inputs_share_a_row() {
    let before = checkerboard(6);
    let before = Program::of(&before, &cml_bitwidth::analyze(&before)).unwrap();
    let (after, _) = optimize(before, &eager()).expect("sound passes");
    let row = BTreeMap::from([(0, 1), (1, 7)]);
    assert!(!after.lookups.is_empty() && after.lookups.iter().all(|l| l.row.terms == row));
}

/// What the driver says of a pass that leaves a checkerboard broken.
fn said_of(broken: fn(Program, &Settings<'_>) -> (Program, Counts)) -> String {
    let graph = checkerboard(6);
    let before = Program::of(&graph, &cml_bitwidth::analyze(&graph)).unwrap();
    let pass = |name, run, ensures| Pass {
        name,
        run,
        ensures,
        why_here: "",
    };
    let (reach, merge) = (&PASSES[0], &PASSES[1]);
    let passes = [
        pass("reach", reach.run, reach.ensures),
        pass("merge", merge.run, merge.ensures),
        pass("breaks", broken, verify::merged),
        pass("after", reach.run, reach.ensures),
    ];
    let error = run(before, &settings(), &passes).expect_err("broken");
    error.to_string()
}

/// One fault each; all passes after it would take it further, or panic.
#[test]
fn a_broken_pass_is_named() {
    type BrokenPass = fn(Program, &Settings<'_>) -> (Program, Counts);
    let faults: [(BrokenPass, &str); 9] = [
        (
            |mut p, _| {
                p.lookups[0].row.terms.insert(40, 1);
                (p, vec![])
            },
            "lookup 0 reads wire 40, 2 are defined before it",
        ),
        (
            |mut p, _| {
                p.lookups[0].row.terms.insert(1, 0);
                (p, vec![])
            },
            "lookup 0 reads wire 1 with weight 0",
        ),
        (
            |mut p, _| {
                p.outputs[0].rows[0].0.terms.insert(99, 1);
                (p, vec![])
            },
            "output 0 reads wire 99, ",
        ),
        (
            |mut p, _| {
                p.lookups[1].values.pop();
                (p, vec![])
            },
            "lookup 1 has ",
        ),
        (
            |mut p, _| {
                p.lookups[1].range.hi -= 1;
                p.lookups[1].values.pop();
                (p, vec![])
            },
            "lookup 1 reaches ",
        ),
        (
            |mut p, _| {
                p.outputs[0].rows[0].1.lo += 1;
                (p, vec![])
            },
            "output 0 reaches ",
        ),
        (
            |mut p, _| {
                p.lookups[0].layer = 7;
                (p, vec![])
            },
            "lookup 0 is of layer 7, there are 2",
        ),
        (
            |mut p, _| {
                // A copy of the first lookup that an output reads.
                let wire = (p.input_count() + p.lookups.len()) as u32;
                p.lookups.push(p.lookups[0].clone());
                let values = p.lookups[0].values.clone();
                let hull = Interval::hull_of(values.iter().map(|&v| Interval::point(v))).unwrap();
                let (row, range) = &mut p.outputs[0].rows[0];
                row.terms.insert(wire, 1);
                *range = Interval::new(range.lo + hull.lo, range.hi + hull.hi);
                (p, vec![])
            },
            "are equal up to sign and offset",
        ),
        (
            |mut p, _| {
                p.outputs[0].rows.pop();
                (p, vec![])
            },
            "inputs or results are others than before",
        ),
    ];
    for (fault, expected) in faults {
        let said = said_of(fault);
        assert!(said.starts_with("pass breaks: "), "{said}");
        assert!(said.contains(expected), "{said} for {expected}");
    }
}
