//! The closed set of operations.

use crate::tensor::channel_len;
use crate::{InputStep, Interval, IrError, LIMIT, Lut, OutputSpec, Tensor, Thresholds, input_step};
use serde::{Deserialize, Serialize};

/// How a client turns floats into the integers of an input, whose channels are
/// axis 0 (of a vector each element is one).
///
/// `q = clamp(round_half_even((x' - offset[c]) / scale[c] + zero_point), range)`, in `f32`, where `x'` is what
/// the steps make of a float `x`; one entry serves every channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "crate::wire::WireInputSpec")]
pub struct InputSpec {
    /// Size of one step of each channel, or one for all, in units of the float
    /// input.
    pub scale: Vec<f32>,
    /// Float that the zero point stands for, of each channel or one for all.
    pub offset: Vec<f32>,
    /// Integer that stands for the offset.
    pub zero_point: i64,
    /// Codes that can occur.
    pub range: Interval,
    /// If there are any, elements are bits of comparisons instead: the range is 0..1, scale 1, and offset and
    /// zero point are 0.
    pub thresholds: Option<Thresholds>,
    /// Names of the columns of the data, one for each float of a sample in row-major order; empty
    /// if they are not known. Formats of files store them apart from the numbers.
    #[serde(skip)]
    pub columns: Vec<String>,
    /// What is done with a float before it is quantized, one after the other.
    pub steps: Vec<InputStep>,
}

impl InputSpec {
    /// A quantizer of one scale and no offset.
    pub fn new(scale: f32, zero_point: i64, range: Interval) -> Self {
        Self {
            scale: vec![scale],
            offset: vec![0.0],
            zero_point,
            range,
            thresholds: None,
            columns: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// Refuses names of columns that do not fit samples for a tensor of a shape; `node` is named in the
    /// error.
    ///
    /// # Errors
    /// If there are names but not one for each float, or [`crate::names_fault`] finds one.
    pub fn check_columns(&self, node: &str, shape: &[usize]) -> Result<(), IrError> {
        let floats = self.sample_len(shape);
        check_count(node, "names of columns", self.columns.len(), 0, floats)?;
        match crate::names_fault(&self.columns) {
            None => Ok(()),
            Some(why) => Err(IrError::Columns {
                node: node.to_owned(),
                why,
            }),
        }
    }

    /// Refuses what cannot quantize a tensor of a shape; `node` is named in the error.
    ///
    /// # Errors
    /// If there are neither one nor as many scales, offsets or numbers of a step as channels, one is not
    /// finite or a scale not positive, the range is empty, a number is
    /// beyond [`crate::LIMIT`], or thresholds do not fit.
    pub fn check(&self, node: &str, shape: &[usize]) -> Result<(), IrError> {
        if let Some(thresholds) = &self.thresholds {
            let fail = |what, needs: &str, has: String| {
                Err(IrError::Shape {
                    node: node.to_owned(),
                    what,
                    needs: needs.to_owned(),
                    has,
                })
            };
            let &[elements] = shape else {
                return fail("input of thresholds", "a vector", format!("{shape:?}"));
            };
            if self.range != Interval::new(0, 1) {
                return fail("range of thresholds", "0..1", self.range.to_string());
            }
            if !self.steps.is_empty() {
                return fail("steps before thresholds", "none", self.steps.len().to_string());
            }
            if self.zero_point != 0 || self.scale != [1.0] || self.offset != [0.0] {
                return fail("quantizer beside thresholds", "scale 1", "another".to_owned());
            }
            thresholds.check(node, elements)?;
        }
        let channels = crate::channels(shape);
        check_count(node, "input scales", self.scale.len(), 1, channels)?;
        check_count(node, "input offsets", self.offset.len(), 1, channels)?;
        check_floats(node, &self.scale, &self.offset)?;
        input_step::check(&self.steps, node, channels)?;
        self.range.check()?;
        let has = self.range.magnitude().max(self.zero_point.unsigned_abs());
        if has >= LIMIT as u64 {
            return Err(IrError::Range {
                node: node.to_owned(),
                has: has.into(),
                limit: LIMIT,
            });
        }
        Ok(())
    }

    /// Integer code of one float of channel `c`; `None` if it is not finite.
    ///
    /// # Panics
    /// If there are several scales or offsets, and none of channel `c`.
    pub fn quantize(&self, c: usize, x: f32) -> Option<i64> {
        if !x.is_finite() {
            return None;
        }
        // Clamped as an integer: beyond 2^24 an end of the range may be no `f32`.
        let code = self.rounded(c, x) as i64;
        Some(code.max(self.range.lo).min(self.range.hi))
    }

    /// Whether [`InputSpec::quantize`] clamps this float of channel `c`: rounded,
    /// it lies beyond the codes. What is not finite has no code at all.
    ///
    /// # Panics
    /// As [`InputSpec::quantize`].
    pub fn clips(&self, c: usize, x: f32) -> bool {
        x.is_finite() && !self.range.contains(self.rounded(c, x) as i64)
    }

    /// Codes of channel `c` that some float has: those to which the steps lead.
    ///
    /// # Panics
    /// As [`InputSpec::quantize`].
    pub fn reached(&self, c: usize) -> Interval {
        let ends = self
            .steps
            .iter()
            .fold([f32::NEG_INFINITY, f32::INFINITY], |ends, step| {
                step.image(c, ends)
            });
        let code = |x: f32| (self.nearest(c, x) as i64).clamp(self.range.lo, self.range.hi);
        Interval::new(code(ends[0]), code(ends[1]))
    }

    /// Code of the channel, not yet within the range. Steps that end in no number give the zero point.
    fn rounded(&self, c: usize, x: f32) -> f32 {
        let x = self.steps.iter().fold(x, |x, step| step.eval(c, x));
        if x.is_nan() {
            return self.zero_point as f32;
        }
        self.nearest(c, x)
    }

    fn nearest(&self, c: usize, x: f32) -> f32 {
        let relative = (x - of_channel(&self.offset, c)) / of_channel(&self.scale, c);
        (relative + self.zero_point as f32).round_ties_even()
    }

    /// Codes of the floats of a tensor of `shape`, row-major; the index of the
    /// first that is not finite, if one is.
    ///
    /// # Errors
    /// That index.
    ///
    /// # Panics
    /// If the sample has not [`InputSpec::sample_len`] floats, or the scales or offsets
    /// do not fit the shape.
    pub fn quantize_all(&self, shape: &[usize], sample: &[f32]) -> Result<Vec<i64>, usize> {
        if let Some(thresholds) = &self.thresholds {
            return thresholds.bits(sample);
        }
        let width = channel_len(shape);
        let codes = sample.iter().enumerate();
        codes
            .map(|(i, &x)| self.quantize(i / width, x).ok_or(i))
            .collect()
    }

    /// How many floats of a tensor of `shape`, row-major, are clamped; comparisons clamp nothing.
    pub fn count_clipped(&self, shape: &[usize], sample: &[f32]) -> usize {
        if self.thresholds.is_some() {
            return 0;
        }
        let width = channel_len(shape);
        let clipped = sample.iter().enumerate();
        clipped.filter(|&(i, &x)| self.clips(i / width, x)).count()
    }
}

/// Dense layer: `y[o] = bias[o] + sum_i weights[o, i] x[i]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dot {
    /// `[out, in]`.
    pub weights: Tensor,
    /// `[out]`.
    pub bias: Vec<i64>,
}

/// 2-D cross-correlation on `[channels, height, width]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// `[out, in / groups, kernel height, kernel width]`.
    pub weights: Tensor,
    /// `[out]`.
    pub bias: Vec<i64>,
    /// Vertical and horizontal stride.
    pub stride: [usize; 2],
    /// Rows and columns added: top, left, bottom, right.
    pub padding: [usize; 4],
    /// Code of the added elements (the input's zero point).
    pub pad_value: i64,
    /// Channel groups that do not mix.
    pub groups: usize,
}

/// Sum over windows of each channel of `[channels, height, width]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SumPool {
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal stride.
    pub stride: [usize; 2],
}

/// Constant border.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pad {
    /// Elements added before each axis.
    pub before: Vec<usize>,
    /// Elements added after each axis.
    pub after: Vec<usize>,
    /// Their value.
    pub value: i64,
}

/// An operation. Closed on purpose: a new one must break every match that has
/// to think about it.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Encrypted input of the given shape.
    Input {
        /// Shape of the tensor.
        shape: Vec<usize>,
        /// Quantizer.
        spec: InputSpec,
    },
    /// Dense layer with clear weights.
    Dot(Dot),
    /// Convolution with clear weights.
    Conv2d(Conv2d),
    /// Sums over windows.
    SumPool(SumPool),
    /// Elementwise sum of two tensors of one shape.
    Add,
    /// Elementwise difference of two tensors of one shape.
    Sub,
    /// Table lookup on every element: the only nonlinear operation.
    Lut(Lut),
    /// The same elements in another shape.
    Reshape {
        /// New shape.
        shape: Vec<usize>,
    },
    /// Axes in another order: output axis `i` is input axis `perm[i]`.
    Transpose {
        /// Permutation of the axes.
        perm: Vec<usize>,
    },
    /// Tensors one after the other along an axis.
    Concat {
        /// Axis.
        axis: usize,
    },
    /// Elements `start..end` along an axis.
    Slice {
        /// Axis.
        axis: usize,
        /// First index.
        start: usize,
        /// One past the last index.
        end: usize,
    },
    /// Constant border.
    Pad(Pad),
    /// What the client decrypts.
    Output(OutputSpec),
}

/// What an operation is to whoever analyses, runs or encrypts a graph; see [`Op::kind`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OpKind<'a> {
    /// Reads nothing: the client gives its value.
    Input(&'a InputSpec),
    /// Sums of weighted elements and constants, which [`crate::for_each_term`] lists.
    Linear,
    /// A function of one element, tabulated.
    Lookup(&'a Lut),
    /// The value of its operand, which the client decrypts. [`crate::for_each_term`] lists its
    /// terms too, one an element.
    Output(&'a OutputSpec),
}

impl Op {
    /// What it is, for code that treats all linear operations alike.
    pub fn kind(&self) -> OpKind<'_> {
        match self {
            Op::Input { spec, .. } => OpKind::Input(spec),
            Op::Lut(lut) => OpKind::Lookup(lut),
            Op::Output(spec) => OpKind::Output(spec),
            Op::Dot(_)
            | Op::Conv2d(_)
            | Op::SumPool(_)
            | Op::Add
            | Op::Sub
            | Op::Reshape { .. }
            | Op::Transpose { .. }
            | Op::Concat { .. }
            | Op::Slice { .. }
            | Op::Pad(_) => OpKind::Linear,
        }
    }

    /// Lower-case name, as in dumps.
    pub fn mnemonic(&self) -> &'static str {
        match self {
            Op::Input { .. } => "input",
            Op::Dot(_) => "dot",
            Op::Conv2d(_) => "conv2d",
            Op::SumPool(_) => "sumpool",
            Op::Add => "add",
            Op::Sub => "sub",
            Op::Lut(_) => "lut",
            Op::Reshape { .. } => "reshape",
            Op::Transpose { .. } => "transpose",
            Op::Concat { .. } => "concat",
            Op::Slice { .. } => "slice",
            Op::Pad(_) => "pad",
            Op::Output(_) => "output",
        }
    }

    /// Number of operands; `None` for one or more.
    pub fn arity(&self) -> Option<usize> {
        match self {
            Op::Input { .. } => Some(0),
            Op::Add | Op::Sub => Some(2),
            Op::Concat { .. } => None,
            Op::Dot(_)
            | Op::Conv2d(_)
            | Op::SumPool(_)
            | Op::Lut(_)
            | Op::Reshape { .. }
            | Op::Transpose { .. }
            | Op::Slice { .. }
            | Op::Pad(_)
            | Op::Output(_) => Some(1),
        }
    }
}

/// The entry of channel `c` in a list of one for each channel, or one for all.
pub(crate) fn of_channel(list: &[f32], c: usize) -> f32 {
    if list.len() == 1 { list[0] } else { list[c] }
}

/// A list has one entry for each channel, or `other` entries.
pub(crate) fn check_count(
    node: &str,
    what: &'static str,
    has: usize,
    other: usize,
    channels: usize,
) -> Result<(), IrError> {
    if has == channels || has == other {
        return Ok(());
    }
    Err(IrError::Shape {
        node: node.to_owned(),
        what,
        needs: format!("{other} or {channels}"),
        has: has.to_string(),
    })
}

/// Scales are finite and positive, offsets finite.
pub(crate) fn check_floats(node: &str, scales: &[f32], offsets: &[f32]) -> Result<(), IrError> {
    let check = |what, has: f32| {
        if has.is_finite() && (what == "offset" || has > 0.0) {
            return Ok(());
        }
        Err(IrError::Scale {
            node: node.to_owned(),
            what,
            has,
        })
    };
    scales.iter().try_for_each(|&s| check("scale", s))?;
    offsets.iter().try_for_each(|&o| check("offset", o))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_stay_in_a_range_whose_ends_are_no_floats() {
        let (lo, hi) = (-(1 << 24) - 3, (1 << 24) + 3);
        let spec = InputSpec::new(1.0, 0, Interval::new(lo, hi));
        let check = |x: f32, code: i64, clips: bool| {
            assert_eq!(
                (spec.quantize(0, x), spec.clips(0, x)),
                (Some(code), clips),
                "{x}"
            );
        };
        check(1e9, hi, true);
        check(-1e9, lo, true);
        check(16_777_216.0, 1 << 24, false);
        // The next float is beyond.
        check(16_777_220.0, hi, true);
        check(2.5, 2, false);
        assert_eq!(spec.quantize(0, f32::NAN), None);
    }
}
