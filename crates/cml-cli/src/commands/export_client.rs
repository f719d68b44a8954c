//! `cml export-client`: the client's part of a circuit.

use crate::exit::OrFailed;
use crate::output;
use crate::show::{Report, bytes, file_size};
use cml_file::{Artifact, short_hex, to_hex};
use cml_tfhe::{Circuit, client_spec};
use serde_json::json;
use std::path::PathBuf;

/// Write what a client needs of a circuit: shapes, scales, encodings, parameters; no weights.
///
/// Keys, encryption and decryption need this file only; the circuit stays on the server.
/// Example: cml export-client net.cmlc -o net.cmls
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Circuit from `cml compile`.
    circuit: PathBuf,
    /// Client spec to write.
    #[arg(short, long, default_value = "net.cmls")]
    output: PathBuf,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Report> {
    output::check(&args.output, &[&args.circuit])?;
    let spec = client_spec(&Circuit::read(&args.circuit, ())?)?;
    spec.write(&args.output).or_failed()?;
    let size = file_size(&args.output);
    let text = format!(
        "{}: client spec of {}, circuit #{}, {}",
        args.output.display(),
        spec.name(),
        short_hex(spec.circuit()),
        bytes(size)
    );
    let json =
        json!({"output": args.output, "bytes": size, "name": spec.name(), "circuit": to_hex(spec.circuit())});
    Ok(Report::new(text, json))
}
