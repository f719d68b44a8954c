//! Tests of the public interface.

mod files;
mod passes;
mod random;
mod snapshots;
