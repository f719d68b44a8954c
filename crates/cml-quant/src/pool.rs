//! Sums, averages and maxima over windows.

use crate::QuantError;
use crate::error::misfit;
use crate::window::Window;
use serde::{Deserialize, Serialize};

/// What a window becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolKind {
    /// Its sum.
    Sum,
    /// Its mean: the integers are those of the sum, the scale is divided.
    Average,
    /// Its largest element, of codes of a quantizer.
    Max,
}

/// Sum, average or maximum over windows of each channel of `[channels, height, width]`.
///
/// The integers of a window of `n = kernel[0] * kernel[1]` elements are added.
/// Of what they stand for (see [`crate::Dequantizer`]) the zero point becomes
/// `zero_point * n`; for an average the scale becomes `scale / n as f32`,
/// rounded once, and a bias stays; for a sum the scale stays, and a bias
/// becomes `bias * n as f32`.
///
/// Padding stands for 0.0, and counts in an average (ONNX `count_include_pad`); of a value with a
/// bias it is refused. It is never the largest element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Sum, average or maximum.
    pub kind: PoolKind,
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal stride, at least 1.
    pub stride: [usize; 2],
    /// Rows and columns added: top, left, bottom, right; of a maximum less than the kernel.
    pub padding: [usize; 4],
}

impl Pool {
    pub(crate) fn window(&self) -> Window {
        Window {
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding,
        }
    }

    /// Elements of a window.
    pub(crate) fn count(&self) -> usize {
        self.kernel[0].saturating_mul(self.kernel[1])
    }

    /// How many elements are added up.
    pub(crate) fn added(&self) -> usize {
        match self.kind {
            PoolKind::Sum | PoolKind::Average => self.count(),
            PoolKind::Max => 1,
        }
    }

    pub(crate) fn is_max(&self) -> bool {
        self.kind == PoolKind::Max
    }

    pub(crate) fn is_padded(&self) -> bool {
        self.padding != [0; 4]
    }

    /// Shape of the result for an input of a shape; `name` is the layer's.
    pub(crate) fn shape(&self, name: &str, input: &[usize]) -> Result<Vec<usize>, QuantError> {
        let &[channels, height, width] = input else {
            return Err(misfit(
                name,
                "input",
                "[channels, height, width]",
                format!("{input:?}"),
            ));
        };
        let [height, width] = self.window().positions(name, [height, width])?;
        // Else a window might hold padding only.
        if self.is_max() && (0..4).any(|side| self.padding[side] >= self.kernel[side % 2]) {
            let needs = format!("less than the kernel {:?} of a maximum", self.kernel);
            return Err(misfit(name, "padding", needs, format!("{:?}", self.padding)));
        }
        Ok(vec![channels, height, width])
    }
}
