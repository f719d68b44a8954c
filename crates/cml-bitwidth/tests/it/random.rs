//! Random graphs of dense, convolution, residual and concat layers, as
//! recipes that shrink.

use cml_ir::{Conv2d, Graph, GraphBuilder, InputSpec, Interval, Lut, NodeId, Op, OutputSpec, Steps, Tensor};
use proptest::prelude::*;

/// One layer: what it is, and the numbers it takes its weights from.
#[derive(Clone, Debug)]
struct Layer {
    kind: Kind,
    numbers: Vec<i64>,
    /// Whether a clipping lookup follows.
    clip: bool,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Dense { out: usize },
    Conv { out: usize, pad_value: i64 },
    Residual { minus: bool },
    Concat,
}

impl Layer {
    fn take(&self, n: usize) -> Vec<i64> {
        self.numbers.iter().copied().cycle().take(n).collect()
    }

    fn weights(&self, shape: Vec<usize>) -> Tensor {
        let n = shape.iter().product();
        Tensor::new(shape, self.take(n)).unwrap()
    }
}

fn layer() -> impl Strategy<Value = Layer> {
    let kind = prop_oneof![
        (1usize..4).prop_map(|out| Kind::Dense { out }),
        (1usize..3, -1i64..2).prop_map(|(out, pad_value)| Kind::Conv { out, pad_value }),
        any::<bool>().prop_map(|minus| Kind::Residual { minus }),
        Just(Kind::Concat),
    ];
    // A prime length, so that rows of weights differ.
    (kind, prop::collection::vec(-3i64..4, 11), any::<bool>()).prop_map(|(kind, numbers, clip)| Layer {
        kind,
        numbers,
        clip,
    })
}

/// Reads the table off the layer's numbers: clips around a shifted zero.
fn clip(b: &mut GraphBuilder, name: &str, x: NodeId, layer: &Layer) -> NodeId {
    let channels = b.ty(x).shape[0];
    let steps = |shift: i64| Steps::from_fn(Interval::new(-12, 12), |v| (v + shift).clamp(-2, 3) / 2);
    let channels = layer.take(channels).into_iter().map(steps).collect();
    b.lut(name, x, Lut::per_channel(channels).unwrap()).unwrap()
}

fn add_layer(b: &mut GraphBuilder, at: usize, x: NodeId, layer: &Layer) -> NodeId {
    let name = |what: &str| format!("{what}{at}");
    let shape = b.ty(x).shape.clone();
    let size: usize = shape.iter().product();
    let y = match layer.kind {
        Kind::Dense { out } => {
            let flat = b.reshape(&name("flat"), x, vec![size]).unwrap();
            let weights = layer.weights(vec![out, size]);
            b.dot(&name("fc"), flat, weights, layer.take(out)).unwrap()
        }
        Kind::Conv { out, pad_value } => {
            let image = if shape.len() == 3 { shape } else { vec![1, size, 1] };
            let x = b.reshape(&name("image"), x, image.clone()).unwrap();
            let conv = Conv2d {
                weights: layer.weights(vec![out, image[0], 2, 1]),
                bias: layer.take(out),
                stride: [1, 1],
                padding: [1, 0, 0, 1],
                pad_value,
                groups: 1,
            };
            b.conv2d(&name("conv"), x, conv).unwrap()
        }
        Kind::Residual { minus } => {
            let branch = clip(b, &name("branch"), x, layer);
            let op = if minus { Op::Sub } else { Op::Add };
            b.push(&name("sum"), op, &[x, branch]).unwrap()
        }
        Kind::Concat => {
            let branch = clip(b, &name("branch"), x, layer);
            b.push(&name("both"), Op::Concat { axis: 0 }, &[x, branch])
                .unwrap()
        }
    };
    if layer.clip {
        clip(b, &name("clip"), y, layer)
    } else {
        y
    }
}

/// A graph, and samples that it takes.
pub(crate) fn graphs() -> impl Strategy<Value = (Graph, Vec<Tensor>)> {
    let shape = prop_oneof![Just(vec![3]), Just(vec![1]), Just(vec![2, 2, 3])];
    let layers = prop::collection::vec(layer(), 1..6);
    (shape, -3i64..1, 1i64..4, layers).prop_flat_map(|(shape, lo, hi, layers)| {
        let mut b = GraphBuilder::new("random");
        let mut x = b
            .input("x", shape.clone(), InputSpec::new(1.0, 0, Interval::new(lo, hi)))
            .unwrap();
        for (at, layer) in layers.iter().enumerate() {
            x = add_layer(&mut b, at, x, layer);
        }
        b.output("y", x, OutputSpec::identity()).unwrap();
        let graph = b.finish().unwrap();
        let size = shape.iter().product::<usize>();
        let sample = prop::collection::vec(lo..=hi, size)
            .prop_map(move |data| Tensor::new(shape.clone(), data).unwrap());
        (Just(graph), prop::collection::vec(sample, 2..8))
    })
}

/// A dense layer on `[in]` with codes in the interval, and its output.
pub(crate) fn dense(weights: Tensor, bias: Vec<i64>, codes: Interval) -> (Graph, NodeId) {
    let mut b = GraphBuilder::new("dense");
    let spec = InputSpec::new(1.0, 0, codes);
    let x = b.input("x", vec![weights.shape()[1]], spec).unwrap();
    let fc = b.dot("fc", x, weights, bias).unwrap();
    b.output("y", fc, OutputSpec::identity()).unwrap();
    (b.finish().unwrap(), fc)
}
