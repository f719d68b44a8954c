//! From a network to an integer graph.

use crate::{ActQuantizer, Dequantizer, Layer, LayerNode, Linear, Network, QuantError};
use cml_ir::{Graph, GraphBuilder, Interval, Lut, NodeId, OutputSpec, Steps, Tensor};

/// Largest integer up to which `f32` holds every integer.
const EXACT: u64 = 1 << 24;

/// An integer node and the float that it stands for; `None` for the raw input.
type Value = Option<(NodeId, Dequantizer)>;

/// Translates a network: linear layers keep their integer weights, and
/// everything else between two of them (scale, bias, functions, quantizer)
/// becomes a lookup table, sampled on the whole interval that the accumulator
/// can reach.
///
/// # Errors
/// If a linear layer reads a value that is not plain codes (no quantizer, or a
/// bias, a function or several scales since), a function reads the input, the input
/// has no or several quantizers, the output ends with a function, or an
/// accumulator is too wide for exact `f32` arithmetic.
pub fn to_graph(network: &Network) -> Result<Graph, QuantError> {
    let output = network.output()?;
    let readers: Vec<&LayerNode> = network
        .layers()
        .iter()
        .filter(|n| n.operands.contains(&network.input()))
        .collect();
    if readers.len() != 1 {
        return Err(QuantError::InputReaders(readers.len()));
    }
    let mut builder = GraphBuilder::new(network.name());
    let mut values: Vec<Value> = Vec::with_capacity(network.layers().len());
    for node in network.layers() {
        let operand = node.operands.first().and_then(|o| values[o.index()].clone());
        let value = match (&node.layer, operand) {
            (Layer::Input, _) => None,
            (Layer::Quantize(q), None) => {
                let input = &network.layers()[0];
                let x = builder.input(&input.name, input.shape.clone(), q.input_spec())?;
                Some((x, quantized(q)))
            }
            (Layer::Quantize(q), Some((x, meaning))) => {
                let lut = table(&builder, node, x, &meaning, q)?;
                Some((builder.lut(&node.name, x, lut)?, quantized(q)))
            }
            (Layer::Linear(linear), Some((x, meaning))) => {
                let Some((zero_point, meaning)) = linear_meaning(&meaning, linear) else {
                    return Err(network.not_quantized(node));
                };
                let codes = linear.codes();
                let bias = codes.rows().into_iter().map(|r| -zero_point * r.sum()).collect();
                let weights = Tensor::new(codes.shape().to_vec(), codes.iter().copied().collect())?;
                Some((builder.dot(&node.name, x, weights, bias)?, meaning))
            }
            (Layer::Function(f), Some((x, mut meaning))) => {
                meaning.functions.push(*f);
                Some((x, meaning))
            }
            (Layer::Linear(_) | Layer::Function(_), None) => return Err(network.not_quantized(node)),
        };
        values.push(value);
    }
    let last = network.layer(output);
    let Some((y, meaning)) = values[output.index()].clone() else {
        return Err(network.not_quantized(last));
    };
    if let Some(function) = meaning.functions.first() {
        return Err(QuantError::OutputFunction {
            layer: last.name.clone(),
            function: function.name().to_owned(),
        });
    }
    let spec = output_spec(&meaning, network.labels());
    builder.output(&output_name(network), y, spec)?;
    Ok(builder.finish()?)
}

/// What the accumulators of a dense layer stand for, and the zero point of
/// its inputs; `None` if the layer reads something other than plain codes.
pub(crate) fn linear_meaning(input: &Dequantizer, linear: &Linear) -> Option<(i64, Dequantizer)> {
    let [scale] = input.scale[..] else { return None };
    if input.bias.is_some() || !input.functions.is_empty() {
        return None;
    }
    let meaning = Dequantizer {
        zero_point: 0,
        scale: linear.quantizer().scale.iter().map(|w| scale * w).collect(),
        bias: linear.bias().map(<[f32]>::to_vec),
        functions: Vec::new(),
    };
    Some((input.zero_point, meaning))
}

fn quantized(q: &ActQuantizer) -> Dequantizer {
    Dequantizer {
        zero_point: q.zero_point,
        scale: vec![q.scale],
        bias: None,
        functions: Vec::new(),
    }
}

fn output_spec(meaning: &Dequantizer, labels: &[String]) -> OutputSpec {
    OutputSpec {
        zero_point: meaning.zero_point,
        scale: meaning.scale.clone(),
        offset: meaning.bias.clone().unwrap_or_else(|| vec![0.0]),
        labels: labels.to_vec(),
    }
}

/// `y`, or the first of `y_`, `y__`, ... that no layer has.
fn output_name(network: &Network) -> String {
    let mut name = "y".to_owned();
    while network.layers().iter().any(|l| l.name == name) {
        name.push('_');
    }
    name
}

/// The table from accumulator to code: one for each channel, or one for all.
fn table(
    builder: &GraphBuilder,
    node: &LayerNode,
    x: NodeId,
    meaning: &Dequantizer,
    q: &ActQuantizer,
) -> Result<Lut, QuantError> {
    let intervals = builder.intervals(x);
    let ty = builder.ty(x);
    if ty.range.magnitude() > EXACT {
        return Err(QuantError::TooWide {
            layer: node.name.clone(),
            has: ty.range.magnitude(),
            limit: EXACT,
        });
    }
    let sample = |c: usize, on: Interval| Steps::from_fn(on, |acc| q.quantize(meaning.eval(c, acc)));
    if meaning.is_per_tensor() {
        return Ok(Lut::per_tensor(sample(0, ty.range)));
    }
    let channels = ty.shape.first().copied().unwrap_or(1);
    let width = (intervals.len() / channels.max(1)).max(1);
    let channel = |c: usize| {
        let hull = Interval::hull_of(intervals[c * width..(c + 1) * width].iter().copied());
        sample(c, hull.unwrap_or(ty.range))
    };
    Ok(Lut::per_channel((0..channels).map(channel).collect())?)
}
