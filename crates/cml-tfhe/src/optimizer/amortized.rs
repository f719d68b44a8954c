//! Amortized rotations for the wide levels of a circuit, beside or in place of single ones.

use super::{Candidate, Goal, Limits, NEARLY_EQUAL, Objective, best_base};
use crate::cost::CostModel;
use crate::noise::{Reader, Requirement, Variances};
use cml_scheme::{Amortized, Parameters, Ring, security};
use std::sync::OnceLock;

/// Sizes of rings that are considered: lookups of amortized levels are under a big key of one polynomial.
const RINGS: [u32; 3] = [2048, 4096, 8192];
/// Levels of the decompositions of masks and bodies that are considered.
const LEVELS: [(u32, u32); 5] = [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2)];
/// Most bits of a digit: beyond, noise and keys grow by more than steps are saved.
const MOST_DIGIT_BITS: u32 = 4;
/// Levels of the decomposition of automorphisms: packing takes a hundredth of the time, and its noise next to nothing.
const AUTOMORPHISM_LEVELS: u32 = 3;
/// Most levels of the decomposition of the keyswitch to the sparse key: it is made once for all slots.
const MOST_SPARSE_LEVELS: u32 = 24;
/// Most bytes of the accumulators of a pack.
pub(crate) const MOST_ACCUMULATOR_BYTES: u64 = 2 << 30;

/// Rows that some levels look up, or that the client reads.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) requirement: Requirement,
    /// Lookups of one sample.
    pub(crate) count: u64,
    /// Number of the amortized level that it is of; none if it is looked up singly, or read by the client.
    pub(crate) level: Option<usize>,
    /// Whether it combines results of single rotations, and of amortized ones.
    pub(crate) from: (bool, bool),
}

/// Parameters for levels of both kinds.
#[derive(Clone, Debug)]
pub(crate) struct Mix {
    pub(crate) single: Option<Parameters>,
    pub(crate) amortized: Amortized,
    /// Polynomials of the tables, in the order of the wishes.
    pub(crate) extensions: Vec<u32>,
    /// Predicted time of one sample in nanoseconds of one thread.
    pub(crate) total_ns: f64,
}

/// An amortized set with its variances.
struct Wide {
    parameters: Amortized,
    variances: Variances,
}

/// The fastest parameters that take less than `limit_ns`; of those within 3% the ones with the smallest keys.
///
/// `levels` is the number of amortized levels, `slots` how many lookups are packed together.
pub(crate) fn search_mix(
    goal: &Goal,
    slots: u32,
    wishes: &[Wish],
    levels: usize,
    limit_ns: f64,
) -> Option<Mix> {
    if goal.objective == Objective::KeySize || !goal.capabilities.amortized {
        return None;
    }
    let limits = Limits::of(goal);
    let mut limit = limit_ns;
    let mut found: Vec<(u64, Mix)> = Vec::new();
    let alone = !wishes.iter().any(Wish::is_single);
    for size in RINGS.into_iter().filter(|&size| size <= slots) {
        let singles: Vec<&Candidate> = Candidate::all(&goal.capabilities)
            .iter()
            .filter(|c| (c.parameters.glwe_dimension, c.parameters.polynomial_size) == (1, size))
            .collect();
        for wide in quiet(goal, size, slots, wishes, levels, &limits, limit) {
            let mut consider = |single: Option<&Candidate>| {
                let enough = (limit * NEARLY_EQUAL).min(limit_ns);
                let mix = mix(goal, &wide, single, wishes, levels, &limits, enough)?;
                let single_bytes = mix.single.as_ref().map_or(0, Parameters::server_key_bytes);
                let bytes = mix.amortized.server_key_bytes() + single_bytes;
                if bytes <= goal.max_key_bytes {
                    limit = limit.min(mix.total_ns);
                    found.push((bytes, mix));
                }
                Some(())
            };
            if alone {
                consider(None);
            } else {
                singles.iter().for_each(|single| {
                    consider(Some(single));
                });
            }
        }
    }
    let near = found.into_iter().filter(|f| f.1.total_ns <= limit * NEARLY_EQUAL);
    let best = near.min_by(|a, b| a.0.cmp(&b.0).then(a.1.total_ns.total_cmp(&b.1.total_ns)));
    best.map(|(_, mix)| mix)
}

impl Wish {
    fn is_single(&self) -> bool {
        self.level.is_none() && self.requirement.reader == Reader::Lookup
    }
}

/// Sets for the amortized levels: the fastest, and each slower one that brings less noise.
fn quiet(
    goal: &Goal,
    size: u32,
    slots: u32,
    wishes: &[Wish],
    levels: usize,
    limits: &Limits,
    limit: f64,
) -> Vec<Wide> {
    let own: Vec<Wish> = wishes.iter().filter(|w| w.level.is_some()).cloned().collect();
    let mut fast: Vec<(f64, Wide)> = candidates()
        .iter()
        .filter(|p| p.slots == slots && p.ring.polynomial_size == size)
        .filter(|p| p.pbs_level.max(p.pbs_body_level) <= goal.capabilities.bootstrap_levels)
        .filter_map(|&parameters| {
            let wide = Wide {
                variances: Variances::promised(&parameters),
                parameters,
            };
            // With inputs of no noise: the least that it can take.
            let mut least = own.clone();
            least.iter_mut().for_each(|w| w.requirement.nu2 = 0);
            least
                .iter_mut()
                .for_each(|w| (w.requirement.alike, w.requirement.pairs) = (0, 0));
            let time = mix(goal, &wide, None, &least, levels, limits, limit)?.total_ns;
            Some((time, wide))
        })
        .collect();
    fast.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut kept: Vec<Wide> = Vec::new();
    for (_, wide) in fast {
        let noise = |v: &Variances| (v.lookup(), v.keyswitch() + v.switch(1));
        let (puts_out, reads) = noise(&wide.variances);
        let quieter = |than: &Wide| {
            let (other_out, other_reads) = noise(&than.variances);
            puts_out < other_out || reads < other_reads
        };
        if kept.iter().all(quieter) {
            kept.push(wide);
        }
    }
    kept
}

/// Both sets on all wishes, if they take no more than `enough`.
fn mix(
    goal: &Goal,
    wide: &Wide,
    single: Option<&Candidate>,
    wishes: &[Wish],
    levels: usize,
    limits: &Limits,
    enough: f64,
) -> Option<Mix> {
    let samples = f64::from(goal.samples_at_once.max(1));
    let mut extensions = vec![1; wishes.len()];
    let mut of_levels = vec![(0_u64, 1_u32); levels];
    let mut total_ns = 0.0;
    for (wish, own) in wishes.iter().zip(&mut extensions) {
        let wires = match (wish.from, single) {
            ((true, true), Some(single)) => single.variances.worse(&wide.variances),
            ((true, false), Some(single)) => single.variances,
            _ => wide.variances,
        };
        let (reader, can_run) = match single {
            Some(single) if wish.level.is_none() => {
                (&single.variances, limits.can_run.allow(&single.parameters))
            }
            _ => (&wide.variances, true),
        };
        let size = wide.parameters.ring.polynomial_size;
        let extension = can_run.then(|| limits.extension(reader, &wires, size, &wish.requirement))??;
        *own = extension;
        match (wish.level, single) {
            (Some(level), _) => {
                let (count, most) = &mut of_levels[level];
                *count += wish.count;
                // Packs hold tables of one size.
                *most = extension.max(*most);
            }
            (None, Some(single)) => {
                let one = goal
                    .cost
                    .rotation(&single.parameters, extension, &wish.requirement);
                total_ns += wish.count as f64 * one.total_ns();
            }
            (None, None) => {}
        }
        if total_ns > enough {
            return None;
        }
    }
    for &(count, extension) in &of_levels {
        if wide.parameters.accumulator_bytes(extension) > MOST_ACCUMULATOR_BYTES {
            return None;
        }
        let lookups = count as f64 * samples;
        total_ns += packed_ns(&goal.cost, &wide.parameters, extension, lookups) / samples;
    }
    for (wish, own) in wishes.iter().zip(&mut extensions) {
        if let Some(level) = wish.level {
            *own = of_levels[level].1;
        }
    }
    (total_ns <= enough).then_some(Mix {
        single: single.map(|c| c.parameters),
        amortized: wide.parameters,
        extensions,
        total_ns,
    })
}

/// Time of so many lookups in packs, of which the last one need not be full.
pub(crate) fn packed_ns(cost: &CostModel, parameters: &Amortized, extension: u32, lookups: f64) -> f64 {
    let slots = f64::from(parameters.slots);
    (lookups / slots).ceil() * slots * cost.amortized(parameters, extension).total_ns()
}

/// Every amortized set that is considered, in a fixed order.
fn candidates() -> &'static [Amortized] {
    static CANDIDATES: OnceLock<Vec<Amortized>> = OnceLock::new();
    CANDIDATES.get_or_init(|| {
        let rings = RINGS.into_iter().filter_map(|size| Ring::new(1, size).ok());
        rings.flat_map(of_ring).collect()
    })
}

fn of_ring(ring: Ring) -> Vec<Amortized> {
    let mut found = Vec::new();
    let size = ring.polynomial_size;
    for set in security::SPARSE_SETS.iter().filter(|set| set.slots >= size) {
        let first = Amortized {
            ring,
            slots: set.slots,
            weight: set.weight,
            gap_bits: set.gap_bits,
            sparse_noise_bound: set.noise_bound(),
            gap_digits: 1,
            pbs_base_log: 20,
            pbs_level: 1,
            pbs_body_base_log: 20,
            pbs_body_level: 1,
            automorphism_base_log: 8,
            automorphism_level: AUTOMORPHISM_LEVELS,
            sparse_base_log: 1,
            sparse_level: 1,
        };
        // Neither depends on the rest.
        let packed = |set: Amortized| Some(Variances::expected(&set).keyswitch());
        let Some(automorphism) = best_base(AUTOMORPHISM_LEVELS, security::GLWE_MODULUS_LOG, |base| {
            packed(Amortized {
                automorphism_base_log: base,
                ..first
            })
        }) else {
            continue;
        };
        let sparse = (1..=MOST_SPARSE_LEVELS).filter_map(|level| {
            let set = |base| Amortized {
                sparse_base_log: base,
                sparse_level: level,
                automorphism_base_log: automorphism,
                ..first
            };
            let base = best_base(level, security::LWE_MODULUS_LOG, |base| packed(set(base)))?;
            (base <= 16).then(|| set(base))
        });
        let Some(first) = sparse.min_by(|a, b| {
            let noise = |set: &Amortized| Variances::expected(set).keyswitch();
            noise(a).total_cmp(&noise(b))
        }) else {
            continue;
        };
        for gap_digits in set.gap_bits.div_ceil(MOST_DIGIT_BITS)..=set.gap_bits.div_ceil(2) {
            for (level, body_level) in LEVELS {
                let lookup =
                    |set: Amortized| set.validate().ok().map(|()| Variances::expected(&set).lookup());
                let with = |base, body| Amortized {
                    gap_digits,
                    pbs_base_log: base,
                    pbs_level: level,
                    pbs_body_base_log: body,
                    pbs_body_level: body_level,
                    ..first
                };
                let body_start = 30 / body_level;
                let Some(base) = best_base(level, 31, |base| lookup(with(base, body_start))) else {
                    continue;
                };
                let Some(body) = best_base(body_level, 31, |body| lookup(with(base, body))) else {
                    continue;
                };
                found.extend(Some(with(base, body)).filter(|set| set.validate().is_ok()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_candidate_is_secure_and_few_are_enough() {
        let all = candidates();
        assert!((50..1000).contains(&all.len()), "{}", all.len());
        for set in all {
            assert_eq!(set.validate(), Ok(()), "{set}");
            assert!(Variances::promised(set).lookup().is_finite());
        }
        for slots in [2048, 4096, 8192] {
            assert!(all.iter().any(|set| set.slots == slots));
        }
    }
}
