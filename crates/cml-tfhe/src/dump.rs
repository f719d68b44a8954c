//! Text form of circuits: one line for each layer of each level, stable.

use crate::circuit::{Circuit, Lookup};
use crate::noise::{Reader, Source};
use cml_ir::{Interval, short_hex};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt;

/// log2 of a probability below which the number says no more.
const NEVER: f64 = -1000.0;

impl fmt::Display for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "circuit {}  from graph #{}",
            self.name(),
            short_hex(self.graph_hash())
        )?;
        writeln!(f, "parameters {}", self.parameters())?;
        writeln!(
            f,
            "failure    budget 2^{:.0} a lookup, worst 2^{:.1}; an inference fails less than once in {}",
            self.budget_log2(),
            self.worst_log2_p_fail(),
            one_in(self.inference_log2_p_fail())
        )?;
        for input in self.inputs() {
            let encodings: BTreeSet<u32> = input.encodings.iter().copied().collect();
            writeln!(
                f,
                "input      {} {:?} codes {}  {}",
                input.name,
                input.shape,
                input.spec.range,
                self.domains(encodings)
            )?;
        }
        for (number, level) in self.levels().iter().enumerate() {
            let layers: BTreeSet<u32> = level.lookups.iter().map(|l| l.layer).collect();
            for layer in layers {
                let lookups: Vec<&Lookup> = level.lookups.iter().filter(|l| l.layer == layer).collect();
                writeln!(f, "level {:<4} {}", number + 1, self.layer_line(layer, &lookups))?;
            }
        }
        for output in self.outputs() {
            let nu2 = output.rows.iter().map(|r| r.nu2()).max().unwrap_or(0);
            let encodings = output.rows.iter().map(|r| r.encoding).collect();
            writeln!(
                f,
                "output     {} {:?} {} nu2<={nu2}",
                output.name,
                output.shape,
                self.domains(encodings)
            )?;
        }
        Ok(())
    }
}

impl Circuit {
    fn layer_line(&self, layer: u32, lookups: &[&Lookup]) -> String {
        let tables: BTreeSet<u32> = lookups.iter().map(|l| l.table).collect();
        let nu2 = lookups.iter().map(|l| l.row.nu2()).max().unwrap_or(0);
        let encodings = lookups.iter().map(|l| l.row.encoding).collect();
        let mut hash = Sha256::new();
        for lookup in lookups {
            hash.update(format!(
                "{:?} {:?}",
                lookup.row,
                self.tables()[lookup.table as usize]
            ));
        }
        format!(
            "{}: {} lookups {} nu2<={nu2} tables {} #{}",
            self.layers()[layer as usize],
            lookups.len(),
            self.domains(encodings),
            tables.len(),
            short_hex(&hash.finalize())
        )
    }

    fn domains(&self, encodings: BTreeSet<u32>) -> String {
        let sizes = encodings
            .iter()
            .map(|&e| Interval::point(self.encodings()[e as usize].values as i64));
        match Interval::hull_of(sizes) {
            Some(i) if i.lo == i.hi => format!("on {} values", i.lo),
            Some(i) => format!("on {} to {} values", i.lo, i.hi),
            None => String::new(),
        }
    }

    /// One line for each kind of row: domain size, noise growth, log2 of the
    /// failure probability.
    pub fn failure_lines(&self) -> Vec<String> {
        let line = |r: crate::noise::Requirement| {
            let reader = if r.reader == Reader::Lookup {
                "lookup"
            } else {
                "output"
            };
            let p = crate::noise::log2_p_fail(self.parameters(), &r);
            let p = if p < NEVER {
                format!("under 2^{NEVER}")
            } else {
                format!("2^{p:.1}")
            };
            let source = if r.source == Source::Fresh {
                "inputs"
            } else {
                "lookups"
            };
            format!("{reader} of {source} on {} values, nu2 {}: {p}", r.values, r.nu2)
        };
        self.requirements().into_iter().map(line).collect()
    }
}

/// The reciprocal of a probability, for people: `2^36 (6.9e10)`.
pub fn one_in(log2_p: f64) -> String {
    let odds = (-log2_p).exp2();
    if odds < 1e4 {
        format!("{odds:.0}")
    } else {
        format!("{odds:.1e}")
    }
}
