//! Node by node from a [`Model`] to a [`Draft`], going on after every obstacle.

use crate::draft::{Affine, Draft, Id, Step, Work, shown};
use crate::model::{Model, Node};
use crate::report::{Note, Obstacle, Outcome, Problem, Report};
use crate::value::Value;
use crate::{constants, elementwise, functions, moves, pools, quantizers, weighted};
use cml_quant::Layer;
use std::collections::{BTreeMap, BTreeSet};

/// Oldest and newest operator set.
const OPSETS: std::ops::RangeInclusive<i64> = 9..=21;

/// Most elements of a value of the sample.
const MAX_LIVE: usize = 1 << 22;
/// Most elements of all constants that nodes compute.
const MAX_FOLDED: usize = 1 << 26;

/// What translating gives.
pub(crate) struct Translated {
    pub(crate) draft: Draft,
    /// `None` if an obstacle hides it.
    pub(crate) output: Option<Id>,
    pub(crate) report: Report,
}

/// The state of a translation.
pub(crate) struct Translation<'a> {
    pub(crate) model: &'a Model,
    pub(crate) draft: Draft,
    pub(crate) values: BTreeMap<String, Value>,
    report: Report,
    /// Elements of the constants computed so far.
    folded: usize,
    /// Names of values of which nothing but a softmax or the like is made before the output.
    final_values: BTreeSet<String>,
}

/// Translates every node.
pub(crate) fn translate(model: &Model) -> Translated {
    let mut values: BTreeMap<String, Value> = BTreeMap::new();
    for (name, tensor) in &model.constants {
        values.insert(name.clone(), Value::Constant(tensor.clone()));
    }
    let mut translation = Translation {
        model,
        draft: Draft { layers: Vec::new() },
        values,
        report: Report::default(),
        folded: 0,
        final_values: final_values(model),
    };
    translation.interface();
    for node in &model.nodes {
        translation.node(node);
    }
    let output = translation.output();
    Translated {
        draft: translation.draft,
        output,
        report: translation.report,
    }
}

/// Operators that may be left to the client at the end.
const LEFT_OUT: [&str; 5] = ["Softmax", "LogSoftmax", "ArgMax", "Identity", "Cast"];

/// Values from which only operators that may be left out lead to outputs.
fn final_values(model: &Model) -> BTreeSet<String> {
    let mut last: BTreeSet<String> = model.outputs.iter().cloned().collect();
    for node in model.nodes.iter().rev() {
        if !node.outputs.iter().all(|o| o.is_empty() || last.contains(o)) {
            for input in &node.inputs {
                last.remove(input);
            }
        } else if LEFT_OUT.contains(&node.op.as_str()) {
            let only_here = |name: &str| {
                model
                    .nodes
                    .iter()
                    .all(|n| n.name == node.name || !n.inputs.iter().any(|i| i == name))
            };
            if let Some(name) = node.input(0).filter(|n| only_here(n)) {
                last.insert(name.to_owned());
            }
        } else {
            for input in &node.inputs {
                last.remove(input);
            }
        }
    }
    last
}

impl Translation<'_> {
    fn refuse(&mut self, name: &str, operator: &str, shape: String, problem: Problem) {
        self.report.obstacles.push(Obstacle {
            node: name.to_owned(),
            operator: operator.to_owned(),
            shape,
            why: problem.why,
            instead: problem.instead,
        });
    }

    /// Says what was done with a node.
    pub(crate) fn note(&mut self, node: &Node, text: String) {
        self.report.notes.push(Note {
            node: node.name.clone(),
            text,
        });
    }

    /// The input of the network.
    fn interface(&mut self) {
        let model = self.model;
        if !OPSETS.contains(&model.opset) {
            let why = format!(
                "operator set {}, needs {} to {}",
                model.opset,
                OPSETS.start(),
                OPSETS.end()
            );
            let problem = Problem::new(why, "an export with opset_version=17");
            self.refuse("model", "opset", String::new(), problem);
        }
        let shape = match self.input_shape() {
            Ok(shape) => shape,
            Err(problem) => {
                let names: Vec<&str> = model.inputs.iter().map(|i| i.name.as_str()).collect();
                self.refuse(&names.join(", "), "input", String::new(), problem);
                for name in names {
                    self.values.insert(name.to_owned(), Value::Broken);
                }
                vec![1]
            }
        };
        let edge = model.inputs.first().map_or("x", |i| i.name.as_str());
        self.draft.push(Step {
            name: edge.to_owned(),
            operator: "input".to_owned(),
            edge: edge.to_owned(),
            work: Work::Input,
            operands: Vec::new(),
            shape,
        });
        self.values.entry(edge.to_owned()).or_insert(Value::Live(0));
    }

    fn input_shape(&self) -> Outcome<Vec<usize>> {
        let [input] = &self.model.inputs[..] else {
            return Err(Problem::new(
                format!("{} inputs, needs 1", self.model.inputs.len()),
                "one input tensor, joined outside the network",
            ));
        };
        let shape = input
            .shape
            .as_ref()
            .ok_or_else(|| Problem::new("an input of unknown shape", "an export with a fixed shape"))?;
        let known = |d: &Option<usize>| d.map_or("?".to_owned(), |d| d.to_string());
        let text = || shape.iter().map(known).collect::<Vec<_>>().join(", ");
        let Some((None | Some(1), sample)) = shape.split_first().filter(|(_, s)| !s.is_empty()) else {
            return Err(Problem::new(
                format!(
                    "input of shape [{}], needs a first axis (the batch) of 1 or symbolic",
                    text()
                ),
                "an export with one sample, shape [1, ..]",
            ));
        };
        let sample: Option<Vec<usize>> = sample.iter().copied().collect();
        let count = |s: &Vec<usize>| s.iter().fold(1usize, |n, &d| n.saturating_mul(d));
        sample
            .filter(|s| (1..=MAX_LIVE).contains(&count(s)))
            .ok_or_else(|| {
                Problem::new(
                    format!(
                        "input of shape [{}], needs known sizes of 1 to {MAX_LIVE} elements",
                        text()
                    ),
                    "an export in which only the batch axis is symbolic",
                )
            })
    }

    fn output(&mut self) -> Option<Id> {
        let mut found = BTreeSet::new();
        let mut broken = false;
        for name in &self.model.outputs {
            match self.values.get(name) {
                Some(Value::Live(id)) => drop(found.insert(*id)),
                Some(Value::Broken) => broken = true,
                other => {
                    let why = match other {
                        None => "an output that no node provides",
                        Some(Value::Integers(..)) => "an output of integers",
                        Some(_) => "an output that does not depend on the input",
                    };
                    let problem = Problem::new(why, "one output of floats");
                    self.report
                        .obstacles
                        .push(obstacle(name, "output", String::new(), problem));
                    broken = true;
                }
            }
        }
        match found.pop_first() {
            Some(output) if found.is_empty() && !broken => Some(output),
            None if broken => None,
            other => {
                if !broken {
                    let count = found.len() + usize::from(other.is_some());
                    let problem = Problem::new(
                        format!("{count} different outputs, needs 1"),
                        "an export with one output",
                    );
                    self.refuse("model", "output", String::new(), problem);
                }
                None
            }
        }
    }

    fn node(&mut self, node: &Node) {
        let result = self.operands(node).and_then(|operands| match operands {
            None => supported(node).map(|()| Vec::new()),
            Some(operands) => self.apply(node, &operands),
        });
        let results = result.unwrap_or_else(|problem| {
            let shape = self.read_shapes(node);
            self.refuse(&node.name, &node.op, shape, problem);
            Vec::new()
        });
        let mut results = results.into_iter();
        for name in node.outputs.iter().filter(|o| !o.is_empty()) {
            self.values
                .insert(name.clone(), results.next().unwrap_or(Value::Broken));
        }
    }

    /// Values that a node reads, `None` for those left out; nothing if one is broken.
    fn operands(&self, node: &Node) -> Outcome<Option<Vec<Option<Value>>>> {
        let mut operands = Vec::with_capacity(node.inputs.len());
        for name in &node.inputs {
            operands.push(match (name.as_str(), self.values.get(name)) {
                ("", _) => None,
                (_, Some(Value::Broken)) => return Ok(None),
                (_, Some(value)) => Some(value.clone()),
                (name, None) => {
                    return Err(Problem::malformed(format!(
                        "reads {name:?}, which no node, input or initializer provides"
                    )));
                }
            });
        }
        Ok(Some(operands))
    }

    fn read_shapes(&self, node: &Node) -> String {
        let shape = |name: &String| match self.values.get(name)? {
            Value::Live(id) | Value::Integers(id, _) => Some(shown(&self.draft.layers[*id].shape)),
            Value::Constant(_) | Value::Coded(_) | Value::Broken => None,
        };
        node.inputs
            .iter()
            .filter_map(shape)
            .collect::<Vec<_>>()
            .join(" and ")
    }

    fn apply(&mut self, node: &Node, operands: &[Option<Value>]) -> Outcome<Vec<Value>> {
        if self.final_values_of(node) && matches!(node.op.as_str(), "Softmax" | "LogSoftmax" | "ArgMax") {
            self.note(
                node,
                format!(
                    "{} at the end is left to the client: the outputs are what it reads",
                    node.op
                ),
            );
            return first(operands).map(|v| vec![v]);
        }
        supported(node)?;
        if node.op == "Constant" {
            return constants::literal(node).map(|t| vec![Value::Constant(t)]);
        }
        if quantizers::is_quantizer(node) {
            return quantizers::apply(self, node, operands).map(|v| vec![v]);
        }
        if let Some(folded) = constants::fold(self, node, operands)? {
            self.folded = self.folded.saturating_add(match &folded {
                Value::Constant(tensor) => tensor.len(),
                _ => 0,
            });
            if self.folded > MAX_FOLDED {
                return Err(Problem::new(
                    format!(
                        "computed constants of {} elements in all, limit {MAX_FOLDED}",
                        self.folded
                    ),
                    "an export with its constants folded",
                ));
            }
            return Ok(vec![folded]);
        }
        let value = match node.op.as_str() {
            "Gemm" | "MatMul" | "Conv" => weighted::apply(self, node, operands)?,
            "BatchNormalization" | "Add" | "Sub" | "Mul" | "Div" => elementwise::apply(self, node, operands)?,
            "AveragePool" | "MaxPool" | "GlobalAveragePool" | "GlobalMaxPool" | "ReduceMean"
            | "ReduceSum" => pools::apply(self, node, operands)?,
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" | "Transpose" | "Slice" | "Pad" | "Concat" => {
                moves::apply(self, node, operands)?
            }
            "Identity" | "Dropout" => first(operands)?,
            _ => functions::apply(self, node, operands)?,
        };
        if let Value::Live(id) = value {
            let count = self.shape(id).iter().fold(1usize, |n, &d| n.saturating_mul(d));
            if !(1..=MAX_LIVE).contains(&count) {
                let shape = self.shape(id);
                return Err(Problem::new(
                    format!("a result of shape {shape:?}, needs 1 to {MAX_LIVE} elements"),
                    "a smaller network",
                ));
            }
        }
        Ok(vec![value])
    }

    fn final_values_of(&self, node: &Node) -> bool {
        node.outputs
            .iter()
            .filter(|o| !o.is_empty())
            .all(|o| self.final_values.contains(o))
    }

    /// Shape of a layer's result, without the batch axis.
    pub(crate) fn shape(&self, id: Id) -> &[usize] {
        &self.draft.layers[id].shape
    }

    /// Adds a layer for a node.
    pub(crate) fn push(&mut self, node: &Node, work: Work, operands: &[Id], shape: Vec<usize>) -> Id {
        self.draft.push(Step {
            name: node.name.clone(),
            operator: node.op.clone(),
            edge: node.outputs.first().cloned().unwrap_or_default(),
            work,
            operands: operands.to_vec(),
            shape,
        })
    }

    /// Adds a reshape, unless the shape is the same.
    pub(crate) fn reshape(&mut self, node: &Node, x: Id, shape: Vec<usize>) -> Id {
        if self.shape(x) == shape {
            return x;
        }
        let layer = Layer::Reshape { shape: shape.clone() };
        self.push(node, Work::Plain(layer), &[x], shape)
    }

    /// Adds a function of the same shape.
    pub(crate) fn function(&mut self, node: &Node, x: Id, function: cml_quant::Univariate) -> Id {
        let shape = self.shape(x).to_vec();
        self.push(node, Work::Plain(Layer::Function(function)), &[x], shape)
    }

    /// Adds factors and offsets.
    pub(crate) fn affine(&mut self, node: &Node, x: Id, affine: Affine) -> Id {
        let shape = self.shape(x).to_vec();
        self.push(node, Work::Affine(affine), &[x], shape)
    }
}

pub(crate) fn obstacle(name: &str, operator: &str, shape: String, problem: Problem) -> Obstacle {
    Obstacle {
        node: name.to_owned(),
        operator: operator.to_owned(),
        shape,
        why: problem.why,
        instead: problem.instead,
    }
}

fn first(operands: &[Option<Value>]) -> Outcome<Value> {
    let first = operands.first().cloned().flatten();
    first.ok_or_else(|| Problem::malformed("operand 0 is missing"))
}

/// The layer that an operand is, if it is one.
pub(crate) fn live(operands: &[Option<Value>], slot: usize) -> Outcome<Id> {
    match operands.get(slot) {
        Some(Some(Value::Live(id))) => Ok(*id),
        Some(Some(Value::Integers(..))) => Err(Problem::new(
            "it works on the integers between QuantizeLinear and DequantizeLinear",
            "QuantizeLinear, Clip and DequantizeLinear one after the other (QCDQ)",
        )),
        Some(Some(_)) => Err(Problem::new(
            format!("operand {slot} is a constant, needs a value that depends on the input"),
            "the same with the operands swapped",
        )),
        _ => Err(Problem::malformed(format!("operand {slot} is missing"))),
    }
}

/// The constant that an operand is, dequantized; `None` if it is left out.
pub(crate) fn constant(operands: &[Option<Value>], slot: usize) -> Outcome<Option<crate::tensor::Tensor>> {
    match operands.get(slot) {
        None | Some(None) => Ok(None),
        Some(Some(value)) => value.constant().map(Some).ok_or_else(|| {
            Problem::new(
                format!("operand {slot} depends on the input, needs a constant"),
                "a constant, or another operator",
            )
        }),
    }
}

/// Refuses operators that no stage knows.
fn supported(node: &Node) -> Outcome<()> {
    const KNOWN: &str = "Add AveragePool BatchNormalization Cast Concat Constant ConstantOfShape Conv DequantizeLinear Div Dropout \
        Flatten Gather Gemm GlobalAveragePool GlobalMaxPool Identity MatMul MaxPool Mul Pad QuantizeLinear \
        ReduceMean ReduceSum Reshape Shape Slice Squeeze Sub Transpose Unsqueeze";
    if quantizers::is_quantizer(node)
        || (node.standard
            && (KNOWN.split_whitespace().any(|k| k == node.op) || functions::is_known(&node.op)))
    {
        return Ok(());
    }
    let (why, instead) = match node.op.as_str() {
        "Softmax" | "LogSoftmax" | "ArgMax" => (
            "it is not at the end of the network",
            "the same at the end, where it is left to the client",
        ),
        "QLinearConv" | "QLinearMatMul" | "ConvInteger" | "MatMulInteger" | "DynamicQuantizeLinear" => (
            "integer operators are not read",
            "QuantizeLinear and DequantizeLinear around float operators (QCDQ), or QONNX",
        ),
        "If" | "Loop" | "Scan" => (
            "the program that runs must not depend on data",
            "the branch itself",
        ),
        "Mish" | "Swish" | "Silu" => ("this function is not supported", "HardSwish, Gelu or Relu"),
        "LayerNormalization" | "InstanceNormalization" | "GroupNormalization" | "LpNormalization" => {
            ("it divides by a value of the sample", "BatchNormalization")
        }
        "LSTM" | "GRU" | "RNN" => (
            "recurrent networks are not supported",
            "dense layers or convolutions",
        ),
        _ => (
            "this operator is not supported",
            "layers with weights, pools, BatchNormalization, or functions of one variable",
        ),
    };
    Err(Problem::new(why, instead))
}
