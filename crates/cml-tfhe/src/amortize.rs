//! Which levels of a circuit are looked up by amortized rotations.
//!
//! A pack takes the same time however many of its slots are used. So amortized rotations pay for wide levels, and for levels of
//! several samples together; what is left over of a level may be looked up singly.

use crate::circuit::{Body, Demand, Level, Tables};
use crate::lower::fewest_bytes;
use crate::optimizer::{Goal, Mix, Wish, search_mix};
use cml_scheme::{ParameterSets, security};
use std::collections::BTreeSet;

/// Number of the amortized set while single ones are looked for: 0 is theirs.
const AMORTIZED: u32 = 1;
/// Most widths from which on levels are amortized that are tried.
const MOST_WIDTHS: usize = 3;
/// What is left over of a level is looked up singly if it fills less than this part of a pack.
const LEFT_OVER: f64 = 0.3;
/// Less of a pack is never worth one.
const LEAST_FILLED: f64 = 0.05;

/// The layout, the levels and the parameters that take the least time with amortized rotations; none if single ones alone,
/// which take `best_ns` a sample, are as good.
pub(crate) fn amortize(bodies: &[Body], goal: &Goal, best_ns: f64) -> Option<(Body, ParameterSets)> {
    let mut best: Option<(f64, Body, ParameterSets)> = None;
    let slots: BTreeSet<u32> = security::SPARSE_SETS.iter().map(|set| set.slots).collect();
    for body in bodies {
        for &slots in &slots {
            for leveled in assignments(body, slots, goal.samples_at_once) {
                let mix = levels_of(
                    &leveled,
                    goal,
                    slots,
                    best.as_ref().map_or(best_ns, |b| b.0),
                    best_ns,
                );
                if let Some((mix, demands)) = mix {
                    let (body, sets) = finish(leveled, &mix, &demands, goal);
                    best = Some((mix.total_ns, body, sets));
                }
            }
        }
    }
    best.map(|(_, body, sets)| (body, sets))
}

/// A body with its levels assigned to sets, for each way that is tried.
fn assignments(body: &Body, slots: u32, samples: u32) -> Vec<Body> {
    let lookups = |level: &Level| level.rotations.len() as f64 * f64::from(samples);
    let reads_small = |level: &Level| level.rotations.iter().any(|r| body.reads_small(&r.row));
    let least = LEAST_FILLED * f64::from(slots);
    let wide = |level: &&Level| lookups(level) >= least && !reads_small(level);
    let mut widths: Vec<usize> = body
        .levels
        .iter()
        .filter(wide)
        .map(|l| l.rotations.len())
        .collect();
    widths.sort_unstable();
    widths.dedup();
    let mut found: Vec<Body> = Vec::new();
    for &width in widths.iter().take(MOST_WIDTHS) {
        for split in [false, true] {
            let mut levels = Vec::new();
            for level in &body.levels {
                if level.rotations.len() < width || !wide(&level) {
                    levels.push(level.clone());
                    continue;
                }
                let full = (lookups(level) / f64::from(slots)).floor();
                let over = lookups(level) - full * f64::from(slots);
                let mut packed = level.rotations.clone();
                let mut rest = Vec::new();
                if split && full >= 1.0 && over > 0.0 && over < LEFT_OVER * f64::from(slots) {
                    let count = (full * f64::from(slots) / f64::from(samples)) as usize;
                    rest = packed.split_off(count.min(packed.len()));
                }
                levels.push(Level {
                    set: AMORTIZED,
                    rotations: packed,
                });
                if !rest.is_empty() {
                    levels.push(Level {
                        set: 0,
                        rotations: rest,
                    });
                }
            }
            let body = Body {
                levels,
                ..body.clone()
            };
            if !found.contains(&body) {
                found.push(body);
            }
        }
    }
    found
}

/// Parameters of a body whose levels are assigned, if they take less than `limit_ns`.
fn levels_of(
    body: &Body,
    goal: &Goal,
    slots: u32,
    limit_ns: f64,
    single_ns: f64,
) -> Option<(Mix, Vec<Demand>)> {
    let demands = body.demands(Tables::Any);
    let mut levels: Vec<usize> = Vec::new();
    let mut wish = |demand: &Demand| {
        let place = demand.rotations.first().map(|place| place.0);
        let level = place.filter(|_| demand.set == AMORTIZED).map(|place| {
            let known = levels.iter().position(|&level| level == place);
            known.unwrap_or_else(|| {
                levels.push(place);
                levels.len() - 1
            })
        });
        Wish {
            requirement: demand.requirement,
            count: demand.rotations.len() as u64,
            level,
            from: (demand.from.contains(&0), demand.from.contains(&AMORTIZED)),
        }
    };
    let wishes: Vec<Wish> = demands.iter().map(&mut wish).collect();
    // Keys of both kinds must be worth it.
    let both = body.levels.iter().any(|level| level.set != AMORTIZED);
    let limit_ns = if both {
        limit_ns.min(goal.second_set_below * single_ns)
    } else {
        limit_ns
    };
    let mix = search_mix(goal, slots, &wishes, levels.len(), limit_ns)?;
    Some((mix, demands))
}

/// Writes what was chosen into the body.
fn finish(mut body: Body, mix: &Mix, demands: &[Demand], goal: &Goal) -> (Body, ParameterSets) {
    for (demand, &extension) in demands.iter().zip(&mix.extensions) {
        for &(level, index) in &demand.rotations {
            body.levels[level].rotations[index].extension = extension;
        }
    }
    let single: Vec<_> = mix.single.into_iter().collect();
    if single.is_empty() {
        body.levels.iter_mut().for_each(|level| level.set = 0);
    }
    let sets = ParameterSets::new(single, Some(mix.amortized));
    body.output_word_bytes = fewest_bytes(&body.demands(Tables::Any), &sets, goal);
    (body, sets)
}
