//! Tests of the public interface.

mod budget;
mod random;
mod sound;
mod table;
