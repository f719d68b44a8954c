//! Tests of the public interface.

mod exact;
mod files;
mod golden;
mod random;
mod refusals;
mod regressions;
