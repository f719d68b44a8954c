//! `cml encrypt`: clear samples to ciphertexts.

use crate::border::Border;
use crate::data::DataArgs;
use crate::exit::OrFailed;
use crate::output;
use crate::passphrase::PassphraseArgs;
use crate::requirements::RequirementArgs;
use crate::show::{Report, bytes, file_size, timed};
use crate::spec::{read_spec, spec_inputs};
use cml_file::Artifact;
use cml_keys::Client;
use serde_json::json;
use std::path::PathBuf;

/// Quantize and encrypt samples with the secret key.
///
/// Example: cml encrypt net.cmls --key client.key --data checkerboard --samples 5 -o in.ct
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Client spec from `cml export-client`, or circuit from `cml compile`.
    #[arg(value_name = "SPEC|CIRCUIT")]
    spec: PathBuf,
    /// Secret key from `cml keygen`.
    #[arg(long, default_value = "client.key")]
    key: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    requirements: RequirementArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Ciphertexts to write.
    #[arg(short, long, default_value = "in.ct")]
    output: PathBuf,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Report> {
    output::check(&args.output, &[&args.spec, &args.key, args.data.data.as_ref()])?;
    let spec = read_spec(&args.spec)?;
    args.requirements.check(&spec)?;
    let key = args.passphrase.read_key(&args.key, &spec)?;
    let samples = args.data.load_few(&Border::of_spec(&spec))?;
    let inputs = spec_inputs(&spec, &samples)?;
    samples.say(false);
    let client = Client::new(spec, key)?;
    let (encrypted, time) = timed(|| client.encrypt(&inputs));
    encrypted?.write(&args.output).or_failed()?;
    let size = file_size(&args.output);
    let text = format!(
        "{} encrypted, {} in {}",
        samples.count_text(),
        bytes(size),
        args.output.display()
    );
    let json = json!({"samples": samples.len(), "numbers": samples.numbers, "output": args.output, "bytes": size, "seconds": time.as_secs_f64()});
    let mut report = Report::new(text, json);
    let input = &client.spec().inputs()[0];
    samples.warn_of_clipped(&mut report, &input.shape, &input.spec);
    Ok(report)
}
