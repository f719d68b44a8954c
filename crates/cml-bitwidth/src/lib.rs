//! How wide every accumulator of a graph can get: proved, not observed.
//!
//! [`analyze`] bounds each element of each node by interval arithmetic over
//! every input that the graph admits. [`observe`] measures ranges on samples,
//! as Concrete does. It is offered beside the proof and always labelled.
//!
//! Widths are in bits. A lookup domain of `R` values takes `ceil(log2 R)`
//! bits. Sign and bias are free, because a clear shift is free. Partial sums
//! may wrap, because the torus does. Only the result must fit.
//!
//! Invariants:
//! - No value of the interpreter leaves its proved interval, element by
//!   element; for one dense layer on independent inputs both ends are reached.
//! - An observed interval lies inside the proved one.
//! - Results are side tables: the graph is never annotated, and a table of
//!   another graph is refused ([`Widths::check`]).
//! - A row says on what it rests ([`Basis`]): proof or samples.
//!
//! ```
//! use cml_bitwidth::{Report, analyze, l1_budget};
//! use cml_ir::{GraphBuilder, InputSpec, Interval, Lut, OutputSpec, Tensor};
//!
//! let codes = Interval::new(-3, 3);
//! let mut b = GraphBuilder::new("tiny");
//! let x = b.input("x", vec![2], InputSpec::new(1.0, 0, codes))?;
//! let acc = b.dot("fc", x, Tensor::new(vec![1, 2], vec![2, -1])?, vec![40])?;
//! let relu = b.lut("relu", acc, Lut::from_fn(Interval::new(31, 49), |v| (v - 40).max(0)))?;
//! b.output("y", relu, OutputSpec::identity())?;
//!
//! let widths = analyze(&b.finish()?);
//! assert_eq!(widths.range(acc), Interval::new(31, 49));
//! assert_eq!((widths.widest().values, widths.widest().bits), (19, 5));
//! assert_eq!(l1_budget(5, codes), 5); // the row's L1 norm is 3
//! widths.require_at_most(5)?;
//! println!("{}", Report::new(&widths, None)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// A new operation breaks every match that has to think about it.
#![warn(clippy::wildcard_enum_match_arm)]

mod analyze;
mod budget;
mod error;
mod layer;
mod observe;
mod outside;
mod overflow;
mod report;
mod table;

pub use analyze::{Widths, analyze};
pub use budget::l1_budget;
pub use error::BitwidthError;
pub use layer::{Basis, LayerWidth};
pub use observe::{Observed, observe};
pub use outside::{LayerOutside, Outside};
pub use overflow::{LayerOverflow, Overflow};
pub use report::{Report, ReportRow};
