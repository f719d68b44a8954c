//! Graphs as text that can be read back: one node a line, nothing left out.
//!
//! [`graph_from_text`] describes the lines. What is read goes through [`crate::GraphBuilder`].

mod parse;
mod print;
mod tokens;

pub use parse::graph_from_text;
pub use print::graph_to_text;
