//! A server process, for as long as a test needs it.

use crate::world::World;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// `cml serve` on a free port of this machine; ends with the value.
pub(crate) struct Served {
    process: Child,
    /// Its address, as it says it.
    pub(crate) url: String,
}

impl Served {
    /// Starts `cml serve` with these arguments.
    pub(crate) fn start(world: &World, args: &str) -> Self {
        Self::listening(world, "127.0.0.1:0", args)
    }

    /// As [`Served::start`], at an address.
    pub(crate) fn listening(world: &World, address: &str, args: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_cml"))
            .current_dir(world.folder.path())
            .args(["serve", "--listen", address, "--log-level", "warn"])
            .args(args.split_whitespace())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = process.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        let url = line.trim().to_owned();
        assert!(url.starts_with("http"), "cml serve {args}: {line:?}");
        Self { process, url }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
