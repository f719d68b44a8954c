//! Constant tensors.

use crate::report::{NodeProblem, Translated};
use crate::{OnnxError, external};
use rten_onnx::onnx::{DataLocation, DataType, TensorProto};
use std::path::Path;

/// Most elements of a tensor.
pub(crate) const MAX_ELEMENTS: usize = 1 << 26;

/// Types of elements; floats of every width are held as `f32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dtype {
    Float,
    /// Integers of so many bits.
    Int {
        bits: u32,
        signed: bool,
    },
    Bool,
}

impl Dtype {
    pub(crate) const INT64: Self = Self::Int {
        bits: 64,
        signed: true,
    };

    /// From the number that ONNX gives it.
    pub(crate) fn from_onnx(code: i64) -> Option<Self> {
        let int = |bits, signed| Some(Self::Int { bits, signed });
        match DataType(i32::try_from(code).ok()?) {
            DataType::FLOAT | DataType::DOUBLE | DataType::FLOAT16 | DataType::BFLOAT16 => Some(Self::Float),
            DataType::BOOL => Some(Self::Bool),
            DataType::INT4 => int(4, true),
            DataType::UINT4 => int(4, false),
            DataType::INT8 => int(8, true),
            DataType::UINT8 => int(8, false),
            DataType::INT16 => int(16, true),
            DataType::UINT16 => int(16, false),
            DataType::INT32 => int(32, true),
            DataType::UINT32 => int(32, false),
            DataType::INT64 => int(64, true),
            DataType::UINT64 => int(64, false),
            _ => None,
        }
    }

    /// Smallest and largest integer; of 64 bits as `i64` has them.
    pub(crate) fn range(self) -> Option<(i64, i64)> {
        match self {
            Self::Float => None,
            Self::Bool => Some((0, 1)),
            Self::Int { bits: 64.., .. } => Some((i64::MIN, i64::MAX)),
            Self::Int { bits, signed: true } => Some((-(1 << (bits - 1)), (1 << (bits - 1)) - 1)),
            Self::Int { bits, signed: false } => Some((0, (1 << bits) - 1)),
        }
    }
}

/// Elements in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    Float(Vec<f32>),
    Int(Vec<i64>),
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tensor {
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: Dtype,
    pub(crate) data: Data,
}

impl Tensor {
    pub(crate) fn floats(shape: Vec<usize>, values: Vec<f32>) -> Self {
        Self {
            shape,
            dtype: Dtype::Float,
            data: Data::Float(values),
        }
    }

    pub(crate) fn ints(shape: Vec<usize>, values: Vec<i64>) -> Self {
        Self {
            shape,
            dtype: Dtype::INT64,
            data: Data::Int(values),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match &self.data {
            Data::Float(v) => v.len(),
            Data::Int(v) => v.len(),
        }
    }

    /// Elements as floats, integers converted.
    pub(crate) fn to_floats(&self) -> Vec<f32> {
        match &self.data {
            Data::Float(v) => v.clone(),
            Data::Int(v) => v.iter().map(|&v| v as f32).collect(),
        }
    }

    /// Elements as integers.
    ///
    /// # Errors
    /// If one is no integer.
    pub(crate) fn to_ints(&self) -> Translated<Vec<i64>> {
        match &self.data {
            Data::Int(v) => Ok(v.clone()),
            Data::Float(v) => {
                let whole = |&x: &f32| (x.fract() == 0.0 && x.abs() < 1e15).then_some(x as i64);
                v.iter()
                    .map(whole)
                    .collect::<Option<_>>()
                    .ok_or_else(|| NodeProblem::malformed("needs integers, has floats"))
            }
        }
    }

    /// The one value that all elements have.
    pub(crate) fn scalar(&self) -> Option<f32> {
        let values = self.to_floats();
        let first = *values.first()?;
        values.iter().all(|&v| v == first).then_some(first)
    }

    /// The same shape and data, picked by `from` for each element of a new shape.
    pub(crate) fn pick(&self, shape: Vec<usize>, from: impl Iterator<Item = usize>) -> Self {
        let data = match &self.data {
            Data::Float(v) => Data::Float(from.map(|i| v[i]).collect()),
            Data::Int(v) => Data::Int(from.map(|i| v[i]).collect()),
        };
        Self {
            shape,
            dtype: self.dtype,
            data,
        }
    }

    /// A tensor of the file.
    ///
    /// # Errors
    /// If its shape, type and data do not fit together, or it is too large.
    pub(crate) fn decode(proto: &TensorProto, folder: Option<&Path>) -> Result<Self, OnnxError> {
        let name = proto.name.clone().unwrap_or_default();
        let fail = |why: String| OnnxError::Tensor {
            name: name.clone(),
            why,
        };
        let code = proto.data_type.unwrap_or(DataType(0));
        let dtype = Dtype::from_onnx(i64::from(code.0))
            .ok_or_else(|| fail(format!("elements of type {code} are not supported")))?;
        let shape = proto
            .dims
            .iter()
            .map(|&d| usize::try_from(d).ok())
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| fail(format!("shape {:?}", proto.dims)))?;
        // An axis of size 0 must not hide the others.
        let bound = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d.max(1)));
        if bound.is_none_or(|n| n > MAX_ELEMENTS) {
            return Err(fail(format!("shape {shape:?} is over {MAX_ELEMENTS} elements")));
        }
        let count = shape.iter().product();
        let bytes = match proto.data_location {
            Some(DataLocation::EXTERNAL) => Some(external::read(
                proto,
                raw_len(code, count).ok_or_else(|| fail("no raw form".into()))?,
                folder,
            )?),
            _ => proto.raw_data.as_ref().map(|raw| raw.borrow().clone()),
        };
        let data = match bytes {
            Some(bytes) => {
                let needs = raw_len(code, count);
                if needs != Some(bytes.len()) {
                    let needs = needs.unwrap_or_default();
                    return Err(fail(format!(
                        "shape {shape:?} needs {needs} bytes, has {}",
                        bytes.len()
                    )));
                }
                from_raw(code, count, &bytes)
            }
            None => from_lists(proto, code, count),
        };
        let tensor = Self { shape, dtype, data };
        if tensor.len() != count {
            return Err(fail(format!(
                "shape {:?} needs {count} elements, has {}",
                tensor.shape,
                tensor.len()
            )));
        }
        Ok(tensor)
    }
}

/// Bytes of so many elements.
fn raw_len(code: DataType, count: usize) -> Option<usize> {
    Some(match code {
        DataType::INT4 | DataType::UINT4 => count.div_ceil(2),
        DataType::INT8 | DataType::UINT8 | DataType::BOOL => count,
        DataType::INT16 | DataType::UINT16 | DataType::FLOAT16 | DataType::BFLOAT16 => count * 2,
        DataType::INT32 | DataType::UINT32 | DataType::FLOAT => count * 4,
        DataType::INT64 | DataType::UINT64 | DataType::DOUBLE => count * 8,
        _ => return None,
    })
}

fn from_raw(code: DataType, count: usize, bytes: &[u8]) -> Data {
    fn each<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
        bytes.as_chunks::<N>().0.iter().map(|&b| read(b)).collect()
    }
    match code {
        DataType::FLOAT => Data::Float(each(bytes, f32::from_le_bytes)),
        DataType::DOUBLE => Data::Float(each(bytes, |b| f64::from_le_bytes(b) as f32)),
        DataType::FLOAT16 => Data::Float(each(bytes, |b| half(u16::from_le_bytes(b)))),
        DataType::BFLOAT16 => Data::Float(each(bytes, |b| brain(u16::from_le_bytes(b)))),
        DataType::INT16 => Data::Int(each(bytes, |b| i64::from(i16::from_le_bytes(b)))),
        DataType::UINT16 => Data::Int(each(bytes, |b| i64::from(u16::from_le_bytes(b)))),
        DataType::INT32 => Data::Int(each(bytes, |b| i64::from(i32::from_le_bytes(b)))),
        DataType::UINT32 => Data::Int(each(bytes, |b| i64::from(u32::from_le_bytes(b)))),
        DataType::INT64 | DataType::UINT64 => Data::Int(each(bytes, i64::from_le_bytes)),
        DataType::INT8 => Data::Int(bytes.iter().map(|&b| i64::from(b.cast_signed())).collect()),
        DataType::INT4 | DataType::UINT4 => nibbles(code, count, bytes.iter().copied()),
        _ => Data::Int(bytes.iter().map(|&b| i64::from(b)).collect()),
    }
}

/// Elements from the lists that hold those that have no raw data.
fn from_lists(proto: &TensorProto, code: DataType, count: usize) -> Data {
    let words = || proto.int32_data.iter();
    match code {
        DataType::FLOAT => Data::Float(proto.float_data.clone()),
        DataType::DOUBLE => Data::Float(proto.double_data.iter().map(|&d| d as f32).collect()),
        DataType::FLOAT16 => Data::Float(words().map(|&w| half(w as u16)).collect()),
        DataType::BFLOAT16 => Data::Float(words().map(|&w| brain(w as u16)).collect()),
        DataType::INT64 => Data::Int(proto.int64_data.clone()),
        DataType::INT4 | DataType::UINT4 => nibbles(code, count, words().map(|&w| w as u8)),
        _ => Data::Int(words().map(|&w| i64::from(w)).collect()),
    }
}

/// Two elements of 4 bits in each byte, the low half first.
fn nibbles(code: DataType, count: usize, bytes: impl Iterator<Item = u8>) -> Data {
    let halves = bytes.flat_map(|b| [b & 15, b >> 4]).take(count);
    let signed = code == DataType::INT4;
    Data::Int(
        halves
            .map(|n| i64::from(n) - if signed && n > 7 { 16 } else { 0 })
            .collect(),
    )
}

/// IEEE half precision.
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        e => (1.0 + fraction / 1024.0) * 2f32.powi(e - 15),
    }
}

fn brain(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}
