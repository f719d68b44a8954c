//! Tests of the public interface.

mod accumulators;
mod batch_norm;
mod decoding;
mod exact;
mod files;
mod float;
mod float_random;
mod functions;
mod golden;
mod images;
mod joined;
mod layers;
mod misfits;
mod moves;
mod names;
mod ptq;
mod random;
mod refusals;
mod regressions;
mod trees;
mod univariate;
mod weights;
