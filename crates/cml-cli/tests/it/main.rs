//! The command as users run it: a real process, real files, exit codes.

mod bad_input;
mod line;
mod simulate;
mod quantize;
#[cfg(feature = "train")]
mod train;
mod world;
