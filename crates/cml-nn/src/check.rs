//! What a trained network is checked for before it is handed out.

use cml_data::Dataset;
use cml_quant::Network;
use tch::Tensor;

use crate::scores::to_array;
use crate::{NnError, TrainConfig, accumulators};

/// Test rows on which libtorch and the exported network are compared.
const ROWS: usize = 1_000;

/// Accumulators that are looked up keep to the configured bound.
pub(crate) fn bound(network: &Network, config: &TrainConfig) -> Result<(), NnError> {
    let limit = config.max_accumulator_values.unwrap_or(u64::MAX);
    match accumulators(network)?
        .into_iter()
        .find(|a| a.lookup && a.values > limit)
    {
        Some(wide) => Err(NnError::Unbounded {
            layer: wide.layer,
            has: wide.values,
            limit,
        }),
        None => Ok(()),
    }
}

/// The network gives the scores that libtorch gave on the test rows.
pub(crate) fn exact(network: &Network, test: &Dataset, scores: &Tensor) -> Result<(), NnError> {
    let scores = to_array(scores)?;
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
