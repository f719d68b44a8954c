//! Layers: what they do, and the shapes that they make.

use crate::error::misfit;
use crate::moves::{joined, padded, sliced, transposed};
use crate::{ActQuantizer, Conv2d, LayerId, Linear, Normalize, Pool, QuantError, Univariate};
use cml_ir::channel_len;

/// What a layer does.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// The float input; always layer 0.
    Input,
    /// Normalization of the raw input.
    Normalize(Normalize),
    /// Quantizer: what follows works on integers.
    Quantize(ActQuantizer),
    /// Dense layer.
    Linear(Linear),
    /// Convolution.
    Conv2d(Conv2d),
    /// Sum, average or maximum over windows.
    Pool(Pool),
    /// Activation function.
    Function(Univariate),
    /// The same elements in another shape.
    Reshape {
        /// New shape.
        shape: Vec<usize>,
    },
    /// Elementwise sum of two values of one scale (a residual connection).
    Add,
    /// Elementwise difference of two values of one scale.
    Sub,
    /// Axes in another order: axis `i` of the result is axis `perm[i]` of the operand.
    Transpose {
        /// Order of the axes.
        perm: Vec<usize>,
    },
    /// Of each axis every `steps`-th element from `starts` to before `ends`.
    Slice {
        /// First index.
        starts: Vec<usize>,
        /// One past the last index, at most the size of the axis.
        ends: Vec<usize>,
        /// Step, at least 1.
        steps: Vec<usize>,
    },
    /// 0.0 around codes of a quantizer.
    Pad {
        /// Elements added before and after each axis.
        padding: Vec<[usize; 2]>,
    },
    /// Values of one scale and zero point, one after the other along an axis.
    Concat {
        /// Axis.
        axis: usize,
    },
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

impl LayerNode {
    /// Elements of each channel (index of axis 0) of the result.
    pub(crate) fn channel_len(&self) -> usize {
        channel_len(&self.shape)
    }
}

/// Number of elements; saturating, since shapes come from files.
pub(crate) fn element_count(shape: &[usize]) -> usize {
    shape.iter().fold(1, |n: usize, &d| n.saturating_mul(d))
}

impl Layer {
    /// Lower-case name of the kind of layer.
    pub fn mnemonic(&self) -> &'static str {
        match self {
            Layer::Input => "input",
            Layer::Normalize(_) => "normalize",
            Layer::Quantize(_) => "quantize",
            Layer::Linear(_) => "linear",
            Layer::Conv2d(_) => "conv2d",
            Layer::Pool(_) => "pool",
            Layer::Function(f) => f.name(),
            Layer::Reshape { .. } => "reshape",
            Layer::Add => "add",
            Layer::Sub => "sub",
            Layer::Transpose { .. } => "transpose",
            Layer::Slice { .. } => "slice",
            Layer::Pad { .. } => "pad",
            Layer::Concat { .. } => "concat",
        }
    }

    /// Shape of the result for operands of some shapes; `name` is the layer's.
    ///
    /// # Errors
    /// If the operands are too few or too many or do not fit.
    pub(crate) fn shape(&self, name: &str, operands: &[&[usize]]) -> Result<Vec<usize>, QuantError> {
        let (needs, fits) = match self {
            Layer::Input => ("a single input layer", false),
            Layer::Normalize(_)
            | Layer::Quantize(_)
            | Layer::Linear(_)
            | Layer::Conv2d(_)
            | Layer::Pool(_)
            | Layer::Function(_)
            | Layer::Reshape { .. }
            | Layer::Transpose { .. }
            | Layer::Slice { .. }
            | Layer::Pad { .. } => ("1", operands.len() == 1),
            Layer::Add | Layer::Sub => ("2", operands.len() == 2),
            Layer::Concat { .. } => ("1 or more", !operands.is_empty()),
        };
        if !fits {
            return Err(misfit(name, "operands", needs, operands.len()));
        }
        let read = operands[0];
        match self {
            Layer::Input | Layer::Quantize(_) => Ok(read.to_vec()),
            Layer::Function(f) => {
                f.check(name, cml_ir::channels(read))?;
                Ok(read.to_vec())
            }
            Layer::Normalize(normalize) => {
                normalize.check(name, cml_ir::channels(read))?;
                Ok(read.to_vec())
            }
            Layer::Linear(linear) => {
                let (out, fan_in) = (linear.weights().shape()[0], linear.weights().shape()[1]);
                if *read != [fan_in] {
                    return Err(misfit(name, "input", format!("[{fan_in}]"), format!("{read:?}")));
                }
                Ok(vec![out])
            }
            Layer::Conv2d(conv) => conv.shape(name, read),
            Layer::Pool(pool) => pool.shape(name, read),
            Layer::Reshape { shape } => {
                let count = element_count(read);
                if element_count(shape) != count {
                    let needs = format!("{count} elements, as {read:?}");
                    return Err(misfit(name, "shape", needs, format!("{shape:?}")));
                }
                Ok(shape.clone())
            }
            Layer::Add | Layer::Sub => {
                if operands[1] != read {
                    let has = format!("{:?}", operands[1]);
                    return Err(misfit(name, "second operand", format!("{read:?}"), has));
                }
                Ok(read.to_vec())
            }
            Layer::Transpose { perm } => transposed(name, perm, read),
            Layer::Slice { starts, ends, steps } => sliced(name, [starts, ends, steps], read),
            Layer::Pad { padding } => padded(name, padding, read),
            Layer::Concat { axis } => joined(name, *axis, operands),
        }
    }
}
