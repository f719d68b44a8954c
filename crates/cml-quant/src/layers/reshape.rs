//! The same elements in another shape.

use super::element_count;
use super::kind::{IntegerUse, Integers, LayerKind, Operands, Place, Reaches};
use crate::accumulators::IntegerReach;
use crate::error::misfit;
use crate::to_graph::Lowering;
use crate::{Dequantizer, LayerNode, QuantError};
use cml_ir::{NodeId, Op, channel_len};
use serde::{Deserialize, Serialize};

/// The same elements, row-major, in another shape.
///
/// Where scales, biases or functions differ by channel (index of axis 0), the new channels must be parts of
/// the old ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reshape {
    /// New shape.
    pub shape: Vec<usize>,
}

impl LayerKind for Reshape {
    fn mnemonic(&self) -> &'static str {
        "reshape"
    }

    fn operands(&self) -> Operands {
        Operands::Exactly(1)
    }

    fn shape(&self, name: &str, read: &[&[usize]]) -> Result<Vec<usize>, QuantError> {
        let count = element_count(read[0]);
        if element_count(&self.shape) != count {
            let needs = format!("{count} elements, as {:?}", read[0]);
            return Err(misfit(name, "shape", needs, format!("{:?}", self.shape)));
        }
        Ok(self.shape.clone())
    }

    fn is_float(&self) -> bool {
        true
    }

    fn floats(&self, at: &Place<'_, Vec<f32>>) -> Result<Vec<f32>, QuantError> {
        Ok(at.read(0).clone())
    }

    /// What a channel meant goes to each of the channels that its elements became.
    fn meaning(&self, at: &Place<'_, Option<Dequantizer>>) -> Result<Option<Dequantizer>, QuantError> {
        let x = at.meaning(0)?;
        let (old, new) = (channel_len(at.shape(0)), channel_len(&self.shape));
        if x.is_per_tensor() || old == new {
            return Ok(Some(x.clone()));
        }
        if old % new != 0 {
            let needs = format!(
                "channels within those of {:?}, which differ in scale or bias, or a quantizer before",
                at.shape(0)
            );
            return Err(misfit(&at.node.name, "shape", needs, format!("{:?}", self.shape)));
        }
        let spread = |list: &[f32]| list.iter().flat_map(|&v| vec![v; old / new]).collect();
        Ok(Some(x.respread(spread)))
    }

    fn integers(&self, at: &Integers<'_>) -> Result<Vec<i64>, QuantError> {
        Ok(at.codes(0).to_vec())
    }

    fn to_graph(&self, node: &LayerNode, graph: &mut Lowering<'_>) -> Result<Option<NodeId>, QuantError> {
        let x = graph.operand(node, 0)?;
        let shape = self.shape.clone();
        graph
            .push(&node.name, true, Op::Reshape { shape }, &[x])
            .map(Some)
    }

    fn reach(&self, at: &Reaches<'_>) -> Result<Option<IntegerReach>, QuantError> {
        Ok(at.first())
    }

    fn accumulator(&self, _: u64) -> Option<u64> {
        None
    }

    fn reading(&self) -> IntegerUse {
        IntegerUse::PassesOn
    }

    fn is_non_negative(&self, read: bool) -> bool {
        read
    }
}
