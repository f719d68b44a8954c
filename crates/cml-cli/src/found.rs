//! What an imported network is, and what it will probably cost: for `cml import --check`.

use crate::show::table;
use cml_bitwidth::{LayerWidth, Widths, analyze};
use cml_ir::{Graph, InputSpec, InputStep, NodeId, Op, OpKind, Tensor, optimize};
use cml_onnx::Origin;
use cml_quant::{Layer, Network};
use cml_tfhe::cost::CostModel;
use cml_tfhe::noise::{Reader, Requirement, Source};
use cml_tfhe::optimizer::{Goal, SearchError, search};
use cml_tfhe::{Options, lower};
use serde::Serialize;

/// What was found.
#[derive(Serialize)]
pub(crate) struct Found {
    origin: Origin,
    /// Nothing for a float network.
    quantized: Option<Quantized>,
}

#[derive(Serialize)]
struct Quantized {
    input: Input,
    layers: Vec<LayerFound>,
    /// Lookups of a sample, before what `cml compile` saves.
    lookups: usize,
    widest_bits: u32,
    /// Seconds of one thread, by the built-in cost model; nothing if no parameters were found.
    seconds: Option<f64>,
    /// Whether the network was compiled for that, and not just its lookups counted.
    compiled: bool,
    /// Why there is no exact circuit of single lookups.
    no_exact: Option<String>,
}

#[derive(Serialize)]
struct Input {
    lo: i64,
    hi: i64,
    steps: Vec<InputStep>,
}

/// What a lookup or the client reads.
#[derive(Serialize)]
struct LayerFound {
    layer: String,
    weight_bits: Option<u32>,
    values: u64,
    bits: u32,
    lookups: usize,
}

impl Found {
    /// Of an imported network.
    pub(crate) fn of(origin: &Origin, network: &Network) -> anyhow::Result<Self> {
        let quantized = if network.is_float() {
            None
        } else {
            let graph = optimize(&cml_quant::to_graph(network)?)?;
            Some(Quantized::of(network, &graph)?)
        };
        Ok(Self {
            origin: origin.clone(),
            quantized,
        })
    }

    /// For people: some lines.
    pub(crate) fn text(&self, file: &str) -> String {
        let head = origin_text(&self.origin);
        match &self.quantized {
            Some(quantized) => format!("{head}\n{}", quantized.text()),
            None => format!(
                "{head}\nnext: cml import {file} -o net.safetensors; cml quantize net.safetensors --bits 4 --calibrate DATA"
            ),
        }
    }
}

/// `QONNX, operator set 17, written by pytorch 2.15`.
pub(crate) fn origin_text(origin: &Origin) -> String {
    let by = origin.producer.as_ref().map(|p| format!(", written by {p}"));
    format!(
        "{}, operator set {}{}",
        origin.dialect,
        origin.opset,
        by.unwrap_or_default()
    )
}

impl Quantized {
    fn of(network: &Network, graph: &Graph) -> anyhow::Result<Self> {
        let widths = analyze(graph);
        let spec = network.input_spec()?;
        // Others take seconds to compile.
        const FEW: usize = 250;
        const NARROW: u32 = 11;
        let widest_bits = widest(&widths);
        let compiled = widths.lookups() <= FEW && widest_bits <= NARROW;
        let cost = if compiled {
            let circuit = lower(graph, &widths, &Options::default()).map_err(|e| e.to_string());
            circuit.map(|circuit| (circuit.predicted_ns(&CostModel::default()) / 1e9).max(0.0))
        } else {
            cost(graph, &widths).map_err(|e| e.to_string())
        };
        let (seconds, no_exact) = match cost {
            Ok(seconds) => (Some(seconds), None),
            Err(why) => (None, Some(why)),
        };
        let layers: Vec<LayerFound> = widths.carried().iter().map(|row| layer(network, row)).collect();
        Ok(Self {
            lookups: widths.lookups(),
            widest_bits,
            input: Input::of(&spec),
            layers,
            seconds,
            compiled,
            no_exact,
        })
    }

    fn text(&self) -> String {
        let bits = |bits: Option<u32>| bits.map_or(String::new(), |b| b.to_string());
        let row = |l: &LayerFound| {
            let lookups = if l.lookups == 0 {
                String::new()
            } else {
                l.lookups.to_string()
            };
            vec![
                l.layer.clone(),
                bits(l.weight_bits),
                l.values.to_string(),
                l.bits.to_string(),
                lookups,
            ]
        };
        let rows: Vec<Vec<String>> = self.layers.iter().map(row).collect();
        let header = ["layer", "weight bits", "accumulator values", "bits", "lookups"];
        let cost = match (&self.no_exact, self.seconds) {
            (None, Some(seconds)) => format!(
                "{} lookups, the widest of {} bits: about {seconds:.2} s a sample on one thread, exactly{}",
                self.lookups,
                self.widest_bits,
                if self.compiled {
                    ""
                } else {
                    ", before what cml compile saves"
                }
            ),
            (why, _) => format!(
                "{} lookups, the widest of {} bits, {} exact circuit: {}\nwhat helps: cml compile --max-accuracy-loss POINTS --calibrate DATA, \
                 fewer bits of weights and activations, or fewer inputs of the widest layer",
                self.lookups,
                self.widest_bits,
                if self.compiled { "no" } else { "probably no" },
                why.as_deref().unwrap_or_default()
            ),
        };
        format!("{}\n{}\n{cost}", self.input.text(), table(&header, &rows))
    }
}

/// Bits of the widest accumulator that is looked up; what the client decrypts can be wide at little cost.
fn widest(widths: &Widths) -> u32 {
    let rows = widths.carried().iter().filter(|row| row.lookups > 0);
    rows.map(|row| row.bits).max().unwrap_or(0)
}

impl Input {
    fn of(spec: &InputSpec) -> Self {
        Self {
            lo: spec.range.lo,
            hi: spec.range.hi,
            steps: spec.steps.clone(),
        }
    }

    fn text(&self) -> String {
        let steps: Vec<&str> = self.steps.iter().map(InputStep::name).collect();
        let before = if steps.is_empty() {
            String::new()
        } else {
            format!(", after {} by the client", steps.join(", "))
        };
        format!(
            "input of {} codes, {} to {}{before}",
            self.hi - self.lo + 1,
            self.lo,
            self.hi
        )
    }
}

fn layer(network: &Network, row: &LayerWidth) -> LayerFound {
    let of = network.layers().iter().find(|node| node.name == row.layer);
    let quantizer = of.and_then(|node| match &node.layer {
        Layer::Linear(linear) => linear.quantizer(),
        Layer::Conv2d(conv) => conv.quantizer(),
        Layer::Input
        | Layer::Normalize(_)
        | Layer::Quantize(_)
        | Layer::Pool(_)
        | Layer::Function(_)
        | Layer::Reshape(_)
        | Layer::Add
        | Layer::Sub
        | Layer::Transpose(_)
        | Layer::Slice(_)
        | Layer::Pad(_)
        | Layer::Mul
        | Layer::Gather(_)
        | Layer::Trees(_)
        | Layer::Concat(_) => None,
    });
    LayerFound {
        layer: row.layer.clone(),
        weight_bits: quantizer.map(|q| q.bits),
        values: row.values,
        bits: row.bits,
        lookups: row.lookups,
    }
}

/// Seconds of one thread for the lookups of a graph as it is.
fn cost(graph: &Graph, widths: &Widths) -> Result<f64, SearchError> {
    let norms = norms(graph);
    let wish = |row: &LayerWidth| {
        let requirement = Requirement {
            half_period: row.values.max(2),
            scale: 1,
            nu2: norms[row.node.index()],
            alike: 0,
            pairs: 0,
            source: Source::Lookup,
            reader: Reader::Lookup,
            slack: 0,
        };
        (requirement, row.lookups as u64)
    };
    let wishes: Vec<(Requirement, u64)> = widths
        .carried()
        .iter()
        .filter(|row| row.lookups > 0)
        .map(wish)
        .collect();
    if wishes.is_empty() {
        return Ok(0.0);
    }
    Ok(search(&Goal::default(), &wishes)?.total_ns / 1e9)
}

/// Sum of squared weights of the values that a lookup made, at most, by node.
fn norms(graph: &Graph) -> Vec<u64> {
    let mut norms: Vec<u64> = Vec::new();
    for (id, node) in graph.nodes() {
        let read: Vec<u64> = graph.operands(id).map(|o: NodeId| norms[o.index()]).collect();
        let most = read.iter().copied().max().unwrap_or(1);
        norms.push(match node.op.kind() {
            OpKind::Input(_) | OpKind::Lookup(_) => 1,
            OpKind::Output(_) => most,
            OpKind::Linear => match &node.op {
                Op::Dot(dot) => most.saturating_mul(largest_norm(&dot.weights)),
                Op::Conv2d(conv) => most.saturating_mul(largest_norm(&conv.weights)),
                Op::SumPool(pool) => most.saturating_mul((pool.kernel[0] * pool.kernel[1]) as u64),
                Op::Add | Op::Sub => read.iter().fold(0, |sum, &n| sum.saturating_add(n)),
                Op::Reshape { .. }
                | Op::Transpose { .. }
                | Op::Concat { .. }
                | Op::Slice { .. }
                | Op::Pad(_)
                | Op::Input { .. }
                | Op::Lut(_)
                | Op::Output(_) => most,
            },
        });
    }
    norms
}

fn largest_norm(weights: &Tensor) -> u64 {
    let norm = |row: &[i64]| {
        row.iter()
            .map(|w| w.unsigned_abs().saturating_pow(2))
            .fold(0, u64::saturating_add)
    };
    (0..weights.shape()[0])
        .map(|o| norm(weights.row(o)))
        .max()
        .unwrap_or(0)
        .max(1)
}
