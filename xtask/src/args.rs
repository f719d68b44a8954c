//! Command-line flags: no values, no abbreviations, unknown ones refused.

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
    /// What to pass on to another program; empty for a command that passes nothing on.
    pub(crate) rest: Vec<String>,
}

impl Args {
    /// Whether the flag was given.
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.given.iter().any(|given| given == flag)
    }
}

/// Reads `args`; every flag must be one of `known`, and only with `passes_on` may `--` follow.
pub(crate) fn parse(args: &[String], known: &[&str], passes_on: bool) -> anyhow::Result<Args> {
    let mut given = Vec::new();
    for (at, arg) in args.iter().enumerate() {
        if arg == "--" && passes_on {
            return Ok(Args {
                given,
                rest: args[at + 1..].to_vec(),
            });
        }
        if !known.contains(&arg.as_str()) {
            let expected = match known {
                [] => "there are no flags".to_owned(),
                _ => format!("the flags are {}", known.join(", ")),
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
