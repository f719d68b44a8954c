//! From a configuration to an architecture: every layer with its shape, its operands, the codes that it
//! yields, and the rules for its weights.

use std::collections::BTreeMap;

use cml_quant::budget::l1_budget;
use cml_quant::{
    ActQuantizer, Concat, Conv2d, Layer, LayerId, Linear, Network, Pool, PoolKind, QuantError, Reshape,
    WeightQuantizer,
};
use ndarray::{Array2, Array4};

use crate::validate::check;
use crate::weights::Rules;
use crate::{ActivationScale, LayerConfig, NnError, OpConfig, Pruning, TrainConfig};

/// Most weights of a layer.
const MAX_WEIGHTS: usize = 1 << 24;

/// A network to be trained. Values are numbered: 0 is the input, `i + 1` what node `i` yields.
pub(crate) struct Architecture {
    pub(crate) input_shape: Vec<usize>,
    pub(crate) nodes: Vec<LayerDesign>,
    /// Quantizers with a common scale have a common group: numbers from 0.
    pub(crate) groups: usize,
}

/// One layer.
pub(crate) struct LayerDesign {
    pub(crate) name: String,
    pub(crate) op: LayerOp,
    pub(crate) operands: Vec<usize>,
    /// Shape of one sample's result.
    pub(crate) shape: Vec<usize>,
    pub(crate) relu: bool,
    /// Quantizer that follows.
    pub(crate) quantizer: Option<ActivationDesign>,
}

/// What a layer does.
pub(crate) enum LayerOp {
    Weighted(WeightedDesign),
    Pool(Pool),
    Flatten,
    Add,
    Concat,
}

/// A dense layer or a convolution.
pub(crate) struct WeightedDesign {
    /// `[out, in]` or `[out, in / groups, height, width]`.
    pub(crate) shape: Vec<usize>,
    pub(crate) stride: [usize; 2],
    pub(crate) padding: [usize; 4],
    pub(crate) groups: usize,
    pub(crate) batch_norm: bool,
    pub(crate) rules: Rules,
}

impl WeightedDesign {
    /// Inputs of one output.
    pub(crate) fn fan_in(&self) -> usize {
        self.shape[1..].iter().product()
    }

    pub(crate) fn is_dense(&self) -> bool {
        self.shape.len() == 2
    }
}

/// A quantizer of activations.
#[derive(Clone, Copy)]
pub(crate) struct ActivationDesign {
    pub(crate) bits: u32,
    pub(crate) unsigned: bool,
    pub(crate) group: usize,
}

impl ActivationDesign {
    /// The quantizer with a scale, or the constant one.
    pub(crate) fn quantizer(&self, scale: Option<f32>) -> Result<ActQuantizer, QuantError> {
        match scale {
            None => ActQuantizer::constant(self.bits),
            Some(scale) => ActQuantizer::new(self.bits, !self.unsigned, false, scale, 0),
        }
    }
}

/// Codes of a value, relative to that of 0.0.
#[derive(Clone, Copy)]
struct Codes {
    lo: i64,
    hi: i64,
}

/// A network so far: the layers without what follows them, for names and shapes.
struct Builder<'a> {
    config: &'a TrainConfig,
    skeleton: Network,
    /// Layer of the skeleton, by value.
    ids: Vec<LayerId>,
    nodes: Vec<LayerDesign>,
    codes: Vec<Codes>,
    /// Smaller member of the same group, by node.
    joined: Vec<usize>,
    counts: BTreeMap<&'static str, usize>,
}

impl Architecture {
    /// The architecture for data of so many columns and classes.
    ///
    /// # Errors
    /// If layers do not fit the data or each other, or no weight fits into a bound on accumulators.
    pub(crate) fn new(config: &TrainConfig, features: usize, classes: usize) -> Result<Self, NnError> {
        config.validate()?;
        let input_shape = match config.input_shape.as_slice() {
            [] => vec![features],
            shape => shape.to_vec(),
        };
        let count = input_shape.iter().fold(1usize, |n, &d| n.saturating_mul(d));
        check(
            "input_shape",
            format!("{input_shape:?}"),
            count == features,
            &format!("{features} elements, the columns of the data"),
        )?;
        let input = config.input_quantizer()?.codes();
        let skeleton = Network::new(config.name.clone(), input_shape.clone());
        let mut builder = Builder {
            config,
            ids: vec![skeleton.input()],
            skeleton,
            nodes: Vec::new(),
            codes: vec![Codes {
                lo: input.lo,
                hi: input.hi,
            }],
            joined: Vec::new(),
            counts: BTreeMap::new(),
        };
        for layer in config.hidden_layers() {
            builder.layer(&layer, false)?;
        }
        let output = LayerConfig {
            relu: false,
            weight_bits: config.output_weight_bits,
            ..LayerConfig::linear(classes)
        };
        builder.layer(&output, true)?;
        let mut nodes = builder.nodes;
        let mut numbers = vec![None; nodes.len()];
        let mut groups = 0;
        for (i, node) in nodes.iter_mut().enumerate() {
            let root = find(&builder.joined, i);
            if let Some(quantizer) = &mut node.quantizer {
                quantizer.group = *numbers[root].get_or_insert_with(|| {
                    groups += 1;
                    groups - 1
                });
            }
        }
        Ok(Self {
            input_shape,
            nodes,
            groups,
        })
    }
}

impl Builder<'_> {
    fn layer(&mut self, layer: &LayerConfig, is_output: bool) -> Result<(), NnError> {
        let name = self.name(layer);
        let mut operands = self.operands(layer, &name)?;
        let (op, shape, codes) = match &layer.op {
            OpConfig::Linear { units } => {
                if self.shape(operands[0]).len() != 1 {
                    operands = vec![self.flatten(operands[0])?];
                }
                let fan_in = self.shape(operands[0])[0];
                let design = self.weighted(layer, is_output, operands[0], vec![*units, fan_in], &name)?;
                let weights = Array2::zeros((*units, fan_in));
                let linear = Linear::new(weights, None, WeightQuantizer::constant(2)?)?;
                let shape = self.probe(&name, Layer::Linear(linear), &operands)?;
                (LayerOp::Weighted(design), shape, None)
            }
            OpConfig::Conv2d {
                channels,
                kernel,
                stride,
                padding,
                groups,
            } => {
                let from = self.shape(operands[0]).first().copied().unwrap_or(0);
                let each = from / (*groups).max(1);
                let shape = vec![*channels, each, kernel[0], kernel[1]];
                let design = WeightedDesign {
                    stride: *stride,
                    padding: *padding,
                    groups: *groups,
                    ..self.weighted(layer, is_output, operands[0], shape, &name)?
                };
                let weights = Array4::zeros((*channels, each, kernel[0], kernel[1]));
                let conv = Conv2d::new(weights, None, WeightQuantizer::constant(2)?)?
                    .with_stride(*stride)
                    .with_padding(*padding)
                    .with_groups(*groups);
                let shape = self.probe(&name, Layer::Conv2d(conv), &operands)?;
                (LayerOp::Weighted(design), shape, None)
            }
            OpConfig::AveragePool { kernel, stride } | OpConfig::SumPool { kernel, stride } => {
                let kind = match layer.op {
                    OpConfig::SumPool { .. } => PoolKind::Sum,
                    _ => PoolKind::Average,
                };
                let pool = Pool {
                    kind,
                    kernel: *kernel,
                    stride: *stride,
                    padding: [0; 4],
                };
                let count = i64::try_from(kernel[0].saturating_mul(kernel[1])).unwrap_or(i64::MAX);
                let shape = self.probe(&name, Layer::Pool(pool), &operands)?;
                let read = self.codes[operands[0]];
                let codes = Codes {
                    lo: read.lo.saturating_mul(count),
                    hi: read.hi.saturating_mul(count),
                };
                (LayerOp::Pool(pool), shape, Some(codes))
            }
            OpConfig::Flatten => {
                let count = self.shape(operands[0]).iter().product();
                let shape = self.probe(&name, Layer::Reshape(Reshape { shape: vec![count] }), &operands)?;
                (LayerOp::Flatten, shape, Some(self.codes[operands[0]]))
            }
            OpConfig::Add | OpConfig::Concat => {
                self.join(&name, &operands)?;
                let (kind, op) = match layer.op {
                    OpConfig::Add => (Layer::Add, LayerOp::Add),
                    _ => (Layer::Concat(Concat { axis: 0 }), LayerOp::Concat),
                };
                let codes = match op {
                    LayerOp::Concat => Some(self.hull(&operands)),
                    _ => None,
                };
                (op, self.probe(&name, kind, &operands)?, codes)
            }
        };
        let quantized = codes.is_none() && !is_output;
        self.push(LayerDesign {
            name,
            relu: layer.relu && quantized,
            quantizer: quantized.then(|| ActivationDesign {
                bits: layer.activation_bits.unwrap_or(self.config.activation_bits),
                unsigned: layer.relu,
                group: 0,
            }),
            op,
            operands,
            shape,
        });
        if let Some(codes) = codes {
            self.codes.push(codes);
        } else {
            self.codes.push(self.quantized_codes()?);
        }
        Ok(())
    }

    /// Codes that the last node's quantizer yields; after ReLU none is negative.
    fn quantized_codes(&self) -> Result<Codes, NnError> {
        let Some(design) = self.nodes.last().and_then(|n| n.quantizer) else {
            return Ok(Codes { lo: 0, hi: 0 });
        };
        let scale = match self.config.activation_scale {
            ActivationScale::Constant => None,
            ActivationScale::Learned => Some(1.0),
        };
        let codes = design.quantizer(scale)?.codes();
        Ok(Codes {
            lo: if design.unsigned { 0 } else { codes.lo },
            hi: codes.hi,
        })
    }

    fn push(&mut self, node: LayerDesign) {
        self.joined.push(self.nodes.len());
        self.nodes.push(node);
    }

    fn flatten(&mut self, value: usize) -> Result<usize, NnError> {
        let name = self.numbered("flatten");
        let count = self.shape(value).iter().product();
        let shape = self.probe(&name, Layer::Reshape(Reshape { shape: vec![count] }), &[value])?;
        let codes = self.codes[value];
        self.push(LayerDesign {
            name,
            op: LayerOp::Flatten,
            operands: vec![value],
            shape,
            relu: false,
            quantizer: None,
        });
        self.codes.push(codes);
        Ok(self.nodes.len())
    }

    /// Weights of a shape for a layer that reads a value.
    fn weighted(
        &self,
        layer: &LayerConfig,
        is_output: bool,
        read: usize,
        shape: Vec<usize>,
        name: &str,
    ) -> Result<WeightedDesign, NnError> {
        let config = self.config;
        let count = shape.iter().fold(1usize, |n, &d| n.saturating_mul(d));
        check(
            "layers",
            format!("{name} with {count} weights"),
            (1..=MAX_WEIGHTS).contains(&count),
            "1 to 16777216 weights a layer",
        )?;
        let Codes { lo, hi } = self.codes[read];
        // Padding stands for 0.0.
        let span = (hi.max(0) - lo.min(0)).unsigned_abs();
        let (field, bound) = if is_output {
            ("max_output_values", config.max_output_values)
        } else {
            let own = layer.max_accumulator_values;
            ("max_accumulator_values", own.or(config.max_accumulator_values))
        };
        let bound = bound.filter(|_| config.quantized);
        if let Some(has) = bound {
            // One weight of code 1 must fit: a step over the widest input range.
            let needs = format!("more than {span}, the span of the inputs of {name}");
            check(field, has, has > span, &needs)?;
        }
        let pruning = match layer.pruning.unwrap_or(config.pruning) {
            Pruning::Neurons(_) if is_output => Pruning::None,
            other => other,
        };
        Ok(WeightedDesign {
            shape,
            stride: [1, 1],
            padding: [0; 4],
            groups: 1,
            batch_norm: layer.batch_norm,
            rules: Rules {
                bits: config
                    .quantized
                    .then(|| layer.weight_bits.unwrap_or(config.weight_bits)),
                scale: config.weight_scale,
                pruning,
                bound,
                budget: bound.map(|values| l1_budget(values, span.max(1))),
            },
        })
    }

    /// Gives the quantizers behind values one scale.
    fn join(&mut self, name: &str, values: &[usize]) -> Result<(), NnError> {
        let mut roots = Vec::new();
        let mut open = values.to_vec();
        while let Some(value) = open.pop() {
            let Some(node) = value.checked_sub(1) else {
                check(
                    "layers",
                    format!("{name} that reads the input"),
                    false,
                    "a layer between",
                )?;
                continue;
            };
            match self.nodes[node].quantizer {
                Some(_) => roots.push(find(&self.joined, node)),
                None => open.extend(&self.nodes[node].operands),
            }
        }
        if let Some(&least) = roots.iter().min() {
            roots.into_iter().for_each(|root| self.joined[root] = least);
        }
        Ok(())
    }

    fn hull(&self, values: &[usize]) -> Codes {
        let codes = |v: &usize| self.codes[*v];
        Codes {
            lo: values.iter().map(|v| codes(v).lo).min().unwrap_or(0),
            hi: values.iter().map(|v| codes(v).hi).max().unwrap_or(0),
        }
    }

    /// Shape of the result of a layer, by the rules of `cml_quant`; takes its name.
    fn probe(&mut self, name: &str, layer: Layer, operands: &[usize]) -> Result<Vec<usize>, NnError> {
        let ids: Vec<LayerId> = operands.iter().map(|&v| self.ids[v]).collect();
        let id = self.skeleton.push(name, layer, &ids)?;
        self.ids.push(id);
        Ok(self.skeleton.layer(id).shape.clone())
    }

    fn shape(&self, value: usize) -> &[usize] {
        &self.skeleton.layer(self.ids[value]).shape
    }

    fn name(&mut self, layer: &LayerConfig) -> String {
        match &layer.name {
            Some(name) => name.clone(),
            None => self.numbered(layer.op.prefix()),
        }
    }

    fn numbered(&mut self, prefix: &'static str) -> String {
        let count = self.counts.entry(prefix).or_insert(0);
        *count += 1;
        format!("{prefix}{count}")
    }

    /// Values that a layer reads.
    fn operands(&self, layer: &LayerConfig, name: &str) -> Result<Vec<usize>, NnError> {
        let mut operands = Vec::new();
        for from in &layer.from {
            let Some(value) = self.skeleton.layers().iter().position(|l| l.name == *from) else {
                check(
                    "from",
                    format!("{from} in {name}"),
                    false,
                    "the name of a layer before",
                )?;
                continue;
            };
            operands.push(value);
        }
        if operands.is_empty() {
            operands.push(self.nodes.len());
        }
        let (fits, needs) = match layer.op {
            OpConfig::Add => (operands.len() == 2, "2 layers"),
            OpConfig::Concat => (!operands.is_empty(), "1 or more layers"),
            OpConfig::Linear { .. }
            | OpConfig::Conv2d { .. }
            | OpConfig::AveragePool { .. }
            | OpConfig::SumPool { .. }
            | OpConfig::Flatten => (operands.len() == 1, "1 layer"),
        };
        check(
            "from",
            format!("{} layers in {name}", operands.len()),
            fits,
            needs,
        )?;
        Ok(operands)
    }
}

fn find(joined: &[usize], mut node: usize) -> usize {
    while joined[node] != node {
        node = joined[node];
    }
    node
}
