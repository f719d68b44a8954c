//! How a training reports, and is told to stop.

use serde::Serialize;

/// Where a training is after an epoch. Accuracies are those of the integer network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TrainProgress {
    /// Epochs done.
    pub epoch: usize,
    /// Epochs in all.
    pub epochs: usize,
    /// Mean loss of the epoch's batches.
    pub loss: f64,
    /// Share of the training rows whose class is found, 0 to 1.
    pub train_accuracy: f64,
    /// Share of the test rows whose class is found, 0 to 1.
    pub test_accuracy: f64,
    /// Seconds since the start.
    pub seconds: f64,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Train the next epoch.
    Continue,
    /// Stop here; the best epoch so far is exported.
    Stop,
}
