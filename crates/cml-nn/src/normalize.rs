//! Fitting and applying the normalization of features.

use cml_data::Dataset;
use cml_quant::Normalize;
use ndarray::{Array2, Axis, Slice};

use crate::{NnError, Normalization};

/// The normalization that fits training rows of samples of a shape, channel by channel.
pub(crate) fn fit(
    data: &Dataset,
    shape: &[usize],
    normalization: Normalization,
) -> Result<Option<Normalize>, NnError> {
    let channels = shape.first().copied().unwrap_or(1).max(1);
    let width = data.feature_count() / channels;
    let (mut offset, mut factor) = (Vec::new(), Vec::new());
    for c in 0..channels {
        let columns = c * width..(c + 1) * width;
        let columns = data.features().slice_axis(Axis(1), Slice::from(columns));
        let values = || columns.iter().map(|&x| f64::from(x));
        let (centre, size) = match normalization {
            Normalization::None => return Ok(None),
            Normalization::MinMax => {
                let least = values().fold(f64::INFINITY, f64::min);
                (least, values().fold(f64::NEG_INFINITY, f64::max) - least)
            }
            Normalization::Standard => {
                let count = columns.len() as f64;
                let mean = values().sum::<f64>() / count;
                let variance = values().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
                (mean, 2.0 * variance.sqrt())
            }
        };
        offset.push(centre as f32);
        let inverse = (1.0 / size) as f32;
        factor.push(if inverse.is_finite() && inverse > 0.0 {
            inverse
        } else {
            1.0
        });
    }
    Ok(Some(Normalize { offset, factor }))
}

/// Features `[rows, columns]` as the normalization makes them.
pub(crate) fn apply(normalize: Option<&Normalize>, features: &Array2<f32>) -> Array2<f32> {
    let Some(normalize) = normalize else {
        return features.clone();
    };
    let width = features.ncols() / normalize.offset.len().max(1);
    let mut normalized = features.clone();
    for ((_, column), x) in normalized.indexed_iter_mut() {
        *x = normalize.eval(column / width.max(1), *x);
    }
    normalized
}
