//! `cml run`: the server's part.

use crate::exit::OrFailed;
use crate::output;
use crate::progress::{bar, key_bars};
use crate::show::{Report, bytes, file_size, timed};
use cml_exec::Server;
use cml_file::Artifact;
use cml_scheme::artifact::EncryptedInputs;
use cml_scheme::{Bound, ServerKeys};
use cml_tfhe::Circuit;
use serde_json::json;
use std::path::PathBuf;

/// Run a circuit on encrypted samples. Needs no secret key and sees no data.
///
/// Example: cml run net.cmlc --key server.key in.ct -o out.ct
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Circuit from `cml compile`.
    circuit: PathBuf,
    /// Ciphertexts from `cml encrypt`.
    input: PathBuf,
    /// Evaluation keys from `cml keygen`.
    #[arg(long, default_value = "server.key")]
    key: PathBuf,
    /// Ciphertexts to write.
    #[arg(short, long, default_value = "out.ct")]
    output: PathBuf,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Report> {
    output::check(&args.output, &[&args.circuit, &args.input, &args.key])?;
    let circuit = Circuit::read(&args.circuit, ())?;
    let inputs = EncryptedInputs::read(&args.input, &circuit)?;
    let key = Bound::<ServerKeys>::read(&args.key, &circuit)?;
    let (server, expanding) = timed(|| Server::new(&circuit, &key, &mut key_bars("expanding")));
    let server = server?;
    drop(key);
    let lookups = circuit.rotation_count() * inputs.value.len();
    let progress = bar(lookups as u64, "bootstraps");
    let (outputs, running) = timed(|| server.run(&inputs, &mut |n| progress.inc(n as u64)));
    progress.finish_and_clear();
    outputs?.write(&args.output).or_failed()?;
    let (samples, size) = (inputs.value.len(), file_size(&args.output));
    let text = format!(
        "{samples} samples, {lookups} bootstraps in {:.1} s ({:.2} s a sample), keys expanded in {:.1} s\n{} in {}",
        running.as_secs_f64(),
        running.as_secs_f64() / samples as f64,
        expanding.as_secs_f64(),
        bytes(size),
        args.output.display()
    );
    let json = json!({"samples": samples, "bootstraps": lookups, "output": args.output, "bytes": size,
        "expand_seconds": expanding.as_secs_f64(), "seconds": running.as_secs_f64()});
    Ok(Report::new(text, json))
}
