//! Tests of training.

mod bound;
mod checkerboard;
mod config;
mod exact;
mod golden;
mod layers;
mod support;
