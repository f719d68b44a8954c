//! Where the passphrase of a secret key comes from.

use anyhow::{Context, bail};
use cml_file::{Artifact, peek_tag};
use cml_keys::BoundClientKeys;
use cml_keys::artifact::{LOCKED_CLIENT_KEY, LockedClientKeys};
use cml_scheme::ClientSpec;
use std::fs::File;
use std::io::{IsTerminal, Read, stdin};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Longest passphrase, in bytes.
const LONGEST: usize = 4096;
/// Holds a passphrase, for programs.
const VARIABLE: &str = "CML_PASSPHRASE";

/// A passphrase for the secret key.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct PassphraseArgs {
    /// Ask for the passphrase of the secret key.
    #[arg(long, global = true, conflicts_with = "passphrase_file")]
    passphrase: bool,
    /// File whose first line is the passphrase of the secret key [default: what CML_PASSPHRASE holds].
    #[arg(long, global = true, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    /// The passphrase that a new key gets, if any; one that is typed is typed twice.
    pub(crate) fn for_new(&self) -> anyhow::Result<Option<Zeroizing<String>>> {
        if !self.passphrase {
            return self.given();
        }
        let first = ask("Passphrase for the secret key: ")?;
        if ask("Once more: ")? != first {
            bail!("the two passphrases differ");
        }
        checked(first).map(Some)
    }

    /// The passphrase of a key that is under one; if none is given, a terminal is asked.
    pub(crate) fn for_locked(&self, key: &Path) -> anyhow::Result<Zeroizing<String>> {
        let given = if self.passphrase { None } else { self.given()? };
        match given {
            Some(passphrase) => Ok(passphrase),
            None if self.passphrase || stdin().is_terminal() => {
                checked(ask(&format!("Passphrase of {}: ", key.display()))?)
            }
            None => bail!(
                "{} is under a passphrase: give --passphrase, --passphrase-file or {VARIABLE}",
                key.display()
            ),
        }
    }

    /// A key is under no passphrase. Who names one believes that the key is guarded by it; the variable is for all
    /// keys that are.
    pub(crate) fn for_plain(&self, key: &Path) -> anyhow::Result<()> {
        if self.passphrase || self.passphrase_file.is_some() {
            bail!("{} is under no passphrase, and one is given", key.display());
        }
        Ok(())
    }

    /// Reads a secret key.
    pub(crate) fn read_key(&self, path: &Path, spec: &ClientSpec) -> anyhow::Result<BoundClientKeys> {
        if peek_tag(path)? != LOCKED_CLIENT_KEY.tag {
            self.for_plain(path)?;
            return Ok(BoundClientKeys::read(path, spec)?);
        }
        let passphrase = self.for_locked(path)?;
        Ok(LockedClientKeys::read(path, ())?.open(spec, passphrase.as_bytes())?)
    }

    /// From the file, or from the environment.
    fn given(&self) -> anyhow::Result<Option<Zeroizing<String>>> {
        if let Some(path) = &self.passphrase_file {
            let read = first_line(path).and_then(checked);
            return read.with_context(|| path.display().to_string()).map(Some);
        }
        let Some(value) = std::env::var_os(VARIABLE) else {
            return Ok(None);
        };
        match value.into_string() {
            Ok(text) => checked(Zeroizing::new(text)).context(VARIABLE).map(Some),
            // Its own message would show the passphrase.
            Err(_) => bail!("{VARIABLE} is not UTF-8"),
        }
    }
}

fn ask(prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    let typed = rpassword::prompt_password(prompt);
    typed
        .map(Zeroizing::new)
        .context("no terminal to ask for a passphrase")
}

fn first_line(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    // As large as it can get: what grows leaves its parts in memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST + 64));
    File::open(path)?
        .take(LONGEST as u64 + 2)
        .read_to_end(&mut bytes)?;
    let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Ok(Zeroizing::new(
        std::str::from_utf8(line).context("is not UTF-8")?.to_owned(),
    ))
}

fn checked(passphrase: Zeroizing<String>) -> anyhow::Result<Zeroizing<String>> {
    match passphrase.len() {
        0 => bail!("the passphrase is empty"),
        1..=LONGEST => Ok(passphrase),
        has => bail!("the passphrase has {has} bytes, limit {LONGEST}"),
    }
}
