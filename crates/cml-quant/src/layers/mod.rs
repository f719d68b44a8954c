//! Kinds of layers. Each has a file: what it means, computes, needs, writes into a graph and into a file.
//!
//! [`Layer`] is closed, and [`Layer::kind`] dispatches. A new kind is a type that implements [`LayerKind`]
//! and its variant here; the compiler then names what else must think of it (`file.rs` and `ptq`, training,
//! import and the command line).

mod conv2d;
mod dense;
mod expression;
mod gather;
pub(crate) mod kind;
mod max_pool;
pub(crate) mod moves;
mod pool;
mod product;
mod quantizer;
mod raw;
mod reshape;
mod residual;
mod tree_blocks;
mod trees;
pub(crate) mod univariate;
mod weight_quantizer;
mod weights;
pub(crate) mod window;

pub use conv2d::Conv2d;
pub(crate) use conv2d::Conv2dForm;
pub use dense::Linear;
pub(crate) use dense::LinearForm;
pub use expression::{Expression, ExpressionStep, Pairing};
pub use gather::Gather;
pub use moves::{Concat, Pad, Slice, Transpose};
pub use pool::{Pool, PoolKind};
pub use quantizer::ActQuantizer;
pub use raw::Normalize;
pub use reshape::Reshape;
pub(crate) use trees::TreesForm;
pub use trees::{Branch, Child, Trees};
pub use univariate::Univariate;
pub use weight_quantizer::WeightQuantizer;
pub use weights::Weights;

use crate::error::misfit;
use crate::{LayerId, QuantError};
use kind::{LayerKind, Operands};

/// What a layer does.
///
/// A layer is a description. What is wrong in it by itself, or does not fit what it reads, is refused when it
/// is added to a [`crate::Network`], and so when it is read from a file.
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
    Reshape(Reshape),
    /// Elementwise sum of two values of one scale (a residual connection).
    Add,
    /// Elementwise difference of two values of one scale.
    Sub,
    /// Elementwise product of two values, each of one scale.
    Mul,
    /// Axes in another order.
    Transpose(Transpose),
    /// A part of each axis.
    Slice(Slice),
    /// 0.0 around codes of a quantizer.
    Pad(Pad),
    /// Decision trees on the raw input.
    Trees(Trees),
    /// Values of one scale and zero point, one after the other along an axis.
    Concat(Concat),
    /// Elements at constant indices of an axis.
    Gather(Gather),
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
        cml_ir::channel_len(&self.shape)
    }
}

/// Number of elements; saturating, since shapes come from files.
pub(crate) fn element_count(shape: &[usize]) -> usize {
    shape.iter().fold(1, |n: usize, &d| n.saturating_mul(d))
}

impl Layer {
    /// Lower-case name of the kind of layer.
    pub fn mnemonic(&self) -> &'static str {
        self.kind().mnemonic()
    }

    /// Where each element of the result comes from, operand and index in it, if the layer only moves elements:
    /// `from` and `to` are the shapes of its operands and of its result. `None` for an element is 0.0.
    pub fn origins(&self, from: &[&[usize]], to: &[usize]) -> Option<Vec<Option<(usize, usize)>>> {
        match self {
            Layer::Reshape(_) => Some((0..element_count(to)).map(|i| Some((0, i))).collect()),
            Layer::Transpose(transpose) => Some(moves::origins(transpose, from, to)),
            Layer::Slice(slice) => Some(moves::origins(slice, from, to)),
            Layer::Pad(pad) => Some(moves::origins(pad, from, to)),
            Layer::Concat(concat) => Some(moves::origins(concat, from, to)),
            Layer::Gather(gather) => Some(moves::origins(gather, from, to)),
            Layer::Input
            | Layer::Normalize(_)
            | Layer::Quantize(_)
            | Layer::Linear(_)
            | Layer::Conv2d(_)
            | Layer::Pool(_)
            | Layer::Function(_)
            | Layer::Add
            | Layer::Sub
            | Layer::Mul
            | Layer::Trees(_) => None,
        }
    }

    /// What its kind says of it.
    pub(crate) fn kind(&self) -> &dyn LayerKind {
        match self {
            Layer::Input => &raw::Input,
            Layer::Normalize(normalize) => normalize,
            Layer::Quantize(quantizer) => quantizer,
            Layer::Linear(linear) => linear,
            Layer::Conv2d(conv) => conv,
            Layer::Pool(pool) => pool,
            Layer::Function(function) => function,
            Layer::Reshape(reshape) => reshape,
            Layer::Add => &residual::Residual::Add,
            Layer::Sub => &residual::Residual::Sub,
            Layer::Transpose(transpose) => transpose,
            Layer::Slice(slice) => slice,
            Layer::Pad(pad) => pad,
            Layer::Concat(concat) => concat,
            Layer::Gather(gather) => gather,
            Layer::Mul => &product::Product,
            Layer::Trees(trees) => trees,
        }
    }

    /// Shape of the result for operands of some shapes; `name` is the layer's.
    ///
    /// # Errors
    /// If the operands are too few or too many or do not fit.
    pub(crate) fn shape(&self, name: &str, operands: &[&[usize]]) -> Result<Vec<usize>, QuantError> {
        let kind = self.kind();
        let (needs, fits) = match kind.operands() {
            Operands::None => ("a single input layer".to_owned(), false),
            Operands::Exactly(count) => (count.to_string(), operands.len() == count),
            Operands::Some => ("1 or more".to_owned(), !operands.is_empty()),
        };
        if !fits {
            return Err(misfit(name, "operands", needs, operands.len()));
        }
        kind.shape(name, operands)
    }
}
