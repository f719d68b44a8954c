//! Random convolutional networks, as recipes that shrink.

use crate::functions::{Chain, chain};
use crate::random::{Act, Weighing, act, weighing};
use cml_quant::{Conv2d, Layer, LayerId, Linear, Network, Pad, Pool, PoolKind, Slice, Transpose};
use proptest::prelude::*;

/// One step of a network on `[channels, height, width]`. Numbers are taken
/// modulo what fits, so that every recipe builds.
#[derive(Clone, Debug)]
enum Step {
    /// Convolution, perhaps pooled and perhaps with functions, then a quantizer.
    Conv {
        conv: Conv,
        pool: Option<Pooling>,
        functions: Chain,
        after: Act,
    },
    /// Sums, averages or maxima of codes; what follows reads them as they are.
    Pool(Pooling),
    /// `quantize(x) + quantize(conv(quantize(x)))`, the second with the first's
    /// scale and perhaps another zero point; perhaps a quantizer after it.
    Residual {
        conv: Conv,
        common: Act,
        zero: Option<u16>,
        after: Option<Act>,
        difference: bool,
    },
    /// `concat(quantize(x), quantize(conv(x)))` with a common quantizer.
    Concat { conv: Conv, common: Act, axis: usize },
    /// Codes move.
    Move(Move),
    /// Accumulators with functions move; channels stay or are picked.
    Moved {
        conv: Conv,
        functions: Chain,
        moves: Move,
        after: Act,
    },
    /// Rows become channels: what the channels mean must follow.
    Rows { conv: Conv, after: Act },
}

#[derive(Clone, Debug)]
struct Conv {
    out: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 4],
    groups: usize,
    weights: Weighing,
}

#[derive(Clone, Copy, Debug)]
struct Pooling {
    kind: PoolKind,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 4],
}

/// How elements move.
#[derive(Clone, Copy, Debug)]
enum Move {
    Transpose(usize),
    /// First index and step for each axis, modulo its size.
    Slice([usize; 3], [usize; 3]),
    Pad([[usize; 2]; 3]),
}

fn moves() -> impl Strategy<Value = Move> {
    let three = |most: usize| [0..most, 0..most, 0..most];
    let border = || [0usize..2, 0..2];
    prop_oneof![
        (0usize..6).prop_map(Move::Transpose),
        (three(3), [1usize..4, 1..4, 1..4]).prop_map(|(starts, steps)| Move::Slice(starts, steps)),
        [border(), border(), border()].prop_map(Move::Pad),
    ]
}

/// What the network puts out.
#[derive(Clone, Debug)]
enum End {
    /// The last value as it is: codes, sums, or averages.
    AsIs,
    /// Accumulators of a convolution, averaged.
    Averages(Conv),
    /// Accumulators of a convolution with channels that differ, flattened.
    Flat(Conv),
    /// A dense layer on flattened codes.
    Dense(Act, Weighing),
}

#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    shape: [usize; 3],
    first: Act,
    steps: Vec<Step>,
    end: End,
}

fn pair(most: usize) -> impl Strategy<Value = [usize; 2]> {
    [1..=most, 1..=most]
}

fn conv() -> impl Strategy<Value = Conv> {
    (
        1usize..4,
        pair(3),
        pair(2),
        [0usize..3, 0..3, 0..3, 0..3],
        1usize..4,
        weighing(2..=4),
    )
        .prop_map(|(out, kernel, stride, padding, groups, weights)| Conv {
            out,
            kernel,
            stride,
            padding,
            groups,
            weights,
        })
}

fn pooling() -> impl Strategy<Value = Pooling> {
    let kind = prop_oneof![Just(PoolKind::Sum), Just(PoolKind::Average), Just(PoolKind::Max)];
    let padding = [0usize..3, 0..3, 0..3, 0..3];
    (kind, pair(3), pair(2), padding).prop_map(|(kind, kernel, stride, padding)| Pooling {
        kind,
        kernel,
        stride,
        padding,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let maybe = prop::option::of::<_>;
    prop_oneof![
        3 => (conv(), maybe(pooling()), chain(), act(2..=4))
            .prop_map(|(conv, pool, functions, after)| Step::Conv { conv, pool, functions, after }),
        2 => pooling().prop_map(Step::Pool),
        2 => (conv(), act(2..=4), prop::option::of(any::<u16>()), prop::option::of(act(2..=4)), any::<bool>())
            .prop_map(|(conv, common, zero, after, difference)| {
                Step::Residual { conv, common, zero, after, difference }
            }),
        2 => (conv(), act(2..=4), 0usize..3).prop_map(|(conv, common, axis)| Step::Concat { conv, common, axis }),
        2 => moves().prop_map(Step::Move),
        2 => (conv(), chain(), moves(), act(2..=4))
            .prop_map(|(conv, functions, moves, after)| Step::Moved { conv, functions, moves, after }),
        1 => (conv(), act(2..=4)).prop_map(|(conv, after)| Step::Rows { conv, after }),
    ]
}

/// Networks of convolutions, pools, residual connections and concatenations,
/// with samples.
pub(crate) fn image_networks() -> impl Strategy<Value = (Recipe, Vec<Vec<f32>>)> {
    let end = prop_oneof![
        Just(End::AsIs),
        conv().prop_map(End::Averages),
        conv().prop_map(End::Flat),
        (act(2..=4), weighing(2..=4)).prop_map(|(a, w)| End::Dense(a, w)),
    ];
    (
        [1usize..4, 1..6, 1..6],
        act(2..=4),
        prop::collection::vec(step(), 1..4),
        end,
        prop::collection::vec(-2.0f32..2.0, 97),
    )
        .prop_map(|(shape, first, steps, end, numbers)| {
            let count = shape.iter().product();
            let mut values = numbers.into_iter().cycle();
            let mut samples: Vec<Vec<f32>> = (0..6).map(|_| values.by_ref().take(count).collect()).collect();
            samples.extend([f32::MAX, f32::MIN, 0.0].map(|x| vec![x; count]));
            let recipe = Recipe {
                shape,
                first,
                steps,
                end,
            };
            (recipe, samples)
        })
}

/// A network under construction.
struct Builder {
    net: Network,
    names: usize,
}

impl Builder {
    fn name(&mut self, kind: &str) -> String {
        self.names += 1;
        format!("{kind}{}", self.names)
    }

    fn quantize(&mut self, x: LayerId, act: Act) -> LayerId {
        let name = self.name("quant");
        self.net.quantize(&name, x, act.build()).unwrap()
    }

    fn shape(&self, x: LayerId) -> [usize; 3] {
        self.net.layer(x).shape.clone().try_into().unwrap()
    }

    fn conv(&mut self, x: LayerId, conv: &Conv) -> LayerId {
        let [channels, height, width] = self.shape(x);
        let groups = if channels % conv.groups == 0 {
            conv.groups
        } else {
            1
        };
        let [top, left, bottom, right] = conv.padding;
        let kernel = [
            conv.kernel[0].min(height + top + bottom),
            conv.kernel[1].min(width + left + right),
        ];
        let shape = (conv.out * groups, channels / groups, kernel[0], kernel[1]);
        let (weights, bias, quantizer) = conv.weights.build(shape);
        let layer = Conv2d::new(weights, bias, quantizer).unwrap();
        let layer = layer
            .with_stride(conv.stride)
            .with_padding(conv.padding)
            .with_groups(groups);
        let name = self.name("conv");
        self.net.conv2d(&name, x, layer).unwrap()
    }

    /// A convolution that keeps the plane, and the channels where asked.
    fn same_conv(&mut self, x: LayerId, conv: &Conv, keep_channels: bool) -> LayerId {
        let channels = self.shape(x)[0];
        let before = conv.kernel.map(|k| (k - 1) / 2);
        let after = conv.kernel.map(|k| k / 2);
        let mut conv = Conv {
            stride: [1, 1],
            padding: [before[0], before[1], after[0], after[1]],
            ..conv.clone()
        };
        if keep_channels {
            (conv.out, conv.groups) = (channels, 1);
        }
        self.conv(x, &conv)
    }

    /// Accumulators of a convolution, summed or averaged without padding.
    fn pool_sums(&mut self, x: LayerId, pool: Pooling) -> LayerId {
        let kind = match pool.kind {
            PoolKind::Max => PoolKind::Average,
            kind => kind,
        };
        let padding = [0; 4];
        self.pool(
            x,
            Pooling {
                kind,
                padding,
                ..pool
            },
        )
    }

    fn moved(&mut self, x: LayerId, moves: Move) -> LayerId {
        let shape = self.shape(x);
        let layer = match moves {
            Move::Transpose(order) => {
                let mut perm = vec![0, 1, 2];
                perm.swap(0, order % 3);
                perm.swap(1, 1 + order / 3);
                Layer::Transpose(Transpose { perm })
            }
            Move::Slice(starts, steps) => Layer::Slice(Slice {
                starts: (0..3).map(|a| starts[a] % shape[a]).collect(),
                ends: (0..3)
                    .map(|a| shape[a] - usize::from(starts[a] % shape[a] + 1 < shape[a]))
                    .collect(),
                steps: steps.to_vec(),
            }),
            Move::Pad(padding) => Layer::Pad(Pad {
                padding: padding.to_vec(),
            }),
        };
        let name = self.name("move");
        self.net.push(&name, layer, &[x]).unwrap()
    }

    fn pool(&mut self, x: LayerId, pool: Pooling) -> LayerId {
        let [_, height, width] = self.shape(x);
        let kernel = [pool.kernel[0].min(height), pool.kernel[1].min(width)];
        let fits = |side: usize| pool.padding[side].min(kernel[side % 2] - 1);
        let pool = Pool {
            kind: pool.kind,
            kernel,
            stride: pool.stride,
            padding: match pool.kind {
                PoolKind::Max => [fits(0), fits(1), fits(2), fits(3)],
                PoolKind::Sum | PoolKind::Average => pool.padding,
            },
        };
        let name = self.name("pool");
        self.net.pool(&name, x, pool).unwrap()
    }

    fn step(&mut self, x: LayerId, step: &Step) -> LayerId {
        match step {
            Step::Conv {
                conv,
                pool,
                functions,
                after,
            } => {
                let mut x = self.conv(x, conv);
                if let Some(pool) = pool {
                    x = self.pool_sums(x, *pool);
                }
                let name = self.name("function");
                x = functions.build(&mut self.net, &name, x);
                self.quantize(x, *after)
            }
            Step::Pool(pool) => self.pool(x, *pool),
            Step::Residual {
                conv,
                common,
                zero,
                after,
                difference,
            } => {
                let x = self.quantize(x, *common);
                let branch = self.same_conv(x, conv, true);
                let branch = self.quantize(branch, common.with_zero(*zero));
                let name = self.name("add");
                let sum = if *difference {
                    self.net.sub(&name, x, branch).unwrap()
                } else {
                    self.net.add(&name, x, branch).unwrap()
                };
                after.map_or(sum, |after| self.quantize(sum, after))
            }
            Step::Move(moves) => self.moved(x, *moves),
            Step::Moved {
                conv,
                functions,
                moves,
                after,
            } => {
                let x = self.conv(x, conv);
                let name = self.name("function");
                let x = functions.build(&mut self.net, &name, x);
                let moves = match moves {
                    Move::Transpose(_) => Move::Transpose(3),
                    Move::Slice(..) => *moves,
                    Move::Pad(_) => Move::Transpose(0),
                };
                let x = self.moved(x, moves);
                self.quantize(x, *after)
            }
            Step::Concat { conv, common, axis } => {
                let branch = self.same_conv(x, conv, *axis > 0);
                let parts = [self.quantize(x, *common), self.quantize(branch, *common)];
                let name = self.name("concat");
                let parts = [parts[0], parts[1], parts[0]];
                self.net.concat_along(&name, &parts, *axis).unwrap()
            }
            Step::Rows { conv, after } => {
                let x = self.conv(x, conv);
                let [channels, height, width] = self.shape(x);
                let name = self.name("rows");
                let x = self
                    .net
                    .reshape(&name, x, vec![channels * height, 1, width])
                    .unwrap();
                self.quantize(x, *after)
            }
        }
    }
}

impl Recipe {
    pub(crate) fn build(&self) -> Network {
        let net = Network::new("random", self.shape.to_vec());
        let mut b = Builder { net, names: 0 };
        let mut x = b.quantize(b.net.input(), self.first);
        for step in &self.steps {
            x = b.step(x, step);
        }
        let y = match &self.end {
            End::AsIs => x,
            End::Averages(conv) => {
                let x = b.conv(x, conv);
                let [_, height, width] = b.shape(x);
                let pool = Pooling {
                    kind: PoolKind::Average,
                    kernel: [height, width],
                    stride: [1, 1],
                    padding: [0; 4],
                };
                b.pool(x, pool)
            }
            End::Flat(conv) => {
                let x = b.conv(x, conv);
                b.net.flatten("flat", x).unwrap()
            }
            End::Dense(act, weighing) => {
                let x = b.quantize(x, *act);
                let x = b.net.flatten("flat", x).unwrap();
                let fan_in = b.net.layer(x).shape[0];
                let (weights, bias, quantizer) = weighing.build((3, fan_in));
                let linear = Linear::new(weights, bias, quantizer).unwrap();
                b.net.linear("fc", x, linear).unwrap()
            }
        };
        b.net.set_output(y, &[]).unwrap();
        b.net
    }
}
