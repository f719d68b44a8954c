//! The weights of a dense layer or convolution under training.
//!
//! The integer weights are computed by `cml_quant` itself, after pruning and within the budget, so
//! what the forward pass sees is at every step what would be exported.

use cml_quant::{BatchNorm, Conv2d, Layer, Linear, QuantError, WeightQuantizer, fold_batch_norm};
use ndarray::{Array2, ArrayD, Ix2, Ix4, Zip};
use tch::{Tensor, no_grad};

use crate::architecture::WeightedDesign;
use crate::batch_norm::Norm;
use crate::fake_quant::straight_through;
use crate::scores::to_array;
use crate::{NnError, Pruning, WeightScale, budget, prune};

/// What holds for the weights of a layer.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    /// Bits of the integer weights; `None` for float weights.
    pub(crate) bits: Option<u32>,
    pub(crate) scale: WeightScale,
    pub(crate) pruning: Pruning,
    /// Most values of an accumulator.
    pub(crate) bound: Option<u64>,
    /// Largest sum of magnitudes of a row's integer weights that keeps to it.
    pub(crate) budget: Option<u64>,
}

impl Rules {
    /// Most inputs that a neuron may have left.
    fn most_inputs(&self, fan_in: usize) -> usize {
        match self.pruning {
            Pruning::PerNeuron(n) => n.min(fan_in),
            Pruning::None | Pruning::WholeMatrix(_) | Pruning::Neurons(_) => fan_in,
        }
    }
}

/// Integer weights of one moment.
struct Quantized {
    quantizer: WeightQuantizer,
    codes: Array2<i64>,
    /// As `codes`, `[out, fan_in]`.
    tensor: Tensor,
    /// `[1]` or `[out, 1]`.
    scale: Tensor,
}

/// Float parameters `[out, fan_in]` and the integer weights that they stand for.
pub(crate) struct TrainedWeights {
    pub(crate) design: WeightedDesign,
    name: String,
    weight: Tensor,
    bias: Tensor,
    norm: Option<Norm>,
    kept: Array2<bool>,
    /// As `kept`, 0 and 1.
    mask: Tensor,
    quantized: Option<Quantized>,
}

/// What the forward pass multiplies with.
pub(crate) struct Factors {
    /// Weights `[out, fan_in]`: integers, or floats.
    pub(crate) weights: Tensor,
    /// Scales of the integers, `[1]` or `[out]`; `None` for floats.
    pub(crate) scale: Option<Tensor>,
    /// `[out]`.
    pub(crate) bias: Tensor,
}

impl TrainedWeights {
    /// Layer from initial weights `[out, fan_in]` and biases `[out]`.
    pub(crate) fn new(
        name: String,
        design: WeightedDesign,
        weights: Array2<f32>,
        bias: &[f32],
    ) -> Result<Self, NnError> {
        let parameter = |t: Tensor| t.f_set_requires_grad(true);
        let norm = design.batch_norm.then(|| Norm::new(bias.len())).transpose()?;
        let mut layer = Self {
            weight: parameter(Tensor::try_from(&weights)?)?,
            bias: parameter(Tensor::f_from_slice(bias)?)?,
            norm,
            kept: Array2::from_elem(weights.dim(), true),
            mask: Tensor::f_from_slice(&[1f32])?,
            quantized: None,
            design,
            name,
        };
        layer.refresh(true, 1.0)?;
        Ok(layer)
    }

    /// Name of the layer, and the most values of its accumulators.
    pub(crate) fn bound(&self) -> (&str, Option<u64>) {
        (&self.name, self.design.rules.bound)
    }

    /// The tensors to optimize with weight decay.
    pub(crate) fn parameters(&self) -> [&Tensor; 2] {
        [&self.weight, &self.bias]
    }

    /// The batch normalization that follows.
    pub(crate) fn norm(&self) -> Option<&Norm> {
        self.norm.as_ref()
    }

    /// Brings the integer weights up to date with the float ones: prunes (`choose`: with a new
    /// choice of what stays), projects onto the budget, quantizes, and fits what rounding added.
    /// `slack` widens the budget, and delays the pruning: 0 is the budget itself, 1 what no row exceeds.
    pub(crate) fn refresh(&mut self, choose: bool, slack: f64) -> Result<(), NnError> {
        let mut weights = self.weights()?;
        let rules = self.design.rules;
        if choose {
            self.kept = prune::kept(rules.pruning, weights.view(), slack);
            self.mask = Tensor::try_from(&self.kept.mapv(|kept| f32::from(u8::from(kept))))?;
        }
        let Some(bits) = rules.bits else {
            return Ok(());
        };
        let mut alive = self.alive(&weights);
        let mut quantizer = rules.scale.quantizer(bits, alive.view())?;
        let budget = self.budget(&quantizer, slack);
        if let Some(budget) = budget {
            if rules.scale == WeightScale::PerChannel {
                widen(&mut quantizer, &alive, budget);
            } else {
                self.project(&mut weights, &mut alive, &mut quantizer, budget)?;
            }
        }
        let mut codes = Array2::from_shape_fn(alive.dim(), |(o, i)| quantizer.quantize(o, alive[[o, i]]));
        if let Some(budget) = budget {
            for (mut codes, row) in codes.rows_mut().into_iter().zip(alive.rows()) {
                budget::fit(&mut codes, row, budget);
            }
        }
        self.quantized = Some(Quantized {
            tensor: Tensor::try_from(&codes.mapv(|c| c as f32))?,
            scale: Tensor::f_from_slice(&quantizer.scale)?.f_unsqueeze(1)?,
            codes,
            quantizer,
        });
        Ok(())
    }

    /// Moves the float weights onto the budget of their integers, and refits the quantizer.
    fn project(
        &self,
        weights: &mut Array2<f32>,
        alive: &mut Array2<f32>,
        quantizer: &mut WeightQuantizer,
        budget: u64,
    ) -> Result<(), NnError> {
        let Rules { bits, scale, .. } = self.design.rules;
        for (channel, mut row) in alive.rows_mut().into_iter().enumerate() {
            // One weight of the largest code must not be beyond the budget by itself.
            let budget = budget.max(quantizer.codes().hi.unsigned_abs());
            budget::project(&mut row, budget as f32 * quantizer.channel_scale(channel));
        }
        Zip::from(&mut *weights)
            .and(&*alive)
            .and(&self.kept)
            .for_each(|w, &projected, &kept| *w = if kept { projected } else { *w });
        let moved = Tensor::try_from(&*weights)?;
        no_grad(|| self.weight.shallow_clone().f_copy_(&moved))?;
        *quantizer = scale.quantizer(bits.unwrap_or(quantizer.bits), alive.view())?;
        Ok(())
    }

    fn budget(&self, quantizer: &WeightQuantizer, slack: f64) -> Option<u64> {
        let most = self.design.rules.most_inputs(self.design.fan_in());
        let largest = quantizer.codes().hi.unsigned_abs() * most as u64;
        let room = |budget: u64| (largest.saturating_sub(budget) as f64 * slack) as u64;
        self.design.rules.budget.map(|budget| budget + room(budget))
    }

    /// Factors of this moment, with gradients.
    pub(crate) fn factors(&self) -> Result<Factors, NnError> {
        let alive = self.weight.f_mul(&self.mask)?;
        let bias = self.bias.shallow_clone();
        Ok(match &self.quantized {
            None => Factors {
                weights: alive,
                scale: None,
                bias,
            },
            Some(q) => Factors {
                weights: straight_through(&q.tensor, &alive.f_div(&q.scale)?)?,
                scale: Some(q.scale.f_squeeze_dim(1)?),
                bias,
            },
        })
    }

    /// The layer with its integer weights, batch normalization folded in, pruned weights exactly zero.
    pub(crate) fn export(&self) -> Result<Layer, NnError> {
        let alive = self.alive(&self.weights()?);
        let bias = Vec::<f32>::try_from(&self.bias.f_detach()?)?;
        let norm = self.norm.as_ref().map(Norm::export).transpose()?;
        let (floats, bias) = match &norm {
            Some(norm) => fold_batch_norm(&alive, Some(&bias), norm)?,
            None => (alive, bias),
        };
        let weights = match &self.quantized {
            None => cml_quant::Weights::Float(self.shaped(floats)?),
            Some(quantized) => {
                let (quantizer, codes) = quantized.folded(norm.as_ref(), floats.nrows())?;
                let codes = self.shaped(codes)?;
                cml_quant::Weights::Codes { codes, quantizer }
            }
        };
        if self.design.is_dense() {
            let weights = weights.into_dimensionality::<Ix2>()?;
            return Ok(Layer::Linear(Linear::from_weights(weights, Some(bias))?));
        }
        let conv = Conv2d::from_weights(weights.into_dimensionality::<Ix4>()?, Some(bias))?
            .with_stride(self.design.stride)
            .with_padding(self.design.padding)
            .with_groups(self.design.groups);
        Ok(Layer::Conv2d(conv))
    }

    /// Rows `[out, fan_in]` in the shape of the layer's weights.
    fn shaped<T>(&self, rows: Array2<T>) -> Result<ArrayD<T>, NnError> {
        let misfit = |e: ndarray::ShapeError| {
            NnError::Quant(QuantError::Shape {
                layer: self.name.clone(),
                what: "weights",
                needs: format!("{:?}", self.design.shape),
                has: e.to_string(),
            })
        };
        rows.into_shape_with_order(self.design.shape.clone())
            .map_err(misfit)
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

impl Quantized {
    /// Quantizer and codes with batch normalization folded in: a factor on each channel's scale, its
    /// sign on the codes (which are symmetric).
    fn folded(
        &self,
        norm: Option<&BatchNorm>,
        out: usize,
    ) -> Result<(WeightQuantizer, Array2<i64>), QuantError> {
        const LEAST: f32 = 1e-10;
        let Some(norm) = norm else {
            return Ok((self.quantizer.clone(), self.codes.clone()));
        };
        let factor = |c: usize| norm.gamma[c] / (norm.var[c] + norm.eps).sqrt();
        let scale = (0..out).map(|c| (self.quantizer.channel_scale(c) * factor(c).abs()).max(LEAST));
        let quantizer = WeightQuantizer::new(self.quantizer.bits, self.quantizer.narrow, scale.collect())?;
        let mut codes = self.codes.clone();
        for (c, mut row) in codes.rows_mut().into_iter().enumerate() {
            if factor(c) < 0.0 {
                row.mapv_inplace(|code| -code);
            }
        }
        Ok((quantizer, codes))
    }
}

/// Widens each channel's scale until the magnitudes of its codes keep to the budget: the finest grid
/// that the budget has room for.
fn widen(quantizer: &mut WeightQuantizer, weights: &Array2<f32>, budget: u64) {
    const HALVINGS: u32 = 24;
    let top = quantizer.codes().hi.unsigned_abs();
    for (row, scale) in weights.rows().into_iter().zip(&mut quantizer.scale) {
        let sum = |scale: f32| -> u64 {
            let code = |w: &f32| (((w.abs() / scale).round_ties_even()) as u64).min(top);
            row.iter().map(code).sum()
        };
        if sum(*scale) <= budget {
            continue;
        }
        // At twice the largest weight every code is 0.
        let largest = row.iter().fold(0f32, |m, w| m.max(w.abs()));
        let (mut over, mut within) = (*scale, 2.0 * largest.max(*scale));
        for _ in 0..HALVINGS {
            let middle = 0.5 * (over + within);
            if sum(middle) <= budget {
                within = middle;
            } else {
                over = middle;
            }
        }
        *scale = within;
    }
}
