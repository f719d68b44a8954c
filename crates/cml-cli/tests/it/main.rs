//! The command as users run it: a real process, real files, exit codes.

mod bad_input;
mod client;
#[cfg(feature = "serve")]
mod end_to_end;
#[cfg(all(feature = "serve", target_os = "linux"))]
mod full_disk;
mod import;
mod line;
mod names;
mod quantize;
mod rows;
#[cfg(feature = "serve")]
mod serve;
#[cfg(feature = "serve")]
mod served;
mod simulate;
#[cfg(feature = "train")]
mod train;
mod trees;
mod world;
