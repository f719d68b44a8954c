//! A dense layer under training.
//!
//! Its integer weights are computed by `cml_quant` itself, after pruning and within the budget, so
//! what the forward pass sees is at every step what would be exported.

use cml_quant::{Linear, QuantError, WeightQuantizer};
use ndarray::{Array2, Zip};
use tch::{Tensor, no_grad};

use crate::fake_quant::{linear, straight_through};
use crate::scores::to_array;
use crate::{NnError, Pruning, WeightScale, budget, prune};

/// What holds for the weights of a layer.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) bits: u32,
    pub(crate) scale: WeightScale,
    pub(crate) pruning: Pruning,
    /// Largest sum of magnitudes of a row's integer weights.
    pub(crate) budget: Option<u64>,
}

impl Rules {
    /// Most inputs that a neuron may have left.
    fn most_inputs(&self, fan_in: usize) -> usize {
        match self.pruning {
            Pruning::PerNeuron(n) => n.min(fan_in),
            Pruning::None | Pruning::WholeMatrix(_) => fan_in,
        }
    }
}

/// Float parameters and the integer weights that they stand for.
pub(crate) struct QuantLinear {
    rules: Rules,
    weight: Tensor,
    bias: Tensor,
    kept: Array2<bool>,
    /// As `kept`, 0 and 1.
    mask: Tensor,
    quantizer: WeightQuantizer,
    codes: Array2<i64>,
    /// As `codes`.
    code_tensor: Tensor,
    /// `[1]` or `[out, 1]`.
    scale: Tensor,
}

impl QuantLinear {
    /// Layer from initial weights `[out, in]` and biases `[out]`.
    pub(crate) fn new(weights: Array2<f32>, bias: &[f32], rules: Rules) -> Result<Self, NnError> {
        let parameter = |t: Tensor| t.f_set_requires_grad(true);
        let mut layer = Self {
            rules,
            weight: parameter(Tensor::try_from(&weights)?)?,
            bias: parameter(Tensor::f_from_slice(bias)?)?,
            kept: Array2::from_elem(weights.dim(), true),
            mask: Tensor::f_from_slice(&[1f32])?,
            quantizer: rules.scale.quantizer(rules.bits, weights.view())?,
            codes: Array2::zeros(weights.dim()),
            code_tensor: Tensor::new(),
            scale: Tensor::new(),
        };
        layer.refresh(true, 1.0)?;
        Ok(layer)
    }

    /// The tensors to optimize.
    pub(crate) fn parameters(&self) -> [&Tensor; 2] {
        [&self.weight, &self.bias]
    }

    /// Inputs of a neuron.
    pub(crate) fn fan_in(&self) -> usize {
        self.kept.ncols()
    }

    /// Brings the integer weights up to date with the float ones: prunes (`choose`: with a new
    /// choice of what stays), projects onto the budget, quantizes, and fits what rounding added.
    /// `slack` widens the budget: 0 is the budget itself, 1 what no row exceeds.
    pub(crate) fn refresh(&mut self, choose: bool, slack: f64) -> Result<(), NnError> {
        let mut weights = self.weights()?;
        if choose {
            self.kept = prune::kept(self.rules.pruning, weights.view());
            self.mask = Tensor::try_from(&self.kept.mapv(|kept| f32::from(u8::from(kept))))?;
        }
        let mut alive = self.alive(&weights);
        self.quantizer = self.fitted_quantizer(&alive)?;
        let budget = self.budget(slack);
        if let Some(budget) = budget {
            for (channel, mut row) in alive.rows_mut().into_iter().enumerate() {
                budget::project(&mut row, budget as f32 * self.quantizer.channel_scale(channel));
            }
            Zip::from(&mut weights)
                .and(&alive)
                .and(&self.kept)
                .for_each(|w, &projected, &kept| *w = if kept { projected } else { *w });
            let weights = Tensor::try_from(&weights)?;
            no_grad(|| self.weight.f_copy_(&weights))?;
            self.quantizer = self.fitted_quantizer(&alive)?;
        }
        self.codes = Array2::from_shape_fn(alive.dim(), |(o, i)| self.quantizer.quantize(o, alive[[o, i]]));
        if let Some(budget) = budget {
            for (mut codes, row) in self.codes.rows_mut().into_iter().zip(alive.rows()) {
                budget::fit(&mut codes, row, budget);
            }
        }
        self.code_tensor = Tensor::try_from(&self.codes.mapv(|c| c as f32))?;
        self.scale = Tensor::f_from_slice(&self.quantizer.scale)?.f_unsqueeze(1)?;
        Ok(())
    }

    fn budget(&self, slack: f64) -> Option<u64> {
        let largest = self.quantizer.codes().hi.unsigned_abs() * self.rules.most_inputs(self.fan_in()) as u64;
        let room = |budget: u64| (largest.saturating_sub(budget) as f64 * slack) as u64;
        self.rules.budget.map(|budget| budget + room(budget))
    }

    fn fitted_quantizer(&self, weights: &Array2<f32>) -> Result<WeightQuantizer, NnError> {
        Ok(self.rules.scale.quantizer(self.rules.bits, weights.view())?)
    }

    /// Values `[batch, out]` for input codes `[batch, in]` of the given scale: `acc * scale + bias`,
    /// the expression of [`cml_quant::Dequantizer`], operation by operation.
    pub(crate) fn forward(&self, x: &Tensor, x_scale: f32) -> Result<Tensor, NnError> {
        let relative = self.weight.f_mul(&self.mask)?.f_div(&self.scale)?;
        let codes = straight_through(&self.code_tensor, &relative)?;
        linear(x, x_scale, &codes, &self.quantizer.scale, Some(&self.bias))
    }

    /// The layer with its integer weights, pruned weights exactly zero.
    pub(crate) fn export(&self) -> Result<Linear, NnError> {
        let weights = self.alive(&self.weights()?);
        let quantizer = &self.quantizer;
        let weights = Array2::from_shape_fn(weights.dim(), |(o, i)| {
            let (weight, code) = (weights[[o, i]], self.codes[[o, i]]);
            if quantizer.quantize(o, weight) == code {
                weight
            } else {
                // The budget has shrunk it.
                code as f32 * quantizer.channel_scale(o)
            }
        });
        let bias = Vec::<f32>::try_from(&self.bias.f_detach()?)?;
        Ok(Linear::new(weights, Some(bias), quantizer.clone())?)
    }

    fn alive(&self, weights: &Array2<f32>) -> Array2<f32> {
        Zip::from(weights)
            .and(&self.kept)
            .map_collect(|&w, &k| if k { w } else { 0.0 })
    }

    fn weights(&self) -> Result<Array2<f32>, NnError> {
        let weights = to_array(&self.weight)?;
        match weights.iter().find(|w| !w.is_finite()) {
            Some(&has) => Err(NnError::Quant(QuantError::Number {
                what: "weight".to_owned(),
                has,
            })),
            None => Ok(weights),
        }
    }
}
