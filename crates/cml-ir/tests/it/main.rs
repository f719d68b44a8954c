//! Tests of the public interface.

mod files;
mod names;
mod operands;
mod passes;
mod passes_as_text;
mod random;
mod snapshots;
mod text;
