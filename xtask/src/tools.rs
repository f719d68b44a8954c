//! Running other programs: cargo, python3, and the `cml` that was just built.

use crate::libtorch::Libtorch;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The workspace's root folder.
pub(crate) fn root() -> Result<PathBuf> {
    // Cargo sets it at run time, so that a moved checkout finds itself.
    let start = match env::var_os("CARGO_MANIFEST_DIR") {
        Some(manifest) => PathBuf::from(manifest),
        None => env::current_dir().context("no current folder")?,
    };
    start
        .ancestors()
        .find(|folder| folder.join(".cargo").is_dir() && folder.join("xtask").is_dir())
        .map(Path::to_path_buf)
        .with_context(|| format!("{} is not inside the project", start.display()))
}

/// Where `name` lies on PATH; a name with a slash is taken as a path.
pub(crate) fn find_program(name: impl AsRef<OsStr>) -> Option<PathBuf> {
    let name = Path::new(name.as_ref());
    if name.components().count() > 1 {
        return is_executable(name).then(|| name.to_path_buf());
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| is_executable(file))
}

#[cfg(unix)]
fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata()
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(file: &Path) -> bool {
    file.is_file() || file.with_extension("exe").is_file()
}

/// Whether this run is one of continuous integration.
pub(crate) fn in_ci() -> bool {
    env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

/// The class of machine that runs this: nothing that tells one machine from another.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let plural = if cores == 1 { "" } else { "s" };
    format!("{} {}, {cores} core{plural}", env::consts::ARCH, env::consts::OS)
}

/// The cargo that runs this program, in the workspace's root.
pub(crate) fn cargo(libtorch: Option<&Libtorch>) -> Result<Command> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()?);
    if let Some(libtorch) = libtorch {
        libtorch.apply(&mut command);
    }
    Ok(command)
}

/// Says what is run, runs it with this process's streams, and fails if it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", shown(command));
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Says what is run and returns its standard output; standard error streams through.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    eprintln!("$ {}", shown(command));
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    if !output.status.success() {
        bail!("`{}` failed ({})", shown(command), output.status);
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{}` printed what is not UTF-8", shown(command)))
}

/// Runs a program that prints one JSON object on standard output.
pub(crate) fn capture_json(command: &mut Command) -> Result<Value> {
    let text = capture(command)?;
    serde_json::from_str(&text).with_context(|| format!("`{}` did not print one JSON object", shown(command)))
}

/// The `cml` binary of this checkout.
#[derive(Debug, Clone)]
pub(crate) struct Cml {
    program: PathBuf,
}

impl Cml {
    /// Builds it in release mode: with training if there is a libtorch to link, else without.
    pub(crate) fn build(libtorch: Option<&Libtorch>) -> Result<Self> {
        let mut command = cargo(libtorch)?;
        command.args(["build", "--release", "--package", "cml-cli"]);
        if libtorch.is_none() {
            command.arg("--no-default-features");
        }
        let messages = capture(command.arg("--message-format=json-render-diagnostics"))?;
        let program = executable(&messages, "cml").context("cml-cli has no binary `cml`")?;
        Ok(Self { program })
    }

    /// A command of `cml`, to be run in the workspace's root.
    pub(crate) fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(&self.program);
        command.current_dir(root()?).args(args);
        Ok(command)
    }

    /// Runs `cml ARGS --json` and returns the object, and whether `cml` was content with it
    /// (exit code 0); progress streams on standard error.
    pub(crate) fn json(&self, args: &[&str]) -> Result<(Value, bool)> {
        self.json_with(args, &[])
    }

    /// [`Cml::json`] with variables of the environment.
    pub(crate) fn json_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Result<(Value, bool)> {
        let mut command = self.command(args)?;
        command
            .envs(variables.iter().copied())
            .arg("--json")
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        eprintln!("$ cml {}", args.join(" "));
        let output = command
            .output()
            .with_context(|| format!("cannot start {}", shown(&command)))?;
        let object = serde_json::from_slice(&output.stdout);
        match (object, output.status.success()) {
            (Ok(object), content) => Ok((object, content)),
            (Err(_), false) => bail!("`cml {}` failed ({})", args.join(" "), output.status),
            (Err(error), true) => {
                Err(error).with_context(|| format!("`cml {}` did not print one JSON object", args.join(" ")))
            }
        }
    }
}

/// The path of the built binary `name` in cargo's JSON messages.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

/// The command as one would type it: the program's name without its folder.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut text = program
        .file_name()
        .unwrap_or(program.as_os_str())
        .to_string_lossy()
        .into_owned();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_typed() {
        let mut command = Command::new("some/folder/cargo");
        assert_eq!(shown(command.args(["test", "--release"])), "cargo test --release");
    }

    #[test]
    fn the_binary_is_found_among_cargo_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"cml-ir"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"cml"},"executable":"target/release/cml"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(
            executable(messages, "cml"),
            Some(PathBuf::from("target/release/cml"))
        );
        assert_eq!(executable(messages, "other"), None);
    }

    #[cfg(unix)]
    #[test]
    fn programs_are_found_on_the_path() {
        assert!(find_program("sh").is_some_and(|file| file.is_absolute()));
        assert_eq!(find_program("no-such-program-anywhere"), None);
    }
}
