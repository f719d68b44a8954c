//! Random valid graphs and inputs for them.

use cml_ir::{
    Conv2d, Graph, GraphBuilder, InputSpec, Interval, Lut, NodeId, Op, OutputSpec, Steps, SumPool, Tensor,
};
use proptest::prelude::*;

/// Small integers drawn one after the other.
pub(crate) struct Draw(pub(crate) Vec<i64>, pub(crate) usize);

impl Draw {
    pub(crate) fn next(&mut self, lo: i64, hi: i64) -> i64 {
        self.1 += 1;
        let v = self.0[self.1 % self.0.len()]
            .wrapping_mul(6364136223846793005)
            .wrapping_add(self.1 as i64);
        lo + (v >> 20).rem_euclid(hi - lo + 1)
    }

    fn many(&mut self, n: usize, lo: i64, hi: i64) -> Vec<i64> {
        (0..n).map(|_| self.next(lo, hi)).collect()
    }
}

fn table(d: &mut Draw, channels: usize) -> Lut {
    let n = if d.next(0, 1) == 0 { 1 } else { channels };
    let steps = |d: &mut Draw| {
        let mut at = d.next(-12, 4);
        let breaks: Vec<(i64, i64)> = (0..d.next(0, 4))
            .map(|_| {
                at += d.next(1, 6);
                (at, d.next(-3, 3))
            })
            .collect();
        Steps::new(d.next(-2, 2), breaks).unwrap()
    };
    Lut::per_channel((0..n).map(|_| steps(d)).collect()).unwrap()
}

/// A graph of a dozen random layers: dense stacks or image layers with
/// residual sums, ending in a dense layer.
pub(crate) fn graph(mut d: Draw) -> Graph {
    let d = &mut d;
    let mut b = GraphBuilder::new("random");
    let image = d.next(0, 1) == 1;
    let shape = if image {
        vec![d.next(1, 2) as usize, 4, 4]
    } else {
        vec![d.next(1, 5) as usize]
    };
    let range = Interval::new(d.next(-4, 0), d.next(1, 4));
    let mut x = b.input("x", shape, InputSpec::new(0.5, 0, range)).unwrap();
    for layer in 0..d.next(1, 5) {
        x = step(&mut b, d, x, layer);
    }
    let size = b.ty(x).shape.iter().product();
    let flat = if b.ty(x).shape.len() > 1 {
        b.reshape("flat", x, vec![size]).unwrap()
    } else {
        x
    };
    let outputs = d.next(1, 3) as usize;
    let weights = sparse(d, vec![outputs, size]);
    let bias = d.many(outputs, -3, 3);
    let y = b.dot("head", flat, weights, bias).unwrap();
    b.output("y", y, OutputSpec::identity()).unwrap();
    b.finish().unwrap()
}

fn sparse(d: &mut Draw, shape: Vec<usize>) -> Tensor {
    let n = shape.iter().product();
    let data = (0..n)
        .map(|_| if d.next(0, 2) == 0 { 0 } else { d.next(-3, 3) })
        .collect();
    Tensor::new(shape, data).unwrap()
}

fn step(b: &mut GraphBuilder, d: &mut Draw, x: NodeId, layer: i64) -> NodeId {
    let shape = b.ty(x).shape.clone();
    let name = |what: &str| format!("{what}{layer}");
    let channels = shape[0];
    let linear = if shape.len() == 3 {
        match d.next(0, 3) {
            0 if shape[1] >= 2 && shape[2] >= 2 => {
                let pool = SumPool {
                    kernel: [2, 2],
                    stride: [d.next(1, 2) as usize, 1],
                };
                b.sum_pool(&name("pool"), x, pool).unwrap()
            }
            1 => b
                .push(&name("transpose"), Op::Transpose { perm: vec![0, 2, 1] }, &[x])
                .unwrap(),
            _ => {
                let out = d.next(1, 3) as usize;
                let conv = Conv2d {
                    weights: sparse(d, vec![out, channels, 2, 1]),
                    bias: d.many(out, -2, 2),
                    stride: [1, d.next(1, 2) as usize],
                    padding: [1, 0, d.next(0, 1) as usize, 1],
                    pad_value: d.next(-1, 1),
                    groups: 1,
                };
                b.conv2d(&name("conv"), x, conv).unwrap()
            }
        }
    } else {
        let out = d.next(1, 6) as usize;
        let weights = sparse(d, vec![out, channels]);
        let bias = d.many(out, -4, 4);
        b.dot(&name("fc"), x, weights, bias).unwrap()
    };
    let channels = b.ty(linear).shape[0];
    let lut = table(d, channels);
    let activated = b.lut(&name("lut"), linear, lut).unwrap();
    match d.next(0, 4) {
        0 => {
            let lut = table(d, channels);
            b.lut(&name("again"), activated, lut).unwrap()
        }
        1 => {
            let lut = table(d, channels);
            let other = b.lut(&name("other"), linear, lut).unwrap();
            b.add(&name("sum"), activated, other).unwrap()
        }
        2 => {
            let both = b
                .push(&name("both"), Op::Concat { axis: 0 }, &[activated, linear])
                .unwrap();
            b.push(
                &name("slice"),
                Op::Slice {
                    axis: 0,
                    start: 1,
                    end: 2 * channels,
                },
                &[both],
            )
            .unwrap()
        }
        _ => activated,
    }
}

pub(crate) fn graphs() -> impl Strategy<Value = (Graph, Vec<Tensor>)> {
    prop::collection::vec(0i64..1 << 40, 8..40).prop_map(|seed| {
        let graph = graph(Draw(seed.clone(), 0));
        let (_, node, spec) = graph.inputs().next().unwrap();
        let mut d = Draw(seed, 1000);
        let sample = |d: &mut Draw| {
            let n = node.ty.shape.iter().product();
            let data = (0..n).map(|_| d.next(spec.range.lo, spec.range.hi)).collect();
            Tensor::new(node.ty.shape.clone(), data).unwrap()
        };
        let samples = (0..12).map(|_| sample(&mut d)).collect();
        (graph, samples)
    })
}
