//! From a graph to a circuit: rows and lookups, their encodings, and the parameters.

use crate::amortize::amortize;
use crate::circuit::{Body, Circuit, Demand, Lookup, Tables, WIRE_BYTES};
use crate::encode::{Layout, Share, encode};
use crate::noise::{Reader, Requirement};
use crate::optimizer::{Choice, Goal, Later, SearchError, search, search_pair};
use crate::program::{PassReport, Program, Settings, optimize};
use crate::table;
use crate::validate::MOST_SAMPLES_AT_ONCE;
use cml_bitwidth::{BitwidthError, Widths};
use cml_ir::{Graph, Interval, IrError};
use cml_scheme::{ArtifactError, LARGEST_HALF_PERIOD, LweKey, ParameterSets, plain_text};
use std::collections::BTreeMap;

/// What the user decides about a circuit.
#[derive(Clone, Debug)]
pub struct Options {
    /// What parameters are chosen for.
    pub goal: Goal,
    /// Layers (lookups of the graph) that may be off by one level of their table, each with
    /// the most slack: see [`crate::noise::Requirement::slack`]. Outputs, by name, that may
    /// be off by so many units, up to a 32nd of their range. None by default.
    pub approximate: BTreeMap<String, u64>,
    /// Share of its half period that an approximate layer may have as slack where that is more than its narrowest
    /// plateau, at least [`SLACK_SHARE`](table::SLACK_SHARE). Its results may then be off by several levels. None by default.
    pub slack_share: Option<u64>,
    /// Whether layers may become single lookups on combinations of inputs.
    pub fuse: bool,
}

/// Share of an output's range that its slack may be, at most.
const OUTPUT_SHARE: u64 = 32;
/// Most values of a fused lookup; parameters rarely reach as far.
const MAX_FUSED: u64 = 1 << 12;

/// Most steps between the values of the widest row: beyond, little is gained on the rows that scale.
const MOST_STRETCH: u64 = 4;

impl Default for Options {
    fn default() -> Self {
        Self {
            goal: Goal::default(),
            approximate: BTreeMap::new(),
            slack_share: None,
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
    /// A circuit that is larger than its file format allows.
    #[error(transparent)]
    Size(#[from] ArtifactError),
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
    /// An output of more values than the torus keeps apart.
    #[error("output {output}: {values} values, limit {limit}")]
    Output {
        /// Its name.
        output: String,
        /// Values that an element may take.
        values: u64,
        /// The limit.
        limit: u64,
    },
    /// Parameters were asked for that do not exist.
    #[error(transparent)]
    Search(SearchError),
    /// A pass left a program that breaks a rule: a fault of the compiler.
    #[error("pass {pass}: {why}; this is a fault of the compiler, please report it")]
    Pass {
        /// Its name; `of rows` for what makes rows of the graph.
        pass: &'static str,
        /// Which rule, and where.
        why: String,
    },
    /// Approximate circuits exist, and all of them lose too much.
    #[error("every approximate circuit that was found loses at least {least:.2}, the limit is {max_loss}")]
    Loss {
        /// The least loss that was measured.
        least: f64,
        /// The limit.
        max_loss: f64,
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
/// encoding, whose half period is the largest that a row needs. Lookups of one
/// accumulator share a blind rotation, unless the cost model finds that the
/// noise of sharing costs more. One parameter set serves the whole circuit, with
/// as many polynomials for each table as its level needs; or two of one ring, the second from some level on, where
/// they save a good part of the time ([`Goal::second_set_below`]).
///
/// Control characters in names and labels are replaced, and what is longer than 1024 bytes is cut.
///
/// # Errors
/// If the widths belong to another graph, or no parameters at 132-bit security
/// meet the failure budget.
pub fn lower(graph: &Graph, widths: &Widths, options: &Options) -> Result<Circuit, LowerError> {
    lower_reported(graph, widths, options).map(|(circuit, _)| circuit)
}

/// [`lower`], with what each pass on the program did.
///
/// # Errors
/// As [`lower`].
pub fn lower_reported(
    graph: &Graph,
    widths: &Widths,
    options: &Options,
) -> Result<(Circuit, Vec<PassReport>), LowerError> {
    widths.check(graph)?;
    let program = Program::of(graph, widths)?;
    let layers = program.layers.clone();
    let exact = |layer: u32| {
        let slack = options.approximate.get(&layers[layer as usize]);
        slack.is_none_or(|&slack| slack == 0)
    };
    let settings = Settings {
        exact: &exact,
        fuse_limit: if options.fuse { MAX_FUSED } else { 0 },
        cost: &|program| {
            encode_best(program, graph, options).map_or(f64::INFINITY, |(_, choice)| choice.total_ns)
        },
    };
    let (program, reports) = optimize(program, &settings)?;
    for output in &program.outputs {
        let values = output.rows.iter().map(|(_, range)| range.count()).max();
        let (values, limit) = (values.unwrap_or(0), LARGEST_HALF_PERIOD);
        if values > limit {
            let output = graph.node(output.node).name.clone();
            return Err(LowerError::Output {
                output,
                values,
                limit,
            });
        }
    }
    let bodies = bodies(&program, graph, options);
    let options = &fitting(&bodies, options);
    let (body, parameters) = match choose_best(&bodies, options) {
        Ok((body, choice)) => {
            let several = options.goal.capabilities.sets > 1;
            let pair = several
                .then(|| split_levels(&body, &choice, &options.goal))
                .flatten();
            let best_ns = pair.as_ref().map_or(choice.total_ns, |pair| pair.0);
            match amortize(&bodies, &options.goal, best_ns) {
                Some(mix) => mix,
                None => pair.map_or((body, choice.parameters.into()), |(_, body, sets)| (body, sets)),
            }
        }
        // Amortized rotations alone may do what no single ones can.
        Err(error) => amortize(&bodies, &options.goal, f64::INFINITY).ok_or(error)?,
    };
    let mut circuit = Circuit {
        name: graph.name().to_owned(),
        graph_hash: cml_ir::graph_hash(graph)?,
        parameters,
        budget_log2: options.goal.budget_log2,
        samples_at_once: options.goal.samples_at_once,
        body,
        hash: [0; 32],
    };
    circuit.texts_mut().for_each(|text| *text = plain_text(text));
    Ok((circuit.seal()?, reports))
}

/// The layout that serves the goal best, with its parameters.
fn encode_best(program: &Program, graph: &Graph, options: &Options) -> Result<(Body, Choice), LowerError> {
    choose_best(&bodies(program, graph, options), options)
}

/// With no more samples at once than whose wires fit into memory.
fn fitting(bodies: &[Body], options: &Options) -> Options {
    let mut options = options.clone();
    let wires = bodies.iter().map(Body::wires).max().unwrap_or(0) as u64;
    // Of the smallest ring that has amortized rotations.
    let bytes = wires.saturating_mul(8 * 2049).max(1);
    let most = (WIRE_BYTES / bytes).clamp(1, MOST_SAMPLES_AT_ONCE.into());
    options.goal.samples_at_once = options.goal.samples_at_once.clamp(1, most as u32);
    options
}

/// The program in every layout that is tried.
fn bodies(program: &Program, graph: &Graph, options: &Options) -> Vec<Body> {
    let slack: Vec<u64> = program
        .outputs
        .iter()
        .map(|output| {
            let most = options.approximate.get(&graph.node(output.node).name);
            let values = output.rows.iter().map(|(_, range)| range.count()).max();
            most.map_or(0, |&most| most.min(values.unwrap_or(0) / OUTPUT_SHARE))
        })
        .collect();
    let mut bodies: Vec<Body> = Vec::new();
    for stretch in 1..=MOST_STRETCH {
        for share in [Share::OfOneEncoding, Share::Nothing, Share::Everything] {
            if share != Share::Nothing && !options.goal.capabilities.shared_rotations {
                continue;
            }
            let mut body = encode(program, graph, Layout { share, stretch }, &slack);
            loosen(&mut body, options);
            if bodies.contains(&body) {
                continue;
            }
            if body.inputs_may_be_small() {
                bodies.push(Body {
                    input_key: LweKey::Small,
                    ..body.clone()
                });
            }
            bodies.push(body);
        }
    }
    bodies
}

/// The body that serves the goal best, with its parameters.
fn choose_best(bodies: &[Body], options: &Options) -> Result<(Body, Choice), LowerError> {
    let mut best: Option<(Body, Choice)> = None;
    let mut failed: Option<LowerError> = None;
    for body in bodies {
        let mut body = body.clone();
        match choose(&mut body, &options.goal) {
            Ok(choice) if best.as_ref().is_none_or(|b| options.goal.prefers(&choice, &b.1)) => {
                best = Some((body, choice));
            }
            Ok(_) => {}
            Err(source) => failed = failed.or_else(|| Some(too_wide(&body, source))),
        }
    }
    best.ok_or_else(|| failed.unwrap_or_else(|| unreachable!("a body was found or failed")))
}

/// Gives the rotations of approximate layers their slack: what keeps results within one plateau, or more if the options
/// say so.
fn loosen(body: &mut Body, options: &Options) {
    let share = options.slack_share.unwrap_or(u64::MAX);
    let Body {
        levels,
        layers,
        tables,
        encodings,
        ..
    } = body;
    for rotation in levels.iter_mut().flat_map(|l| &mut l.rotations) {
        let spacing = rotation.spacing(encodings);
        let slack = |lookup: &Lookup| {
            let most = options.approximate.get(&layers[lookup.layer as usize]);
            let allowed = || table::most_slack(&tables[lookup.table as usize], spacing, share);
            most.map_or(0, |&most| most.min(allowed()))
        };
        rotation.slack = rotation.lookups.iter().map(slack).min().unwrap_or(0);
    }
}

/// Chooses parameters, and the extension of every rotation.
fn choose(body: &mut Body, goal: &Goal) -> Result<Choice, SearchError> {
    let demands = body.demands(Tables::Any);
    let wishes: Vec<(Requirement, u64)> = demands
        .iter()
        .map(|d| (d.requirement, d.rotations.len() as u64))
        .collect();
    let choice = search(goal, &wishes)?;
    for (demand, &extension) in demands.iter().zip(&choice.extensions) {
        for &(level, index) in &demand.rotations {
            body.levels[level].rotations[index].extension = extension;
        }
    }
    body.output_word_bytes = fewest_bytes(&demands, &choice.parameters.into(), goal);
    Ok(choice)
}

/// The levels from some one on with a parameter set of their own, if that is worth a second key.
fn split_levels(body: &Body, choice: &Choice, goal: &Goal) -> Option<(f64, Body, ParameterSets)> {
    let mut best: Option<(f64, Body, ParameterSets)> = None;
    for split in 1..body.levels.len() {
        let mut body = body.clone();
        let mut reads = body.levels[split..].iter().flat_map(|l| &l.rotations);
        if reads.any(|r| body.reads_small(&r.row)) {
            continue;
        }
        body.levels[split..].iter_mut().for_each(|level| level.set = 1);
        let demands = body.demands(Tables::Any);
        let is_first = |d: &&Demand| d.set == 0 && !d.rotations.is_empty();
        let (first, later): (Vec<&Demand>, Vec<&Demand>) = demands.iter().partition(is_first);
        let wishes: Vec<(Requirement, u64)> = first
            .iter()
            .map(|d| (d.requirement, d.rotations.len() as u64))
            .collect();
        let wishes_later: Vec<Later> = later
            .iter()
            .map(|d| Later {
                requirement: d.requirement,
                count: d.rotations.len() as u64,
                from: (d.from.contains(&0), d.from.contains(&1)),
            })
            .collect();
        let limit = goal.second_set_below * choice.total_ns;
        let limit = best.as_ref().map_or(limit, |b| b.0.min(limit));
        let Some(pair) = search_pair(goal, &wishes, &wishes_later, limit) else {
            continue;
        };
        let (of_first, of_later) = &pair.extensions;
        let extensions = of_first.iter().chain(of_later);
        for (demand, &extension) in first.into_iter().chain(later).zip(extensions) {
            for &(level, index) in &demand.rotations {
                body.levels[level].rotations[index].extension = extension;
            }
        }
        let [first, second] = pair.sets;
        let sets = ParameterSets::new(vec![first, second], None);
        // Outputs may be read off another set than before.
        body.output_word_bytes = fewest_bytes(&demands, &sets, goal);
        best = Some((pair.total_ns, body, sets));
    }
    best
}

/// Bytes a word to which results can be rounded within the budget.
pub(crate) fn fewest_bytes(demands: &[Demand], sets: &ParameterSets, goal: &Goal) -> u32 {
    let enough = |&word_bytes: &u32| {
        let outputs = demands.iter().filter(|d| d.rotations.is_empty());
        let reader = Reader::Client { word_bytes };
        let mut rounded = outputs.map(|d| Demand {
            requirement: Requirement {
                reader,
                ..d.requirement
            },
            ..d.clone()
        });
        rounded.all(|d| d.log2_p_fail(sets) <= goal.budget_log2)
    };
    (1..8).find(enough).unwrap_or(8)
}

fn too_wide(body: &Body, source: SearchError) -> LowerError {
    if matches!(source, SearchError::KeySize { .. } | SearchError::Budget { .. }) {
        return LowerError::Search(source);
    }
    let rotations = body.levels.iter().flat_map(|l| &l.rotations);
    let widest = rotations
        .map(|r| {
            (
                body.tables[r.lookups[0].table as usize].len() as u64,
                r.lookups[0].layer,
            )
        })
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
