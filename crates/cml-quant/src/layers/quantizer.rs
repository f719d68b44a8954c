//! Activation quantizers.

use super::kind::{IntegerUse, Integers, LayerKind, Operands, Place, Reaches};
use crate::accumulators::IntegerReach;
use crate::error::{EXACT, check_number};
use crate::to_graph::Lowering;
use crate::{Dequantizer, LayerNode, QuantError};
use cml_ir::{Interval, Lut, NodeId, Op, Steps, channel_len, channels};
use serde::{Deserialize, Serialize};

/// Uniform quantizer of activations: `q = clamp(round_half_even(x / scale +
/// zero_point))`, `x' = (q - zero_point) * scale`, in `f32`.
///
/// Ranges as in Brevitas: unsigned `0 ..= 2^b - 1`, signed `-2^(b-1) ..=
/// 2^(b-1) - 1`, narrow signed without the smallest value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct ActQuantizer {
    /// Width of the codes in bits, 1 to 16.
    pub bits: u32,
    /// Whether codes can be negative.
    pub signed: bool,
    /// Whether the smallest signed code is left out.
    pub narrow: bool,
    /// Size of one step, in units of the float value.
    pub scale: f32,
    /// Code of 0.0.
    pub zero_point: i64,
}

/// The fields of a quantizer in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    bits: u32,
    signed: bool,
    narrow: bool,
    scale: f32,
    zero_point: i64,
}

impl TryFrom<Unchecked> for ActQuantizer {
    type Error = QuantError;

    fn try_from(found: Unchecked) -> Result<Self, QuantError> {
        let Unchecked {
            bits,
            signed,
            narrow,
            scale,
            zero_point,
        } = found;
        Self::new(bits, signed, narrow, scale, zero_point)
    }
}

impl ActQuantizer {
    /// Quantizer from its parts.
    ///
    /// # Errors
    /// If the width is not 1 to 16 (narrow signed: 2 to 16), or the scale is not finite and
    /// positive, or the zero point is not among the codes.
    pub fn new(
        bits: u32,
        signed: bool,
        narrow: bool,
        scale: f32,
        zero_point: i64,
    ) -> Result<Self, QuantError> {
        Self {
            bits,
            signed,
            narrow,
            scale,
            zero_point,
        }
        .checked()
    }

    /// The seeds' constant-scale quantizer of [-1, 1] (`CommonActQuant`):
    /// narrow signed, scale `1 / (2^(bits-1) - 1)`.
    ///
    /// # Errors
    /// If the width is not 2 to 16.
    pub fn constant(bits: u32) -> Result<Self, QuantError> {
        check_bits("activation quantizer", bits, 2)?;
        Self::new(bits, true, true, 1.0 / ((1i64 << (bits - 1)) - 1) as f32, 0)
    }

    /// The quantizer, if its fields are valid.
    ///
    /// # Errors
    /// As [`ActQuantizer::new`].
    pub fn checked(self) -> Result<Self, QuantError> {
        check_bits(
            "activation quantizer",
            self.bits,
            if self.signed && self.narrow { 2 } else { 1 },
        )?;
        check_number("activation scale", self.scale)?;
        if !self.codes().contains(self.zero_point) {
            return Err(QuantError::Shape {
                layer: "quantizer".to_owned(),
                what: "zero point",
                needs: self.codes().to_string(),
                has: self.zero_point.to_string(),
            });
        }
        Ok(self)
    }

    /// Codes that can occur.
    pub fn codes(&self) -> Interval {
        let half = 1i64 << (self.bits - 1);
        match (self.signed, self.narrow) {
            (false, _) => Interval::new(0, 2 * half - 1),
            (true, false) => Interval::new(-half, half - 1),
            (true, true) => Interval::new(-(half - 1), half - 1),
        }
    }

    /// Code of a float; a NaN becomes the zero point.
    pub fn quantize(&self, x: f32) -> i64 {
        if x.is_nan() {
            return self.zero_point;
        }
        let codes = self.codes();
        let q = (x / self.scale + self.zero_point as f32).round_ties_even();
        q.clamp(codes.lo as f32, codes.hi as f32) as i64
    }

    /// Float of a code.
    pub fn dequantize(&self, q: i64) -> f32 {
        (q - self.zero_point) as f32 * self.scale
    }
}

impl LayerKind for ActQuantizer {
    fn mnemonic(&self) -> &'static str {
        "quantize"
    }

    fn operands(&self) -> Operands {
        Operands::Exactly(1)
    }

    fn shape(&self, _: &str, read: &[&[usize]]) -> Result<Vec<usize>, QuantError> {
        self.checked()?;
        Ok(read[0].to_vec())
    }

    fn is_float(&self) -> bool {
        false
    }

    fn floats(&self, at: &Place<'_, Vec<f32>>) -> Result<Vec<f32>, QuantError> {
        Err(QuantError::NotFloat(at.node.name.clone()))
    }

    fn meaning(&self, _: &Place<'_, Option<Dequantizer>>) -> Result<Option<Dequantizer>, QuantError> {
        Ok(Some(Dequantizer {
            zero_point: self.zero_point,
            scale: vec![self.scale],
            bias: None,
            functions: Vec::new(),
        }))
    }

    fn integers(&self, at: &Integers<'_>) -> Result<Vec<i64>, QuantError> {
        let (network, x) = (at.place.network, at.place.node.operands[0]);
        match at.meaning(0) {
            None => network.sample_codes(at.spec, at.sample),
            Some(meaning) => {
                let floats = network.floats(x, at.codes(0), meaning)?;
                Ok(floats.into_iter().map(|x| self.quantize(x)).collect())
            }
        }
    }

    fn to_graph(&self, node: &LayerNode, graph: &mut Lowering<'_>) -> Result<Option<NodeId>, QuantError> {
        if graph.is_raw(node) {
            return graph.input().map(Some);
        }
        let x = graph.operand(node, 0)?;
        let table = self.table(node, x, graph)?;
        graph.push(&node.name, true, Op::Lut(table), &[x]).map(Some)
    }

    /// After ReLU or the like no code is below the zero point.
    fn reach(&self, at: &Reaches<'_>) -> Result<Option<IntegerReach>, QuantError> {
        let mut hull = self.codes();
        if at.is_non_negative() {
            hull = Interval::new(hull.lo.max(self.zero_point), hull.hi);
        }
        let span = hull.hi.abs_diff(hull.lo);
        Ok(Some(IntegerReach { hull, span }))
    }

    fn accumulator(&self, _: u64) -> Option<u64> {
        None
    }

    fn reading(&self) -> IntegerUse {
        IntegerUse::LooksUp
    }

    fn is_non_negative(&self, _: bool) -> bool {
        false
    }
}

impl ActQuantizer {
    /// The table from accumulator to code: one for each channel, or one for all.
    fn table(&self, node: &LayerNode, x: NodeId, graph: &Lowering<'_>) -> Result<Lut, QuantError> {
        let meaning = graph.meaning(node, 0)?;
        let intervals = graph.builder.intervals(x);
        let ty = graph.builder.ty(x);
        let from_zero = |bound: i64| bound.abs_diff(meaning.zero_point);
        let has = from_zero(ty.range.lo).max(from_zero(ty.range.hi));
        if has > EXACT {
            return Err(QuantError::TooWide {
                layer: node.name.clone(),
                has,
                limit: EXACT,
            });
        }
        let sample = |c: usize, on: Interval| {
            let mut bad = None;
            let steps = Steps::from_fn(on, |acc| match meaning.finite(c, acc) {
                Ok(x) => self.quantize(x),
                Err(found) => {
                    bad.get_or_insert(found);
                    0
                }
            });
            bad.map_or(Ok(steps), |bad| {
                Err(graph.network.not_finite(node.operands[0], meaning, bad))
            })
        };
        if meaning.is_per_tensor() {
            return Ok(Lut::per_tensor(sample(0, ty.range)?));
        }
        let count = channels(&ty.shape);
        let width = channel_len(&ty.shape);
        let channel = |c: usize| {
            let hull = Interval::hull_of(intervals[c * width..(c + 1) * width].iter().copied());
            sample(c, hull.unwrap_or(ty.range))
        };
        let tables: Result<Vec<Steps>, QuantError> = (0..count).map(channel).collect();
        Ok(Lut::per_channel(tables?)?)
    }
}

pub(crate) fn check_bits(what: &'static str, has: u32, lo: u32) -> Result<(), QuantError> {
    const MOST: u32 = 16;
    if (lo..=MOST).contains(&has) {
        Ok(())
    } else {
        Err(QuantError::Bits {
            what,
            has,
            lo,
            hi: MOST,
        })
    }
}
