//! Two parameter sets of one ring: one for the first levels of a circuit, one for the others.
//!
//! Values encrypted by the client have next to no noise, and lookups of them can do with a small key that is too noisy
//! for later levels; and what the first levels put out may need less noise than what the last ones do.

use super::{Candidate, Goal, Limits, NEARLY_EQUAL, Objective};
use crate::noise::Requirement;
use cml_scheme::Parameters;

/// Something that the second set looks up, or the client reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Later {
    pub(crate) requirement: Requirement,
    /// Lookups.
    pub(crate) count: u64,
    /// Whether it combines results of the first set, and of the second.
    pub(crate) from: (bool, bool),
}

/// Two sets of one ring.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) sets: [Parameters; 2],
    /// Polynomials of the tables, in the order of the wishes: of the first set, and of the second.
    pub(crate) extensions: (Vec<u32>, Vec<u32>),
    /// Predicted time of all lookups in nanoseconds of one thread.
    pub(crate) total_ns: f64,
}

/// The fastest two sets that take less than `limit_ns`; of those within 3% the ones with the smallest keys.
pub(crate) fn search_pair(
    goal: &Goal,
    first: &[(Requirement, u64)],
    later: &[Later],
    limit_ns: f64,
) -> Option<Pair> {
    if goal.objective == Objective::KeySize {
        return None;
    }
    let limits = Limits::of(goal);
    let mut limit = limit_ns;
    let mut found: Vec<(f64, u64, &Candidate, &Candidate)> = Vec::new();
    let ring = |c: &Candidate| (c.parameters.glwe_dimension, c.parameters.polynomial_size);
    for of_ring in Candidate::all(&goal.capabilities).chunk_by(|a, b| ring(a) == ring(b)) {
        for (first_ns, a) in quiet_first(goal, of_ring, first, &limits, limit) {
            for b in of_ring {
                let key_bytes = a.parameters.server_key_bytes() + b.parameters.server_key_bytes();
                let enough = (limit * NEARLY_EQUAL).min(limit_ns);
                if first_ns > enough || key_bytes > goal.max_key_bytes {
                    continue;
                }
                if let Some(ns) = later_ns(goal, a, b, later, &limits, enough - first_ns) {
                    limit = limit.min(first_ns + ns);
                    found.push((first_ns + ns, key_bytes, a, b));
                }
            }
        }
    }
    let near = found.iter().filter(|f| f.0 <= limit * NEARLY_EQUAL);
    let &(total_ns, _, a, b) = near.min_by(|x, y| x.1.cmp(&y.1).then(x.0.total_cmp(&y.0)))?;
    let of_first = |(requirement, _): &(Requirement, u64)| a.extension(&a.variances, requirement, &limits);
    let of_later = |wish: &Later| extension(a, b, wish, &limits);
    Some(Pair {
        sets: [a.parameters, b.parameters],
        extensions: (
            first.iter().map(of_first).collect::<Option<_>>()?,
            later.iter().map(of_later).collect::<Option<_>>()?,
        ),
        total_ns,
    })
}

/// Candidates for the first set with their times: the fastest, and each slower one that puts out less noise.
fn quiet_first<'a>(
    goal: &Goal,
    of_ring: &'a [Candidate],
    first: &[(Requirement, u64)],
    limits: &Limits,
    limit: f64,
) -> Vec<(f64, &'a Candidate)> {
    let time = |c: &'a Candidate| Some((c.total_ns(&goal.cost, first, limits, limit)?, c));
    let mut fast: Vec<(f64, &Candidate)> = of_ring.iter().filter_map(time).collect();
    fast.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut least = f64::INFINITY;
    fast.retain(|(_, c)| {
        let puts_out = c.variances.lookup();
        let quieter = puts_out < least;
        least = least.min(puts_out);
        quieter
    });
    fast
}

/// Time of what comes later, if it can be met in no more than `enough`.
fn later_ns(
    goal: &Goal,
    a: &Candidate,
    b: &Candidate,
    later: &[Later],
    limits: &Limits,
    enough: f64,
) -> Option<f64> {
    let time = |wish: &Later, extension| {
        let one = goal.cost.rotation(&b.parameters, extension, &wish.requirement);
        wish.count as f64 * one.total_ns()
    };
    // What tables of one polynomial take is the least that it can be.
    if later.iter().map(|wish| time(wish, 1)).sum::<f64>() > enough {
        return None;
    }
    let mut total = 0.0;
    for wish in later {
        total += time(wish, extension(a, b, wish, limits)?);
        if total > enough {
            return None;
        }
    }
    Some(total)
}

/// Fewest polynomials with which the second set reads a wish, whichever set its wires come from.
fn extension(a: &Candidate, b: &Candidate, wish: &Later, limits: &Limits) -> Option<u32> {
    let wires = match wish.from {
        (true, true) => a.variances.worse(&b.variances),
        (true, false) => a.variances,
        _ => b.variances,
    };
    b.extension(&wires, &wish.requirement, limits)
}
