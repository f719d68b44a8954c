//! The command as users run it: a real process, real files, exit codes.

mod bad_input;
mod client;
mod import;
mod line;
mod quantize;
mod simulate;
#[cfg(feature = "train")]
mod train;
mod world;
