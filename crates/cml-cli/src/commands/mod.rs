//! One file for each command.

pub(crate) mod analyze;
pub(crate) mod client;
pub(crate) mod compile;
pub(crate) mod decrypt;
pub(crate) mod encrypt;
pub(crate) mod export_client;
pub(crate) mod import;
pub(crate) mod inspect;
pub(crate) mod keygen;
pub(crate) mod plan;
pub(crate) mod predict;
pub(crate) mod quantize;
pub(crate) mod run;
#[cfg(feature = "serve")]
pub(crate) mod serve;
pub(crate) mod simulate;
#[cfg(feature = "train")]
pub(crate) mod train;
