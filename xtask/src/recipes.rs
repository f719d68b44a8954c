//! Pages name what is there: paths and links in every page, and in `docs/extending.md` functions and types too.

use crate::rules::{Finding, found, lines_with};
use crate::source::Source;

/// The page of recipes.
const RECIPES: &str = "docs/extending.md";

/// Folders of the repository: what begins with one of them, in a page, is a path.
const FOLDERS: [&str; 6] = ["crates/", "docs/", "examples/", "fuzz/", "tests/", "xtask/"];

/// Every path that a page names in backticks is a file or a folder. In [`RECIPES`] every name in
/// backticks (`Op::kind`, `PASSES`) is in one of the files that its paragraph or list item names.
pub(crate) fn pages_name_what_is_there(files: &[Source]) -> Vec<Finding> {
    let pages = files
        .iter()
        .filter(|file| file.path.ends_with(".md") && !file.path.contains("/tests/"));
    pages
        .flat_map(|page| [check_page(page, files), check_links(page, files)].concat())
        .collect()
}

/// Every link to a file of the repository leads to one.
fn check_links(page: &Source, files: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in page.text.lines().enumerate() {
        let links = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links {
            let path = link.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains(':') {
                continue;
            }
            if resolve(&page.path, path).is_none_or(|path| find(&path, files).is_none()) {
                findings.push(found(page, at + 1, format!("the link `{link}` leads nowhere")));
            }
        }
    }
    findings
}

/// A path beside a page, from the root; none if it leads out.
fn resolve(page: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            ".." => drop(parts.pop()?),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn check_page(page: &Source, files: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for item in items(&page.text) {
        let mut named = Vec::new();
        for (line, span) in &item {
            if !is_path(span) {
                continue;
            }
            match find(span, files) {
                Some(mut these) => named.append(&mut these),
                None => findings.push(found(page, *line, format!("`{span}` is not there"))),
            }
        }
        if page.path != RECIPES {
            continue;
        }
        for (line, span) in &item {
            let Some(words) = words(span).filter(|_| !is_path(span)) else {
                continue;
            };
            let has = |file: &&Source| {
                words
                    .iter()
                    .all(|word| lines_with(&file.text, word).next().is_some())
            };
            if !named.iter().any(has) {
                let message = format!("`{span}` is in none of the files that are named with it");
                findings.push(found(page, *line, message));
            }
        }
    }
    findings
}

/// Spans in backticks with their lines, from 1, by paragraph or list item. Blocks of code are left out.
fn items(text: &str) -> Vec<Vec<(usize, &str)>> {
    let mut items = vec![Vec::new()];
    let mut in_code = false;
    for (at, line) in text.lines().enumerate() {
        let start = line.trim_start();
        if start.starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        let numbered = start.trim_start_matches(|c: char| c.is_ascii_digit());
        let begins = start.starts_with("- ") || (numbered.len() < start.len() && numbered.starts_with(". "));
        if line.is_empty() || line.starts_with('|') || begins {
            items.push(Vec::new());
        }
        let spans = line.split('`').skip(1).step_by(2).map(|span| (at + 1, span));
        if let Some(item) = items.last_mut() {
            item.extend(spans);
        }
    }
    items
}

fn is_path(span: &str) -> bool {
    FOLDERS.iter().any(|folder| span.starts_with(folder)) && !span.contains([' ', '{'])
}

/// The files at or below a path; a part in capitals (`NAME.rs`) or with a star stands for any name,
/// so that the folder before it is looked for. None if there is nothing.
fn find<'a>(span: &str, files: &'a [Source]) -> Option<Vec<&'a Source>> {
    if let Some(file) = files.iter().find(|file| file.path == span) {
        return Some(vec![file]);
    }
    let open = |part: &str| part.contains('*') || part.split('.').next().is_some_and(is_placeholder);
    let fixed: Vec<&str> = span.split('/').take_while(|part| !open(part)).collect();
    let path = fixed.join("/");
    let below = format!("{}/", path.trim_end_matches('/'));
    let these: Vec<&Source> = files
        .iter()
        .filter(|file| file.path.starts_with(&below))
        .collect();
    (!these.is_empty()).then_some(these)
}

fn is_placeholder(word: &str) -> bool {
    word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

/// The parts of a name of Rust; none if the span is something else, as a command or a file name.
fn words(span: &str) -> Option<Vec<&str>> {
    let name = span.strip_suffix("()").or(span.strip_suffix('!')).unwrap_or(span);
    let words: Vec<&str> = name.split("::").collect();
    let is_word = |word: &&str| {
        let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
        word.starts_with(letter) && word.chars().all(|c| letter(c) || c.is_ascii_digit())
    };
    words.iter().all(is_word).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, page: &str, expected: &[&str]) {
        let files = [
            Source::new(path, page),
            Source::new("crates/a/src/op.rs", "impl Op {\n    fn kind(&self) {}\n}"),
            Source::new("crates/a/src/passes/fold.rs", "fn fold() {}"),
        ];
        let lines: Vec<_> = pages_name_what_is_there(&files)
            .iter()
            .map(Finding::to_string)
            .collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn recipes_name_files_and_what_is_in_them() {
        let page = "1. Add it to `Op::kind` in\n   `crates/a/src/op.rs`.\n2. `fold()`: `crates/a/src/passes/NAME.rs`.\n";
        check(RECIPES, page, &[]);
        check(
            RECIPES,
            "Run `cargo test -p a` on `x.cmlg`, as `crates/a` says.",
            &[],
        );
        check(
            RECIPES,
            "1. See `crates/a/src/ops.rs`.\n2. `Op::sort` in `crates/a/src/op.rs`,\n   `fold`.\n",
            &[
                "docs/extending.md:1: `crates/a/src/ops.rs` is not there",
                "docs/extending.md:2: `Op::sort` is in none of the files that are named with it",
                "docs/extending.md:3: `fold` is in none of the files that are named with it",
            ],
        );
    }

    #[test]
    fn links_lead_somewhere() {
        check(
            "docs/a.md",
            "[op](../crates/a/src/op.rs#L2) [web](https://x.org) [here](#a)",
            &[],
        );
        check(
            "docs/a.md",
            "a\n[b](b.md#c) [out](../../op.rs)",
            &[
                "docs/a.md:2: the link `b.md#c` leads nowhere",
                "docs/a.md:2: the link `../../op.rs` leads nowhere",
            ],
        );
    }

    #[test]
    fn other_pages_name_files_only() {
        check(
            "README.md",
            "`Op::sort` of `crates/a/src`\n```text\n`crates/b`\n```\n",
            &[],
        );
        check(
            "README.md",
            "a\n`crates/b` and `docs/{x}`",
            &["README.md:2: `crates/b` is not there"],
        );
    }
}
