//! Tests of the public interface.

mod bad_ensembles;
mod ensembles;
mod external;
mod forms;
mod inputs;
mod malformed;
mod obstacles;
mod operators;
mod random;
mod table;
mod vectors;
mod wire;
mod world;
