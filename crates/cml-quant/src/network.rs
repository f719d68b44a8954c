//! Networks: layers, weights and quantizers.

use crate::error::check_number;
use crate::{ActQuantizer, QuantError, Univariate, WeightQuantizer};
use ndarray::Array2;

/// Most elements of an input.
const MAX_INPUT: usize = 1 << 22;

/// Number of a layer; layers read only layers with smaller numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LayerId(pub(crate) usize);

impl LayerId {
    /// Position in the network, from 0 (the input).
    pub fn index(self) -> usize {
        self.0
    }
}

/// Dense layer `y = W x + b` with quantized weights and a float bias, which
/// goes into the next lookup table or the output's offset.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    weights: Array2<f32>,
    bias: Option<Vec<f32>>,
    quantizer: WeightQuantizer,
}

impl Linear {
    /// Layer from weights `[out, in]` and bias `[out]`.
    ///
    /// # Errors
    /// If sizes do not fit or a number is not finite.
    pub fn new(
        weights: Array2<f32>,
        bias: Option<Vec<f32>>,
        quantizer: WeightQuantizer,
    ) -> Result<Self, QuantError> {
        let layer = Self {
            weights,
            bias,
            quantizer,
        };
        let out = layer.weights.nrows();
        let fail = |what, needs: String, has: String| {
            Err(QuantError::Shape {
                layer: "linear".to_owned(),
                what,
                needs,
                has,
            })
        };
        if layer.weights.is_empty() {
            return fail(
                "weights",
                "at least one".to_owned(),
                format!("{:?}", layer.weights.shape()),
            );
        }
        layer.quantizer.check()?;
        if ![1, out].contains(&layer.quantizer.scale.len()) {
            return fail(
                "weight scales",
                format!("1 or {out}"),
                layer.quantizer.scale.len().to_string(),
            );
        }
        if let Some(bias) = layer.bias.as_ref().filter(|b| b.len() != out) {
            return fail("bias", out.to_string(), bias.len().to_string());
        }
        layer
            .weights
            .iter()
            .try_for_each(|&w| check_number("weight", w))?;
        layer
            .bias
            .iter()
            .flatten()
            .try_for_each(|&b| check_number("bias", b))?;
        Ok(layer)
    }

    /// Float weights, `[out, in]`.
    pub fn weights(&self) -> &Array2<f32> {
        &self.weights
    }

    /// Float bias, `[out]`.
    pub fn bias(&self) -> Option<&[f32]> {
        self.bias.as_deref()
    }

    /// Quantizer of the weights.
    pub fn quantizer(&self) -> &WeightQuantizer {
        &self.quantizer
    }

    /// Integer weights, `[out, in]`.
    pub fn codes(&self) -> Array2<i64> {
        Array2::from_shape_fn(self.weights.dim(), |(o, i)| {
            self.quantizer.quantize(o, self.weights[[o, i]])
        })
    }
}

/// What a layer does.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// The float input; always layer 0.
    Input,
    /// Quantizer: what follows works on integers.
    Quantize(ActQuantizer),
    /// Dense layer.
    Linear(Linear),
    /// Activation function.
    Function(Univariate),
}

/// A layer with its name and what it reads.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNode {
    /// Unique name.
    pub name: String,
    /// What it does.
    pub layer: Layer,
    /// Layers that it reads.
    pub operands: Vec<LayerId>,
    /// Shape of its result.
    pub shape: Vec<usize>,
}

/// A network: layers in order, each reading layers before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    name: String,
    layers: Vec<LayerNode>,
    output: Option<LayerId>,
    labels: Vec<String>,
}

impl Network {
    /// A network that is only an input of the given shape.
    pub fn new(name: impl Into<String>, input_shape: Vec<usize>) -> Self {
        let input = LayerNode {
            name: "x".to_owned(),
            layer: Layer::Input,
            operands: Vec::new(),
            shape: input_shape,
        };
        Self {
            name: name.into(),
            layers: vec![input],
            output: None,
            labels: Vec::new(),
        }
    }

    /// Name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Layers in order; the first is the input.
    pub fn layers(&self) -> &[LayerNode] {
        &self.layers
    }

    /// A layer.
    pub fn layer(&self, id: LayerId) -> &LayerNode {
        &self.layers[id.0]
    }

    /// The input.
    pub fn input(&self) -> LayerId {
        LayerId(0)
    }

    /// The layer whose result is the output.
    ///
    /// # Errors
    /// If none was set.
    pub fn output(&self) -> Result<LayerId, QuantError> {
        self.output.ok_or_else(|| QuantError::NoOutput(self.name.clone()))
    }

    /// Class names; empty if the outputs are not classes.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Number of floats in one sample.
    pub fn input_len(&self) -> usize {
        self.layers[0]
            .shape
            .iter()
            .fold(1, |n: usize, &d| n.saturating_mul(d))
    }

    /// Adds a quantizer.
    ///
    /// # Errors
    /// As [`Network::push`].
    pub fn quantize(
        &mut self,
        name: &str,
        x: LayerId,
        quantizer: ActQuantizer,
    ) -> Result<LayerId, QuantError> {
        self.push(name, Layer::Quantize(quantizer), &[x])
    }

    /// Adds a dense layer.
    ///
    /// # Errors
    /// As [`Network::push`].
    pub fn linear(&mut self, name: &str, x: LayerId, linear: Linear) -> Result<LayerId, QuantError> {
        self.push(name, Layer::Linear(linear), &[x])
    }

    /// Adds an activation function.
    ///
    /// # Errors
    /// As [`Network::push`].
    pub fn function(&mut self, name: &str, x: LayerId, function: Univariate) -> Result<LayerId, QuantError> {
        self.push(name, Layer::Function(function), &[x])
    }

    /// Adds any layer.
    ///
    /// # Errors
    /// If the name is taken or empty, an operand is not there, shapes do not
    /// fit, a quantizer is not valid, or the input has no or too many elements.
    pub fn push(&mut self, name: &str, layer: Layer, operands: &[LayerId]) -> Result<LayerId, QuantError> {
        if name.is_empty() || self.layers.iter().any(|l| l.name == name) {
            return Err(QuantError::Name(name.to_owned()));
        }
        if let Some(bad) = operands.iter().find(|o| o.0 >= self.layers.len()) {
            return Err(QuantError::Operand {
                layer: name.to_owned(),
                operand: bad.0,
            });
        }
        let fail = |what, needs: String, has: String| {
            Err(QuantError::Shape {
                layer: name.to_owned(),
                what,
                needs,
                has,
            })
        };
        if !(1..=MAX_INPUT).contains(&self.input_len()) {
            let has = format!("{:?}", self.layers[0].shape);
            return fail("input shape", format!("1 to {MAX_INPUT} elements"), has);
        }
        if let Layer::Quantize(quantizer) = &layer {
            quantizer.checked()?;
        }
        let arity = if matches!(layer, Layer::Input) { 0 } else { 1 };
        if operands.len() != arity || arity == 0 {
            return fail(
                "operands",
                "1, and a single input layer".to_owned(),
                operands.len().to_string(),
            );
        }
        let read = &self.layers[operands[0].0].shape;
        let shape = match &layer {
            Layer::Input | Layer::Quantize(_) | Layer::Function(_) => read.clone(),
            Layer::Linear(linear) => {
                let fan_in = linear.weights.ncols();
                if read[..] != [fan_in] {
                    return fail("input", format!("[{fan_in}]"), format!("{read:?}"));
                }
                vec![linear.weights.nrows()]
            }
        };
        self.layers.push(LayerNode {
            name: name.to_owned(),
            layer,
            operands: operands.to_vec(),
            shape,
        });
        Ok(LayerId(self.layers.len() - 1))
    }

    /// Says which layer is the output, and what its channels mean (or nothing).
    ///
    /// # Errors
    /// If the layer is not there or the number of labels does not fit.
    pub fn set_output(&mut self, id: LayerId, labels: &[&str]) -> Result<(), QuantError> {
        let Some(layer) = self.layers.get(id.0) else {
            return Err(QuantError::Operand {
                layer: "output".to_owned(),
                operand: id.0,
            });
        };
        let channels = layer.shape.first().copied().unwrap_or(1);
        if !labels.is_empty() && labels.len() != channels {
            return Err(QuantError::Shape {
                layer: layer.name.clone(),
                what: "labels",
                needs: format!("0 or {channels}"),
                has: labels.len().to_string(),
            });
        }
        self.output = Some(id);
        self.labels = labels.iter().map(|&l| l.to_owned()).collect();
        Ok(())
    }
}
