//! The files that tidy looks at, and Rust source without its comments and strings.

use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A file of the repository.
#[derive(Debug)]
pub(crate) struct Source {
    /// Relative to the root, with slashes.
    pub(crate) path: String,
    /// Empty for a binary file.
    pub(crate) text: String,
    /// For Rust: the text with comments and the insides of literals blanked, line for line.
    /// Empty for every other file.
    pub(crate) code: String,
}

impl Source {
    /// A file from its path and text.
    pub(crate) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let (path, text) = (path.into(), text.into());
        let code = if path.ends_with(".rs") {
            blank(&text)
        } else {
            String::new()
        };
        Self { path, text, code }
    }

    /// Whether this is Rust.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// Every file that git knows or would add.
pub(crate) fn files(root: &Path) -> Result<Vec<Source>> {
    let output = Command::new("git")
        .current_dir(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .context("cannot run git, which lists the files")?;
    if !output.status.success() {
        bail!(
            "git cannot list the files: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let list = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    let mut names: Vec<&str> = list.split('\0').filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    // Deleted files are still listed; binary ones have no text, but a name.
    let texts = names.into_iter().filter_map(|name| {
        let bytes = fs::read(root.join(name)).ok()?;
        Some(Source::new(name, String::from_utf8(bytes).unwrap_or_default()))
    });
    Ok(texts.collect())
}

/// Replaces comments and the insides of strings and characters by spaces; line breaks stay.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => line_end(&chars, at),
            '/' if chars.get(at + 1) == Some(&'*') => comment_end(&chars, at),
            '"' => string_end(&chars, at),
            'r' if !continues_word(&chars, at) => raw_string_end(&chars, at).unwrap_or(at),
            '\'' => char_end(&chars, at).unwrap_or(at),
            _ => at,
        };
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Whether the character before continues a word; `b` and `c` before `r` are prefixes.
fn continues_word(chars: &[char], at: usize) -> bool {
    let word = |at: usize| chars[at].is_alphanumeric() || chars[at] == '_';
    let mut start = at;
    while start > 0 && word(start - 1) {
        start -= 1;
    }
    start != at && !(start + 1 == at && matches!(chars[start], 'b' | 'c'))
}

fn line_end(chars: &[char], at: usize) -> usize {
    chars[at..]
        .iter()
        .position(|c| *c == '\n')
        .map_or(chars.len(), |length| at + length)
}

/// Block comments nest.
fn comment_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut at) = (0, at);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn string_end(chars: &[char], at: usize) -> usize {
    let mut at = at + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// The end of `r"…"` or `r#"…"#`; none for a raw identifier or the letter.
fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    let open = at + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let mut at = open + 1;
    while at < chars.len() {
        let closes =
            chars[at] == '"' && chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
        if closes {
            return Some(at + 1 + hashes);
        }
        at += 1;
    }
    Some(chars.len())
}

/// The end of `'x'` or `'\n'`; none for a lifetime.
fn char_end(chars: &[char], at: usize) -> Option<usize> {
    if chars.get(at + 1) == Some(&'\\') {
        let length = chars.get(at + 3..)?.iter().position(|c| *c == '\'')?;
        return Some(at + 3 + length + 1);
    }
    (chars.get(at + 2) == Some(&'\'')).then_some(at + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, code: &str) {
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(blank(text).len(), text.len());
        assert_eq!(squeezed(&blank(text)), squeezed(code), "{text}");
    }

    #[test]
    fn comments_and_literals_are_blanked() {
        check("let a = 1; // dbg!(a)", "let a = 1;");
        check("a /* b /* c */ d */ e", "a e");
        check(r#"f("a \" // b", c)"#, "f( , c)");
        check(r###"f(r#"a " b"#, br"\", c)"###, "f( , b , c)");
        check(r"match c { '\'' | '\\' | '/' => x }", "match c { | | => x }");
    }

    #[test]
    fn lifetimes_words_and_raw_identifiers_stay() {
        for text in [
            "fn f<'a>(x: &'a str) -> &'static str",
            "let r#type = for_r;",
            "number()",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn lines_stay_where_they_are() {
        let text = "a\n\"b\nc\"\n/* d\n */ e // f\ng";
        assert_eq!(blank(text).lines().count(), text.lines().count());
        assert!(blank(text).ends_with("\ng"));
    }
}
