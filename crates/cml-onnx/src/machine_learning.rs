//! What the models of `ai.onnx.ml` have in common, its linear models, and what comes before them.

use crate::draft::{Weighted, WeightedKind, Work};
use crate::model::Node;
use crate::report::{NodeProblem, Translated};
use crate::translation::{Translation, live};
use crate::value::Value;
use cml_quant::{Layer, Normalize, Probabilities, Weights, name_fault};
use ndarray::{ArrayD, IxDyn};

/// What stands behind the scores, and is for the client.
#[derive(Debug, Default)]
pub(crate) struct End {
    /// Names of classes; none if they are numbers from 0, or no classes.
    pub(crate) labels: Vec<String>,
    pub(crate) probabilities: Probabilities,
    /// Whether the class of the largest score is an output, too.
    pub(crate) names_class: bool,
}

/// The classes of a model.
pub(crate) struct Classes {
    pub(crate) count: usize,
    /// None if they are numbers from 0.
    pub(crate) names: Vec<String>,
}

/// The classes of a node, by the name of its list of integers.
pub(crate) fn classes(node: &Node, integers: &str) -> Translated<Classes> {
    let numbers = node.ints(integers)?.unwrap_or_default();
    let names = node.texts("classlabels_strings")?.unwrap_or_default();
    let count = numbers.len().max(names.len());
    if count < 2 || (!numbers.is_empty() && !names.is_empty()) {
        let why = format!("{} numbers and {} names of classes", numbers.len(), names.len());
        return Err(NodeProblem::malformed(why));
    }
    if !names.is_empty() {
        if let Some(fault) = names.iter().find_map(|name| name_fault(name)) {
            return Err(NodeProblem::malformed(format!("the name of a class {fault}")));
        }
        return Ok(Classes { count, names });
    }
    let plain = numbers.iter().zip(0..).all(|(&n, i)| n == i);
    let names = numbers.iter().map(i64::to_string);
    Ok(Classes {
        count,
        names: if plain { Vec::new() } else { names.collect() },
    })
}

/// How the scores of a node become probabilities.
pub(crate) fn transform(node: &Node) -> Translated<Probabilities> {
    Ok(match node.text_or("post_transform", "NONE")?.as_str() {
        "NONE" => Probabilities::Unstated,
        "SOFTMAX" => Probabilities::Softmax,
        "LOGISTIC" => Probabilities::Logistic,
        other => {
            return Err(NodeProblem::new(
                format!("post_transform {other}"),
                "NONE, SOFTMAX or LOGISTIC",
            ));
        }
    })
}

/// Keeps what is for the client.
pub(crate) fn finish(t: &mut Translation, node: &Node, end: End) -> Translated<()> {
    if !t.is_last {
        return Err(NodeProblem::new(
            "its class or its scores go into further layers",
            "the model alone, whose scores are the outputs",
        ));
    }
    if let Some(name) = end.probabilities.name() {
        t.note(node, format!("{name} of the scores is left to the client"));
    }
    t.end = end;
    Ok(())
}

/// What is left to the client at the end: the value that it reads. What that says of classes and probabilities is kept.
pub(crate) fn at_end(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let mut depends = operands.iter().flatten().filter(|value| !value.is_constant());
    let value = depends.next().cloned();
    let value = value.ok_or_else(|| NodeProblem::malformed("operand 0 is missing"))?;
    let is_vector = matches!(value, Value::Live(x) if t.shape(x).len() == 1);
    match (node.op.as_str(), t.end.probabilities) {
        ("Softmax" | "LogSoftmax", Probabilities::Unstated) if is_vector => {
            t.end.probabilities = Probabilities::Softmax;
        }
        ("ArgMax", _) => t.end.names_class = true,
        // Of one model for each class: what the scores become by themselves is not what the model says.
        ("Normalizer", Probabilities::Logistic) => t.end.probabilities = Probabilities::Unstated,
        _ => {}
    }
    Ok(value)
}

/// A scaler of features: `(x - offset) * scale` in `f32`.
pub(crate) fn scaler(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let x = live(operands, 0)?;
    if !matches!(t.draft.layers[x].work, Work::Input) {
        return Err(NodeProblem::new(
            "a Scaler of another layer",
            "a Scaler of the input",
        ));
    }
    let count = t.shape(x).first().copied().unwrap_or(1);
    let list = |name, default| -> Translated<Vec<f32>> {
        let list = node.floats(name)?.unwrap_or_else(|| vec![default]);
        if [1, count].contains(&list.len()) && list.iter().all(|v| v.is_finite()) {
            return Ok(list);
        }
        let why = format!("{name} of {} finite numbers, needs 1 or {count}", list.len());
        Err(NodeProblem::malformed(why))
    };
    let (offset, factor) = (list("offset", 0.0)?, list("scale", 1.0)?);
    if let Some(bad) = factor.iter().find(|f| **f <= 0.0) {
        return Err(NodeProblem::new(format!("a scale of {bad}"), "scales above 0"));
    }
    let shape = t.shape(x).to_vec();
    let layer = Layer::Normalize(Normalize { offset, factor });
    Ok(Value::Live(t.push(node, Work::Plain(layer), &[x], shape)))
}

pub(crate) fn linear_classifier(
    t: &mut Translation,
    node: &Node,
    operands: &[Option<Value>],
) -> Translated<Value> {
    let labels = classes(node, "classlabels_ints")?;
    let (mut weights, mut bias, features) = rows(t, node, operands)?;
    if bias.len() == 1 && labels.count == 2 {
        // One score: the second class where it is above 0.
        weights = weights
            .iter()
            .map(|w| -w)
            .chain(weights.iter().copied())
            .collect();
        bias = vec![-bias[0], bias[0]];
    } else if bias.len() != labels.count {
        let why = format!("{} rows of coefficients for {} classes", bias.len(), labels.count);
        return Err(NodeProblem::malformed(why));
    }
    let end = End {
        labels: labels.names,
        probabilities: transform(node)?,
        names_class: true,
    };
    linear(t, node, operands, (weights, bias, features), end)
}

pub(crate) fn linear_regressor(
    t: &mut Translation,
    node: &Node,
    operands: &[Option<Value>],
) -> Translated<Value> {
    let rows = rows(t, node, operands)?;
    let end = End {
        labels: Vec::new(),
        probabilities: transform(node)?,
        names_class: false,
    };
    linear(t, node, operands, rows, end)
}

/// Coefficients row by row, an intercept for each row, and the number of features.
type Rows = (Vec<f32>, Vec<f32>, usize);

fn rows(t: &Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Rows> {
    let &[features] = t.shape(live(operands, 0)?) else {
        let why = format!("a value of shape {:?}", t.shape(live(operands, 0)?));
        return Err(NodeProblem::new(why, "an input of shape [N, features]"));
    };
    let weights = node.floats("coefficients")?.unwrap_or_default();
    let count = weights.len() / features.max(1);
    let bias = node.floats("intercepts")?.filter(|list| !list.is_empty());
    let bias = bias.unwrap_or_else(|| vec![0.0; count]);
    if weights.is_empty() || weights.len() != count * features || bias.len() != count {
        let (has, rows) = (weights.len(), bias.len());
        let why = format!("{has} coefficients and {rows} intercepts for {features} features");
        return Err(NodeProblem::malformed(why));
    }
    match weights.iter().chain(&bias).find(|v| !v.is_finite()) {
        None => Ok((weights, bias, features)),
        Some(bad) => Err(NodeProblem::malformed(format!(
            "a coefficient or an intercept is {bad}"
        ))),
    }
}

fn linear(
    t: &mut Translation,
    node: &Node,
    operands: &[Option<Value>],
    (weights, bias, features): Rows,
    end: End,
) -> Translated<Value> {
    let x = live(operands, 0)?;
    let count = bias.len();
    let weights = ArrayD::from_shape_vec(IxDyn(&[count, features]), weights)
        .map_err(|e| NodeProblem::malformed(e.to_string()))?;
    let layer = Weighted {
        kind: WeightedKind::Dense,
        weights: Weights::Float(weights),
        bias: Some(bias),
    };
    let y = t.push(node, Work::Weighted(layer), &[x], vec![count]);
    finish(t, node, end)?;
    Ok(Value::Live(y))
}
