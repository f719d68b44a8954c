//! The network under training.

use cml_data::Dataset;
use cml_quant::{ActQuantizer, Layer, Network, Univariate};
use ndarray::Array2;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor, no_grad};

use crate::fake_quant::activation;
use crate::layer::{QuantLinear, Rules};
use crate::{NnError, TrainConfig};

/// Quantizer, then dense layers with ReLU and a quantizer between them.
pub(crate) struct Model {
    name: String,
    input: ActQuantizer,
    hidden: ActQuantizer,
    layers: Vec<QuantLinear>,
}

impl Model {
    /// A model with random weights for `features` and `classes`.
    pub(crate) fn new(config: &TrainConfig, features: usize, classes: usize) -> Result<Self, NnError> {
        let input = ActQuantizer::constant(config.input_bits)?;
        let hidden = ActQuantizer::constant(config.activation_bits)?;
        let mut sizes = vec![features];
        sizes.extend(&config.hidden);
        sizes.push(classes);
        let mut rng = weight_stream(config.seed);
        let mut layers = Vec::new();
        for (i, pair) in sizes.windows(2).enumerate() {
            let &[fan_in, out] = pair else { continue };
            // Negative codes do not occur after ReLU.
            let span = if i == 0 {
                input.codes().hi - input.codes().lo
            } else {
                hidden.codes().hi
            };
            let bound = if i + 2 < sizes.len() {
                config.max_accumulator_values
            } else {
                config.max_output_values
            };
            let rules = Rules {
                bits: config.weight_bits,
                scale: config.weight_scale,
                pruning: config.pruning,
                budget: bound.map(|values| (values - 1) / span.unsigned_abs()),
            };
            let weights = Array2::from_shape_simple_fn((out, fan_in), || uniform(&mut rng));
            let reach = 1.0 / (fan_in as f32).sqrt();
            let bias: Vec<f32> = (0..out).map(|_| uniform(&mut rng) * reach).collect();
            let layer = QuantLinear::new(weights, &bias, rules)?;
            layers.push(layer);
        }
        Ok(Self {
            name: config.name.clone(),
            input,
            hidden,
            layers,
        })
    }

    /// The tensors to optimize.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &Tensor> {
        self.layers.iter().flat_map(QuantLinear::parameters)
    }

    /// Brings the integer weights of all layers up to date; see [`QuantLinear::refresh`].
    pub(crate) fn refresh(&mut self, choose: bool, slack: f64) -> Result<(), NnError> {
        self.layers.iter_mut().try_for_each(|l| l.refresh(choose, slack))
    }

    /// Codes `[rows, features]` of a data set.
    pub(crate) fn input_codes(&self, data: &Dataset) -> Result<Tensor, NnError> {
        let x = Tensor::try_from(data.features())?;
        no_grad(|| activation(&x, &self.input))
    }

    /// Scores `[rows, classes]` for input codes `[rows, features]`.
    pub(crate) fn forward(&self, codes: &Tensor) -> Result<Tensor, NnError> {
        let mut codes = codes.shallow_clone();
        let mut scale = self.input.scale;
        for (i, layer) in self.layers.iter().enumerate() {
            let y = layer.forward(&codes, scale)?;
            if i + 1 == self.layers.len() {
                return Ok(y);
            }
            codes = activation(&y.f_relu()?, &self.hidden)?;
            scale = self.hidden.scale;
        }
        Ok(codes)
    }

    /// Scores without gradients, and the share of rows whose class is found.
    pub(crate) fn evaluate(&self, codes: &Tensor, labels: &Tensor) -> Result<(Tensor, f64), NnError> {
        let scores = no_grad(|| self.forward(codes))?;
        let right = scores.f_argmax(1, false)?.f_eq_tensor(labels)?;
        let accuracy = right
            .f_to_kind(Kind::Double)?
            .f_mean(Kind::Double)?
            .f_double_value(&[])?;
        Ok((scores, accuracy))
    }

    /// The network as it stands.
    pub(crate) fn export(&self) -> Result<Network, NnError> {
        let features = self.layers.first().map_or(0, QuantLinear::fan_in);
        let mut network = Network::new(self.name.clone(), vec![features]);
        let mut x = network.quantize("x/quant", network.input(), self.input)?;
        for (i, layer) in self.layers.iter().enumerate() {
            let name = format!("fc{}", i + 1);
            x = network.linear(&name, x, layer.export()?)?;
            if i + 1 < self.layers.len() {
                x = network.function(&format!("{name}/relu"), x, Univariate::Relu)?;
                x = network.push(&format!("{name}/quant"), Layer::Quantize(self.hidden), &[x])?;
            }
        }
        let classes: Vec<String> = (0..network.layer(x).shape[0])
            .map(|class| class.to_string())
            .collect();
        network.set_output(x, &classes.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(network)
    }
}

/// The stream of random numbers for initial weights.
fn weight_stream(seed: u64) -> ChaCha8Rng {
    let mut key = *b"........cml-nn: initial weights.";
    key[..8].copy_from_slice(&seed.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// Uniform in [-1, 1).
fn uniform(rng: &mut ChaCha8Rng) -> f32 {
    const HALF: f32 = (1 << 23) as f32;
    (rng.next_u32() >> 8) as f32 / HALF - 1.0
}
