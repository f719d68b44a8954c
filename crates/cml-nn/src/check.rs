//! What a trained network is checked for before it is handed out.

use cml_data::Dataset;
use cml_quant::Network;
use ndarray::Array2;
use std::collections::BTreeMap;

use crate::model::TrainableNetwork;
use crate::{NnError, accumulators};

/// Test rows on which libtorch and the exported network are compared.
const ROWS: usize = 1_000;

/// Accumulators keep to their layers' bounds.
pub(crate) fn bound(network: &Network, model: &TrainableNetwork) -> Result<(), NnError> {
    let bounds: BTreeMap<&str, Option<u64>> = model.bounds().collect();
    for found in accumulators(network)? {
        let bound = bounds.get(found.layer.as_str()).copied().flatten();
        if let Some(limit) = bound.filter(|&limit| found.values > limit) {
            return Err(NnError::Unbounded {
                layer: found.layer,
                has: found.values,
                limit,
            });
        }
    }
    Ok(())
}

/// The network gives the scores that libtorch gave on the test rows.
pub(crate) fn exact(network: &Network, test: &Dataset, scores: &Array2<f32>) -> Result<(), NnError> {
    for (row, ((sample, _), torch)) in test.samples().zip(scores.rows()).take(ROWS).enumerate() {
        let expected = network.forward(&sample.to_vec())?;
        for (&torch, network) in torch.iter().zip(expected) {
            if torch != network {
                return Err(NnError::Inexact { row, torch, network });
            }
        }
    }
    Ok(())
}
