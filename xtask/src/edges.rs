//! Which crate may depend on which: the table of the architecture page.

use crate::rules::Finding;
use crate::tools;
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Crate and the siblings it may name. Keep it as in `docs/architecture.md`.
const EDGES: &[(&str, &[&str])] = &[
    ("cml-file", &[]),
    ("cml-ir", &["cml-file"]),
    ("cml-data", &[]),
    ("cml-quant", &["cml-file", "cml-ir", "cml-data"]),
    ("cml-nn", &["cml-quant", "cml-data"]),
    ("cml-onnx", &["cml-quant"]),
    ("cml-bitwidth", &["cml-file", "cml-ir"]),
    ("cml-scheme", &["cml-file", "cml-ir"]),
    ("cml-keys", &["cml-file", "cml-ir", "cml-scheme"]),
    ("cml-tfhe", &["cml-file", "cml-ir", "cml-bitwidth", "cml-scheme"]),
    ("cml-exec", &["cml-scheme", "cml-tfhe"]),
    ("cml-client", &["cml-file", "cml-ir", "cml-scheme", "cml-keys"]),
    (
        "cml-serve",
        &["cml-file", "cml-ir", "cml-scheme", "cml-tfhe", "cml-exec"],
    ),
    (
        "cml-cli",
        &[
            "cml-file",
            "cml-ir",
            "cml-data",
            "cml-quant",
            "cml-nn",
            "cml-onnx",
            "cml-bitwidth",
            "cml-scheme",
            "cml-keys",
            "cml-tfhe",
            "cml-exec",
            "cml-client",
            "cml-serve",
        ],
    ),
    (
        "cml-tests",
        &[
            "cml-file",
            "cml-ir",
            "cml-data",
            "cml-quant",
            "cml-onnx",
            "cml-bitwidth",
            "cml-scheme",
            "cml-keys",
            "cml-tfhe",
            "cml-exec",
        ],
    ),
    ("xtask", &[]),
];

/// Siblings that only the tests of a crate may name.
const TEST_EDGES: &[(&str, &[&str])] = &[
    ("cml-nn", &["cml-ir"]),
    ("cml-onnx", &["cml-ir"]),
    ("cml-keys", &["cml-tfhe"]),
    ("cml-exec", &["cml-file", "cml-ir", "cml-bitwidth", "cml-keys"]),
    ("cml-client", &["cml-bitwidth", "cml-tfhe", "cml-exec"]),
    ("cml-serve", &["cml-bitwidth", "cml-keys"]),
];

/// The crate of secret keys, and what runs where no secret key may be.
#[cfg(test)]
const SECRET: &str = "cml-keys";
#[cfg(test)]
const NO_SECRETS: [&str; 3] = ["cml-tfhe", "cml-exec", "cml-serve"];

/// What links libtorch, and so is no default member.
const NEED_LIBTORCH: [&str; 2] = ["cml-nn", "cml-cli"];

/// What every package is under, by choice of who takes it.
const LICENSE: &str = "MIT OR Apache-2.0";

/// Compares the manifests with the table.
pub(crate) fn check(root: &Path) -> Result<Vec<Finding>> {
    let mut command = tools::cargo(None)?;
    command.args(["metadata", "--no-deps", "--format-version", "1"]);
    Ok(findings(root, &tools::capture_json(&mut command)?))
}

fn findings(root: &Path, metadata: &Value) -> Vec<Finding> {
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let names: Vec<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    let mut findings = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let manifest = Manifest::read(root, package["manifest_path"].as_str().unwrap_or_default());
        let Some((_, allowed)) = EDGES.iter().find(|(known, _)| *known == name) else {
            findings.push(manifest.at(name, format!("`{name}` is not in xtask's table of crates")));
            continue;
        };
        if package["license"] != LICENSE {
            let message = format!("`{name}` is not under {LICENSE}: write `license.workspace = true`");
            findings.push(manifest.at(name, message));
        }
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to = dependency["name"].as_str().unwrap_or_default();
            let for_tests = dependency["kind"] == "dev"
                && TEST_EDGES
                    .iter()
                    .any(|(of, may)| *of == name && may.contains(&to));
            if names.contains(&to) && !allowed.contains(&to) && !for_tests {
                let allowed = if allowed.is_empty() {
                    "none".to_owned()
                } else {
                    allowed.join(", ")
                };
                let message = format!("`{name}` depends on `{to}`; of its siblings it may use {allowed}");
                findings.push(manifest.at(to, message));
            }
            let features = dependency["features"].as_array().into_iter().flatten();
            let mut features = features.filter_map(Value::as_str);
            if features.any(|feature| feature == "insecure") && dependency["kind"] != "dev" {
                let message =
                    format!("`{name}` takes `{to}` with keys that anybody can draw: for tests only");
                findings.push(manifest.at(to, message));
            }
            if to == "cml-nn" && dependency["optional"] == false {
                let message = format!("`{name}` needs `cml-nn` without the feature `train`");
                findings.push(manifest.at(to, message));
            }
        }
    }
    findings.extend(default_members(root, metadata));
    findings
}

/// `cargo build` on a fresh clone must need no C++.
fn default_members(root: &Path, metadata: &Value) -> Vec<Finding> {
    let members = metadata["workspace_default_members"]
        .as_array()
        .into_iter()
        .flatten();
    let ids: Vec<&str> = members.filter_map(Value::as_str).collect();
    let manifest = Manifest::read(root, &root.join("Cargo.toml").to_string_lossy());
    let is_default = |name: &str| {
        ids.iter()
            .any(|id| id.contains(&format!("/{name}#")) || id.contains(&format!("#{name}@")))
    };
    NEED_LIBTORCH
        .into_iter()
        .filter(|name| is_default(name))
        .map(|name| manifest.at(name, format!("`{name}` is a default member, but needs libtorch")))
        .collect()
}

struct Manifest {
    path: String,
    text: String,
}

impl Manifest {
    fn read(root: &Path, path: &str) -> Self {
        let relative = Path::new(path).strip_prefix(root).unwrap_or(Path::new(path));
        Self {
            path: relative.to_string_lossy().replace('\\', "/"),
            text: fs::read_to_string(path).context("unreadable").unwrap_or_default(),
        }
    }

    /// A finding at the line that names `what`, after the package's own name.
    fn at(&self, what: &str, message: String) -> Finding {
        let names = |line: &str| line.trim_start().trim_start_matches('"').starts_with(what);
        let line = self.text.lines().position(names).map_or(1, |at| at + 1);
        Finding {
            path: self.path.clone(),
            line,
            message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(name: &str, dependencies: &[(&str, bool)]) -> Value {
        let dependencies: Vec<_> = dependencies
            .iter()
            .map(|(name, optional)| json!({ "name": name, "optional": optional }))
            .collect();
        let path = "none/Cargo.toml";
        json!({ "name": name, "manifest_path": path, "license": LICENSE, "dependencies": dependencies })
    }

    fn check(packages: &[Value], defaults: &[&str], expected: &[&str]) {
        let metadata = json!({ "packages": packages, "workspace_default_members": defaults });
        let found: Vec<_> = findings(Path::new("/nowhere"), &metadata)
            .into_iter()
            .map(|f| f.message)
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn edges_of_the_table_pass_and_others_do_not() {
        let ir = package("cml-ir", &[("serde", false)]);
        check(
            &[ir.clone(), package("cml-quant", &[("cml-ir", false)])],
            &[],
            &[],
        );
        check(
            &[ir.clone(), package("cml-data", &[("cml-ir", false)])],
            &[],
            &["`cml-data` depends on `cml-ir`; of its siblings it may use none"],
        );
        check(
            &[package("extra", &[])],
            &[],
            &["`extra` is not in xtask's table of crates"],
        );
    }

    #[test]
    fn every_package_has_the_licence() {
        let mut ir = package("cml-ir", &[]);
        ir["license"] = Value::Null;
        check(
            &[ir],
            &[],
            &["`cml-ir` is not under MIT OR Apache-2.0: write `license.workspace = true`"],
        );
    }

    #[test]
    fn insecure_keys_are_for_tests() {
        let with = |kind: &str| {
            let keys =
                json!({ "name": "cml-keys", "optional": false, "features": ["insecure"], "kind": kind });
            json!({ "name": "cml-cli", "manifest_path": "none/Cargo.toml", "license": LICENSE, "dependencies": [keys] })
        };
        check(&[with("dev")], &[], &[]);
        check(
            &[with("normal")],
            &[],
            &["`cml-cli` takes `cml-keys` with keys that anybody can draw: for tests only"],
        );
    }

    #[test]
    fn training_stays_optional_and_out_of_the_default() {
        let nn = package("cml-nn", &[]);
        check(&[nn.clone(), package("cml-cli", &[("cml-nn", true)])], &[], &[]);
        check(
            &[nn, package("cml-cli", &[("cml-nn", false)])],
            &["path+file:///x/crates/cml-nn#0.1.0"],
            &[
                "`cml-cli` needs `cml-nn` without the feature `train`",
                "`cml-nn` is a default member, but needs libtorch",
            ],
        );
    }

    /// Everything that a crate may reach by the table.
    fn reach(name: &str) -> Vec<&'static str> {
        let mut found = Vec::new();
        let mut open = vec![name.to_owned()];
        while let Some(name) = open.pop() {
            let edges = EDGES.iter().find(|(known, _)| *known == name);
            for to in edges.map_or(&[][..], |(_, allowed)| allowed) {
                if !found.contains(to) {
                    found.push(*to);
                    open.push((*to).to_owned());
                }
            }
        }
        found
    }

    #[test]
    fn what_runs_on_a_server_cannot_name_a_secret_key() {
        for name in NO_SECRETS {
            assert!(!reach(name).contains(&SECRET), "{name}");
        }
        assert!(reach("cml-client").contains(&SECRET));
    }

    #[test]
    fn the_table_has_no_cycles_and_no_strangers() {
        for (at, (name, allowed)) in EDGES.iter().enumerate() {
            for to in *allowed {
                let target = EDGES.iter().position(|(known, _)| known == to);
                assert!(target.is_some_and(|target| target < at), "{name} -> {to}");
            }
        }
    }
}
