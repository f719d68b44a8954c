//! Rules of the house that are read off the text of the files.

use crate::portable::the_secret_side_is_portable;
use crate::recipes::pages_name_what_is_there;
use crate::source::Source;
use std::collections::BTreeMap;
use std::fmt;

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) path: String,
    /// From 1.
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// A rule over all files.
pub(crate) type Rule = fn(&[Source]) -> Vec<Finding>;

/// Every rule over files, in the order of the reports.
pub(crate) const RULES: &[Rule] = &[
    one_file_names_petgraph,
    one_file_names_bincode,
    operations_are_matched_whole,
    tfhe_stays_inside,
    files_are_short,
    nothing_is_left_undone,
    no_machine_paths,
    no_registries,
    what_is_embedded_lies_inside,
    readme_names_the_commands,
    only_programs_print,
    pages_name_what_is_there,
    the_secret_side_is_portable,
];

const MAX_LINES: usize = 500;

fn one_file_names_petgraph(files: &[Source]) -> Vec<Finding> {
    one_file_names("petgraph", files.iter(), "in the workspace")
}

fn one_file_names_bincode(files: &[Source]) -> Vec<Finding> {
    let mut crates: BTreeMap<&str, Vec<&Source>> = BTreeMap::new();
    for file in files {
        crates.entry(package(&file.path)).or_default().push(file);
    }
    let each = crates.into_values();
    each.flat_map(|files| one_file_names("bincode", files.into_iter(), "per crate"))
        .collect()
}

fn one_file_names<'a>(name: &str, files: impl Iterator<Item = &'a Source>, scope: &str) -> Vec<Finding> {
    let naming: Vec<(&Source, usize)> = files
        .filter_map(|file| Some((file, lines_with(&file.code, name).next()?)))
        .collect();
    if naming.len() <= 1 {
        return Vec::new();
    }
    let count = naming.len();
    let finding = |(file, line): (&Source, usize)| {
        found(
            file,
            line,
            format!("{count} files name `{name}`, limit 1 {scope}"),
        )
    };
    naming.into_iter().map(finding).collect()
}

/// Clippy refuses `_ =>` in `cml-ir` and `cml-bitwidth`; these are the other ways to forget an operation.
fn operations_are_matched_whole(files: &[Source]) -> Vec<Finding> {
    let matching = |path: &str| {
        ["cml-ir", "cml-bitwidth", "cml-tfhe"]
            .iter()
            .any(|name| path.starts_with(&format!("crates/{name}/src/")))
    };
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| matching(&file.path)) {
        let lines: Vec<&str> = file.code.lines().collect();
        for mark in ["Op::", "OpKind::"] {
            for line in lines_with(&file.code, mark) {
                let text = lines[line - 1];
                if text.contains("matches!(") || text.contains("if let ") || text.contains("while let ") {
                    let message = "asks for some operations and forgets the rest: match all".to_owned();
                    findings.push(found(file, line, message));
                }
            }
        }
    }
    findings
}

/// Places that name tfhe, by crate: what both sides know, keys, the noise model and the executor.
const TFHE: [(&str, &[&str]); 4] = [
    ("cml-scheme", &["ciphertext", "raw", "security"]),
    ("cml-keys", &[""]),
    ("cml-tfhe", &["noise"]),
    ("cml-exec", &[""]),
];

fn tfhe_stays_inside(files: &[Source]) -> Vec<Finding> {
    let inside = |path: &str| {
        TFHE.iter().any(|(name, modules)| {
            let Some(rest) = path.strip_prefix(&format!("crates/{name}/")) else {
                return false;
            };
            let module = rest.strip_prefix("src/");
            module.is_some_and(|module| modules.iter().any(|start| module.starts_with(start)))
                || ["tests/", "benches/", "examples/"]
                    .iter()
                    .any(|folder| rest.starts_with(folder))
        })
    };
    let outside = files.iter().filter(|file| !inside(&file.path));
    outside
        .flat_map(|file| {
            lines_with(&file.code, "tfhe::").map(|line| {
                let places: Vec<String> = TFHE.iter().map(|(name, modules)| place(name, modules)).collect();
                let message = format!("`tfhe::` is used outside of {}", places.join(", "));
                found(file, line, message)
            })
        })
        .collect()
}

/// A crate of the table, with its modules in braces where they are not all.
fn place(name: &str, modules: &[&str]) -> String {
    match modules {
        [""] => name.to_owned(),
        [one] => format!("{name}/src/{one}"),
        several => format!("{name}/src/{{{}}}", several.join(",")),
    }
}

fn files_are_short(files: &[Source]) -> Vec<Finding> {
    let rust = files.iter().filter(|file| file.is_rust());
    rust.map(|file| (file, file.text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(file, lines)| {
            let message = format!("the file has {lines} lines, limit {MAX_LINES}: find its second idea");
            found(file, lines, message)
        })
        .collect()
}

fn nothing_is_left_undone(files: &[Source]) -> Vec<Finding> {
    let marks = ["todo!", "unimplemented!", "#[ignore", "dbg!"];
    in_code(files, &marks, |mark| format!("`{mark}` is left in"))
}

fn no_machine_paths(files: &[Source]) -> Vec<Finding> {
    // In pieces, so that this file does not name one.
    let marks = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
    ];
    in_text(files, &marks, |mark| format!("a path of one machine: `{mark}`"))
}

/// What cargo writes into Cargo.lock for a package of its default registry.
const DEFAULT_SOURCE: &str = concat!(
    "source = \"registry+https://github.com/rust-lang/cra",
    "tes.io-index\""
);

fn no_registries(files: &[Source]) -> Vec<Finding> {
    let marks = [
        concat!("pypi", ".org"),
        concat!("python", "hosted.org"),
        concat!("index.cra", "tes.io"),
        concat!("static.cra", "tes.io"),
        concat!("download.", "pytorch.org"),
        concat!("registry.", "npmjs"),
        concat!("--index", "-url"),
        concat!("--extra-index", "-url"),
        concat!("replace", "-with"),
        concat!("[regis", "tries"),
        concat!("sparse", "+http"),
    ];
    let mut findings = in_text(files, &marks, |mark| {
        format!("`{mark}`: registries belong to the user's settings")
    });
    let lock = files.iter().filter(|file| file.path.ends_with("Cargo.lock"));
    for file in lock {
        for (at, line) in file.text.lines().enumerate() {
            if line.starts_with("source = ") && line != DEFAULT_SOURCE {
                findings.push(found(file, at + 1, "a source other than cargo's own".to_owned()));
            }
        }
    }
    findings
}

/// A package that is built from its own folder alone has everything that its library embeds.
fn what_is_embedded_lies_inside(files: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let Some(inside) = file
            .path
            .split_once("/src/")
            .filter(|_| file.path.starts_with("crates/"))
        else {
            continue;
        };
        let depth = 1 + inside.1.matches('/').count();
        for macro_name in ["include_str!(\"", "include_bytes!(\""] {
            for (at, line) in file.text.lines().enumerate() {
                let Some((_, path)) = line.split_once(macro_name) else {
                    continue;
                };
                if path.split('/').take_while(|part| *part == "..").count() > depth {
                    let message = "what it embeds lies outside of its package".to_owned();
                    findings.push(found(file, at + 1, message));
                }
            }
        }
    }
    findings
}

fn readme_names_the_commands(files: &[Source]) -> Vec<Finding> {
    let readme = files.iter().find(|file| file.path == "README.md");
    let text = readme.map_or("", |file| &file.text);
    let commands = ["cargo xtask demo", "cargo xtask test"];
    let missing = commands.into_iter().filter(|command| !text.contains(command));
    missing
        .map(|command| {
            let message = format!("the page does not name `{command}`");
            Finding {
                path: "README.md".to_owned(),
                line: 1,
                message,
            }
        })
        .collect()
}

fn only_programs_print(files: &[Source]) -> Vec<Finding> {
    let may = |path: &str| {
        path.starts_with("crates/cml-cli/")
            || path.starts_with("xtask/")
            || path.ends_with("build.rs")
            || ["tests/", "benches/", "examples/", "fuzz/"]
                .iter()
                .any(|name| path.starts_with(name) || path.contains(&format!("/{name}")))
    };
    let libraries: Vec<&Source> = files.iter().filter(|file| !may(&file.path)).collect();
    let marks = ["println!", "print!", "eprintln!", "eprint!"];
    in_code(libraries, &marks, |mark| {
        format!("`{mark}` in a library: only cml-cli and xtask print")
    })
}

/// The crate of a path, by its folder.
fn package(path: &str) -> &str {
    let depth = if path.starts_with("crates/") { 2 } else { 1 };
    let end = path.match_indices('/').nth(depth - 1).map_or(0, |(at, _)| at);
    &path[..end]
}

fn in_code<'a>(
    files: impl IntoIterator<Item = &'a Source>,
    marks: &[&str],
    message: fn(&str) -> String,
) -> Vec<Finding> {
    find(files, |file| &file.code, marks, message)
}

fn in_text(files: &[Source], marks: &[&str], message: fn(&str) -> String) -> Vec<Finding> {
    find(files, |file| &file.text, marks, message)
}

fn find<'a>(
    files: impl IntoIterator<Item = &'a Source>,
    part: fn(&Source) -> &str,
    marks: &[&str],
    message: fn(&str) -> String,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        for mark in marks {
            let lines = lines_with(part(file), mark);
            findings.extend(lines.map(|line| found(file, line, message(mark))));
        }
    }
    findings
}

/// A finding in a file.
pub(crate) fn found(file: &Source, line: usize, message: String) -> Finding {
    Finding {
        path: file.path.clone(),
        line,
        message,
    }
}

/// Numbers of the lines that hold `mark`; a mark that begins with a letter begins a word, and one
/// that ends with a letter ends it.
pub(crate) fn lines_with<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = usize> + 'a {
    let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let (first, last) = (word(mark.chars().next()), word(mark.chars().next_back()));
    let holds = move |line: &str| {
        line.match_indices(mark).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            let after = line[at + mark.len()..].chars().next();
            !(first && word(before) || last && word(after))
        })
    };
    text.lines()
        .enumerate()
        .filter(move |(_, line)| holds(line))
        .map(|(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Findings of `rule` over the files, as text.
    fn check(rule: Rule, files: &[(&str, &str)], expected: &[&str]) {
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| Source::new(*path, *text))
            .collect();
        let lines: Vec<_> = rule(&files).iter().map(Finding::to_string).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn names_of_one_file() {
        let (a, b) = ("use bincode::x;\n", "\nfn f() { bincode::y() }");
        check(
            one_file_names_bincode,
            &[("crates/a/src/l.rs", a), ("crates/b/src/l.rs", b)],
            &[],
        );
        check(
            one_file_names_bincode,
            &[("crates/a/src/l.rs", a), ("crates/a/src/m.rs", b)],
            &[
                "crates/a/src/l.rs:1: 2 files name `bincode`, limit 1 per crate",
                "crates/a/src/m.rs:2: 2 files name `bincode`, limit 1 per crate",
            ],
        );
        check(
            one_file_names_petgraph,
            &[("a.rs", "//! petgraph"), ("b.rs", "use petgraph;")],
            &[],
        );
    }

    #[test]
    fn tfhe_outside() {
        let code = "/// As `tfhe::shortint`.\nuse tfhe::shortint;";
        let places = "cml-scheme/src/{ciphertext,raw,security}, cml-keys, cml-tfhe/src/noise, cml-exec";
        for path in [
            "crates/cml-exec/src/evaluator/batch.rs",
            "crates/cml-keys/src/client_key.rs",
            "crates/cml-scheme/src/raw.rs",
            "crates/cml-tfhe/src/noise/tests.rs",
        ] {
            check(tfhe_stays_inside, &[(path, code)], &[]);
        }
        for path in [
            "crates/cml-tfhe/src/lower.rs",
            "crates/cml-ir/src/keys.rs",
            "crates/cml-scheme/src/spec.rs",
        ] {
            check(
                tfhe_stays_inside,
                &[(path, code)],
                &[&format!("{path}:2: `tfhe::` is used outside of {places}")],
            );
        }
        check(
            tfhe_stays_inside,
            &[("tests/it/a.rs", "use cml_tfhe::Circuit;")],
            &[],
        );
    }

    #[test]
    fn lengths_and_marks() {
        let message = "a.rs:501: the file has 501 lines, limit 500: find its second idea";
        check(files_are_short, &[("a.rs", &"\n".repeat(501))], &[message]);
        check(files_are_short, &[("a.rs", &"\n".repeat(500))], &[]);
        let code = "fn f() {\n    todo!()\n}\n// dbg!\n#[ignore = \"slow\"]";
        let marks = ["a.rs:2: `todo!` is left in", "a.rs:5: `#[ignore` is left in"];
        check(nothing_is_left_undone, &[("a.rs", code)], &marks);
    }

    #[test]
    fn printing() {
        let code = "fn f() { eprintln!(); }";
        let message = "`eprintln!` in a library: only cml-cli and xtask print";
        check(
            only_programs_print,
            &[("crates/a/src/l.rs", code)],
            &[&format!("crates/a/src/l.rs:1: {message}")],
        );
        for path in [
            "crates/cml-cli/src/main.rs",
            "crates/a/build.rs",
            "crates/a/tests/t.rs",
        ] {
            check(only_programs_print, &[(path, code)], &[]);
        }
    }

    #[test]
    fn paths_and_registries() {
        let path = concat!("see /ho", "me/me/x");
        let message = concat!("a.md:1: a path of one machine: `/ho", "me/`");
        check(no_machine_paths, &[("a.md", path)], &[message]);
        check(no_registries, &[("Cargo.lock", DEFAULT_SOURCE)], &[]);
        let other = "[[package]]\nsource = \"registry+https://mirror/index\"";
        check(
            no_registries,
            &[("Cargo.lock", other)],
            &["Cargo.lock:2: a source other than cargo's own"],
        );
    }

    #[test]
    fn operations() {
        let path = "crates/cml-ir/src/a.rs";
        let message = "crates/cml-ir/src/a.rs:2: asks for some operations and forgets the rest: match all";
        let check = |code: &str, expected: &[&str]| {
            check(operations_are_matched_whole, &[(path, code)], expected);
        };
        check("fn f(op: &Op) {\nlet x = matches!(op, Op::Add);\n}", &[message]);
        check(
            "fn f(op: &Op) {\nif let OpKind::Lookup(l) = op.kind() {}\n}",
            &[message],
        );
        check(
            "fn f(op: &Op) {\nlet x = Op::Add;\nif let FileOp::Add = x {}\n}",
            &[],
        );
    }

    #[test]
    fn embedded_files() {
        let line = |path: &str| format!("const X: &str = include_str!(\"{path}\");");
        let inside = line("../data/x.csv");
        check(
            what_is_embedded_lies_inside,
            &[
                ("crates/a/src/x.rs", &inside),
                ("crates/a/src/b/x.rs", &line("../../x.csv")),
            ],
            &[],
        );
        check(
            what_is_embedded_lies_inside,
            &[("crates/a/src/x.rs", &line("../../x.csv"))],
            &["crates/a/src/x.rs:1: what it embeds lies outside of its package"],
        );
    }

    #[test]
    fn the_front_page() {
        let page = "cargo xtask demo\ncargo xtask test\n";
        check(readme_names_the_commands, &[("README.md", page)], &[]);
        let message = "README.md:1: the page does not name `cargo xtask test`";
        check(
            readme_names_the_commands,
            &[("README.md", &page[..17])],
            &[message],
        );
    }
}
