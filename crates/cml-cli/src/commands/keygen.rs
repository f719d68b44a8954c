//! `cml keygen`: the keys of a circuit.

use crate::exit::OrFailed;
use crate::output::{self, folder};
use crate::passphrase::PassphraseArgs;
use crate::progress::key_bars;
use crate::requirements::{RequirementArgs, promise, promise_json};
use crate::show::{Report, bytes, file_size, timed};
use crate::spec::read_spec;
use anyhow::bail;
use cml_file::{Artifact, FileError};
use cml_keys::Client;
use cml_keys::artifact::LockedClientKeys;
use cml_keys::random::System;
use cml_scheme::{ArtifactError, Bound, ServerKeys};
use serde_json::json;
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempPath;

/// Draw the keys of a circuit: client.key stays with you, server.key goes to the server.
///
/// Example: cml keygen net.cmls --client-key client.key --server-key server.key
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Client spec from `cml export-client`, or circuit from `cml compile`.
    #[arg(value_name = "SPEC|CIRCUIT")]
    spec: PathBuf,
    /// Secret key to write (mode 0600).
    #[arg(long, default_value = "client.key")]
    client_key: PathBuf,
    /// Evaluation keys to write.
    #[arg(long, default_value = "server.key")]
    server_key: PathBuf,
    /// Replace keys that are there: what was encrypted under them is lost.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    requirements: RequirementArgs,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Report> {
    let spec = read_spec(&args.spec)?;
    args.requirements.check(&spec)?;
    for path in [&args.client_key, &args.server_key] {
        if path.exists() && !args.force {
            bail!(
                "{} exists: a lost key cannot be replaced, --force overwrites it",
                path.display()
            );
        }
        output::check_place(path, &[&args.spec])?;
    }
    if output::is_same(&args.client_key, &args.server_key) {
        bail!("{} cannot hold both keys", args.client_key.display());
    }
    let passphrase = args.passphrase.for_new()?;
    let (keys, time) = timed(|| Client::generate(spec, &mut key_bars("drawing")));
    let (client, server) = keys.or_failed()?;
    let secret = passphrase.as_ref().map(|passphrase| passphrase.as_bytes());
    write(&args, &client, &server, secret).or_failed()?;
    let sizes = (file_size(&args.client_key), file_size(&args.server_key));
    let text = format!(
        "{:.1} s\n{}: secret{}, {}, keep it\n{}: {}, for the server\ncircuit: {}",
        time.as_secs_f64(),
        args.client_key.display(),
        if passphrase.is_some() {
            ", under the passphrase"
        } else {
            ""
        },
        bytes(sizes.0),
        args.server_key.display(),
        bytes(sizes.1),
        promise(client.spec()),
    );
    let json = json!({"client_key": args.client_key, "client_key_bytes": sizes.0, "passphrase": passphrase.is_some(), "server_key": args.server_key,
        "server_key_bytes": sizes.1, "binding": server.binding.to_string(), "promise": promise_json(client.spec()), "seconds": time.as_secs_f64()});
    Ok(Report::new(text, json))
}

/// Writes both keys or none: each beside its place first, so that a full disk is found before keys that are
/// there are replaced.
fn write(
    args: &Args,
    client: &Client,
    server: &Bound<ServerKeys>,
    passphrase: Option<&[u8]>,
) -> Result<(), ArtifactError> {
    let (server_path, client_path) = (&args.server_key, &args.client_key);
    let server_file = beside(server_path, |file| server.write(file))?;
    let client_file = beside(client_path, |file| match passphrase {
        Some(passphrase) => {
            let name = client_path.display().to_string();
            LockedClientKeys::seal(&name, client.key(), passphrase, &mut System::new())?.write(file)
        }
        None => client.key().write(file),
    })?;
    // The secret key comes last: if it is there, so is the other.
    put(server_file, server_path, args.force)?;
    let put = put(client_file, client_path, args.force);
    if put.is_err() && !args.force {
        // It was not there before, and is of no use alone.
        let _ = std::fs::remove_file(server_path);
    }
    put
}

/// Gives a file its name. Without `force` it takes no other file's place, also none that came while keys were drawn.
fn put(file: TempPath, path: &Path, force: bool) -> Result<(), ArtifactError> {
    let put = match force {
        true => file.persist(path),
        false => file.persist_noclobber(path),
    };
    put.map_err(|e| at(path, e.error))
}

/// Writes a file in the folder of `path`; it goes away unless it is put there.
fn beside(
    path: &Path,
    write: impl FnOnce(&Path) -> Result<(), ArtifactError>,
) -> Result<TempPath, ArtifactError> {
    let file = tempfile::Builder::new().prefix(".cml-").tempfile_in(folder(path));
    let file = file.map_err(|e| at(path, e))?.into_temp_path();
    match write(&file) {
        Ok(()) => Ok(file),
        // Errors are of the file that was asked for.
        Err(ArtifactError::File(FileError::Io { source, .. })) => Err(at(path, source)),
        Err(error) => Err(error),
    }
}

fn at(path: &Path, source: io::Error) -> ArtifactError {
    let path = path.to_owned();
    ArtifactError::File(FileError::Io { path, source })
}
