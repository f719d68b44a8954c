//! `cml keygen`: the keys of a circuit.

use crate::exit::OrFailed;
use crate::passphrase::PassphraseArgs;
use crate::progress::key_bars;
use crate::show::{Report, bytes, file_size, timed};
use crate::spec::read_spec;
use anyhow::bail;
use cml_tfhe::{Client, artifact};
use serde_json::json;
use std::path::{Path, PathBuf};

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
}

pub(crate) fn run(args: Args) -> anyhow::Result<Report> {
    let spec = read_spec(&args.spec)?;
    for path in [&args.client_key, &args.server_key] {
        if path.exists() && !args.force {
            bail!(
                "{} exists: a lost secret key cannot be replaced, --force overwrites it",
                path.display()
            );
        }
        check_folder(path)?;
    }
    let passphrase = args.passphrase.for_new()?;
    let (keys, time) = timed(|| Client::generate(spec, &mut key_bars("drawing")));
    let (client, server) = keys.or_failed()?;
    // The secret key comes last: if it is there, so is the other.
    artifact::write_server_key(&args.server_key, &server).or_failed()?;
    match &passphrase {
        Some(passphrase) => {
            artifact::write_locked_client_key(&args.client_key, client.key(), passphrase.as_bytes())
        }
        None => artifact::write_client_key(&args.client_key, client.key()),
    }
    .or_failed()?;
    let sizes = (file_size(&args.client_key), file_size(&args.server_key));
    let text = format!(
        "{:.1} s\n{}: secret{}, {}, keep it\n{}: {}, for the server",
        time.as_secs_f64(),
        args.client_key.display(),
        if passphrase.is_some() {
            ", under the passphrase"
        } else {
            ""
        },
        bytes(sizes.0),
        args.server_key.display(),
        bytes(sizes.1)
    );
    let json = json!({"client_key": args.client_key, "client_key_bytes": sizes.0, "passphrase": passphrase.is_some(), "server_key": args.server_key,
        "server_key_bytes": sizes.1, "binding": server.binding.to_string(), "seconds": time.as_secs_f64()});
    Ok(Report::new(text, json))
}

/// Long work should not end with a folder that is not there.
pub(crate) fn check_folder(path: &Path) -> anyhow::Result<()> {
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if !folder.is_dir() {
        bail!("{}: folder {} does not exist", path.display(), folder.display());
    }
    Ok(())
}
