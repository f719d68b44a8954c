//! What a name of the file stands for while nodes are translated.

use crate::draft::Id;
use crate::report::{NodeProblem, Translated};
use crate::tensor::{Data, Dtype, Tensor};

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Constant(Tensor),
    /// A constant of integers, each times its scale.
    Coded(Coded),
    /// What a layer of the draft gives.
    Live(Id),
    /// Integers between QuantizeLinear and DequantizeLinear.
    Integers(Id, Levels),
    /// Result of a node that could not be translated.
    Broken,
}

/// Integers of a quantized constant.
#[derive(Clone, Debug)]
pub(crate) struct Coded {
    /// Relative to the zero point.
    pub(crate) codes: Tensor,
    /// Of the same rank, each axis of the same size or 1.
    pub(crate) scale: Tensor,
    pub(crate) bits: u32,
    pub(crate) narrow: bool,
}

/// A quantizer as the file gives it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Levels {
    pub(crate) scale: f32,
    pub(crate) zero_point: i64,
    pub(crate) lo: i64,
    pub(crate) hi: i64,
}

impl Levels {
    /// The same steps counted from the zero point. QuantizeLinear rounds before it adds that, which is another
    /// integer where two are as near.
    pub(crate) fn without_zero_point(self) -> Self {
        Self {
            zero_point: 0,
            lo: self.lo.saturating_sub(self.zero_point),
            hi: self.hi.saturating_sub(self.zero_point),
            ..self
        }
    }
}

impl Coded {
    /// Index into the scale for each code, row-major.
    pub(crate) fn scale_at(&self) -> Vec<usize> {
        broadcast(&self.codes.shape, &self.scale.shape)
    }

    /// The floats that the codes stand for.
    pub(crate) fn floats(&self) -> Tensor {
        let (codes, scale) = (self.codes.to_floats(), self.scale.to_floats());
        let at = self.scale_at();
        let values = codes.iter().zip(at).map(|(c, i)| c * scale[i]).collect();
        Tensor::floats(self.codes.shape.clone(), values)
    }
}

impl Value {
    /// A constant, dequantized.
    pub(crate) fn constant(&self) -> Option<Tensor> {
        match self {
            Self::Constant(t) => Some(t.clone()),
            Self::Coded(c) => Some(c.floats()),
            Self::Live(_) | Self::Integers(..) | Self::Broken => None,
        }
    }

    pub(crate) fn is_constant(&self) -> bool {
        matches!(self, Self::Constant(_) | Self::Coded(_))
    }
}

/// For each element of a shape, row-major, the index into a smaller one that is broadcast to it, as
/// numpy does. Axes of the smaller one have the same size or 1; it has at most as many.
pub(crate) fn broadcast(shape: &[usize], small: &[usize]) -> Vec<usize> {
    let count: usize = shape.iter().product();
    let lead = shape.len() - small.len();
    let mut indices = Vec::with_capacity(count);
    let mut at = vec![0; shape.len()];
    for _ in 0..count {
        let axes = small.iter().enumerate();
        indices.push(axes.fold(0, |i, (a, &d)| i * d + if d == 1 { 0 } else { at[lead + a] }));
        for axis in (0..shape.len()).rev() {
            at[axis] += 1;
            if at[axis] < shape[axis] {
                break;
            }
            at[axis] = 0;
        }
    }
    indices
}

/// Shape of two shapes broadcast to each other.
///
/// # Errors
/// If they do not fit.
pub(crate) fn common(a: &[usize], b: &[usize]) -> Translated<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (x, y) if x == y || y == 1 => Ok(x),
            (1, y) => Ok(y),
            _ => Err(NodeProblem::malformed(format!(
                "shapes {a:?} and {b:?} do not fit"
            ))),
        })
        .collect()
}

/// Whether a shape broadcasts to another without enlarging it.
pub(crate) fn broadcasts_to(small: &[usize], shape: &[usize]) -> bool {
    small.len() <= shape.len() && common(small, shape).is_ok_and(|c| c == shape)
}

/// How the numbers of a constant lie on a value of the sample.
pub(crate) enum Spread {
    /// One, or one for each channel (axis 0).
    Channels(Vec<f32>),
    /// One for each index of another axis.
    Axis(usize, Vec<f32>),
    /// One for each element.
    Elements(Vec<f32>),
}

/// The numbers of a tensor as they lie on a sample of a shape.
///
/// # Errors
/// If the tensor does not broadcast to the shape.
pub(crate) fn spread(tensor: &Tensor, sample: &[usize]) -> Translated<Spread> {
    let full = [&[1], sample].concat();
    if !broadcasts_to(&tensor.shape, &full) || tensor.scalar().is_some() {
        return per_channel(tensor, sample).map(Spread::Channels);
    }
    if let Ok(channels) = per_channel(tensor, sample) {
        return Ok(Spread::Channels(channels));
    }
    let lead = full.len() - tensor.shape.len();
    let mut axes = tensor.shape.iter().enumerate().filter(|(_, d)| **d > 1);
    let values = tensor.to_floats();
    Ok(match (axes.next(), axes.next()) {
        (Some((axis, _)), None) => Spread::Axis(axis + lead - 1, values),
        _ => {
            let at = broadcast(&full, &tensor.shape).into_iter();
            Spread::Elements(at.map(|i| values[i]).collect())
        }
    })
}

/// Values of a tensor, one or one for each channel (axis 0) of a sample of a shape.
///
/// # Errors
/// If they differ along another axis, or do not fit the shape.
pub(crate) fn per_channel(tensor: &Tensor, sample: &[usize]) -> Translated<Vec<f32>> {
    // The batch axis leads.
    let full = [&[1], sample].concat();
    if !broadcasts_to(&tensor.shape, &full) {
        return Err(NodeProblem::new(
            format!(
                "a constant of shape {:?} with a value of shape {full:?}",
                tensor.shape
            ),
            "a constant that broadcasts to the value's shape",
        ));
    }
    if let Some(all) = tensor.scalar() {
        return Ok(vec![all]);
    }
    let values = tensor.to_floats();
    let at = broadcast(&full, &tensor.shape);
    let width = sample.iter().skip(1).product::<usize>().max(1);
    let channels: Vec<f32> = at.chunks(width).map(|c| values[c[0]]).collect();
    let same = at
        .chunks(width)
        .zip(&channels)
        .all(|(c, v)| c.iter().all(|&i| values[i] == *v));
    if same {
        return Ok(channels);
    }
    Err(NodeProblem::new(
        format!(
            "a constant of shape {:?} that differs within a channel",
            tensor.shape
        ),
        "one constant, or one for each channel (axis 1)",
    ))
}

/// Integers as a constant.
pub(crate) fn ints(values: Vec<i64>) -> Value {
    Value::Constant(Tensor::ints(vec![values.len()], values))
}

/// Whether a tensor holds floats.
pub(crate) fn is_float(tensor: &Tensor) -> bool {
    tensor.dtype == Dtype::Float && matches!(tensor.data, Data::Float(_))
}
