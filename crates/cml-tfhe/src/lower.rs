//! From a graph to a circuit: rows and lookups, their encodings, and the parameters.

use crate::circuit::{Body, Circuit};
use crate::cost::CostModel;
use crate::encode::encode;
use crate::optimizer::{DEFAULT_BUDGET_LOG2, SearchError, search_with};
use crate::program::{Program, Settings, optimize};
use cml_bitwidth::{BitwidthError, Widths};
use cml_ir::{Graph, Interval, IrError};

/// What the user decides about a circuit.
#[derive(Clone, Debug)]
pub struct Options {
    /// log2 of the failure probability of each lookup, at most.
    pub budget_log2: f64,
    /// Times on which the choice of parameters rests.
    pub cost: CostModel,
    /// Whether layers may become single lookups on combinations of inputs.
    pub fuse: bool,
}

/// Most values of a fused lookup; parameters rarely reach as far.
const MAX_FUSED: u64 = 1 << 12;

impl Default for Options {
    fn default() -> Self {
        Self {
            budget_log2: DEFAULT_BUDGET_LOG2,
            cost: CostModel::default(),
            fuse: true,
        }
    }
}

/// Why a graph cannot be lowered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LowerError {
    /// Widths of another graph.
    #[error(transparent)]
    Widths(#[from] BitwidthError),
    /// The graph cannot be hashed.
    #[error(transparent)]
    Ir(#[from] IrError),
    /// No parameters serve the widest lookup.
    #[error(
        "layer {layer}: its accumulator has {values} values ({bits} bits): {source}; \
         train with a smaller accumulator bound, fewer bits or fewer non-zero weights"
    )]
    TooWide {
        /// Layer of the widest lookup.
        layer: String,
        /// Size of its domain.
        values: u64,
        /// Its width in bits.
        bits: u32,
        /// The limit.
        source: SearchError,
    },
    /// Too many products for memory.
    #[error("layer {layer}: rows have more than {limit} terms in all")]
    TooLarge {
        /// Layer at which the limit was passed.
        layer: String,
        /// Limit.
        limit: usize,
    },
}

/// Lowers a graph whose widths were analysed.
///
/// Linear operations between two lookups are merged into one row of integer
/// weights for each element. All wires that occur in one row share an
/// encoding, whose domain is the widest row's; a narrower row is centred in
/// it. One parameter set serves the whole circuit.
///
/// # Errors
/// If the widths belong to another graph, or no parameters at 132-bit security
/// meet the failure budget.
pub fn lower(graph: &Graph, widths: &Widths, options: &Options) -> Result<Circuit, LowerError> {
    widths.check(graph)?;
    let choose = |body: &Body| {
        let lookups = body.levels.iter().map(|l| l.lookups.len()).sum::<usize>() as u64;
        let choice = search_with(&options.cost, &body.requirements(), lookups, options.budget_log2);
        choice.map(|c| {
            (
                lookups as f64 * options.cost.lookup(&c.parameters).total_ns(),
                c.parameters,
            )
        })
    };
    let settings = Settings {
        fuse_limit: if options.fuse { MAX_FUSED } else { 0 },
        cost: &|program| choose(&encode(program.clone(), graph)).map_or(f64::INFINITY, |(ns, _)| ns),
    };
    let (program, _) = optimize(Program::of(graph, widths)?, &settings);
    let body = encode(program, graph);
    let (_, parameters) = choose(&body).map_err(|source| too_wide(&body, source))?;
    Ok(Circuit {
        name: graph.name().to_owned(),
        graph_hash: cml_ir::graph_hash(graph)?,
        parameters,
        budget_log2: options.budget_log2,
        body,
    })
}

fn too_wide(body: &Body, source: SearchError) -> LowerError {
    let lookups = body.levels.iter().flat_map(|l| &l.lookups);
    let widest = lookups
        .map(|l| (body.encodings[l.row.encoding as usize].values, l.layer))
        .max();
    let (values, layer) = widest.unwrap_or((0, u32::MAX));
    let layer = body
        .layers
        .get(layer as usize)
        .map_or("output", String::as_str)
        .to_owned();
    LowerError::TooWide {
        layer,
        values,
        bits: Interval::new(0, values.max(1) as i64 - 1).domain_bits(),
        source,
    }
}
