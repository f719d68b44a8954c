//! Tests of the public interface.

mod vectors;
mod world;
