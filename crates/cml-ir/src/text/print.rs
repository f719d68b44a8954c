//! From a graph to its text.

use crate::tensor::channels;
use crate::{Conv2d, Graph, InputSpec, InputStep, Lut, Op, OutputSpec, Steps, Tensor, Thresholds};
use std::fmt::{Display, Write};

/// The whole graph as text, which [`crate::graph_from_text`] reads back: the graph that is read is
/// equal to this one, but for what it knows of its training, and has its hash. That function describes the lines.
///
/// Weights and tables are written out. [`Graph`]'s `Display` is the short form.
///
/// ```
/// # use cml_ir::{GraphBuilder, InputSpec, Interval, OutputSpec, graph_from_text, graph_to_text};
/// let mut b = GraphBuilder::new("sum");
/// let x = b.input("x", vec![2], InputSpec::new(0.5, 0, Interval::new(-3, 3)))?;
/// let twice = b.add("twice", x, x)?;
/// b.output("y", twice, OutputSpec::identity())?;
/// let graph = b.finish()?;
///
/// let text = graph_to_text(&graph);
/// assert_eq!(
///     text,
///     "graph \"sum\"
/// %0 \"x\": i3[2] -3..3 = input [2] scale 0.5 range -3..3
/// %1 \"twice\": i4[2] -6..6 = add %0, %0
/// %2 \"y\": i4[2] -6..6 = output %1 scale 1.0
/// "
/// );
/// assert_eq!(graph_from_text(&text)?, graph);
/// # Ok::<(), cml_ir::IrError>(())
/// ```
pub fn graph_to_text(graph: &Graph) -> String {
    let mut text = format!("graph {:?}\n", graph.name());
    for (id, node) in graph.nodes() {
        // Writing to a String cannot fail.
        let _ = write!(text, "%{} {:?}: {} = ", id.index(), node.name, node.ty);
        text += node.op.mnemonic();
        let operands: Vec<String> = graph.operands(id).map(|o| format!(" %{}", o.index())).collect();
        text += &operands.join(",");
        text += &fields(&node.op);
        text.push('\n');
    }
    text
}

fn fields(op: &Op) -> String {
    match op {
        Op::Input { shape, spec } => format!(" {}{}", list(shape), input(spec)),
        Op::Dot(d) => weights(&d.weights, &d.bias),
        Op::Conv2d(c) => conv2d(c),
        Op::SumPool(p) => format!(" kernel {} stride {}", list(&p.kernel), list(&p.stride)),
        Op::Add | Op::Sub => String::new(),
        Op::Lut(l) => tables(l),
        Op::Reshape { shape } => format!(" {}", list(shape)),
        Op::Transpose { perm } => format!(" {}", list(perm)),
        Op::Concat { axis } => format!(" axis {axis}"),
        Op::Slice { axis, start, end } => format!(" axis {axis} {start}..{end}"),
        Op::Pad(p) => format!(
            " before {} after {} with {}",
            list(&p.before),
            list(&p.after),
            p.value
        ),
        Op::Output(spec) => output(spec),
    }
}

fn input(spec: &InputSpec) -> String {
    let (offset, zero) = (offset(&spec.offset), unless(0, "zero", spec.zero_point));
    let columns = if spec.columns.is_empty() {
        String::new()
    } else {
        format!(" columns {:?}", spec.columns)
    };
    if let Some(thresholds) = &spec.thresholds {
        return thresholds_of(thresholds) + &columns;
    }
    format!(
        " scale {}{offset}{zero} range {}{columns}{}",
        floats(&spec.scale),
        spec.range,
        steps(&spec.steps)
    )
}

fn steps(steps: &[InputStep]) -> String {
    let step = |step: &InputStep| match step.list() {
        None => step.name().to_owned(),
        Some(list) => format!("{} {}", step.name(), floats(list)),
    };
    match steps {
        [] => String::new(),
        _ => format!(
            " steps [{}]",
            steps.iter().map(step).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// Features that are compared, and with what; then bits of missing values, where there may be some.
fn thresholds_of(thresholds: &Thresholds) -> String {
    let features: Vec<u32> = thresholds.list.iter().map(|t| t.feature).collect();
    let values: Vec<String> = thresholds.list.iter().map(|t| format!("{:?}", t.value)).collect();
    let missing: Vec<u8> = thresholds.list.iter().map(|t| t.of_missing.into()).collect();
    let missing = if thresholds.takes_missing {
        format!(" missing {}", list(&missing))
    } else {
        String::new()
    };
    let (count, features, values) = (thresholds.features, list(&features), values.join(","));
    format!(" features {count} compare {features} with [{values}]{missing}")
}

fn output(spec: &OutputSpec) -> String {
    let (offset, zero) = (offset(&spec.offset), unless(0, "zero", spec.zero_point));
    let labels = if spec.labels.is_empty() {
        String::new()
    } else {
        format!(" labels {:?}", spec.labels)
    };
    let name = spec.probabilities.name();
    let probabilities = name.map_or_else(String::new, |name| format!(" probabilities {name}"));
    let words = match spec.words {
        1 => String::new(),
        words => format!(" words {words} radix {}", spec.radix),
    };
    format!(
        " scale {}{offset}{zero}{labels}{probabilities}{words}",
        floats(&spec.scale)
    )
}

fn conv2d(c: &Conv2d) -> String {
    let mut text = weights(&c.weights, &c.bias);
    if c.stride != [1; 2] {
        text += &format!(" stride {}", list(&c.stride));
    }
    if c.padding != [0; 4] {
        text += &format!(" pad {}", list(&c.padding));
    }
    text + &unless(0, "with", c.pad_value) + &unless(1, "groups", c.groups)
}

/// Rows (of one output channel) have a space between them, their elements none.
fn weights(weights: &Tensor, bias: &[i64]) -> String {
    let rows = (0..channels(weights.shape())).map(|o| comma_separated(weights.row(o)));
    let rows: Vec<String> = rows.collect();
    let mut text = format!(" weights {} [{}]", list(weights.shape()), rows.join(", "));
    if bias.iter().any(|&b| b != 0) {
        text += &format!(" bias {}", list(bias));
    }
    text
}

fn tables(lut: &Lut) -> String {
    let table = |steps: &Steps| {
        let mut text = format!(" {{{}", steps.first());
        for (at, value) in steps.breaks() {
            // Writing to a String cannot fail.
            let _ = write!(text, ", {at}:{value}");
        }
        text + "}"
    };
    lut.channels().iter().map(table).collect()
}

fn unless<T: PartialEq + Display>(default: T, name: &str, value: T) -> String {
    if value == default {
        String::new()
    } else {
        format!(" {name} {value}")
    }
}

fn offset(offsets: &[f32]) -> String {
    match offsets {
        // By bits: there is a zero with a sign.
        [one] if one.to_bits() == 0 => String::new(),
        _ => format!(" offset {}", floats(offsets)),
    }
}

/// The shortest digits that stand for the same float.
fn floats(v: &[f32]) -> String {
    match v {
        [one] => format!("{one:?}"),
        _ => {
            let v: Vec<String> = v.iter().map(|x| format!("{x:?}")).collect();
            format!("[{}]", v.join(","))
        }
    }
}

fn list<T: Display>(v: &[T]) -> String {
    format!("[{}]", comma_separated(v))
}

fn comma_separated<T: Display>(v: &[T]) -> String {
    let v: Vec<String> = v.iter().map(T::to_string).collect();
    v.join(",")
}
