//! Tests of the public interface.

mod files;
mod names;
mod passes;
mod random;
mod snapshots;
