//! Dense integer tensors, row major.

use crate::IrError;
use cml_file::short_hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Most elements of a tensor: keeps a hostile file from exhausting memory.
const MAX_ELEMENTS: usize = 1 << 22;
const MAX_RANK: usize = 6;

/// Integers in row-major order with a shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Vec<i64>,
}

/// Number of elements of a shape, if it is within bounds.
pub(crate) fn element_count(shape: &[usize]) -> Result<usize, IrError> {
    let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    match count {
        Some(n) if n <= MAX_ELEMENTS && shape.len() <= MAX_RANK => Ok(n),
        _ => Err(IrError::ShapeTooLarge {
            shape: shape.to_vec(),
            limit: MAX_ELEMENTS,
        }),
    }
}

/// Distance, in elements, between neighbours along each axis.
pub(crate) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

impl Tensor {
    /// A tensor of the given shape.
    ///
    /// # Errors
    /// If the data does not fill the shape exactly.
    pub fn new(shape: Vec<usize>, data: Vec<i64>) -> Result<Self, IrError> {
        let needs = element_count(&shape)?;
        if data.len() != needs {
            return Err(IrError::TensorLength {
                shape,
                needs,
                has: data.len(),
            });
        }
        Ok(Self { shape, data })
    }

    /// Checks a deserialized tensor.
    pub(crate) fn check(&self) -> Result<(), IrError> {
        let needs = element_count(&self.shape)?;
        if self.data.len() != needs {
            return Err(IrError::TensorLength {
                shape: self.shape.clone(),
                needs,
                has: self.data.len(),
            });
        }
        Ok(())
    }

    /// For code that has computed shape and data together.
    pub(crate) fn from_parts(shape: Vec<usize>, data: Vec<i64>) -> Self {
        debug_assert_eq!(element_count(&shape).ok(), Some(data.len()));
        Self { shape, data }
    }

    /// Size of each dimension.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Elements in row-major order.
    pub fn data(&self) -> &[i64] {
        &self.data
    }

    /// Elements in row-major order, owned.
    pub fn into_data(self) -> Vec<i64> {
        self.data
    }

    /// Sub-tensor `index` along axis 0, as a flat slice.
    pub fn row(&self, index: usize) -> &[i64] {
        let width = self.data.len() / self.shape[0].max(1);
        &self.data[index * width..(index + 1) * width]
    }

    /// First 8 hex digits of the SHA-256 of shape and elements: tells two
    /// tensors apart in a dump.
    pub fn short_hash(&self) -> String {
        let mut hash = Sha256::new();
        for &d in &self.shape {
            hash.update((d as u64).to_le_bytes());
        }
        for &v in &self.data {
            hash.update(v.to_le_bytes());
        }
        short_hex(&hash.finalize())
    }
}

/// Number of channels of a shape: axis 0, or one for a single number.
pub fn channels(shape: &[usize]) -> usize {
    shape.first().copied().unwrap_or(1)
}

/// Number of elements of one channel: element `i` is of channel
/// `i / channel_len(shape)`. At least 1.
pub fn channel_len(shape: &[usize]) -> usize {
    // Saturating: a shape with a zero may hold anything after it.
    shape
        .iter()
        .skip(1)
        .fold(1, |n: usize, &d| n.saturating_mul(d))
        .max(1)
}
