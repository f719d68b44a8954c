//! The crate seen from outside, one file per noun.

mod batches;
mod checkerboard;
mod dataset;
mod named;
mod open;
mod read_csv;
mod read_npy;
mod scaling;
