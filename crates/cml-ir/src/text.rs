//! Graphs as text that can be read back: one node a line, nothing left out.
//!
//! [`graph_from_text`] describes the lines. What is read goes through [`crate::GraphBuilder`].

#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "every token but the one that is needed is an error"
)]
mod border;
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "every token but the one that is needed is an error"
)]
mod parse;
mod print;
mod tokens;

pub use parse::graph_from_text;
pub use print::graph_to_text;
