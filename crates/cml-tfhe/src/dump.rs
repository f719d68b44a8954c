//! Text form of circuits: one line for each layer of each level, stable.

use crate::circuit::{Circuit, Demand, Rotation};
use crate::noise::{KEY_SHARE_LOG2, Reader, Source};
use cml_file::short_hex;
use cml_ir::Interval;
use cml_scheme::one_in;
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
        for set in self.parameters().iter() {
            writeln!(f, "parameters {set}")?;
        }
        writeln!(
            f,
            "failure    budget 2^{:.0} a lookup, worst 2^{:.1}; an inference fails less than once in {}; \
             all but 2^{KEY_SHARE_LOG2} of keys",
            self.budget_log2(),
            self.worst_log2_p_fail(),
            one_in(self.inference_log2_p_fail())
        )?;
        if self.samples_at_once() > 1 {
            writeln!(f, "samples    {} at once", self.samples_at_once())?;
        }
        for input in self.inputs() {
            let encodings: BTreeSet<u32> = input.encodings.iter().copied().collect();
            writeln!(
                f,
                "input      {} {:?} codes {}  {}, under the {} key",
                input.name,
                input.shape,
                input.spec.range,
                self.domains(encodings),
                self.input_key()
            )?;
        }
        for (number, level) in self.levels().iter().enumerate() {
            let layers: BTreeSet<u32> = level.rotations.iter().map(|r| r.lookups[0].layer).collect();
            for layer in layers {
                let rotations = level.rotations.iter().filter(|r| r.lookups[0].layer == layer);
                write!(
                    f,
                    "level {:<4} {}",
                    number + 1,
                    self.layer_line(layer, &rotations.collect::<Vec<_>>())
                )?;
                if self.parameters().count() > 1 {
                    write!(f, ", parameters {}", level.set + 1)?;
                }
                if self.is_amortized(level) {
                    write!(f, ", amortized")?;
                }
                writeln!(f)?;
            }
        }
        for output in self.outputs() {
            let encodings = output.rows.iter().map(|r| r.encoding).collect();
            writeln!(
                f,
                "output     {} {:?} {}, {}, words of {} bytes",
                output.name,
                output.shape,
                self.domains(encodings),
                exactness(&output.slack.to_string()),
                self.output_word_bytes()
            )?;
        }
        Ok(())
    }
}

impl Circuit {
    fn layer_line(&self, layer: u32, rotations: &[&Rotation]) -> String {
        let lookups = || rotations.iter().flat_map(|r| &r.lookups);
        let tables: BTreeSet<u32> = lookups().map(|l| l.table).collect();
        let sizes = tables.iter().map(|&t| self.tables()[t as usize].len() as i64);
        let encodings = rotations.iter().map(|r| r.row.encoding).collect();
        let extensions = rotations.iter().map(|r| i64::from(r.extension));
        let scales = span(rotations.iter().map(|r| r.scale as i64));
        let scaled = if scales == "1" {
            String::new()
        } else {
            format!(" scaled by {scales}")
        };
        let slacks = rotations.iter().map(|r| r.slack as i64);
        let mut hash = Sha256::new();
        for rotation in rotations {
            hash.update(format!("{:?}", rotation.row));
            for lookup in &rotation.lookups {
                hash.update(format!("{:?}", self.tables()[lookup.table as usize]));
            }
        }
        format!(
            "{}: {} lookups of {} rotations, {} values{scaled} {}, table {} x {}, {} tables, {} #{}",
            self.layers()[layer as usize],
            lookups().count(),
            rotations.len(),
            span(sizes),
            self.domains(encodings),
            span(extensions),
            self.parameters().ring().polynomial_size,
            tables.len(),
            exactness(&span(slacks)),
            short_hex(&hash.finalize())
        )
    }

    fn domains(&self, encodings: BTreeSet<u32>) -> String {
        let periods = encodings
            .iter()
            .map(|&e| self.encodings()[e as usize].half_period as i64);
        format!("in half period {}", span(periods))
    }

    /// One line for each kind of row: half period, noise growth, log2 of the
    /// failure probability.
    pub fn failure_lines(&self) -> Vec<String> {
        let line = |demand: Demand| {
            let r = demand.requirement;
            let reader = if r.reader == Reader::Lookup {
                format!("{} rotations", demand.rotations.len())
            } else {
                "output".to_owned()
            };
            let p = self.log2_p_fail(&demand);
            let p = if p < NEVER {
                format!("under 2^{NEVER}")
            } else {
                format!("2^{p:.1}")
            };
            let source = match r.source {
                Source::Fresh => "inputs",
                Source::FreshSmall => "inputs under the small key",
                Source::Lookup => "lookups",
                Source::Both { .. } => "inputs and lookups",
            };
            let scaled = if r.scale > 1 {
                format!(" scaled by {}", r.scale)
            } else {
                String::new()
            };
            let alike = if r.pairs > 0 {
                format!(" and {} alike", r.alike)
            } else {
                String::new()
            };
            format!(
                "{reader} of {source}{scaled} in half period {}, nu2 {}{alike}: {p}",
                r.half_period, r.nu2
            )
        };
        self.demands().into_iter().map(line).collect()
    }
}

fn exactness(slack: &str) -> String {
    if slack == "0" {
        "exact".to_owned()
    } else {
        format!("slack {slack}")
    }
}

/// One number, or the least and the largest of several.
fn span(values: impl Iterator<Item = i64>) -> String {
    match Interval::hull_of(values.map(Interval::point)) {
        Some(i) if i.lo == i.hi => i.lo.to_string(),
        Some(i) => format!("{} to {}", i.lo, i.hi),
        None => "no".to_owned(),
    }
}
