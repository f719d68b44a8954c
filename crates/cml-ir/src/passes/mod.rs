//! Passes: each maps a graph to another that computes the same.

mod drop_dead;
mod fold_constants;
mod fuse_lookups;

pub use drop_dead::drop_dead;
pub use fold_constants::fold_constants;
pub use fuse_lookups::fuse_lookups;

use crate::dump::plain;
use crate::{Graph, IrError, verify};

/// A pass: its name, its function, why it stands where it does.
pub struct Pass {
    /// As in dumps and reports.
    pub name: &'static str,
    /// The pass.
    pub run: fn(&Graph) -> Result<Graph, IrError>,
    /// Why it comes at this place.
    pub why_here: &'static str,
}

/// All passes, in the order in which [`optimize`] runs them.
pub const PASSES: &[Pass] = &[
    Pass {
        name: "fuse_lookups",
        run: fuse_lookups,
        why_here: "first: longer plateaus let more lookups fold",
    },
    Pass {
        name: "fold_constants",
        run: fold_constants,
        why_here: "before drop_dead: what is folded is no longer read",
    },
    Pass {
        name: "drop_dead",
        run: drop_dead,
        why_here: "last: removes what the others leave behind",
    },
];

/// Runs every pass, and verifies after each.
///
/// # Errors
/// If a pass yields an invalid graph or changes the interface; both are bugs.
pub fn optimize(graph: &Graph) -> Result<Graph, IrError> {
    PASSES
        .iter()
        .try_fold(graph.clone(), |graph, pass| run_verified(pass, &graph))
}

/// Runs one pass and verifies its result.
///
/// # Errors
/// As [`optimize`].
pub fn run_verified(pass: &Pass, before: &Graph) -> Result<Graph, IrError> {
    let after = (pass.run)(before)?;
    verify(&after)?;
    let broke = |what: String| IrError::PassBroke {
        pass: pass.name,
        graph: plain(before.name()),
        what,
    };
    let interface = |g: &Graph| {
        let inputs = g
            .inputs()
            .map(|(_, n, s)| format!("input {} {:?} {s:?}", n.name, n.ty.shape));
        let outputs = g
            .outputs()
            .map(|(_, n, s)| format!("output {} {:?} {s:?}", n.name, n.ty.shape));
        inputs.chain(outputs).collect::<Vec<_>>()
    };
    let (was, is) = (interface(before), interface(&after));
    if was != is {
        return Err(broke(format!("{was:?} became {is:?}")));
    }
    for ((_, a, _), (_, b, _)) in before.outputs().zip(after.outputs()) {
        if !a.ty.range.encloses(b.ty.range) {
            return Err(broke(format!(
                "range of {} grew from {} to {}",
                a.name, a.ty.range, b.ty.range
            )));
        }
    }
    Ok(after)
}
