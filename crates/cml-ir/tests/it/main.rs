//! Tests of the public interface.

mod container;
mod operands;
mod passes;
mod random;
mod snapshots;
mod text;
