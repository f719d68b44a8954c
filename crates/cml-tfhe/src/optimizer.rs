//! Parameter search: the cheapest set on which every combination is read correctly often enough.

use crate::cost::CostModel;
use crate::noise::{self, Reader, Requirement, Source};
use crate::params::Parameters;

/// Failure probability of one lookup that is accepted by default, log2.
pub const DEFAULT_BUDGET_LOG2: f64 = -40.0;

/// Smallest small key that is considered: published sets start near it.
const SMALLEST_LWE_DIMENSION: u32 = 600;
/// Largest number of mask elements of a ciphertext that is considered.
const LARGEST_BIG_DIMENSION: u32 = 1 << 16;
/// Largest number of levels of the bootstrap and of the keyswitch decomposition.
const MOST_LEVELS: (u32, u32) = (5, 12);

/// Why the search found nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// One requirement cannot be met by any set.
    #[error(
        "no parameters read {values} values at squared weights {nu2} with failure probability 2^{budget_log2}, the most are {largest}"
    )]
    TooManyValues {
        /// Number of values asked for.
        values: u64,
        /// Sum of squared weights asked for.
        nu2: u64,
        /// log2 of the failure probability asked for.
        budget_log2: f64,
        /// Most values that some set reads at that sum and probability; 0 if none.
        largest: u64,
    },
    /// Each requirement can be met, all together cannot.
    #[error("no parameters meet all {requirements} requirements at once, each alone can be met")]
    Conflict {
        /// Number of different requirements.
        requirements: usize,
    },
    /// The failure budget is no probability below 1/2.
    #[error("failure budget is 2^{budget_log2}, it must lie between 2^-1000 and 2^-1")]
    Budget {
        /// log2 of the failure probability asked for.
        budget_log2: f64,
    },
}

/// What the search chose, and what it expects of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// The parameters.
    pub parameters: Parameters,
    /// Predicted time of one lookup in nanoseconds of one thread.
    pub lookup_ns: f64,
    /// Predicted time of all lookups in nanoseconds of one thread.
    pub total_ns: f64,
    /// log2 of the failure probability of the most demanding requirement.
    pub worst_log2_p_fail: f64,
}

/// Finds the parameters with the least predicted time, by the built-in cost model.
///
/// See [`search_with`].
///
/// # Errors
///
/// As [`search_with`].
pub fn search(
    requirements: &[Requirement],
    lookups: u64,
    budget_log2: f64,
) -> Result<Parameters, SearchError> {
    search_with(&CostModel::default(), requirements, lookups, budget_log2).map(|choice| choice.parameters)
}

/// Finds the parameters with the least predicted time that read every requirement with a failure
/// probability of at most `2^budget_log2` each.
///
/// The candidates: rings with `768 <= k N <= 65536`, except `k` of 5 and 6 with
/// `N = 256`, whose Fourier noise the published fit does not cover; small keys of
/// 600 to 1316 bits, one for each noise bound; all levels, each with the base
/// of least noise. Among equal times the smaller key wins. Takes some
/// tens of milliseconds, and the same input gives the same answer.
///
/// # Errors
///
/// [`SearchError`], with the largest number of values that can be read when
/// some requirement has too many.
pub fn search_with(
    cost: &CostModel,
    requirements: &[Requirement],
    lookups: u64,
    budget_log2: f64,
) -> Result<Choice, SearchError> {
    if !(-1000.0..=-1.0).contains(&budget_log2) {
        return Err(SearchError::Budget { budget_log2 });
    }
    let requirements = hardest(requirements);
    let deviations = noise::deviations(budget_log2);
    let best = candidates()
        .into_iter()
        .filter(|candidate| requirements.iter().all(|r| candidate.meets(r, deviations)))
        .map(|candidate| {
            (
                cost.lookup(&candidate.parameters).total_ns(),
                candidate.parameters,
            )
        })
        .min_by(|(left_ns, left), (right_ns, right)| {
            left_ns
                .total_cmp(right_ns)
                .then_with(|| key_order(left).cmp(&key_order(right)))
        });
    let Some((lookup_ns, parameters)) = best else {
        return Err(explain(&requirements, deviations, budget_log2));
    };
    let worst_log2_p_fail = requirements
        .iter()
        .map(|requirement| noise::log2_p_fail(&parameters, requirement))
        .fold(f64::NEG_INFINITY, f64::max);
    Ok(Choice {
        parameters,
        lookup_ns,
        total_ns: lookups as f64 * lookup_ns,
        worst_log2_p_fail,
    })
}

/// Ties are broken by key size, then by the fields.
fn key_order(parameters: &Parameters) -> (u64, Parameters) {
    (parameters.evaluation_key_bytes(), *parameters)
}

/// Drops every requirement that another one with the same `R`, source and reader exceeds.
fn hardest(requirements: &[Requirement]) -> Vec<Requirement> {
    let mut sorted = requirements.to_vec();
    sorted.sort_by_key(|r| (r.values, r.source, r.reader, std::cmp::Reverse(r.nu2)));
    sorted.dedup_by_key(|r| (r.values, r.source, r.reader));
    sorted
}

/// A parameter set with its variances, computed once.
struct Candidate {
    parameters: Parameters,
    fresh: f64,
    lookup: f64,
    switches: f64,
}

impl Candidate {
    /// Whether the margin holds that many standard deviations.
    fn meets(&self, requirement: &Requirement, deviations: f64) -> bool {
        let margin = noise::margin(
            self.parameters.polynomial_size,
            requirement.values,
            requirement.reader,
        );
        margin > self.spread(requirement, deviations)
    }

    /// That many standard deviations of the error that the reader sees.
    fn spread(&self, requirement: &Requirement, deviations: f64) -> f64 {
        let wire = match requirement.source {
            Source::Fresh => self.fresh,
            Source::Lookup => self.lookup,
        };
        let added = match requirement.reader {
            Reader::Lookup => self.switches,
            Reader::Client => 0.0,
        };
        deviations * (requirement.nu2 as f64 * wire + added).sqrt()
    }

    /// Most values that can be read with these weights.
    fn most_values(&self, requirement: &Requirement, deviations: f64) -> u64 {
        let limit = 0.25 / self.spread(requirement, deviations);
        // Rounded boundaries cost less than half a coefficient: the answer lies
        // shortly below the limit, and a power of two loses nothing.
        let mut values = limit.min(f64::from(LARGEST_BIG_DIMENSION)) as u64;
        while values > 0
            && !self.meets(
                &Requirement {
                    values,
                    ..*requirement
                },
                deviations,
            )
        {
            values -= 1;
        }
        values
    }
}

/// Every set that the search considers, in a fixed order.
fn candidates() -> Vec<Candidate> {
    let mut found = Vec::new();
    let dimensions = lwe_dimensions();
    for (k, size) in rings() {
        for pbs_level in 1..=MOST_LEVELS.0 {
            let Some(pbs) = best_base(pbs_level, noise::GLWE_MODULUS_LOG, |base_log| {
                let set = Parameters::new(SMALLEST_LWE_DIMENSION, (k, size), (base_log, pbs_level), (1, 1));
                set.ok().map(|set| noise::lookup_variance(&set))
            }) else {
                continue;
            };
            for &n in &dimensions {
                for ks_level in 1..=MOST_LEVELS.1 {
                    let ks = best_base(ks_level, noise::LWE_MODULUS_LOG, |base_log| {
                        let set = Parameters::new(n, (k, size), (pbs, pbs_level), (base_log, ks_level));
                        set.ok().map(|set| noise::keyswitch_variance(&set))
                    });
                    let set = ks
                        .and_then(|ks| Parameters::new(n, (k, size), (pbs, pbs_level), (ks, ks_level)).ok());
                    if let Some(parameters) = set {
                        found.push(Candidate {
                            parameters,
                            fresh: noise::fresh_variance(&parameters),
                            lookup: noise::BLIND_ROTATION_ALLOWANCE * noise::lookup_variance(&parameters),
                            switches: noise::keyswitch_variance(&parameters)
                                + noise::modulus_switch_variance(&parameters),
                        });
                    }
                }
            }
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
    let bound = |n| noise::minimal_noise_bound(n, noise::LWE_MODULUS_LOG);
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
fn explain(requirements: &[Requirement], deviations: f64, budget_log2: f64) -> SearchError {
    let candidates = candidates();
    requirements
        .iter()
        .rev()
        .find(|requirement| !candidates.iter().any(|c| c.meets(requirement, deviations)))
        .map_or(
            SearchError::Conflict {
                requirements: requirements.len(),
            },
            |requirement| {
                let largest = candidates
                    .iter()
                    .map(|candidate| candidate.most_values(requirement, deviations))
                    .max()
                    .unwrap_or(0);
                let Requirement { values, nu2, .. } = *requirement;
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
mod tests {
    use super::*;

    fn requirement(values: u64, nu2: u64) -> Requirement {
        Requirement {
            values,
            nu2,
            source: Source::Lookup,
            reader: Reader::Lookup,
        }
    }

    #[test]
    fn choices_meet_the_budget_and_grow_with_the_domain() {
        let mut last = 0.0;
        for values in [5, 16, 37, 64, 91, 110, 128, 182, 256] {
            let wanted = requirement(values, 200);
            let choice =
                search_with(&CostModel::default(), &[wanted], 10, DEFAULT_BUDGET_LOG2).expect("servable");
            choice.parameters.validate().expect("valid set");
            let p_fail = noise::log2_p_fail(&choice.parameters, &wanted);
            assert!(
                p_fail <= -40.0 && p_fail == choice.worst_log2_p_fail,
                "{values}: {p_fail}"
            );
            assert!(choice.lookup_ns >= last, "{values} values cost less than fewer");
            assert!((choice.total_ns / choice.lookup_ns - 10.0).abs() < 1e-9);
            last = choice.lookup_ns;
        }
    }

    #[test]
    fn no_candidate_that_meets_the_budget_is_cheaper() {
        let wanted = [requirement(37, 200), requirement(21, 5000)];
        let model = CostModel::default();
        let choice = search_with(&model, &wanted, 1, -64.0).expect("servable");
        let meets = |set: &Parameters| wanted.iter().all(|r| noise::log2_p_fail(set, r) <= -64.0);
        assert!(meets(&choice.parameters));
        for candidate in candidates() {
            if meets(&candidate.parameters) {
                assert!(model.lookup(&candidate.parameters).total_ns() >= choice.lookup_ns);
            }
        }
    }

    #[test]
    fn order_and_repetition_do_not_matter() {
        let wanted = [requirement(37, 9), requirement(21, 5000), requirement(37, 200)];
        let mut reversed = wanted.to_vec();
        reversed.reverse();
        reversed.extend(wanted);
        let choice = search(&wanted, 1, -40.0).expect("servable");
        assert_eq!(search(&reversed, 1, -40.0), Ok(choice));
        assert_eq!(hardest(&reversed).len(), 2);
    }

    #[test]
    fn too_many_values_are_refused_with_the_largest_number() {
        let error =
            search(&[requirement(12, 1), requirement(100_000, 200)], 1, -40.0).expect_err("not servable");
        let SearchError::TooManyValues { values, largest, .. } = error else {
            panic!("unexpected {error}");
        };
        assert_eq!(values, 100_000);
        search(&[requirement(largest, 200)], 1, -40.0).expect("the largest is servable");
        search(&[requirement(largest + 1, 200)], 1, -40.0).expect_err("one more is not");
        let message = error.to_string();
        assert!(message.ends_with(&format!("the most are {largest}")), "{message}");
    }

    #[test]
    fn noise_without_bound_is_refused() {
        let error = search(&[requirement(2, u64::MAX)], 1, -40.0).expect_err("not servable");
        assert!(
            matches!(error, SearchError::TooManyValues { largest: 0, .. }),
            "{error}"
        );
        for budget in [0.0, 1.0, f64::NAN, f64::NEG_INFINITY] {
            let error = search(&[requirement(2, 1)], 1, budget).expect_err("no budget");
            assert!(matches!(error, SearchError::Budget { .. }), "{error}");
        }
    }

    #[test]
    fn reading_by_the_client_alone_asks_little() {
        let output = Requirement {
            reader: Reader::Client,
            ..requirement(1 << 20, 200)
        };
        let parameters = search(&[output], 1, -40.0).expect("servable");
        assert!(noise::log2_p_fail(&parameters, &output) <= -40.0);
        search(&[], 0, -40.0).expect("nothing is always servable");
    }
}
