//! Cross-crate tests: one network through every stage, and every artifact
//! between them.
//!
//! | module | claim |
//! |---|---|
//! | `differential` | interpreter == optimized interpreter == simulated circuit |
//! | `encrypted` | decrypted == interpreter, through files |
//! | `backend` | another executor of levels gives the same ciphertexts |
//! | `golden` | files of the first frozen formats are read for ever |
//! | `artifacts` | a damaged, foreign or misplaced file is refused with its name and the reason |
//! | `approximate` | layers with slack are off by one level at most, plans add up |
//! | `lies` | a circuit file that contradicts itself is refused, whatever its checksum |
//! | `passphrase` | a locked key opens with its passphrase only |
//! | `specs` | a client spec holds what the client needs, and no lie gets through |
//! | `noise` | lookups fail as often as the noise model says |
//! | `wide` | accumulators wider than any lookup are exact |
//! | `snapshots` | graph, widths and circuit of small networks, as dumped |
//!
//! `networks` holds the hand-made networks, `random` the generator, `forge` open
//! copies of wire forms, `keys` the key pairs that tests share.

mod approximate;
mod artifacts;
mod backend;
mod differential;
mod encrypted;
mod forge;
mod golden;
mod keys;
mod lies;
mod networks;
mod noise;
mod passphrase;
mod random;
mod regressions;
mod snapshots;
mod specs;
mod wide;
