//! The float pass with fake quantization, without libtorch.

use crate::error::check_number;
use crate::{Dequantizer, Layer, Network, QuantError};
use ndarray::ArrayView1;

/// A value on its way through the network: integers, and what they stand for.
enum Value {
    /// The raw input.
    Float(Vec<f32>),
    /// Accumulators or codes with the float that they stand for.
    Integer { codes: Vec<i64>, meaning: Dequantizer },
}

impl Network {
    /// Output scores of one sample (row-major floats): the fake-quantized
    /// forward pass that training optimizes.
    ///
    /// # Errors
    /// If the sample has the wrong length or is not finite, or the network is
    /// not fully quantized.
    pub fn forward(&self, sample: &[f32]) -> Result<Vec<f32>, QuantError> {
        if sample.len() != self.input_len() {
            return Err(QuantError::Shape {
                layer: self.layers()[0].name.clone(),
                what: "input values",
                needs: self.input_len().to_string(),
                has: sample.len().to_string(),
            });
        }
        sample.iter().try_for_each(|&x| check_number("input", x))?;
        let mut values: Vec<Value> = Vec::with_capacity(self.layers().len());
        for node in self.layers() {
            let operand = node.operands.first().map(|o| &values[o.index()]);
            let width = (node.shape.iter().product::<usize>()
                / node.shape.first().copied().unwrap_or(1).max(1))
            .max(1);
            let value = match (&node.layer, operand) {
                (Layer::Input, _) | (_, None) => Value::Float(sample.to_vec()),
                (Layer::Quantize(q), Some(x)) => Value::Integer {
                    codes: floats(x, width).into_iter().map(|x| q.quantize(x)).collect(),
                    meaning: Dequantizer {
                        zero_point: q.zero_point,
                        scale: vec![q.scale],
                        bias: None,
                        functions: Vec::new(),
                    },
                },
                (Layer::Linear(linear), Some(Value::Integer { codes, meaning })) => {
                    let Some(meaning) = crate::to_graph::linear_meaning(meaning, linear) else {
                        return Err(self.not_quantized(node));
                    };
                    let zero_point = meaning.0;
                    let weights = linear.codes();
                    let sum = |row: ArrayView1<'_, i64>| {
                        row.iter().zip(codes).map(|(w, x)| w * (x - zero_point)).sum()
                    };
                    Value::Integer {
                        codes: weights.rows().into_iter().map(sum).collect(),
                        meaning: meaning.1,
                    }
                }
                (Layer::Function(f), Some(Value::Integer { codes, meaning })) => {
                    let mut meaning = meaning.clone();
                    meaning.functions.push(*f);
                    Value::Integer {
                        codes: codes.clone(),
                        meaning,
                    }
                }
                (Layer::Linear(_) | Layer::Function(_), Some(Value::Float(_))) => {
                    return Err(self.not_quantized(node));
                }
            };
            values.push(value);
        }
        let output = self.output()?;
        let shape = &self.layer(output).shape;
        let width = (shape.iter().product::<usize>() / shape.first().copied().unwrap_or(1).max(1)).max(1);
        Ok(floats(&values[output.index()], width))
    }

    pub(crate) fn not_quantized(&self, node: &crate::LayerNode) -> QuantError {
        let from = node
            .operands
            .first()
            .map_or("nothing", |&o| self.layer(o).name.as_str());
        QuantError::NotQuantized {
            layer: node.name.clone(),
            from: from.to_owned(),
        }
    }
}

fn floats(value: &Value, width: usize) -> Vec<f32> {
    match value {
        Value::Float(x) => x.clone(),
        Value::Integer { codes, meaning } => codes
            .iter()
            .enumerate()
            .map(|(i, &q)| meaning.eval(i / width, q))
            .collect(),
    }
}
