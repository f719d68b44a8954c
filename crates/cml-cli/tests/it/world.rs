//! A folder with a small network, and `cml` run in it.

use cml_quant::{ActQuantizer, Linear, Network, Univariate, WeightQuantizer, write_network};
use ndarray::Array2;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;

pub(crate) struct World {
    pub(crate) folder: TempDir,
}

impl World {
    /// A folder with `net.safetensors`, a 2-3-2 network at 3 bits, and
    /// `points.csv`.
    pub(crate) fn new() -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        write_network(&world.path("net.safetensors"), &network(3, 3)).unwrap();
        world.write(
            "points.csv",
            "x,y,label\n0.1,0.2,0\n0.9,-0.4,1\n-0.7,0.8,1\n0.0,0.6,0\n",
        );
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub(crate) fn cml(&self, line: &str) -> Output {
        self.cml_with(line, &[])
    }

    /// With variables of the environment.
    pub(crate) fn cml_with(&self, line: &str, variables: &[(&str, &OsStr)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cml"));
        command
            .current_dir(self.folder.path())
            .env_remove("CML_PASSPHRASE")
            .env_remove("CML_TOKEN")
            .envs(variables.iter().copied())
            .args(line.split_whitespace())
            .output()
            .unwrap()
    }

    /// Runs a command that must succeed; its JSON object.
    pub(crate) fn json(&self, line: &str) -> serde_json::Value {
        let output = self.cml(&format!("{line} --json"));
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "cml {line}: {errors}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("cml {line}: {e}"))
    }

    /// Runs a command that must succeed; its JSON object and what it says on standard error.
    pub(crate) fn noted(&self, line: &str) -> (serde_json::Value, String) {
        let output = self.cml(&format!("{line} --json"));
        let notes = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "cml {line}: {notes}");
        (serde_json::from_slice(&output.stdout).unwrap(), notes)
    }

    /// Runs a command that must be refused: exit code 2, one line on standard
    /// error that says all of `says`, nothing on standard output, no file
    /// written or changed.
    pub(crate) fn refused(&self, line: &str, says: &[&str]) {
        let before = self.snapshot();
        let output = self.cml(line);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "cml {line}: {error}");
        for word in says {
            assert!(
                error.contains(word),
                "cml {line}: {error:?} does not say {word:?}"
            );
        }
        assert_eq!(error.trim_end().lines().count(), 1, "cml {line}: {error}");
        assert!(error.starts_with("error: "), "{error}");
        assert!(output.stdout.is_empty());
        assert_eq!(self.snapshot(), before, "cml {line} changed files");
    }

    fn snapshot(&self) -> Vec<(String, Vec<u8>)> {
        self.files()
            .into_iter()
            // Folders are those of a server and of keys.
            .filter(|name| self.path(name).is_file())
            .map(|name| (name.clone(), std::fs::read(self.path(&name)).unwrap()))
            .collect()
    }
}

/// A 2-h-2 network with fixed weights.
pub(crate) fn network(hidden: usize, bits: u32) -> Network {
    network_of(hidden, bits, &["no", "yes"])
}

/// The same with an output for each label, and one without any.
pub(crate) fn network_of(hidden: usize, bits: u32, labels: &[&str]) -> Network {
    let mut net = Network::new("small", vec![2]);
    let act = ActQuantizer::constant(bits).unwrap();
    let layer = |out: usize, fan_in: usize, bias: bool| {
        let weight = |(o, i): (usize, usize)| (((o * 7 + i * 5 + 3) % 11) as f32 - 5.0) / 5.0;
        let bias = bias.then(|| (0..out).map(|o| 0.05 * o as f32 - 0.04).collect());
        Linear::new(
            Array2::from_shape_fn((out, fan_in), weight),
            bias,
            WeightQuantizer::constant(bits).unwrap(),
        )
    };
    let x = net.quantize("x/quant", net.input(), act).unwrap();
    let a = net.linear("fc1", x, layer(hidden, 2, true).unwrap()).unwrap();
    let a = net.function("fc1/relu", a, Univariate::Relu).unwrap();
    let a = net.quantize("fc1/quant", a, act).unwrap();
    let y = net
        .linear("fc2", a, layer(labels.len().max(1), hidden, true).unwrap())
        .unwrap();
    net.set_output(y, labels).unwrap();
    net
}
