//! The network under training.

use cml_quant::{ActQuantizer, Concat, Layer, LayerId, Network, Normalize, PoolKind, Reshape, Univariate};
use ndarray::Array2;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use crate::architecture::{ActivationDesign, Architecture, LayerDesign, LayerOp};
use crate::fake_quant::activation;
use crate::linear_ops::{ConvWindow, by_channel, convolution, dense, window_sums};
use crate::scale::LearnedScale;
use crate::weights::TrainedWeights;
use crate::{ActivationScale, NnError, TrainConfig, WeightScale};

/// A network with trainable parameters.
pub(crate) struct TrainableNetwork {
    name: String,
    input_shape: Vec<usize>,
    normalize: Option<Normalize>,
    input: Option<ActQuantizer>,
    nodes: Vec<Node>,
    /// By group; empty if scales are constant.
    scales: Vec<LearnedScale>,
}

struct Node {
    name: String,
    op: Op,
    operands: Vec<usize>,
    shape: Vec<usize>,
    relu: bool,
    quantizer: Option<ActivationDesign>,
}

enum Op {
    Weighted(Box<TrainedWeights>),
    Other(LayerOp),
}

/// A value on its way through the network: codes with their scale, or floats.
struct Value {
    x: Tensor,
    scale: Option<Tensor>,
}

impl TrainableNetwork {
    /// A model with random weights for `features` and `classes`.
    pub(crate) fn new(
        config: &TrainConfig,
        normalize: Option<Normalize>,
        features: usize,
        classes: usize,
    ) -> Result<Self, NnError> {
        let architecture = Architecture::new(config, features, classes)?;
        let scales = scales(config, &architecture)?;
        let mut rng = weight_stream(config.seed);
        let mut nodes = Vec::with_capacity(architecture.nodes.len());
        for node in architecture.nodes {
            nodes.push(initialized(config, node, &mut rng)?);
        }
        let model = Self {
            name: config.name.clone(),
            input_shape: architecture.input_shape,
            normalize,
            input: config.quantized.then(|| config.input_quantizer()).transpose()?,
            nodes,
            scales,
        };
        // What cannot be exported is refused before it is trained.
        model.export()?;
        Ok(model)
    }

    /// Shape of one sample.
    pub(crate) fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    /// The tensors to optimize with weight decay.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &Tensor> {
        self.weights().flat_map(TrainedWeights::parameters)
    }

    /// The tensors to optimize without: scales, normalizations.
    pub(crate) fn undecayed(&self) -> impl Iterator<Item = &Tensor> {
        let norms = self.weights().filter_map(TrainedWeights::norm);
        let norms = norms.flat_map(|n| n.parameters());
        self.scales.iter().map(LearnedScale::parameter).chain(norms)
    }

    /// Most values of the accumulators, by layer.
    pub(crate) fn bounds(&self) -> impl Iterator<Item = (&str, Option<u64>)> {
        self.weights().map(TrainedWeights::bound)
    }

    fn weights(&self) -> impl Iterator<Item = &TrainedWeights> {
        self.nodes.iter().filter_map(|n| match &n.op {
            Op::Weighted(weights) => Some(weights.as_ref()),
            Op::Other(_) => None,
        })
    }

    /// Brings the integer weights of all layers up to date; see [`TrainedWeights::refresh`].
    pub(crate) fn refresh(&mut self, choose: bool, slack: f64) -> Result<(), NnError> {
        for node in &mut self.nodes {
            if let Op::Weighted(weights) = &mut node.op {
                weights.refresh(choose, slack)?;
            }
        }
        Ok(())
    }

    /// Scores `[rows, classes]` for normalized features `[rows, columns]`; learned scales take note.
    /// `frozen`: normalize by running statistics, as at inference.
    pub(crate) fn forward(&mut self, features: &Tensor, frozen: bool) -> Result<Tensor, NnError> {
        let mut shape = vec![-1];
        shape.extend(self.input_shape.iter().map(|&n| n as i64));
        let x = features.f_view(shape.as_slice())?;
        let mut values = vec![match &self.input {
            None => Value { x, scale: None },
            Some(quantizer) => {
                let scale = Tensor::f_from_slice(&[quantizer.scale])?;
                Value {
                    x: activation(&x, &scale, quantizer)?,
                    scale: Some(scale),
                }
            }
        }];
        for node in &self.nodes {
            let value = node.value(&values, frozen)?;
            let value = match node.quantizer.filter(|_| self.input.is_some()) {
                None => value,
                Some(design) => {
                    let scale = match self.scales.get_mut(design.group) {
                        None => Tensor::f_from_slice(&[design.quantizer(None)?.scale])?,
                        Some(learned) => {
                            learned.meet(&value.x)?;
                            learned.scale()?
                        }
                    };
                    // Only the codes of this one count.
                    let range = design.quantizer((!self.scales.is_empty()).then_some(1.0))?;
                    Value {
                        x: activation(&value.x, &scale, &range)?,
                        scale: Some(scale),
                    }
                }
            };
            values.push(value);
        }
        Ok(values.swap_remove(self.nodes.len()).x)
    }

    /// The network as it stands.
    pub(crate) fn export(&self) -> Result<Network, NnError> {
        let mut network = Network::new(self.name.clone(), self.input_shape.clone());
        let mut x = network.input();
        if let Some(normalize) = &self.normalize {
            x = network.push("x/normalize", Layer::Normalize(normalize.clone()), &[x])?;
        }
        if let Some(quantizer) = self.input {
            x = network.quantize("x/quant", x, quantizer)?;
        }
        let mut ids = vec![x];
        for node in &self.nodes {
            let id = self.export_node(&mut network, node, &ids)?;
            ids.push(id);
        }
        let last = ids[self.nodes.len()];
        let classes: Vec<String> = (0..network.layer(last).shape[0]).map(|c| c.to_string()).collect();
        network.set_output(last, &classes.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(network)
    }

    fn export_node(&self, network: &mut Network, node: &Node, ids: &[LayerId]) -> Result<LayerId, NnError> {
        let operands: Vec<LayerId> = node.operands.iter().map(|&v| ids[v]).collect();
        let layer = match &node.op {
            Op::Weighted(weights) => weights.export()?,
            Op::Other(LayerOp::Pool(pool)) => Layer::Pool(*pool),
            Op::Other(LayerOp::Add) => Layer::Add,
            Op::Other(LayerOp::Concat) => Layer::Concat(Concat { axis: 0 }),
            Op::Other(LayerOp::Flatten | LayerOp::Weighted(_)) => Layer::Reshape(Reshape {
                shape: node.shape.clone(),
            }),
        };
        let name = &node.name;
        let mut x = network.push(name, layer, &operands)?;
        if node.relu {
            x = network.function(&format!("{name}/relu"), x, Univariate::Relu)?;
        }
        if let Some(design) = node.quantizer.filter(|_| self.input.is_some()) {
            let scale = match self.scales.get(design.group) {
                None => None,
                Some(learned) => Some(learned.scale()?.f_double_value(&[0])? as f32),
            };
            x = network.quantize(&format!("{name}/quant"), x, design.quantizer(scale)?)?;
        }
        Ok(x)
    }
}

impl Node {
    /// What the node yields, before its quantizer.
    fn value(&self, values: &[Value], frozen: bool) -> Result<Value, NnError> {
        let read = &values[self.operands[0]];
        let (x, scale) = match &self.op {
            Op::Weighted(weights) => (weighted(weights, read, frozen)?, None),
            Op::Other(LayerOp::Pool(pool)) => {
                let sums = window_sums(&read.x, pool)?;
                let count = (pool.kernel[0] * pool.kernel[1]) as f64;
                match (pool.kind, &read.scale) {
                    // Training has no maxima.
                    (PoolKind::Sum | PoolKind::Max, scale) => {
                        (sums, scale.as_ref().map(Tensor::shallow_clone))
                    }
                    (PoolKind::Average, None) => (sums.f_div_scalar(count)?, None),
                    (PoolKind::Average, Some(scale)) => (sums, Some(scale.f_div_scalar(count)?)),
                }
            }
            Op::Other(LayerOp::Flatten | LayerOp::Weighted(_)) => {
                let scale = read.scale.as_ref().map(Tensor::shallow_clone);
                (read.x.f_flatten(1, -1)?, scale)
            }
            Op::Other(LayerOp::Add) => {
                let sum = read.x.f_add(&values[self.operands[1]].x)?;
                match &read.scale {
                    None => (sum, None),
                    Some(scale) => (sum.f_mul(scale)?, None),
                }
            }
            Op::Other(LayerOp::Concat) => {
                let parts: Vec<&Tensor> = self.operands.iter().map(|&v| &values[v].x).collect();
                let scale = read.scale.as_ref().map(Tensor::shallow_clone);
                (Tensor::f_cat(&parts, 1)?, scale)
            }
        };
        let x = if self.relu { x.f_relu()? } else { x };
        Ok(Value { x, scale })
    }
}

/// `acc * scale + bias`, the expression of [`cml_quant::Dequantizer`], operation by operation, then
/// batch normalization.
fn weighted(weights: &TrainedWeights, read: &Value, frozen: bool) -> Result<Tensor, NnError> {
    let factors = weights.factors()?;
    let design = &weights.design;
    let y = if design.is_dense() {
        dense(&read.x, &factors.weights)?
    } else {
        let window = ConvWindow {
            kernel: [design.shape[2], design.shape[3]],
            stride: design.stride,
            padding: design.padding,
            groups: design.groups,
        };
        convolution(&read.x, &factors.weights, window)?
    };
    let y = match (&factors.scale, &read.scale) {
        (Some(weight_scale), Some(scale)) => y.f_mul(&by_channel(&scale.f_mul(weight_scale)?, &y)?)?,
        _ => y,
    };
    let y = y.f_add(&by_channel(&factors.bias, &y)?)?;
    match weights.norm() {
        None => Ok(y),
        Some(norm) => norm.forward(&y, frozen),
    }
}

fn scales(config: &TrainConfig, architecture: &Architecture) -> Result<Vec<LearnedScale>, NnError> {
    if !config.quantized || config.activation_scale == ActivationScale::Constant {
        return Ok(Vec::new());
    }
    let levels = |group: usize| {
        let members = architecture.nodes.iter().filter_map(|n| n.quantizer);
        let member = members.filter(|q| q.group == group).map(|q| match q.unsigned {
            true => f64::from((1u32 << q.bits) - 1),
            false => f64::from(1u32 << (q.bits - 1)),
        });
        member.fold(1.0, f64::max)
    };
    (0..architecture.groups)
        .map(|g| LearnedScale::new(levels(g)))
        .collect()
}

/// A layer with random weights: uniform in [-1, 1) where the quantizer covers that, else by fan-in
/// (He et al., arXiv 1502.01852, section 2.2).
fn initialized(config: &TrainConfig, node: LayerDesign, rng: &mut ChaCha8Rng) -> Result<Node, NnError> {
    let op = match node.op {
        LayerOp::Weighted(design) => {
            let (out, fan_in) = (design.shape[0], design.fan_in());
            let constant = config.quantized && config.weight_scale == WeightScale::Constant;
            let reach = if constant {
                1.0
            } else {
                (6.0 / fan_in as f32).sqrt()
            };
            let weights = Array2::from_shape_simple_fn((out, fan_in), || uniform(rng) * reach);
            let reach = 1.0 / (fan_in as f32).sqrt();
            let bias: Vec<f32> = (0..out).map(|_| uniform(rng) * reach).collect();
            Op::Weighted(Box::new(TrainedWeights::new(
                node.name.clone(),
                design,
                weights,
                &bias,
            )?))
        }
        other => Op::Other(other),
    };
    Ok(Node {
        name: node.name,
        op,
        operands: node.operands,
        shape: node.shape,
        relu: node.relu,
        quantizer: node.quantizer,
    })
}

/// The stream of random numbers for initial weights.
fn weight_stream(seed: u64) -> ChaCha8Rng {
    let mut key = *b"........cml-nn: initial weights.";
    key[..8].copy_from_slice(&seed.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// Uniform in [-1, 1).
fn uniform(rng: &mut ChaCha8Rng) -> f32 {
    const HALF: f32 = (1 << 23) as f32;
    (rng.next_u32() >> 8) as f32 / HALF - 1.0
}
