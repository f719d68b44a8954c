//! Crates that a browser needs build where there is no operating system.

use crate::rules::{Finding, found, lines_with};
use crate::source::Source;

/// What the secret side is made of. `cml-file` has files by path in one module, behind its feature `fs`.
const PORTABLE: [&str; 4] = ["cml-file", "cml-ir", "cml-scheme", "cml-keys"];

/// The one file that may.
const FILES_BY_PATH: &str = "crates/cml-file/src/fs.rs";

/// Files by path, threads of one's own, and clocks.
const NOT_THERE: [&str; 3] = ["std::fs", "std::thread", "std::time"];

/// No file of these crates asks for what only an operating system has.
pub(crate) fn the_secret_side_is_portable(files: &[Source]) -> Vec<Finding> {
    let portable = |file: &&Source| {
        let in_crate = |name| file.path.starts_with(&format!("crates/{name}/src/"));
        PORTABLE.into_iter().any(in_crate) && file.path != FILES_BY_PATH
    };
    let mut findings = Vec::new();
    for file in files.iter().filter(portable) {
        for mark in NOT_THERE {
            let message = |line| found(file, line, format!("`{mark}` is not there in a browser"));
            findings.extend(lines_with(&file.text, mark).map(message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_file_has_files_by_path() {
        let text = "use std::fs::File;\nfn f() { std::thread::spawn(g); }";
        let check = |path: &str| {
            let found = the_secret_side_is_portable(&[Source::new(path, text)]);
            found.iter().map(Finding::to_string).collect::<Vec<_>>()
        };
        assert_eq!(check(FILES_BY_PATH), [""; 0]);
        assert_eq!(check("crates/cml-serve/src/data.rs"), [""; 0]);
        assert_eq!(check("crates/cml-keys/tests/it/main.rs"), [""; 0]);
        assert_eq!(
            check("crates/cml-keys/src/client.rs"),
            [
                "crates/cml-keys/src/client.rs:1: `std::fs` is not there in a browser",
                "crates/cml-keys/src/client.rs:2: `std::thread` is not there in a browser",
            ]
        );
    }
}
