//! The networks that are timed.

use std::path::Path;

/// A network, and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    /// For `--only` and file names.
    pub(crate) name: String,
    /// For people.
    pub(crate) title: String,
    pub(crate) work: Work,
    /// For `cml compile`.
    pub(crate) options: &'static [&'static str],
    /// Samples of the run that shows throughput.
    pub(crate) batch: u64,
    /// Takes so long that it has to be asked for.
    pub(crate) slow: bool,
}

/// How its graph is made.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// Trained by `examples/CONFIG.toml`.
    Trained { config: String },
    /// Imported; run on that data set or file.
    Onnx { file: String, data: String },
    /// Random weights, with so many hidden layers.
    StandIn { layers: u32 },
}

/// What is timed when nothing else is asked for, then the slow ones.
pub(crate) fn all() -> Vec<Network> {
    let network = |name: &str, title: &str, work: &Work, options: &'static [&'static str]| Network {
        name: name.to_owned(),
        title: title.to_owned(),
        work: work.clone(),
        options,
        batch: 8,
        slow: false,
    };
    let trained = |config: &str| Work::Trained {
        config: config.to_owned(),
    };
    let stand_in = |layers: u32| Network {
        batch: 2,
        slow: true,
        ..network(
            &format!("mnist_{layers}"),
            &format!("stand-in, 784 inputs, {layers} hidden layers of 92, random 3-bit weights"),
            &Work::StandIn { layers },
            &[],
        )
    };
    let peer = Work::Onnx {
        file: "crates/cml-onnx/tests/vectors/checkerboard_peer.qonnx.onnx".to_owned(),
        data: "checkerboard.csv".to_owned(),
    };
    let (demo, iris) = (trained("qat_checkerboard"), trained("iris_small"));
    let digits = trained("digits_small");
    vec![
        network(
            "checkerboard_peer",
            "checkerboard 2-100-100-2, from Brevitas by ONNX",
            &peer,
            &[],
        ),
        network(
            "checkerboard_peer_layers",
            "the same, not fused",
            &peer,
            &["--no-fuse"],
        ),
        network(
            "checkerboard_peer_small_keys",
            "the same, fused, keys of at most 13 MB",
            &peer,
            &["--max-key-mb", "13"],
        ),
        network(
            "checkerboard_peer_approximate",
            "the same, not fused, approximate",
            &peer,
            &[
                "--no-fuse",
                "--max-accuracy-loss",
                "0.3%",
                "--calibrate",
                "checkerboard.csv",
            ],
        ),
        network(
            "qat_checkerboard",
            "checkerboard 2-100-100-2, the demo",
            &demo,
            &[],
        ),
        network(
            "qat_checkerboard_layers",
            "the same, not fused",
            &demo,
            &["--no-fuse"],
        ),
        network(
            "iris_small",
            "Iris 4-12-3, keys of at most 13 MB",
            &iris,
            &["--max-key-mb", "13"],
        ),
        network("digits_small", "Digits, convolutional", &digits, &[]),
        network(
            "digits_small_approximate",
            "the same, approximate",
            &digits,
            &["--max-accuracy-loss", "0.5%", "--calibrate", "digits"],
        ),
        stand_in(20),
        stand_in(50),
    ]
}

/// A network of a file.
pub(crate) fn of_file(file: &str, data: &str) -> Network {
    let stem = Path::new(file).file_name().unwrap_or_default().to_string_lossy();
    let letters = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = stem.trim_end_matches(".onnx").chars().map(letters).collect();
    Network {
        title: format!("{stem}, as given"),
        name: format!("file_{name}"),
        work: Work::Onnx {
            file: file.to_owned(),
            data: data.to_owned(),
        },
        options: &[],
        batch: 8,
        slow: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_fit_file_names() {
        let mut all = all();
        all.push(of_file("some/folder/a b.qonnx.onnx", "iris"));
        for (i, network) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|other| other.name != network.name));
            assert!(
                network
                    .name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '_')
            );
        }
        assert_eq!(all.last().unwrap().name, "file_a_b_qonnx");
    }
}
