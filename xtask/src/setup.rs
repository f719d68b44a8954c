//! `cargo xtask setup`: makes libtorch available, and says where it is.

use crate::{args, libtorch, tools};
use anyhow::Result;
use serde_json::json;
use std::process::ExitCode;

/// Help text.
pub(crate) const HELP: &str = "\
find libtorch, or download it, and tell cargo where it is
usage: cargo xtask setup [--verify] [--json]

  --verify  hash the downloaded libraries instead of comparing their sizes
  --json    print one JSON object on standard output

Takes the first of: the folder that LIBTORCH names; the PyTorch of python3; the
per-user cache ($CML_CACHE, else $XDG_CACHE_HOME/cml, else ~/.cache/cml), which
it fills by pip with wheels of pinned hashes (542 MB, Linux x86-64). Writes
.cargo/libtorch.toml, so that plain `cargo build -p cml-cli` works.
";

/// Runs the command.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let args = args::parse(args, &["--verify", "--json"], false)?;
    let depth = if args.has("--verify") {
        libtorch::Depth::Hashes
    } else {
        libtorch::Depth::Sizes
    };
    let libtorch = libtorch::ensure_to(depth)?;
    if args.has("--json") {
        let report = json!({
            "libtorch": libtorch.folder,
            "version": libtorch::VERSION,
            "source": libtorch.source.name(),
            "config": crate::record::FILE,
            "config_changed": libtorch.recorded,
        });
        println!("{report}");
    } else {
        let root = tools::root()?;
        eprintln!(
            "libtorch {} ({}): {}",
            libtorch::VERSION,
            libtorch.source.name(),
            libtorch.folder.display()
        );
        let state = if libtorch.recorded { "written" } else { "unchanged" };
        eprintln!("{} {state}", root.join(crate::record::FILE).display());
    }
    Ok(ExitCode::SUCCESS)
}
