//! Linear operations on batches, exact on integers below 2^24 whatever the order of their sums.

use cml_quant::Pool;
use tch::Tensor;

use crate::NnError;

/// Where a convolution reads.
#[derive(Clone, Copy)]
pub(crate) struct ConvWindow {
    /// Height and width.
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    /// Top, left, bottom, right.
    pub(crate) padding: [usize; 4],
    pub(crate) groups: usize,
}

/// `[rows, out]` of `[rows, in]` and weights `[out, in]`.
pub(crate) fn dense(x: &Tensor, weights: &Tensor) -> Result<Tensor, NnError> {
    Ok(x.f_matmul(&weights.f_tr()?)?)
}

/// `[rows, out, height, width]` of `[rows, in, height, width]` and weights `[out, fan_in]`, as products
/// of matrices: ready-made convolutions may transform integers to fractions (Winograd).
pub(crate) fn convolution(x: &Tensor, weights: &Tensor, window: ConvWindow) -> Result<Tensor, NnError> {
    let [top, left, bottom, right] = window.padding.map(|n| n as i64);
    let x = x.f_constant_pad_nd([left, right, top, bottom])?;
    let size = x.size();
    let [height, width] = [0, 1].map(|axis| {
        let room = size[2 + axis] - window.kernel[axis] as i64;
        room / window.stride[axis] as i64 + 1
    });
    let columns = x.f_im2col(
        window.kernel.map(|n| n as i64),
        [1, 1],
        [0, 0],
        window.stride.map(|n| n as i64),
    )?;
    let (groups, out) = (window.groups as i64, weights.size()[0]);
    let y = if groups == 1 {
        weights.f_matmul(&columns)?
    } else {
        let columns = columns.f_view([size[0], groups, -1, height * width])?;
        let weights = weights.f_view([groups, out / groups, -1])?;
        weights.f_matmul(&columns)?
    };
    Ok(y.f_reshape([size[0], out, height, width])?)
}

/// Sums over windows of `[rows, channels, height, width]`.
pub(crate) fn window_sums(x: &Tensor, pool: &Pool) -> Result<Tensor, NnError> {
    let (kernel, stride) = (pool.kernel.map(|n| n as i64), pool.stride.map(|n| n as i64));
    Ok(x.f_avg_pool2d(kernel, stride, [0, 0], false, true, 1)?)
}

/// A number for each channel, shaped to meet `[rows, channels, ..]`; one number stays one.
pub(crate) fn by_channel(numbers: &Tensor, x: &Tensor) -> Result<Tensor, NnError> {
    if numbers.size1()? == 1 {
        return Ok(numbers.shallow_clone());
    }
    let mut shape = vec![1; x.dim()];
    shape[1] = -1;
    Ok(numbers.f_view(shape.as_slice())?)
}
