//! The networks of the original project, what it measured, and what is asked of ours: one table.

/// An entry of the results: a network, a series of networks, or a picture.
#[derive(Debug)]
pub(crate) struct System {
    /// For `--only` and file names; its configuration is `examples/NAME.toml`.
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) title: &'static str,
    pub(crate) work: Work,
    /// Seeds of a full run.
    pub(crate) seeds: u64,
    pub(crate) targets: &'static [Target],
}

/// How an entry is measured.
#[derive(Debug)]
pub(crate) enum Work {
    /// Float training, then 3-bit quantization by two methods. The original's figures: accuracies in
    /// percent, mean accumulator in bits.
    PostTraining {
        float: f64,
        three_bit: f64,
        accumulator: f64,
    },
    /// Training with quantization in the loop, then the whole line.
    Aware {
        /// The original's figures, and a peer's.
        before: &'static str,
        /// Configuration of the same network without quantizers.
        float: Option<&'static str>,
        /// Test samples to classify encrypted.
        samples: u64,
    },
    /// One configuration, trained for lookups of ever fewer bits.
    Widths {
        config: &'static str,
        bits: &'static [u32],
    },
    /// Classes over the unit square, of three executions.
    Boundaries {
        /// Configuration of the float network.
        float: &'static str,
        /// Configuration of the network that is run in integers and encrypted.
        integer: &'static str,
    },
}

/// What is asked of an entry.
#[derive(Debug)]
pub(crate) struct Target {
    /// For people, without the bound.
    pub(crate) what: &'static str,
    pub(crate) bound: Bound,
}

/// A bound on a figure of each seed, named by its JSON pointer.
#[derive(Debug)]
pub(crate) enum Bound {
    /// Mean over seeds, in percent.
    MeanAtLeast(&'static str, f64),
    /// Largest of any seed.
    LargestAtMost(&'static str, f64),
    /// So many results were decrypted, and none differs from the interpreter's.
    DecryptedEqual,
    /// At every width, no lookup is wider.
    WithinLimits,
    /// Accuracy with sampled noise is so close to exact, in points.
    NoiseWithin(f64),
}

const fn mean(what: &'static str, pointer: &'static str, percent: f64) -> Target {
    Target {
        what,
        bound: Bound::MeanAtLeast(pointer, percent),
    }
}

const fn float(percent: f64) -> Target {
    mean(
        "float accuracy, mean (the original's less 3 points)",
        "/float",
        percent,
    )
}

const fn integer(percent: f64) -> Target {
    mean("accuracy of the integer graph, mean", "/graph/accuracy", percent)
}

/// Every value that a lookup or a decryption reads.
const fn width(bits: f64) -> Target {
    Target {
        what: "widest value, proved, any seed",
        bound: Bound::LargestAtMost("/graph/bits", bits),
    }
}

const fn lookup_width(bits: f64) -> Target {
    Target {
        what: "widest lookup, proved, any seed",
        bound: Bound::LargestAtMost("/graph/lookup_bits", bits),
    }
}

const DECRYPTED: Target = Target {
    what: "decrypted results that differ from the interpreter's",
    bound: Bound::DecryptedEqual,
};

const NOISE: Target = Target {
    what: "accuracy with sampled noise, against exact",
    bound: Bound::NoiseWithin(1.0),
};

const LIMITS: Target = Target {
    what: "lookups wider than their limit, proved",
    bound: Bound::WithinLimits,
};

const PEER_DIGITS: &str = "0.90 clear, random-like quantized; Concrete ML 1.9: 98.2% float, \
    96.9% rounded exactly to 6 bits with p_error 0.1 at 41.8 s a sample, 97.3% rounded approximately at 7.8 s";

/// Everything that `cargo xtask seeds` measures, in the order of the page.
pub(crate) const SYSTEMS: &[System] = &[
    System {
        name: "simple_net_10",
        title: "SimpleNet, h = 10",
        work: Work::PostTraining {
            float: 68.70,
            three_bit: 56.44,
            accumulator: 6.6,
        },
        seeds: 5,
        targets: &[float(65.70)],
    },
    System {
        name: "simple_net_30",
        title: "SimpleNet, h = 30",
        work: Work::PostTraining {
            float: 83.32,
            three_bit: 55.54,
            accumulator: 6.9,
        },
        seeds: 5,
        targets: &[float(80.32)],
    },
    System {
        name: "simple_net_100",
        title: "SimpleNet, h = 100",
        work: Work::PostTraining {
            float: 88.06,
            three_bit: 56.50,
            accumulator: 7.4,
        },
        seeds: 5,
        targets: &[
            float(85.06),
            mean("3-bit accuracy, adaptive, mean", "/adaptive/accuracy", 75.0),
        ],
    },
    System {
        name: "pruned_simple_net_10",
        title: "PrunedSimpleNet, 10 of 100",
        work: Work::PostTraining {
            float: 82.50,
            three_bit: 57.74,
            accumulator: 6.6,
        },
        seeds: 5,
        targets: &[float(79.50)],
    },
    System {
        name: "pruned_simple_net_30",
        title: "PrunedSimpleNet, 30 of 100",
        work: Work::PostTraining {
            float: 88.06,
            three_bit: 57.82,
            accumulator: 6.8,
        },
        seeds: 5,
        targets: &[float(85.06)],
    },
    System {
        name: "qat_checkerboard",
        title: "QATPrunedSimpleNet",
        work: Work::Aware {
            before: "94.4% in Brevitas, 91.8% in Concrete-ML, 7 bits",
            float: None,
            samples: 5,
        },
        seeds: 5,
        targets: &[integer(95.0), width(7.0), DECRYPTED, NOISE],
    },
    System {
        name: "qat_checkerboard_5bit",
        title: "QATPrunedSimpleNet, 5-bit lookups",
        work: Work::Aware {
            before: "94.4% in Brevitas, 91.8% in Concrete-ML, 7 bits",
            float: None,
            samples: 5,
        },
        seeds: 5,
        targets: &[integer(94.4), lookup_width(5.0), DECRYPTED, NOISE],
    },
    System {
        name: "iris",
        title: "Fully connected on Iris",
        work: Work::Aware {
            before: "0.947 clear, 0.895 quantized, 0.895 FHE; Concrete ML 1.9: 100%, 2.88 s a sample, 333 MB of keys",
            float: Some("iris_float"),
            samples: 20,
        },
        seeds: 5,
        // 37 of 38 samples are 97.37%.
        targets: &[integer(97.36), lookup_width(6.0), DECRYPTED, NOISE],
    },
    System {
        name: "digits",
        title: "Convolutional on Digits",
        work: Work::Aware {
            before: PEER_DIGITS,
            float: Some("digits_float"),
            samples: 5,
        },
        seeds: 3,
        targets: &[integer(97.3), width(8.0), DECRYPTED, NOISE],
    },
    System {
        name: "digits_6bit",
        title: "Convolutional on Digits, 6-bit lookups",
        work: Work::Aware {
            before: PEER_DIGITS,
            float: Some("digits_float"),
            samples: 5,
        },
        seeds: 3,
        targets: &[integer(96.0), lookup_width(6.0), DECRYPTED, NOISE],
    },
    System {
        name: "widths_checkerboard",
        title: "checkerboard",
        work: Work::Widths {
            config: "qat_checkerboard_5bit",
            bits: &[8, 7, 6, 5, 4, 3, 2],
        },
        seeds: 3,
        targets: &[LIMITS],
    },
    System {
        name: "widths_digits",
        title: "Digits",
        work: Work::Widths {
            config: "digits",
            bits: &[8, 7, 6, 5, 4, 3, 2],
        },
        seeds: 3,
        targets: &[LIMITS],
    },
    System {
        name: "boundaries",
        title: "Decision boundaries of the checkerboard",
        work: Work::Boundaries {
            float: "simple_net_100",
            integer: "qat_checkerboard",
        },
        seeds: 1,
        targets: &[],
    },
];

/// Entries whose ranges by layer are drawn.
pub(crate) const RANGES: &[&str] = &["qat_checkerboard", "digits"];

impl System {
    /// Names of the configurations that it reads.
    pub(crate) fn configs(&self) -> Vec<&'static str> {
        match self.work {
            Work::PostTraining { .. } => vec![self.name],
            Work::Aware { float, .. } => std::iter::once(self.name).chain(float).collect(),
            Work::Widths { config, .. } => vec![config],
            Work::Boundaries { float, integer } => vec![float, integer],
        }
    }
}

/// The entry of that name.
pub(crate) fn named(name: &str) -> Option<&'static System> {
    SYSTEMS.iter().find(|system| system.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_pictures_have_entries() {
        for (i, system) in SYSTEMS.iter().enumerate() {
            assert!(SYSTEMS[..i].iter().all(|other| other.name != system.name));
            assert!(system.seeds > 0, "{}", system.name);
        }
        assert!(RANGES.iter().all(|name| named(name).is_some()));
    }
}
