//! The passes on programs, and the order in which they run.
//!
//! The driver checks what [`verify`] lists: in builds with debug assertions after every pass, and once at the end in all.

use super::Program;
use super::digits::digits;
use super::fuse::fuse;
use super::merge::merge;
use super::reach::reach;
use super::verify;
use crate::lower::LowerError;
use std::fmt;

/// What a pass did: each name with its count.
pub(crate) type Counts = Vec<(&'static str, usize)>;

/// What the passes are told.
pub(crate) struct Settings<'a> {
    /// Most values of a fused lookup; 0 for no fusing.
    pub(crate) fuse_limit: u64,
    /// Cost of a program, in any unit; infinite if it cannot be lowered.
    pub(crate) cost: &'a dyn Fn(&Program) -> f64,
    /// Whether a layer, by its number, has to be exact.
    pub(crate) exact: &'a dyn Fn(u32) -> bool,
}

/// A pass: its name, its function, why it stands where it does.
pub(crate) struct Pass {
    pub(crate) name: &'static str,
    pub(crate) run: fn(Program, &Settings<'_>) -> (Program, Counts),
    /// What it ensures, beyond what every program satisfies.
    pub(crate) ensures: fn(&Program) -> Result<(), String>,
    #[expect(dead_code, reason = "for who reads or changes the list")]
    pub(crate) why_here: &'static str,
}

/// All passes, in the order in which [`optimize`] runs them.
pub(crate) const PASSES: &[Pass] = &[
    Pass {
        name: "reach",
        run: reach,
        ensures: verify::nothing_more,
        why_here: "first: narrower tables are more often equal, and cheaper",
    },
    Pass {
        name: "merge",
        run: merge,
        ensures: verify::merged,
        why_here: "before fuse, which compares its cost with that of what is there",
    },
    Pass {
        name: "fuse",
        run: fuse,
        ensures: verify::nothing_more,
        why_here: "once lookups are as few and as narrow as they get without it",
    },
    Pass {
        name: "reach",
        run: reach,
        ensures: verify::nothing_more,
        why_here: "again: fused lookups may be narrower, and equal then",
    },
    Pass {
        name: "merge",
        run: merge,
        ensures: verify::merged,
        why_here: "once tables are as narrow as they get: no two rotations that are left have the same noise",
    },
    Pass {
        name: "digits",
        run: digits,
        ensures: verify::merged,
        why_here: "on rows in their last form: what they share, they share digits of, and merge knows no rows that wrap",
    },
    Pass {
        name: "reach",
        run: reach,
        ensures: verify::nothing_more,
        why_here: "last: ranges are those that the analysis of the circuit finds again",
    },
];

/// A program after one pass.
#[derive(Clone, Debug)]
pub struct PassReport {
    /// Name of the pass.
    pub name: &'static str,
    /// What it did.
    pub counts: Vec<(&'static str, usize)>,
    /// The program, level by level.
    pub after: String,
}

/// Runs every pass, each followed by the removal of what is no longer read.
///
/// # Errors
/// [`LowerError::Pass`] for one that leaves a broken program.
pub(crate) fn optimize(
    program: Program,
    settings: &Settings<'_>,
) -> Result<(Program, Vec<PassReport>), LowerError> {
    run(program, settings, PASSES)
}

/// Runs these passes.
pub(super) fn run(
    program: Program,
    settings: &Settings<'_>,
    passes: &[Pass],
) -> Result<(Program, Vec<PassReport>), LowerError> {
    let broken = |pass: &'static str| move |why: String| LowerError::Pass { pass, why };
    let mut program = program.without_unread();
    if cfg!(any(test, debug_assertions)) {
        verify::structure(&program).map_err(broken("of rows"))?;
    }
    let interface = verify::interface(&program);
    let mut reports = Vec::with_capacity(passes.len());
    for pass in passes {
        let (after, counts) = (pass.run)(program, settings);
        if cfg!(any(test, debug_assertions)) {
            verify::order(&after).map_err(broken(pass.name))?;
        }
        program = after.without_unread();
        if cfg!(any(test, debug_assertions)) {
            verify::structure(&program).map_err(broken(pass.name))?;
            verify::values(&program).map_err(broken(pass.name))?;
            (pass.ensures)(&program).map_err(broken(pass.name))?;
            if verify::interface(&program) != interface {
                return Err(broken(pass.name)(
                    "inputs or results are others than before".to_owned(),
                ));
            }
        }
        reports.push(PassReport {
            name: pass.name,
            counts,
            after: program.to_string(),
        });
    }
    let last = passes.last().map_or("of rows", |pass| pass.name);
    verify::structure(&program).map_err(broken(last))?;
    Ok((program, reports))
}

impl fmt::Display for PassReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<String> = self
            .counts
            .iter()
            .map(|(name, n)| format!("{n} {name}"))
            .collect();
        write!(f, "{}: {}\n{}", self.name, counts.join(", "), self.after)
    }
}
