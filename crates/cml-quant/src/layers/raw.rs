//! The raw input, and its normalization, which becomes part of its quantizer.

use super::kind::{IntegerUse, Integers, LayerKind, Operands, Place, Reaches};
use crate::accumulators::IntegerReach;
use crate::error::{check_number, misfit};
use crate::to_graph::Lowering;
use crate::{Dequantizer, LayerNode, QuantError};
use cml_ir::{NodeId, channels};
use serde::{Deserialize, Serialize};

/// `x' = (x - offset[c]) * factor[c]` on the raw input, in `f32`, with one
/// entry or one for each channel (axis 0; of a vector each feature is one).
///
/// In a quantized network the input's quantizer follows, and both together are
/// one [`cml_ir::InputSpec`]: see [`crate::Network::input_spec`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Normalize {
    /// Taken off the input.
    pub offset: Vec<f32>,
    /// Multiplied with the difference; positive.
    pub factor: Vec<f32>,
}

/// The fields of a normalization in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    offset: Vec<f32>,
    factor: Vec<f32>,
}

impl TryFrom<Unchecked> for Normalize {
    type Error = QuantError;

    fn try_from(found: Unchecked) -> Result<Self, QuantError> {
        let Unchecked { offset, factor } = found;
        let normalize = Self { offset, factor };
        normalize.check_numbers("normalization")?;
        Ok(normalize)
    }
}

impl Normalize {
    /// Refuses what cannot normalize so many channels; `name` is the layer's.
    ///
    /// # Errors
    /// If there are neither one nor `channels` entries, an offset is not
    /// finite, or a factor is not finite and positive.
    pub(crate) fn check(&self, name: &str, channels: usize) -> Result<(), QuantError> {
        for (what, list) in [("offsets", &self.offset), ("factors", &self.factor)] {
            if ![1, channels].contains(&list.len()) {
                return Err(misfit(name, what, format!("1 or {channels}"), list.len()));
            }
        }
        self.check_numbers(name)
    }

    /// Refuses offsets that are not finite, and factors that are not finite and positive.
    fn check_numbers(&self, name: &str) -> Result<(), QuantError> {
        self.offset
            .iter()
            .try_for_each(|&o| check_number("input offset", o))?;
        let bad = |f: &&f32| !(f.is_finite() && **f > 0.0);
        match self.factor.iter().find(bad) {
            Some(has) => Err(misfit(name, "factor", "a finite and positive number", has)),
            None => Ok(()),
        }
    }

    /// Value of a float of channel `c`.
    pub fn eval(&self, c: usize, x: f32) -> f32 {
        let pick = |list: &[f32]| if list.len() == 1 { list[0] } else { list[c] };
        (x - pick(&self.offset)) * pick(&self.factor)
    }
}

/// The float input: always layer 0, whose values are those of the sample.
pub(crate) struct Input;

impl LayerKind for Input {
    fn mnemonic(&self) -> &'static str {
        "input"
    }

    fn operands(&self) -> Operands {
        Operands::None
    }

    fn shape(&self, name: &str, _: &[&[usize]]) -> Result<Vec<usize>, QuantError> {
        Err(misfit(name, "operands", "a single input layer", "another one"))
    }

    fn is_float(&self) -> bool {
        true
    }

    fn floats(&self, at: &Place<'_, Vec<f32>>) -> Result<Vec<f32>, QuantError> {
        Ok(at.before.first().cloned().unwrap_or_default())
    }

    fn meaning(&self, _: &Place<'_, Option<Dequantizer>>) -> Result<Option<Dequantizer>, QuantError> {
        Ok(None)
    }

    fn integers(&self, _: &Integers<'_>) -> Result<Vec<i64>, QuantError> {
        Ok(Vec::new())
    }

    fn to_graph(&self, _: &LayerNode, _: &mut Lowering<'_>) -> Result<Option<NodeId>, QuantError> {
        Ok(None)
    }

    fn reach(&self, _: &Reaches<'_>) -> Result<Option<IntegerReach>, QuantError> {
        Ok(None)
    }

    fn accumulator(&self, _: u64) -> Option<u64> {
        None
    }

    fn reading(&self) -> IntegerUse {
        IntegerUse::Nothing
    }

    fn is_non_negative(&self, _: bool) -> bool {
        false
    }
}

impl LayerKind for Normalize {
    fn mnemonic(&self) -> &'static str {
        "normalize"
    }

    fn operands(&self) -> Operands {
        Operands::Exactly(1)
    }

    fn shape(&self, name: &str, read: &[&[usize]]) -> Result<Vec<usize>, QuantError> {
        self.check(name, channels(read[0]))?;
        Ok(read[0].to_vec())
    }

    fn is_float(&self) -> bool {
        true
    }

    fn floats(&self, at: &Place<'_, Vec<f32>>) -> Result<Vec<f32>, QuantError> {
        let width = at.node.channel_len();
        let x = at.read(0).iter().enumerate();
        Ok(x.map(|(i, &x)| self.eval(i / width, x)).collect())
    }

    fn meaning(&self, _: &Place<'_, Option<Dequantizer>>) -> Result<Option<Dequantizer>, QuantError> {
        Ok(None)
    }

    fn integers(&self, _: &Integers<'_>) -> Result<Vec<i64>, QuantError> {
        Ok(Vec::new())
    }

    fn to_graph(&self, _: &LayerNode, _: &mut Lowering<'_>) -> Result<Option<NodeId>, QuantError> {
        Ok(None)
    }

    fn reach(&self, _: &Reaches<'_>) -> Result<Option<IntegerReach>, QuantError> {
        Ok(None)
    }

    fn accumulator(&self, _: u64) -> Option<u64> {
        None
    }

    fn reading(&self) -> IntegerUse {
        IntegerUse::Nothing
    }

    fn is_non_negative(&self, _: bool) -> bool {
        false
    }
}
