//! Networks: layers, weights and quantizers.

use crate::error::misfit;
use crate::layers::element_count;
use crate::{
    ActQuantizer, Concat, Conv2d, Layer, LayerNode, Linear, Normalize, Pool, QuantError, Reshape, Univariate,
};
use cml_ir::{InputSpec, InputStep, Interval, Probabilities, TrainingRows, names_fault};

/// Most elements of a layer's result, as in `cml_ir`.
const MAX_ELEMENTS: usize = 1 << 22;

/// Number of a layer; layers read only layers with smaller numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LayerId(pub(crate) usize);

impl LayerId {
    /// Position in the network, from 0 (the input).
    pub fn index(self) -> usize {
        self.0
    }
}

/// A network: layers in order, each reading layers before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    name: String,
    layers: Vec<LayerNode>,
    output: Option<LayerId>,
    labels: Vec<String>,
    probabilities: Probabilities,
    columns: Vec<String>,
    steps: Vec<InputStep>,
    training: Option<TrainingRows>,
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
            probabilities: Probabilities::Unstated,
            columns: Vec::new(),
            steps: Vec::new(),
            training: None,
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

    /// What makes probabilities of the outputs, for the client to compute.
    pub fn probabilities(&self) -> Probabilities {
        self.probabilities
    }

    /// Says what makes probabilities of the outputs.
    pub fn set_probabilities(&mut self, probabilities: Probabilities) {
        self.probabilities = probabilities;
    }

    /// Names of the columns of the data, one for each element of the input in row-major order; empty
    /// if they are not known.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// What is done with each float of a sample before anything else: the values of layer 0 are those after
    /// it.
    pub fn input_steps(&self) -> &[InputStep] {
        &self.steps
    }

    /// Says what is done with each float of a sample before anything else. In a quantized network that is for
    /// the client, before it quantizes: see [`Network::input_spec`].
    ///
    /// # Errors
    /// If a step is not valid for the input, as [`cml_ir::InputSpec::check`] says.
    pub fn set_input_steps(&mut self, steps: Vec<InputStep>) -> Result<(), QuantError> {
        let input = &self.layers[0];
        let spec = InputSpec {
            steps,
            ..InputSpec::new(1.0, 0, Interval::point(0))
        };
        spec.check(&input.name, &input.shape)?;
        self.steps = spec.steps;
        Ok(())
    }

    /// Which rows the network was trained on, if that is known.
    pub fn training(&self) -> Option<&TrainingRows> {
        self.training.as_ref()
    }

    /// Names the columns of the data, or none of them.
    ///
    /// # Errors
    /// If there are names but not one for each element of the input, or [`cml_ir::names_fault`] finds
    /// one.
    pub fn set_columns(&mut self, columns: Vec<String>) -> Result<(), QuantError> {
        if !columns.is_empty() && columns.len() != self.input_len() {
            let needs = format!("0 or {}", self.input_len());
            return Err(misfit(
                &self.layers[0].name,
                "names of columns",
                needs,
                columns.len(),
            ));
        }
        if let Some(why) = names_fault(&columns) {
            return Err(QuantError::Names { what: "columns", why });
        }
        self.columns = columns;
        Ok(())
    }

    /// Says which rows the network was trained on.
    ///
    /// # Errors
    /// If no row was.
    pub fn set_training(&mut self, training: Option<TrainingRows>) -> Result<(), QuantError> {
        if let Some(rows) = training.filter(|rows| !rows.is_plausible()) {
            return Err(misfit(
                &self.name,
                "rows held out",
                format!("fewer than {}", rows.rows),
                rows.held_out,
            ));
        }
        self.training = training;
        Ok(())
    }

    /// Number of floats in one sample.
    pub fn input_len(&self) -> usize {
        element_count(&self.layers[0].shape)
    }

    /// Adds a normalization of the raw input.
    ///
    /// # Errors
    /// As [`Network::push`].
    pub fn normalize(&mut self, name: &str, normalize: Normalize) -> Result<LayerId, QuantError> {
        self.push(name, Layer::Normalize(normalize), &[self.input()])
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

    /// Adds a convolution.
    ///
    /// # Errors
    /// As [`Network::push`].
    pub fn conv2d(&mut self, name: &str, x: LayerId, conv: Conv2d) -> Result<LayerId, QuantError> {
        self.push(name, Layer::Conv2d(conv), &[x])
    }

    /// Adds sums, averages or maxima over windows.
    ///
    /// # Errors
    /// As [`Network::push`].
    pub fn pool(&mut self, name: &str, x: LayerId, pool: Pool) -> Result<LayerId, QuantError> {
        self.push(name, Layer::Pool(pool), &[x])
    }

    /// Gives the same elements another shape.
    ///
    /// # Errors
    /// As [`Network::push`].
    pub fn reshape(&mut self, name: &str, x: LayerId, shape: Vec<usize>) -> Result<LayerId, QuantError> {
        self.push(name, Layer::Reshape(Reshape { shape }), &[x])
    }

    /// Makes a vector of all elements.
    ///
    /// # Errors
    /// As [`Network::push`].
    pub fn flatten(&mut self, name: &str, x: LayerId) -> Result<LayerId, QuantError> {
        let count = self.layers.get(x.0).map_or(0, |l| element_count(&l.shape));
        self.reshape(name, x, vec![count])
    }

    /// Adds two values element by element. They must have one scale, so give
    /// both a common quantizer; integers and zero points add.
    ///
    /// # Errors
    /// As [`Network::push`].
    pub fn add(&mut self, name: &str, a: LayerId, b: LayerId) -> Result<LayerId, QuantError> {
        self.push(name, Layer::Add, &[a, b])
    }

    /// Joins values along axis 0. They must have one scale and zero point.
    ///
    /// # Errors
    /// As [`Network::push`].
    pub fn concat(&mut self, name: &str, values: &[LayerId]) -> Result<LayerId, QuantError> {
        self.concat_along(name, values, 0)
    }

    /// Joins values along an axis. They must have one scale and zero point.
    ///
    /// # Errors
    /// As [`Network::push`].
    pub fn concat_along(
        &mut self,
        name: &str,
        values: &[LayerId],
        axis: usize,
    ) -> Result<LayerId, QuantError> {
        self.push(name, Layer::Concat(Concat { axis }), values)
    }

    /// Takes a value from another, element by element. They must have one scale, as in
    /// [`Network::add`]; integers and zero points subtract.
    ///
    /// # Errors
    /// As [`Network::push`].
    pub fn sub(&mut self, name: &str, a: LayerId, b: LayerId) -> Result<LayerId, QuantError> {
        self.push(name, Layer::Sub, &[a, b])
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
    /// fit, a quantizer is not valid, a normalization or trees read another layer than
    /// the input, or the input or the result has no or too
    /// many elements.
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
        let sized = |what, shape: &[usize]| {
            if (1..=MAX_ELEMENTS).contains(&element_count(shape)) {
                return Ok(());
            }
            let needs = format!("1 to {MAX_ELEMENTS} elements");
            Err(misfit(name, what, needs, format!("{shape:?}")))
        };
        sized("input shape", &self.layers[0].shape)?;
        let reads_raw = matches!(layer, Layer::Normalize(_) | Layer::Trees(_));
        if let Some(read) = operands.iter().find(|o| o.0 != 0).filter(|_| reads_raw) {
            let (needs, has) = (&self.layers[0].name, &self.layers[read.0].name);
            return Err(misfit(name, "operand", format!("the raw input {needs}"), has));
        }
        let read: Vec<&[usize]> = operands
            .iter()
            .map(|o| self.layers[o.0].shape.as_slice())
            .collect();
        let shape = layer.shape(name, &read)?;
        sized("result", &shape)?;
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
        let channels = cml_ir::channels(&layer.shape);
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
