use super::*;
use crate::noise::Source;

fn requirement(half_period: u64, nu2: u64) -> Requirement {
    Requirement {
        half_period,
        scale: 1,
        nu2,
        alike: 0,
        pairs: 0,
        source: Source::Lookup,
        reader: Reader::Lookup,
        slack: 0,
    }
}

fn goal(budget_log2: f64) -> Goal {
    Goal {
        budget_log2,
        ..Goal::default()
    }
}

#[test]
fn choices_meet_the_budget_and_grow_with_the_domain() {
    let mut last = 0.0;
    for values in [5, 16, 37, 64, 91, 110, 128, 182, 256] {
        let wanted = requirement(values, 200);
        let choice = search(&goal(-40.0), &[(wanted, 10)]).expect("servable");
        choice.parameters.validate().expect("valid set");
        let p_fail = noise::log2_p_fail(&choice.parameters, choice.extensions[0], &wanted);
        assert!(
            p_fail <= -40.0 && p_fail == choice.worst_log2_p_fail,
            "{values}: {p_fail}"
        );
        // Key sizes decide between times that nearly equal each other.
        assert!(
            choice.total_ns * NEARLY_EQUAL >= last,
            "{values} values cost less than fewer"
        );
        last = choice.total_ns;
    }
}

#[test]
fn no_candidate_that_meets_the_budget_is_cheaper() {
    let wanted = [(requirement(37, 200), 3), (requirement(21, 5000), 4)];
    let goal = goal(-64.0);
    let choice = search(&goal, &wanted).expect("servable");
    for candidate in candidates(true) {
        let extension = |requirement: &Requirement| {
            (1..=MOST_EXTENSION).find(|&e| noise::log2_p_fail(&candidate.parameters, e, requirement) <= -64.0)
        };
        let times = wanted.iter().map(|(requirement, count)| {
            let extension = extension(requirement)?;
            Some(*count as f64 * goal.cost.lookup(&candidate.parameters, extension).total_ns())
        });
        if let Some(total) = times.sum::<Option<f64>>() {
            assert!(
                total * (NEARLY_EQUAL + 1e-9) >= choice.total_ns,
                "{}",
                candidate.parameters
            );
        }
    }
}

#[test]
fn small_keys_are_found_when_asked_for() {
    let wanted = [(requirement(139, 500), 36), (requirement(30, 18), 79)];
    let fast = search(&goal(-40.0), &wanted).expect("servable");
    let small = Goal {
        objective: Objective::KeySize,
        ..goal(-40.0)
    };
    let small = search(&small, &wanted).expect("servable");
    assert!(small.parameters.server_key_bytes() <= fast.parameters.server_key_bytes());
    assert!(small.total_ns >= fast.total_ns);
    let limit = small.parameters.server_key_bytes();
    let bounded = |max_key_bytes| Goal {
        max_key_bytes,
        ..goal(-40.0)
    };
    let bounded_choice = search(&bounded(limit + 1), &wanted).expect("servable");
    assert!(bounded_choice.parameters.server_key_bytes() <= limit);
    let error = search(&bounded(limit - 1), &wanted).expect_err("not servable");
    assert!(matches!(error, SearchError::KeySize { .. }), "{error}");
}

#[test]
fn slack_makes_lookups_cheaper() {
    let exact = search(&goal(-40.0), &[(requirement(120, 100), 1)]).expect("servable");
    let slack = Requirement {
        slack: 6,
        ..requirement(120, 100)
    };
    let loose = search(&goal(-40.0), &[(slack, 1)]).expect("servable");
    assert!(loose.total_ns * 3.0 < exact.total_ns);
}

#[test]
fn order_does_not_matter() {
    let wanted = [
        (requirement(37, 9), 1),
        (requirement(21, 5000), 1),
        (requirement(37, 200), 1),
    ];
    let mut reversed = wanted;
    reversed.reverse();
    let choice = search(&goal(-40.0), &wanted).expect("servable");
    let other = search(&goal(-40.0), &reversed).expect("servable");
    assert_eq!(other.parameters, choice.parameters);
    assert!(other.extensions.iter().eq(choice.extensions.iter().rev()));
}

#[test]
fn too_many_values_are_refused_with_the_largest_number() {
    let wishes = |values| [(requirement(12, 1), 1), (requirement(values, 200), 1)];
    let error = search(&goal(-40.0), &wishes(100_000)).expect_err("not servable");
    let SearchError::TooManyValues { values, largest, .. } = error else {
        panic!("unexpected {error}");
    };
    assert_eq!(values, 100_000);
    let alone = |values| [(requirement(values, 200), 1)];
    search(&goal(-40.0), &alone(largest)).expect("the largest is servable");
    search(&goal(-40.0), &alone(largest + 1)).expect_err("one more is not");
    let message = error.to_string();
    assert!(message.ends_with(&format!("the most are {largest}")), "{message}");
}

#[test]
fn noise_without_bound_is_refused() {
    let error = search(&goal(-40.0), &[(requirement(2, u64::MAX), 1)]).expect_err("not servable");
    assert!(
        matches!(error, SearchError::TooManyValues { largest: 0, .. }),
        "{error}"
    );
    for budget in [0.0, 1.0, f64::NAN, f64::NEG_INFINITY] {
        let error = search(&goal(budget), &[(requirement(2, 1), 1)]).expect_err("no budget");
        assert!(matches!(error, SearchError::Budget { .. }), "{error}");
    }
}

#[test]
fn reading_by_the_client_alone_asks_little() {
    let output = Requirement {
        reader: Reader::Client { word_bytes: 8 },
        ..requirement(1 << 20, 200)
    };
    let choice = search(&goal(-40.0), &[(output, 1)]).expect("servable");
    assert!(noise::log2_p_fail(&choice.parameters, 1, &output) <= -40.0);
    search(&goal(-40.0), &[]).expect("nothing is always servable");
}

#[test]
fn nothing_is_chosen_that_the_executor_cannot_run() {
    let wanted = [(requirement(180, 200), 50), (requirement(21, 5000), 4)];
    let all = search(&goal(-40.0), &wanted).expect("servable");
    let narrow = Capabilities {
        extension: 1,
        bootstrap_levels: 2,
        own_body_decomposition: false,
        sets: 1,
        ..Capabilities::default()
    };
    let narrow_goal = Goal {
        capabilities: narrow,
        ..goal(-40.0)
    };
    let choice = search(&narrow_goal, &wanted).expect("servable");
    assert!(narrow.allow(&choice.parameters), "{}", choice.parameters);
    assert!(
        choice.extensions.iter().all(|&e| e == 1),
        "{:?}",
        choice.extensions
    );
    assert!(choice.total_ns >= all.total_ns);
    assert!(
        !narrow.allow(&all.parameters) || all.extensions.iter().any(|&e| e > 1),
        "the test asks for nothing that the narrow executor lacks"
    );
    let none = Goal {
        capabilities: Capabilities { table: 128, ..narrow },
        ..goal(-40.0)
    };
    assert!(search(&none, &wanted).is_err());
}
