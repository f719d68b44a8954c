//! `cargo xtask setup`: makes libtorch available, and says where it is.

use crate::{libtorch, tools};
use anyhow::Result;
use serde_json::json;
use std::process::ExitCode;

/// Find libtorch, or download it, and tell cargo where it is.
///
/// Takes the first of: the folder that LIBTORCH names; the PyTorch of python3; the per-user cache
/// ($CML_CACHE, else $XDG_CACHE_HOME/cml, else ~/.cache/cml), which it fills by pip with wheels of
/// pinned hashes (542 MB, Linux x86-64). Writes .cargo/libtorch.toml, so that plain
/// `cargo build -p cml-cli` works.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Hash the downloaded libraries instead of comparing their sizes.
    #[arg(long)]
    verify: bool,
    /// Print one JSON object on standard output.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let depth = if args.verify {
        libtorch::Depth::Hashes
    } else {
        libtorch::Depth::Sizes
    };
    let libtorch = libtorch::ensure_to(depth)?;
    if args.json {
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
