//! The network while it is being translated: layers whose weights can still change.

use crate::report::{NodeProblem, Translated};
use cml_quant::{ActQuantizer, InputStep, Layer, Univariate, WeightQuantizer, Weights};
use ndarray::IxDyn;

/// Index of a layer of the draft.
pub(crate) type Id = usize;

/// Layers in order, each reading layers before it; the first is the input.
#[derive(Debug, Default)]
pub(crate) struct NetworkDraft {
    pub(crate) layers: Vec<Step>,
    /// What is done with each float of a sample before its quantizer.
    pub(crate) input_steps: Vec<InputStep>,
    /// Names of the elements of the input; none if they are not known.
    pub(crate) columns: Vec<String>,
}

/// A layer of the draft.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Name of the node.
    pub(crate) name: String,
    /// The line of the program that made it.
    pub(crate) source: Option<String>,
    /// Its operator.
    pub(crate) operator: String,
    /// Name of its result.
    pub(crate) edge: String,
    pub(crate) work: Work,
    pub(crate) operands: Vec<Id>,
    /// Of the result, without the batch axis.
    pub(crate) shape: Vec<usize>,
}

impl Step {
    /// Its name in reports.
    pub(crate) fn shown(&self) -> String {
        located(&self.name, self.source.as_deref())
    }
}

/// A name, and the line of the program that it comes from, if that is known.
pub(crate) fn located(name: &str, source: Option<&str>) -> String {
    match source {
        Some(line) => format!("{name} at {line}"),
        None => name.to_owned(),
    }
}

/// What a layer does.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    Input,
    Quantize(ActQuantizer),
    Weighted(Weighted),
    /// `x * scale[c] + offset[c]`.
    Affine(Affine),
    /// Any layer without weights.
    Plain(Layer),
    /// What a node with an obstacle would give: it lets the nodes after it be judged.
    Unknown,
}

/// A dense layer or a convolution.
#[derive(Clone, Debug)]
pub(crate) struct Weighted {
    pub(crate) kind: WeightedKind,
    pub(crate) weights: Weights<IxDyn>,
    pub(crate) bias: Option<Vec<f32>>,
}

/// What is multiplied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum WeightedKind {
    Dense,
    Conv {
        stride: [usize; 2],
        /// Top, left, bottom, right.
        padding: [usize; 4],
        groups: usize,
    },
}

/// Factors and offsets, one or one for each channel, in `f64` so that several can be joined.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Affine {
    pub(crate) scale: Vec<f64>,
    pub(crate) offset: Vec<f64>,
    /// The operations of the file one after the other: on the raw input every rounding counts.
    pub(crate) written: Vec<InputStep>,
}

/// Numbers as the file has them.
fn singles(numbers: &[f64]) -> Vec<f32> {
    numbers.iter().map(|&n| n as f32).collect()
}

/// Entry of a channel of a list that has one, or one for each.
pub(crate) fn of<T: Copy>(list: &[T], channel: usize) -> T {
    if list.len() == 1 { list[0] } else { list[channel] }
}

impl Affine {
    /// `x * scale + offset`, in this order.
    pub(crate) fn new(scale: Vec<f64>, offset: Vec<f64>) -> Self {
        Self {
            written: vec![
                InputStep::Multiply(singles(&scale)),
                InputStep::Add(singles(&offset)),
            ],
            scale,
            offset,
        }
    }

    pub(crate) fn scaled(scale: Vec<f64>) -> Self {
        Self {
            written: vec![InputStep::Multiply(singles(&scale))],
            scale,
            offset: vec![0.0],
        }
    }

    pub(crate) fn divided(divisors: &[f64]) -> Self {
        Self {
            written: vec![InputStep::Divide(singles(divisors))],
            scale: divisors.iter().map(|d| d.recip()).collect(),
            offset: vec![0.0],
        }
    }

    pub(crate) fn shifted(offset: Vec<f64>) -> Self {
        Self {
            written: vec![InputStep::Add(singles(&offset))],
            scale: vec![1.0],
            offset,
        }
    }

    /// Entries: 1, or the number of channels.
    pub(crate) fn len(&self) -> usize {
        self.scale.len().max(self.offset.len())
    }

    pub(crate) fn is_identity(&self) -> bool {
        self.scale.iter().all(|&s| s == 1.0) && self.offset.iter().all(|&o| o == 0.0)
    }

    /// This, then another.
    pub(crate) fn then(&self, next: &Self) -> Self {
        let count = self.len().max(next.len());
        let scale = |c| of(&self.scale, c) * of(&next.scale, c);
        let offset = |c| of(&self.offset, c) * of(&next.scale, c) + of(&next.offset, c);
        Self {
            scale: (0..count).map(scale).collect(),
            offset: (0..count).map(offset).collect(),
            written: [&self.written[..], &next.written].concat(),
        }
    }

    /// As a function, rounded to `f32`.
    pub(crate) fn function(&self) -> Univariate {
        Univariate::Affine {
            scale: self.scale.iter().map(|&s| s as f32).collect(),
            offset: self.offset.iter().map(|&o| o as f32).collect(),
        }
    }
}

impl Weighted {
    pub(crate) fn outputs(&self) -> usize {
        self.weights.shape()[0]
    }

    /// The same layer with its results scaled and shifted: a factor on each channel's scale, its
    /// sign on the codes.
    ///
    /// # Errors
    /// If a number leaves the range of `f32`, or codes that of 16 bits.
    pub(crate) fn absorb(&mut self, affine: &Affine) -> Translated<()> {
        let out = self.outputs();
        match &mut self.weights {
            Weights::Float(floats) => {
                for (c, mut channel) in floats.outer_iter_mut().enumerate() {
                    channel.mapv_inplace(|w| (f64::from(w) * of(&affine.scale, c)) as f32);
                }
            }
            Weights::Codes { codes, quantizer } => {
                for (c, mut channel) in codes.outer_iter_mut().enumerate() {
                    let factor = of(&affine.scale, c);
                    let sign = if factor == 0.0 { 0 } else { factor.signum() as i64 };
                    channel.mapv_inplace(|code| code * sign);
                }
                let one = quantizer.scale.len() == 1 && affine.scale.len() == 1;
                let scale = |c| {
                    let factor = of(&affine.scale, c).abs();
                    let factor = if factor > 0.0 { factor } else { 1.0 };
                    (f64::from(of(&quantizer.scale, c)) * factor) as f32
                };
                let scale: Vec<f32> = (0..if one { 1 } else { out }).map(scale).collect();
                *quantizer = fitting(codes.iter().copied(), quantizer.bits, quantizer.narrow, scale)?;
                if let Some(bad) = quantizer.scale.iter().find(|s| !(s.is_normal() && **s > 0.0)) {
                    return Err(NodeProblem::new(
                        format!("its factors make a weight scale of {bad}"),
                        "factors nearer to 1",
                    ));
                }
            }
        }
        if self.bias.is_some() || affine.offset.iter().any(|&o| o != 0.0) {
            let before = |c: usize| self.bias.as_ref().map_or(0.0, |b| f64::from(b[c]));
            let bias = |c| (before(c) * of(&affine.scale, c) + of(&affine.offset, c)) as f32;
            self.bias = Some((0..out).map(bias).collect());
        }
        Ok(())
    }
}

/// A quantizer for codes: its width and narrowness as stated where they fit, else the least that do.
///
/// # Errors
/// If more than 16 bits are needed.
pub(crate) fn fitting(
    codes: impl Iterator<Item = i64> + Clone,
    bits: u32,
    narrow: bool,
    scale: Vec<f32>,
) -> Translated<WeightQuantizer> {
    const MOST: u32 = 16;
    let quantizer = |bits, narrow| WeightQuantizer { bits, narrow, scale };
    let (lo, hi) = codes.clone().fold((0, 0), |(lo, hi), c| (c.min(lo), c.max(hi)));
    let fits = |bits: u32, narrow: bool| {
        let top = (1i64 << (bits - 1)) - 1;
        hi <= top && lo >= -top - i64::from(!narrow)
    };
    if (2..=MOST).contains(&bits) && fits(bits, narrow) {
        return Ok(quantizer(bits, narrow));
    }
    if bits == 1 && narrow && codes.clone().all(|c| c.abs() == 1) {
        return Ok(quantizer(1, false));
    }
    let least = (2..=MOST).find(|&b| fits(b, false)).ok_or_else(|| {
        NodeProblem::new(
            format!("its integer weights reach from {lo} to {hi}, limit {MOST} bits"),
            "weights of at most 16 bits",
        )
    })?;
    Ok(quantizer(least, fits(least, true)))
}

impl NetworkDraft {
    pub(crate) fn push(&mut self, step: Step) -> Id {
        self.layers.push(step);
        self.layers.len() - 1
    }

    /// How many operands and outputs name each layer.
    pub(crate) fn readers(&self, output: Id) -> Vec<usize> {
        let mut readers = vec![0; self.layers.len()];
        readers[output] += 1;
        for id in self.needed(output) {
            for &operand in &self.layers[id].operands {
                readers[operand] += 1;
            }
        }
        readers
    }

    /// Layers that the output depends on, in order.
    pub(crate) fn needed(&self, output: Id) -> Vec<Id> {
        let mut needed = vec![false; self.layers.len()];
        needed[output] = true;
        // The input is there in any case.
        needed[0] = true;
        for id in (0..self.layers.len()).rev() {
            if needed[id] {
                for &operand in &self.layers[id].operands {
                    needed[operand] = true;
                }
            }
        }
        (0..self.layers.len()).filter(|&id| needed[id]).collect()
    }
}

/// `[1, 2]`, as shapes are written in reports.
pub(crate) fn shown(shape: &[usize]) -> String {
    format!("{shape:?}")
}
