//! Tests of the public interface.

mod container;
mod names;
mod passes;
mod random;
mod snapshots;
