//! What the integers of each layer stand for: the side table that the forward
//! pass and the translation to a graph share, so that they cannot disagree.

use crate::dequantizer::NotFinite;
use crate::error::misfit;
use crate::{
    ActQuantizer, Dequantizer, Layer, LayerId, LayerNode, Network, Pool, PoolKind, QuantError,
    WeightQuantizer,
};
use cml_ir::{IrError, LIMIT, channel_len, channels};

impl Network {
    /// What the integers of each layer stand for, by layer; `None` for the raw
    /// input and its normalization.
    ///
    /// # Errors
    /// If a layer reads a value that is not quantized as it needs.
    pub(crate) fn meanings(&self) -> Result<Vec<Option<Dequantizer>>, QuantError> {
        let mut meanings = Vec::with_capacity(self.layers().len());
        for node in self.layers() {
            let meaning = match &node.layer {
                Layer::Input | Layer::Normalize(_) => None,
                Layer::Quantize(q) => Some(of_codes(q)),
                _ => Some(self.meaning(node, &meanings)?),
            };
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

    /// The meaning of a layer that works on integers.
    fn meaning(&self, node: &LayerNode, before: &[Option<Dequantizer>]) -> Result<Dequantizer, QuantError> {
        let mut operands = Vec::with_capacity(node.operands.len());
        for (slot, o) in node.operands.iter().enumerate() {
            let Some(meaning) = &before[o.index()] else {
                return Err(self.not_quantized(node, slot));
            };
            operands.push(meaning);
        }
        let x = operands[0];
        let plain = |slot: usize| {
            operands[slot]
                .plain_scale()
                .ok_or_else(|| self.not_quantized(node, slot))
        };
        match &node.layer {
            Layer::Input | Layer::Normalize(_) => Err(self.not_quantized(node, 0)),
            Layer::Quantize(q) => Ok(of_codes(q)),
            Layer::Linear(l) => of_products(node, plain(0)?, l.quantizer(), l.bias()),
            Layer::Conv2d(c) => of_products(node, plain(0)?, c.quantizer(), c.bias()),
            Layer::Pool(pool) if pool.is_max() => plain(0).map(|_| x.clone()),
            // A border of 0.0 is a code only where there is no bias.
            Layer::Pool(pool) if x.functions.is_empty() && !(pool.is_padded() && x.bias.is_some()) => {
                of_windows(node, x, pool)
            }
            Layer::Pool(_) => Err(self.not_quantized(node, 0)),
            Layer::Pad { .. } => plain(0).map(|_| x.clone()),
            Layer::Function(f) => {
                let mut meaning = x.clone();
                meaning.functions.push(f.clone());
                Ok(meaning)
            }
            Layer::Reshape { shape } => of_another_shape(node, x, &self.layer(node.operands[0]).shape, shape),
            Layer::Transpose { perm } => of_another_order(node, x, perm),
            Layer::Slice { starts, steps, .. } => {
                let Some((start, step)) = starts.first().zip(steps.first()) else {
                    return Ok(x.clone());
                };
                let count = channels(&node.shape);
                Ok(x.respread(|list| (0..count).map(|c| list[start + c * step]).collect()))
            }
            Layer::Add | Layer::Sub => {
                if plain(0)? != plain(1)? {
                    return Err(self.not_common(node, &operands, 1, "scale"));
                }
                let (a, b) = (i128::from(x.zero_point), i128::from(operands[1].zero_point));
                let zero_point = if node.layer == Layer::Sub { a - b } else { a + b };
                Ok(Dequantizer {
                    zero_point: bounded(&node.name, zero_point)?,
                    ..x.clone()
                })
            }
            Layer::Concat { .. } => {
                let scale = plain(0)?;
                for slot in 1..operands.len() {
                    if plain(slot)? != scale || operands[slot].zero_point != x.zero_point {
                        return Err(self.not_common(node, &operands, slot, "scale and zero point"));
                    }
                }
                Ok(x.clone())
            }
        }
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

    fn not_common(
        &self,
        node: &LayerNode,
        operands: &[&Dequantizer],
        slot: usize,
        what: &'static str,
    ) -> QuantError {
        let describe = |slot: usize| {
            let of: &Dequantizer = operands[slot];
            let name = &self.layer(node.operands[slot]).name;
            format!("{name} has scale {} zero point {}", of.scale[0], of.zero_point)
        };
        QuantError::NotCommon {
            layer: node.name.clone(),
            what,
            first: describe(0),
            second: describe(slot),
        }
    }
}

/// Codes of a quantizer.
fn of_codes(q: &ActQuantizer) -> Dequantizer {
    Dequantizer {
        zero_point: q.zero_point,
        scale: vec![q.scale],
        bias: None,
        functions: Vec::new(),
    }
}

/// Sums of products of weights and codes, each less its zero point.
fn of_products(
    node: &LayerNode,
    scale: f32,
    quantizer: Option<&WeightQuantizer>,
    bias: Option<&[f32]>,
) -> Result<Dequantizer, QuantError> {
    let Some(quantizer) = quantizer else {
        return Err(QuantError::FloatWeights(node.name.clone()));
    };
    Ok(Dequantizer {
        zero_point: 0,
        scale: quantizer.scale.iter().map(|w| scale * w).collect(),
        bias: bias.map(<[f32]>::to_vec),
        functions: Vec::new(),
    })
}

/// Sums over windows; the expressions are those of [`Pool`].
fn of_windows(node: &LayerNode, x: &Dequantizer, pool: &Pool) -> Result<Dequantizer, QuantError> {
    let count = pool.count();
    let n = count as f32;
    let zero_point = bounded(&node.name, i128::from(x.zero_point) * count as i128)?;
    let meaning = Dequantizer {
        zero_point,
        ..x.clone()
    };
    Ok(match pool.kind {
        PoolKind::Sum => Dequantizer {
            bias: x.bias.as_ref().map(|b| b.iter().map(|b| b * n).collect()),
            ..meaning
        },
        PoolKind::Average => Dequantizer {
            scale: x.scale.iter().map(|s| s / n).collect(),
            ..meaning
        },
        PoolKind::Max => x.clone(),
    })
}

/// The same elements under another channel axis: what a channel meant goes to
/// each of the channels that its elements became.
fn of_another_shape(
    node: &LayerNode,
    x: &Dequantizer,
    from: &[usize],
    to: &[usize],
) -> Result<Dequantizer, QuantError> {
    let (old, new) = (channel_len(from), channel_len(to));
    if x.is_per_tensor() || old == new {
        return Ok(x.clone());
    }
    if old % new != 0 {
        return Err(misfit(
            &node.name,
            "shape",
            format!(
                "channels within those of {from:?}, which differ in scale or bias, or a quantizer before"
            ),
            format!("{to:?}"),
        ));
    }
    Ok(x.respread(|list| list.iter().flat_map(|&v| vec![v; old / new]).collect()))
}

/// Axes in another order: channels that differ must stay channels.
fn of_another_order(node: &LayerNode, x: &Dequantizer, perm: &[usize]) -> Result<Dequantizer, QuantError> {
    if x.is_per_tensor() || perm.first() == Some(&0) {
        return Ok(x.clone());
    }
    Err(misfit(
        &node.name,
        "perm",
        "axis 0 first, whose channels differ in scale, bias or function, or a quantizer before",
        format!("{perm:?}"),
    ))
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
