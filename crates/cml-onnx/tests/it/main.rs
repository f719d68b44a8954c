//! Tests of the public interface.

mod tmpdev;
mod vectors;
mod world;
