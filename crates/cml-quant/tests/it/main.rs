//! Tests of the public interface.

mod batch_norm;
mod exact;
mod files;
mod golden;
mod images;
mod layers;
mod misfits;
mod random;
mod refusals;
mod regressions;
