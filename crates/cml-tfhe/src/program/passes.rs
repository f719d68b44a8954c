//! The passes on programs, and the order in which they run.

use super::Program;
use super::fuse::fuse;
use super::merge::merge;
use super::reach::reach;
use std::fmt;

/// What a pass did: each name with its count.
pub(crate) type Counts = Vec<(&'static str, usize)>;

/// What the passes are told.
pub(crate) struct Settings<'a> {
    /// Most values of a fused lookup; 0 for no fusing.
    pub(crate) fuse_limit: u64,
    /// Cost of a program, in any unit; infinite if it cannot be lowered.
    pub(crate) cost: &'a dyn Fn(&Program) -> f64,
}

/// A pass: its name, its function, why it stands where it does.
pub(crate) struct Pass {
    pub(crate) name: &'static str,
    pub(crate) run: fn(Program, &Settings<'_>) -> (Program, Counts),
    #[expect(dead_code, reason = "for who reads or changes the list")]
    pub(crate) why_here: &'static str,
}

/// All passes, in the order in which [`optimize`] runs them.
pub(crate) const PASSES: &[Pass] = &[
    Pass {
        name: "reach",
        run: reach,
        why_here: "first: narrower tables are more often equal, and cheaper",
    },
    Pass {
        name: "merge",
        run: merge,
        why_here: "before fuse, which compares its cost with that of what is there",
    },
    Pass {
        name: "fuse",
        run: fuse,
        why_here: "once lookups are as few and as narrow as they get without it",
    },
    Pass {
        name: "reach",
        run: reach,
        why_here: "again: fused lookups may be narrower, and equal then",
    },
    Pass {
        name: "merge",
        run: merge,
        why_here: "once tables are as narrow as they get: no two rotations that are left have the same noise",
    },
    Pass {
        name: "reach",
        run: reach,
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
pub(crate) fn optimize(program: Program, settings: &Settings<'_>) -> (Program, Vec<PassReport>) {
    let mut program = program.without_unread();
    let mut reports = Vec::with_capacity(PASSES.len());
    for pass in PASSES {
        let (after, counts) = (pass.run)(program, settings);
        program = after.without_unread();
        reports.push(PassReport {
            name: pass.name,
            counts,
            after: program.to_string(),
        });
    }
    (program, reports)
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
