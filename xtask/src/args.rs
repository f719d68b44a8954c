//! Command-line flags: no abbreviations, unknown ones refused.

use std::fmt;

/// Wrong usage: the process ends with code 2.
#[derive(Debug)]
pub(crate) struct Usage(String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// A usage error, ready to be returned.
pub(crate) fn usage(message: impl Into<String>) -> anyhow::Error {
    Usage(message.into()).into()
}

/// Flags of one command, and what came after `--`.
#[derive(Debug)]
pub(crate) struct Args {
    given: Vec<String>,
    values: Vec<(String, u64)>,
    texts: Vec<(String, String)>,
    /// What to pass on to another program; empty for a command that passes nothing on.
    pub(crate) rest: Vec<String>,
}

impl Args {
    /// Whether the flag was given.
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.given.iter().any(|given| given == flag)
    }

    /// The number after the flag, if it was given; the last one counts.
    pub(crate) fn number(&self, flag: &str) -> Option<u64> {
        self.values
            .iter()
            .rev()
            .find(|(given, _)| given == flag)
            .map(|(_, value)| *value)
    }

    /// The words after every occurrence of the flag, in order.
    pub(crate) fn texts(&self, flag: &str) -> Vec<&str> {
        let given = self.texts.iter().filter(|(given, _)| given == flag);
        given.map(|(_, text)| text.as_str()).collect()
    }
}

/// Reads `args`; every flag must be one of `known`, and only with `passes_on` may `--` follow.
pub(crate) fn parse(args: &[String], known: &[&str], passes_on: bool) -> anyhow::Result<Args> {
    parse_with_numbers(args, known, &[], passes_on)
}

/// As [`parse`], with flags that a whole number follows.
pub(crate) fn parse_with_numbers(
    args: &[String],
    known: &[&str],
    numbers: &[&str],
    passes_on: bool,
) -> anyhow::Result<Args> {
    parse_with_values(args, known, numbers, &[], passes_on)
}

/// As [`parse_with_numbers`], with flags that a word follows.
pub(crate) fn parse_with_values(
    args: &[String],
    known: &[&str],
    numbers: &[&str],
    words: &[&str],
    passes_on: bool,
) -> anyhow::Result<Args> {
    let mut texts = Vec::new();
    let mut given = Vec::new();
    let mut values = Vec::new();
    let mut rest = args.iter().enumerate();
    while let Some((at, arg)) = rest.next() {
        if arg == "--" && passes_on {
            let rest = args[at + 1..].to_vec();
            return Ok(Args {
                given,
                values,
                texts,
                rest,
            });
        }
        if numbers.contains(&arg.as_str()) {
            let text = rest.next().map(|(_, value)| value.as_str());
            let number = text.and_then(|value| value.parse().ok());
            let Some(number) = number else {
                let found = text.map_or("nothing".to_owned(), |value| format!("`{value}`"));
                return Err(usage(format!("`{arg}` needs a whole number, has {found}")));
            };
            values.push((arg.clone(), number));
            continue;
        }
        if words.contains(&arg.as_str()) {
            let Some((_, text)) = rest.next() else {
                return Err(usage(format!("`{arg}` needs a name, has nothing")));
            };
            texts.push((arg.clone(), text.clone()));
            continue;
        }
        if !known.contains(&arg.as_str()) {
            let flags: Vec<&str> = known.iter().chain(numbers).chain(words).copied().collect();
            let expected = match flags[..] {
                [] => "there are no flags".to_owned(),
                _ => format!("the flags are {}", flags.join(", ")),
            };
            let hint = if passes_on {
                "; after `--` everything goes to cargo"
            } else {
                ""
            };
            return Err(usage(format!("unknown argument `{arg}`: {expected}{hint}")));
        }
        given.push(arg.clone());
    }
    Ok(Args {
        given,
        values,
        texts,
        rest: Vec::new(),
    })
}

/// Whether `--help` or `-h` stands before any `--`.
pub(crate) fn asks_for_help(args: &[String]) -> bool {
    args.iter()
        .take_while(|arg| *arg != "--")
        .any(|arg| arg == "--help" || arg == "-h")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(args: &[&str]) -> Vec<String> {
        args.iter().map(|arg| (*arg).to_owned()).collect()
    }

    #[test]
    fn flags_then_what_is_passed_on() {
        let args = parse(&strings(&["--no-train", "--", "--json"]), &["--no-train"], true).unwrap();
        assert!(args.has("--no-train") && !args.has("--json"));
        assert_eq!(args.rest, ["--json"]);
    }

    #[test]
    fn numbers_follow_their_flag() {
        let parse = |args: &[&str]| parse_with_numbers(&strings(args), &["--json"], &["--samples"], false);
        let args = parse(&["--samples", "3", "--json"]).unwrap();
        assert_eq!((args.number("--samples"), args.has("--json")), (Some(3), true));
        assert_eq!(
            parse(&["--samples", "x"]).unwrap_err().to_string(),
            "`--samples` needs a whole number, has `x`"
        );
        assert!(parse(&["--samples"]).is_err());
    }

    #[test]
    fn words_follow_their_flag() {
        let parse =
            |args: &[&str]| parse_with_values(&strings(args), &["--json"], &["--seeds"], &["--only"], false);
        let args = parse(&["--only", "iris", "--seeds", "2", "--only", "digits"]).unwrap();
        assert_eq!(args.texts("--only"), ["iris", "digits"]);
        assert_eq!(
            parse(&["--only"]).unwrap_err().to_string(),
            "`--only` needs a name, has nothing"
        );
    }

    #[test]
    fn unknown_flags_are_refused_with_the_known_ones() {
        let error = parse(&strings(&["--jsn"]), &["--json"], false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown argument `--jsn`: the flags are --json"
        );
        assert!(error.downcast_ref::<Usage>().is_some());
        assert!(parse(&strings(&["--"]), &[], false).is_err());
    }

    #[test]
    fn help_is_not_taken_from_what_is_passed_on() {
        assert!(asks_for_help(&strings(&["--json", "-h"])));
        assert!(!asks_for_help(&strings(&["--", "--help"])));
    }
}
