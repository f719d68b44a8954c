//! Parameter search: the cheapest set on which every combination is read correctly often enough.

mod amortized;
mod capabilities;
mod pair;

use crate::cost::CostModel;
use crate::noise::{self, Reader, Requirement, Variances};
use cml_scheme::{Parameters, security};
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

pub(crate) use amortized::{MOST_ACCUMULATOR_BYTES, Mix, Wish, packed_ns, search_mix};
pub use capabilities::{Capabilities, Unsupported};
pub(crate) use pair::{Later, search_pair};

/// Failure probability of one lookup that is accepted by default, log2.
pub const DEFAULT_BUDGET_LOG2: f64 = -40.0;

/// Smallest small key that is considered: published sets start near it.
const SMALLEST_LWE_DIMENSION: u32 = 600;
/// Largest number of mask elements of a ciphertext that is considered.
const LARGEST_BIG_DIMENSION: u32 = 1 << 16;
/// Largest number of levels of the bootstrap and of the keyswitch decomposition.
const MOST_LEVELS: (u32, u32) = (5, 12);

/// Most polynomials that make up one table.
pub const MOST_EXTENSION: u32 = 64;
/// Most coefficients of one table.
pub const LARGEST_TABLE: u32 = 1 << 17;
/// Times that differ by less than this factor count as equal.
const NEARLY_EQUAL: f64 = 1.03;

/// [`Goal::second_set_below`] by default: less than a quarter of the time is not worth a second key.
const SECOND_SET_BELOW: f64 = 0.75;

/// Why the search found nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// One requirement cannot be met by any set.
    #[error(
        "no parameters read a half period of {values} values at squared weights {nu2} with failure probability 2^{budget_log2}, the most are {largest}"
    )]
    TooManyValues {
        /// Half period asked for, in values.
        values: u64,
        /// Sum of squared weights asked for.
        nu2: u64,
        /// log2 of the failure probability asked for.
        budget_log2: f64,
        /// Largest half period that some set reads at that sum and probability; 0 if none.
        largest: u64,
    },
    /// Each requirement can be met, all together cannot.
    #[error("no parameters meet all {requirements} requirements at once, each alone can be met")]
    Conflict {
        /// Number of different requirements.
        requirements: usize,
    },
    /// Keys must be smaller than any that would do.
    #[error("no parameters have a key of at most {limit} bytes to upload, the smallest has {smallest}")]
    KeySize {
        /// Bytes of the smallest key that would do.
        smallest: u64,
        /// Bytes asked for.
        limit: u64,
    },
    /// The failure budget is no probability below 1/2.
    #[error("failure budget is 2^{budget_log2}, it must lie between 2^-1000 and 2^-1")]
    Budget {
        /// log2 of the failure probability asked for.
        budget_log2: f64,
    },
}

/// What a search minimizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Objective {
    /// Predicted time; of sets that differ by less than 3%, the one with the smallest keys.
    #[default]
    Time,
    /// Bytes of the key to upload; predicted time decides between equal ones.
    KeySize,
}

/// What a search is for.
#[derive(Clone, Debug)]
pub struct Goal {
    /// log2 of the failure probability of one lookup, at most.
    pub budget_log2: f64,
    /// What is minimized.
    pub objective: Objective,
    /// Most bytes of the key to upload.
    pub max_key_bytes: u64,
    /// Two parameter sets are taken if they take less than this share of the time of one: a second one has
    /// keys of its own. 0 for one set always.
    pub second_set_below: f64,
    /// Times on which the choice rests.
    pub cost: CostModel,
    /// Samples of one client that run together: amortized rotations of a level are of all of them.
    pub samples_at_once: u32,
    /// What the executor can run: nothing else is chosen.
    pub capabilities: Capabilities,
}

impl Default for Goal {
    fn default() -> Self {
        Self {
            budget_log2: DEFAULT_BUDGET_LOG2,
            objective: Objective::Time,
            max_key_bytes: u64::MAX,
            second_set_below: SECOND_SET_BELOW,
            cost: CostModel::default(),
            samples_at_once: 1,
            capabilities: Capabilities::default(),
        }
    }
}

impl Goal {
    /// Whether one choice serves the goal better than another, clearly.
    pub(crate) fn prefers(&self, choice: &Choice, than: &Choice) -> bool {
        let key = |choice: &Choice| choice.parameters.server_key_bytes();
        match self.objective {
            Objective::Time if choice.total_ns * NEARLY_EQUAL < than.total_ns => true,
            Objective::Time => choice.total_ns <= than.total_ns * NEARLY_EQUAL && key(choice) < key(than),
            Objective::KeySize => (key(choice), choice.total_ns) < (key(than), than.total_ns),
        }
    }
}

/// What the search chose, and what it expects of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The parameters.
    pub parameters: Parameters,
    /// For each wish, the polynomials that make up its tables.
    pub extensions: Vec<u32>,
    /// Predicted time of all lookups in nanoseconds of one thread.
    pub total_ns: f64,
    /// log2 of the failure probability of the most demanding requirement.
    pub worst_log2_p_fail: f64,
}

/// Finds the parameters that read every requirement with a failure probability of
/// at most `2^budget_log2` each, and serve the goal best. A wish is a requirement
/// and how often it is looked up.
///
/// The candidates: rings with `768 <= k N <= 65536`, except `k` of 5 and 6 with
/// `N = 256`, of which no noise was measured; small keys of
/// 600 to 1316 bits, one for each noise bound; all levels, each with the base
/// of least noise. For each of them and each requirement the smallest table that
/// leaves enough margin: `extension` polynomials of size `N`, any number. Takes some
/// tens of milliseconds, and the same input gives the same answer.
///
/// # Errors
///
/// [`SearchError`], with the largest number of values that can be read when
/// some requirement has too many.
pub fn search(goal: &Goal, wishes: &[(Requirement, u64)]) -> Result<Choice, SearchError> {
    let budget_log2 = goal.budget_log2;
    if !(-1000.0..=-1.0).contains(&budget_log2) {
        return Err(SearchError::Budget { budget_log2 });
    }
    let limits = Limits::of(goal);
    let mut too_large = u64::MAX;
    let mut found: Vec<(f64, u64, Parameters)> = Vec::new();
    let mut limit = f64::INFINITY;
    for candidate in Candidate::all(&goal.capabilities) {
        let key_bytes = candidate.parameters.server_key_bytes();
        let enough = match goal.objective {
            Objective::Time => limit * NEARLY_EQUAL,
            Objective::KeySize => f64::INFINITY,
        };
        let Some(total_ns) = candidate.total_ns(&goal.cost, wishes, &limits, enough) else {
            continue;
        };
        if key_bytes > goal.max_key_bytes {
            too_large = too_large.min(key_bytes);
            continue;
        }
        limit = limit.min(total_ns);
        found.push((total_ns, key_bytes, candidate.parameters));
    }
    let best = match goal.objective {
        Objective::Time => found
            .iter()
            .filter(|f| f.0 <= limit * NEARLY_EQUAL)
            .min_by(|a, b| (a.1, a.2).cmp(&(b.1, b.2)).then(a.0.total_cmp(&b.0))),
        Objective::KeySize => found
            .iter()
            .min_by(|a, b| a.1.cmp(&b.1).then(a.0.total_cmp(&b.0)).then(a.2.cmp(&b.2))),
    };
    let Some(&(total_ns, _, parameters)) = best else {
        if too_large < u64::MAX {
            return Err(SearchError::KeySize {
                smallest: too_large,
                limit: goal.max_key_bytes,
            });
        }
        let requirements: Vec<Requirement> = wishes.iter().map(|w| w.0).collect();
        return Err(explain(&requirements, &limits, budget_log2));
    };
    let candidate = Candidate::of(parameters);
    let extensions: Vec<u32> = wishes
        .iter()
        .map(|(r, _)| candidate.extension(&candidate.variances, r, &limits).unwrap_or(1))
        .collect();
    let worst_log2_p_fail = wishes
        .iter()
        .zip(&extensions)
        .map(|((requirement, _), &e)| noise::log2_p_fail(&parameters, e, requirement))
        .fold(f64::NEG_INFINITY, f64::max);
    Ok(Choice {
        parameters,
        extensions,
        total_ns,
        worst_log2_p_fail,
    })
}

/// All candidates, with their variances: they do not depend on what is searched. First those for executors that
/// decompose bodies like masks, then those for executors that do not need to.
static CANDIDATES: [OnceLock<Vec<Candidate>>; 2] = [OnceLock::new(), OnceLock::new()];

/// What every choice must keep to.
#[derive(Clone, Copy)]
struct Limits {
    /// Standard deviations that a margin must hold.
    deviations: f64,
    /// What the executor can run.
    can_run: Capabilities,
}

impl Limits {
    fn of(goal: &Goal) -> Self {
        Self {
            deviations: noise::deviations(goal.budget_log2),
            can_run: goal.capabilities,
        }
    }
}

/// A parameter set with its variances, computed once.
struct Candidate {
    parameters: Parameters,
    variances: Variances,
}

impl Candidate {
    /// Every set that is considered for an executor; those that it cannot run are left out later.
    fn all(can_run: &Capabilities) -> &'static [Self] {
        let own_body = can_run.own_body_decomposition;
        CANDIDATES[usize::from(own_body)].get_or_init(|| candidates(own_body))
    }

    fn of(parameters: Parameters) -> Self {
        Self {
            parameters,
            variances: Variances::promised(&parameters),
        }
    }

    /// Predicted time of all wishes; none if one of them cannot be met, or if it is more than `enough`.
    fn total_ns(
        &self,
        cost: &CostModel,
        wishes: &[(Requirement, u64)],
        limits: &Limits,
        enough: f64,
    ) -> Option<f64> {
        let mut total = 0.0;
        for (requirement, count) in wishes {
            // What one polynomial takes is the least that it can be.
            let extension = self.extension(&self.variances, requirement, limits)?;
            let one = cost.rotation(&self.parameters, extension, requirement);
            total += *count as f64 * one.total_ns();
            if total > enough {
                return None;
            }
        }
        Some(total)
    }

    /// Fewest polynomials that leave enough margin; what is combined was looked up with these variances.
    fn extension(&self, wires: &Variances, requirement: &Requirement, limits: &Limits) -> Option<u32> {
        if !limits.can_run.allow(&self.parameters) {
            return None;
        }
        limits.extension(
            &self.variances,
            wires,
            self.parameters.polynomial_size,
            requirement,
        )
    }

    /// Largest half period that can be read with these weights.
    fn most_values(&self, requirement: &Requirement, limits: &Limits) -> u64 {
        let servable = |half_period| {
            let wanted = Requirement {
                half_period,
                ..*requirement
            };
            self.extension(&self.variances, &wanted, limits).is_some()
        };
        let (mut low, mut high) = (0_u64, u64::from(LARGEST_TABLE));
        while low < high {
            let middle = (low + high).div_ceil(2);
            if servable(middle) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        low
    }
}

impl Limits {
    /// Fewest polynomials of `size` coefficients that leave enough margin to a reader of these variances.
    fn extension(
        &self,
        reader: &Variances,
        wires: &Variances,
        size: u32,
        requirement: &Requirement,
    ) -> Option<u32> {
        let Limits { deviations, can_run } = *self;
        let reads = |extension: &u32| reader.reads(wires, *extension, requirement, deviations);
        if matches!(requirement.reader, Reader::Client { .. }) {
            return reads(&1).then_some(1);
        }
        // Without rounded changes: (2W + 1) c / 4P = deviations * sqrt(before + switch / e^2).
        let half_step = 0.25 * requirement.scale as f64 / requirement.half_period as f64;
        let margin = (2 * requirement.slack + 1) as f64 * half_step;
        let left = (margin / deviations).powi(2) - reader.before_switch(wires, requirement);
        if left.is_nan() || left <= 0.0 {
            return None;
        }
        let least = reader.least_extension(left);
        let most = can_run.most_extension(size);
        if least > f64::from(most) {
            return None;
        }
        (least as u32..=most).find(reads)
    }
}

/// Every set that the search considers, in a fixed order: with the best decomposition of bodies, or with that of masks.
fn candidates(own_body: bool) -> Vec<Candidate> {
    let mut found = Vec::new();
    let dimensions = lwe_dimensions();
    for (k, size) in rings() {
        let keyswitches = keyswitches((k, size), &dimensions);
        for pbs_level in 1..=MOST_LEVELS.0 {
            let Some(pbs) = best_base(pbs_level, security::GLWE_MODULUS_LOG, |base_log| {
                let set = Parameters::new(SMALLEST_LWE_DIMENSION, (k, size), (base_log, pbs_level), (1, 1));
                set.ok().map(|set| noise::lookup_variance(&set))
            }) else {
                continue;
            };
            // What is rounded off the body meets no key: it never needs more levels than the mask.
            for body_level in if own_body { 1 } else { pbs_level }..=pbs_level {
                let body = (!own_body).then_some(pbs);
                let Some(body) = body.or_else(|| {
                    best_base(body_level, security::GLWE_MODULUS_LOG, |base_log| {
                        let set =
                            Parameters::new(SMALLEST_LWE_DIMENSION, (k, size), (pbs, pbs_level), (1, 1))
                                .ok()?;
                        let set = set.with_body((base_log, body_level)).ok()?;
                        Some(noise::lookup_variance(&set))
                    })
                }) else {
                    continue;
                };
                for &(n, ks) in &keyswitches {
                    let set = Parameters::new(n, (k, size), (pbs, pbs_level), ks).ok();
                    let set = set.and_then(|set| set.with_body((body, body_level)).ok());
                    found.extend(set.map(Candidate::of));
                }
            }
        }
    }
    found
}

/// Small keys with their keyswitches from a ring: each number of levels with the base of least noise, which no
/// bootstrap changes.
fn keyswitches(ring: (u32, u32), dimensions: &[u32]) -> Vec<(u32, (u32, u32))> {
    let mut found = Vec::new();
    for &n in dimensions {
        for level in 1..=MOST_LEVELS.1 {
            let base = best_base(level, security::LWE_MODULUS_LOG, |base_log| {
                let set = Parameters::new(n, ring, (1, 1), (base_log, level)).ok()?;
                Some(noise::keyswitch_variance(&set))
            });
            found.extend(base.map(|base_log| (n, (base_log, level))));
        }
    }
    found
}

/// The rings `(k, N)`.
fn rings() -> Vec<(u32, u32)> {
    (1..=6)
        .flat_map(|k| (8..=16).map(move |log| (k, 1 << log)))
        .filter(|&(k, size)| (768..=LARGEST_BIG_DIMENSION).contains(&(k * size)))
        .filter(|&(k, size)| k < 5 || size > 256)
        .collect()
}

/// The smallest dimension for each noise bound: a larger one with the same bound only costs more.
fn lwe_dimensions() -> Vec<u32> {
    let bound = |n| security::minimal_noise_bound(n, security::LWE_MODULUS_LOG);
    let mut dimensions = vec![SMALLEST_LWE_DIMENSION];
    let largest = bound(2048);
    let mut n = SMALLEST_LWE_DIMENSION;
    while bound(n) > largest {
        n += 1;
        if bound(n) < bound(n - 1) {
            dimensions.push(n);
        }
    }
    dimensions
}

/// The base of least noise at that many levels.
fn best_base(level: u32, bits: u32, variance: impl Fn(u32) -> Option<f64>) -> Option<u32> {
    (1..=bits / level)
        .filter_map(|base_log| Some((variance(base_log)?, base_log)))
        .min_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, base_log)| base_log)
}

/// Names the requirement that no set meets, and the largest number of values in its place.
fn explain(requirements: &[Requirement], limits: &Limits, budget_log2: f64) -> SearchError {
    let candidates = Candidate::all(&limits.can_run);
    requirements
        .iter()
        .rev()
        .find(|requirement| {
            !candidates
                .iter()
                .any(|c| c.extension(&c.variances, requirement, limits).is_some())
        })
        .map_or(
            SearchError::Conflict {
                requirements: requirements.len(),
            },
            |requirement| {
                let largest = candidates
                    .iter()
                    .map(|candidate| candidate.most_values(requirement, limits))
                    .max()
                    .unwrap_or(0);
                let Requirement {
                    half_period: values,
                    nu2,
                    ..
                } = *requirement;
                SearchError::TooManyValues {
                    values,
                    nu2,
                    budget_log2,
                    largest,
                }
            },
        )
}

#[cfg(test)]
mod tests;
