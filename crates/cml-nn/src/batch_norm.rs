//! Batch normalization under training.

use cml_quant::BatchNorm;
use tch::{Kind, Tensor};

use crate::NnError;

const EPS: f64 = 1e-5;
/// Share of a new batch in the running statistics.
const MOMENTUM: f64 = 0.1;

/// Parameters and running statistics of each channel.
pub(crate) struct Norm {
    gamma: Tensor,
    beta: Tensor,
    mean: Tensor,
    var: Tensor,
}

impl Norm {
    /// The identity on so many channels.
    pub(crate) fn new(channels: usize) -> Result<Self, NnError> {
        let ones = || Tensor::f_ones([channels as i64], (Kind::Float, tch::Device::Cpu));
        let zeros = || Tensor::f_zeros([channels as i64], (Kind::Float, tch::Device::Cpu));
        Ok(Self {
            gamma: ones()?.f_set_requires_grad(true)?,
            beta: zeros()?.f_set_requires_grad(true)?,
            mean: zeros()?,
            var: ones()?,
        })
    }

    /// The tensors to optimize.
    pub(crate) fn parameters(&self) -> [&Tensor; 2] {
        [&self.gamma, &self.beta]
    }

    /// Normalized `[rows, channels, ..]`; by the statistics of these rows, which enter the running
    /// ones, or (`frozen`) by the running ones, as at inference.
    pub(crate) fn forward(&self, x: &Tensor, frozen: bool) -> Result<Tensor, NnError> {
        let (gamma, beta) = (Some(&self.gamma), Some(&self.beta));
        let (mean, var) = (Some(&self.mean), Some(&self.var));
        Ok(x.f_batch_norm(gamma, beta, mean, var, !frozen, MOMENTUM, EPS, false)?)
    }

    /// As at inference.
    pub(crate) fn export(&self) -> Result<BatchNorm, NnError> {
        let list = |t: &Tensor| -> Result<Vec<f32>, NnError> { Ok(Vec::<f32>::try_from(&t.f_detach()?)?) };
        Ok(BatchNorm {
            gamma: list(&self.gamma)?,
            beta: list(&self.beta)?,
            mean: list(&self.mean)?,
            var: list(&self.var)?,
            eps: EPS as f32,
        })
    }
}
