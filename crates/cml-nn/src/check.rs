//! What a trained network is checked for before it is handed out.

use cml_data::Dataset;
use cml_quant::Network;
use ndarray::Array2;

use crate::{NnError, TrainConfig, accumulators};

/// Test rows on which libtorch and the exported network are compared.
const ROWS: usize = 1_000;

/// Accumulators keep to the configured bounds; a layer's own bound comes first.
pub(crate) fn bound(network: &Network, config: &TrainConfig) -> Result<(), NnError> {
    for found in accumulators(network)? {
        let bound = if found.lookup {
            let named = config.layers.iter().find(|l| l.name.as_ref() == Some(&found.layer));
            let own = named.and_then(|l| l.max_accumulator_values);
            own.or(config.max_accumulator_values)
        } else {
            config.max_output_values
        };
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
