//! The table that people read, and its JSON.

use crate::{Basis, BitwidthError, LayerWidth, Observed, Widths};
use cml_ir::plain;
use serde::Serialize;
use std::fmt;

/// Widths by layer: proved, and observed beside it if given.
///
/// `Display` is a fixed-width table, one layer a line, stable for snapshots;
/// `Serialize` has the same figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Name of the graph.
    pub graph: String,
    /// Samples of the observed column, if there is one.
    pub samples: Option<u64>,
    /// Widest lookup domain, proved, in bits.
    pub bits: u32,
    /// Layer with that width.
    pub widest: String,
    /// Largest storage width of any encrypted value, proved, in bits.
    pub accumulator_size: u32,
    /// As `accumulator_size`, observed.
    pub observed_accumulator_size: Option<u32>,
    /// Bootstraps, proved.
    pub lookups: usize,
    /// Nodes that a lookup or an output reads, in graph order.
    pub layers: Vec<ReportRow>,
}

/// One layer of a [`Report`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReportRow {
    /// For every input that the graph admits.
    pub proved: LayerWidth,
    /// On samples.
    pub observed: Option<LayerWidth>,
}

impl Report {
    /// A report of proved widths, with observed ones beside them if given.
    ///
    /// # Errors
    /// If the observed ranges are of another graph.
    pub fn new(widths: &Widths, observed: Option<&Observed>) -> Result<Self, BitwidthError> {
        if let Some(o) = observed {
            o.table.check_same(&widths.table)?;
        }
        let row = |(i, proved): (usize, &LayerWidth)| ReportRow {
            proved: proved.clone(),
            observed: observed.map(|o| o.carried()[i].clone()),
        };
        let widest = widths.widest();
        Ok(Self {
            graph: widths.graph_name().to_owned(),
            samples: observed.map(Observed::samples),
            bits: widest.bits,
            widest: widest.layer.clone(),
            accumulator_size: widths.accumulator_size(),
            observed_accumulator_size: observed.map(Observed::accumulator_size),
            lookups: widths.lookups(),
            layers: widths.carried().iter().enumerate().map(row).collect(),
        })
    }
}

const LAYER: [&str; 7] = ["node", "layer", "op", "channels", "nonzero", "l1", "lookups"];
const WIDTH: [&str; 4] = ["range", "values", "bits", "storage"];
/// Columns that are words, set flush left; all others are numbers.
const WORDS: usize = 3;

fn layer_cells(row: &LayerWidth) -> Vec<String> {
    let or_dash = |v: Option<String>| v.unwrap_or_else(|| "-".to_owned());
    vec![
        format!("%{}", row.node.index()),
        row.layer.clone(),
        row.op.to_owned(),
        row.channels.to_string(),
        or_dash(row.nonzero_inputs.map(|n| n.to_string())),
        or_dash(row.l1.map(|n| n.to_string())),
        row.lookups.to_string(),
    ]
}

fn width_cells(row: &LayerWidth) -> Vec<String> {
    vec![
        row.range.to_string(),
        row.values.to_string(),
        row.bits.to_string(),
        row.storage_bits.to_string(),
    ]
}

/// Groups of columns as lines of equal length: heading over the group, names
/// of the columns, then rows.
fn block(heading: &str, names: &[&str], rows: &[Vec<String>], words: usize) -> Vec<String> {
    let header: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&header).chain(rows).collect();
    let size = |c: usize| lines.iter().map(|l| l[c].chars().count()).max().unwrap_or(0);
    let sizes: Vec<usize> = (0..names.len()).map(size).collect();
    let cell = |c: usize, text: &String| {
        let n = sizes[c];
        if c < words {
            format!("{text:n$}")
        } else {
            format!("{text:>n$}")
        }
    };
    let line = |l: &&Vec<String>| {
        let cells: Vec<String> = l.iter().enumerate().map(|(c, text)| cell(c, text)).collect();
        cells.join("  ")
    };
    let mut text: Vec<String> = lines.iter().map(line).collect();
    text.insert(0, heading.to_owned());
    let n = text.iter().map(|l| l.chars().count()).max().unwrap_or(0);
    text.iter().map(|l| format!("{l:n$}")).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proved = || self.layers.iter().map(|l| &l.proved);
        let mut blocks = vec![
            block("", &LAYER, &proved().map(layer_cells).collect::<Vec<_>>(), WORDS),
            block(
                &Basis::Proved.to_string(),
                &WIDTH,
                &proved().map(width_cells).collect::<Vec<_>>(),
                0,
            ),
        ];
        if let Some(samples) = self.samples {
            let observed = self.layers.iter().filter_map(|l| l.observed.as_ref());
            blocks.push(block(
                &Basis::Observed { samples }.to_string(),
                &WIDTH,
                &observed.map(width_cells).collect::<Vec<_>>(),
                0,
            ));
        }
        writeln!(f, "widths of {} (bits)", plain(&self.graph))?;
        for i in 0..self.layers.len() + 2 {
            let line: Vec<&str> = blocks.iter().map(|b| b[i].as_str()).collect();
            writeln!(f, "{}", line.join(" | ").trim_end())?;
        }
        writeln!(f, "widest: {}, {} bits, proved", self.widest, self.bits)?;
        write!(f, "accumulator size: {} bits, proved", self.accumulator_size)?;
        if let (Some(bits), Some(samples)) = (self.observed_accumulator_size, self.samples) {
            write!(f, "; {bits} bits, {}", Basis::Observed { samples })?;
        }
        writeln!(f, "\nlookups: {}", self.lookups)
    }
}
