//! Tests of the public interface.

mod accumulators;
mod batch_norm;
mod exact;
mod files;
mod float;
mod golden;
mod images;
mod layers;
mod misfits;
mod random;
mod refusals;
mod regressions;
