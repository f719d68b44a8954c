//! Tests of the public interface.

mod container;
mod passes;
mod random;
mod snapshots;
