//! What the integers of each layer stand for: the side table that the forward
//! pass and the translation to a graph share, so that they cannot disagree.

use crate::dequantizer::NotFinite;
use crate::layers::kind::Place;
use crate::{Dequantizer, Layer, LayerId, LayerNode, Network, QuantError};
use cml_ir::{IrError, LIMIT, channels};

impl Network {
    /// What the integers of each layer stand for, by layer; `None` for the raw
    /// input and its normalization.
    ///
    /// # Errors
    /// If a layer reads a value that is not quantized as it needs.
    pub(crate) fn meanings(&self) -> Result<Vec<Option<Dequantizer>>, QuantError> {
        let mut meanings: Vec<Option<Dequantizer>> = Vec::with_capacity(self.layers().len());
        for node in self.layers() {
            let meaning = node.layer.kind().meaning(&Place {
                network: self,
                node,
                before: &meanings,
            })?;
            meanings.push(meaning);
        }
        // The client evaluates affine functions at the end, with the scale and offset that it has.
        if let Ok(output) = self.output()
            && let Some(meaning) = &meanings[output.index()]
        {
            let folded = meaning.folded(channels(&self.layer(output).shape));
            meanings[output.index()] = folded.or_else(|| Some(meaning.clone()));
        }
        Ok(meanings)
    }

    pub(crate) fn not_quantized(&self, node: &LayerNode, slot: usize) -> QuantError {
        let from = node.operands.get(slot);
        QuantError::NotQuantized {
            layer: node.name.clone(),
            from: from
                .map_or("nothing", |&o| self.layer(o).name.as_str())
                .to_owned(),
        }
    }

    /// A function without a finite value among those that layer `x`, of a meaning, ends with.
    pub(crate) fn not_finite(&self, x: LayerId, meaning: &Dequantizer, bad: NotFinite) -> QuantError {
        // Functions are met from the last to the first.
        let mut later = meaning.functions.len() - 1 - bad.function;
        let mut node = self.layer(x);
        loop {
            if let Layer::Function(_) = node.layer {
                if later == 0 {
                    break;
                }
                later -= 1;
            }
            match node.operands.first() {
                Some(&o) => node = self.layer(o),
                None => break,
            }
        }
        QuantError::NotFinite {
            layer: node.name.clone(),
            function: meaning.functions[bad.function].name(),
            argument: bad.argument,
            has: bad.has,
        }
    }
}

impl<'a> Place<'a, Option<Dequantizer>> {
    /// What an operand stands for.
    ///
    /// # Errors
    /// If it is no integers.
    pub(crate) fn meaning(&self, slot: usize) -> Result<&'a Dequantizer, QuantError> {
        let meaning = self.read(slot).as_ref();
        meaning.ok_or_else(|| self.network.not_quantized(self.node, slot))
    }

    /// Scale of an operand that is plain codes.
    ///
    /// # Errors
    /// If it is something else.
    pub(crate) fn plain(&self, slot: usize) -> Result<f32, QuantError> {
        let scale = self.meaning(slot)?.plain_scale();
        scale.ok_or_else(|| self.network.not_quantized(self.node, slot))
    }

    /// Operands, the first and another, that differ where they must not.
    pub(crate) fn not_common(&self, slot: usize, what: &'static str) -> QuantError {
        let describe = |slot: usize| {
            let name = &self.network.layer(self.node.operands[slot]).name;
            match self.read(slot) {
                Some(of) => format!("{name} has scale {} zero point {}", of.scale[0], of.zero_point),
                None => format!("{name} has no scale"),
            }
        };
        QuantError::NotCommon {
            layer: self.node.name.clone(),
            what,
            first: describe(0),
            second: describe(slot),
        }
    }
}

/// An integer of a layer, if the graph could hold it too.
pub(crate) fn bounded(layer: &str, has: i128) -> Result<i64, QuantError> {
    match i64::try_from(has) {
        Ok(value) if value.abs() < LIMIT => Ok(value),
        _ => Err(QuantError::Ir(IrError::Range {
            node: layer.to_owned(),
            has,
            limit: LIMIT,
        })),
    }
}
