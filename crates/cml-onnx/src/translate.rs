//! Node by node from a [`Model`] to a [`NetworkDraft`], going on after every obstacle.

use crate::draft::{Id, NetworkDraft, Work, shown};
use crate::interface::MAX_LIVE;
use crate::machine_learning::{self, End};
use crate::model::{Model, Node};
use crate::operators::{self, Domain, Handler};
use crate::report::{ImportReport, NodeProblem, Obstacle, Origin, Translated};
use crate::translation::Translation;
use crate::value::Value;
use crate::{constants, functions, interface, moves};
use std::collections::{BTreeMap, BTreeSet};

/// Oldest operator set: since then operands are broadcast as in numpy. Newer ones are judged by what their
/// operators say, and not by their number.
const OLDEST_OPSET: i64 = 7;

/// Most elements of all constants that nodes compute.
const MAX_FOLDED: usize = 1 << 26;

/// A whole file, translated.
pub(crate) struct Drafted {
    pub(crate) draft: NetworkDraft,
    /// `None` if an obstacle hides it.
    pub(crate) output: Option<Id>,
    pub(crate) report: ImportReport,
    pub(crate) end: End,
}

/// Translates every node.
pub(crate) fn translate(model: &Model) -> Drafted {
    let constants = model.constants.iter();
    let mut driver = Driver {
        model,
        state: Translation {
            opset: model.opset,
            draft: NetworkDraft::default(),
            notes: Vec::new(),
            listed: 0,
            is_last: false,
            end: End::default(),
        },
        values: constants
            .map(|(name, tensor)| (name.clone(), Value::Constant(tensor.clone())))
            .collect(),
        obstacles: Vec::new(),
        folded: 0,
        final_values: final_values(model),
    };
    driver.interface();
    for node in &model.nodes {
        driver.node(node);
    }
    let output = driver.output();
    Drafted {
        draft: driver.state.draft,
        output,
        end: driver.state.end,
        report: ImportReport {
            origin: Origin::of(model),
            obstacles: driver.obstacles,
            notes: driver.state.notes,
        },
    }
}

/// Values from which only operators that may be left out lead to outputs.
fn final_values(model: &Model) -> BTreeSet<String> {
    let mut last: BTreeSet<String> = model.outputs.iter().cloned().collect();
    for node in model.nodes.iter().rev() {
        let ends = node.outputs.iter().all(|o| o.is_empty() || last.contains(o));
        if ends && operators::find(node).is_some_and(|o| o.may_end) {
            let only_here = |name: &str| {
                let mut nodes = model.nodes.iter();
                nodes.all(|n| std::ptr::eq(n, node) || !n.inputs.iter().any(|i| i == name))
            };
            let live = |name: &&String| !name.is_empty() && !model.constants.contains_key(*name);
            if let Some(name) = node.inputs.iter().find(live).filter(|n| only_here(n)) {
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

/// The translation of one file.
struct Driver<'a> {
    model: &'a Model,
    state: Translation,
    /// What the names of the file stand for.
    values: BTreeMap<String, Value>,
    obstacles: Vec<Obstacle>,
    /// Elements of the constants computed so far.
    folded: usize,
    /// Names of values of which nothing but a softmax or the like is made before the output.
    final_values: BTreeSet<String>,
}

impl Driver<'_> {
    fn refuse(&mut self, name: &str, operator: &str, shape: String, problem: NodeProblem) {
        self.obstacles.push(Obstacle::new(name, operator, shape, problem));
    }

    /// The input of the network.
    fn interface(&mut self) {
        let model = self.model;
        if model.opset < OLDEST_OPSET {
            let why = format!("operator set {}, needs at least {OLDEST_OPSET}", model.opset);
            let problem = NodeProblem::new(why, "an export with opset_version=17");
            self.refuse("model", "opset", String::new(), problem);
        }
        let found = interface::inputs(model, &mut self.state.draft, &mut self.values);
        self.obstacles.extend(found);
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
                    let problem = NodeProblem::new(why, "one output of floats");
                    self.refuse(name, "output", String::new(), problem);
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
                    let problem = NodeProblem::new(
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
            None => operators::supported(node).map(|_| Vec::new()),
            Some(operands) => self.apply(node, &operands),
        });
        let result = result.unwrap_or_else(|problem| {
            let shape = self.read_shapes(node);
            self.refuse(&node.shown(), &operators::shown(node), shape, problem);
            self.unknown(node).into_iter().collect()
        });
        // The class that a model names is found by its scores.
        let names_class = operators::find(node).is_some_and(|o| o.names_class);
        let class = result.first().filter(|_| names_class).cloned();
        let mut results = class.into_iter().chain(result);
        for name in &node.outputs {
            let value = results.next().unwrap_or(Value::Broken);
            if !name.is_empty() {
                self.values.insert(name.clone(), value);
            }
        }
    }

    /// The result of a node with an obstacle, if its shape is known: what reads it is judged all the same.
    fn unknown(&mut self, node: &Node) -> Option<Value> {
        let live = node
            .inputs
            .iter()
            .filter_map(|name| match self.values.get(name)? {
                Value::Live(id) | Value::Integers(id, _) => Some(*id),
                Value::Constant(_) | Value::Coded(_) | Value::Broken => None,
            });
        let operands: Vec<Id> = live.collect();
        let stated = node.outputs.first().and_then(|name| self.model.shapes.get(name));
        let stated = stated.and_then(|shape| shape.get(1..)?.iter().copied().collect::<Option<Vec<usize>>>());
        let largest = operands.iter().map(|&id| self.state.shape(id));
        let largest = largest.max_by_key(|shape| shape.iter().product::<usize>());
        let same = largest
            .filter(|_| operators::keeps_shape(node))
            .map(<[usize]>::to_vec);
        let shape = stated.filter(|shape| !shape.is_empty()).or(same)?;
        let count = shape.iter().fold(1usize, |n, &d| n.saturating_mul(d));
        if operands.is_empty() || !(1..=MAX_LIVE).contains(&count) {
            return None;
        }
        Some(Value::Live(self.state.push(
            node,
            Work::Unknown,
            &operands,
            shape,
        )))
    }

    /// Values that a node reads, `None` for those left out; nothing if one is broken.
    fn operands(&self, node: &Node) -> Translated<Option<Vec<Option<Value>>>> {
        let mut operands = Vec::with_capacity(node.inputs.len());
        for name in &node.inputs {
            operands.push(match (name.as_str(), self.values.get(name)) {
                ("", _) => None,
                (_, Some(Value::Broken)) => return Ok(None),
                (_, Some(value)) => Some(value.clone()),
                (name, None) => {
                    return Err(NodeProblem::malformed(format!(
                        "reads {name:?}, which no node, input or initializer provides"
                    )));
                }
            });
        }
        Ok(Some(operands))
    }

    fn read_shapes(&self, node: &Node) -> String {
        let shape = |name: &String| match self.values.get(name)? {
            Value::Live(id) | Value::Integers(id, _) => Some(shown(&self.state.draft.layers[*id].shape)),
            Value::Constant(_) | Value::Coded(_) | Value::Broken => None,
        };
        node.inputs
            .iter()
            .filter_map(shape)
            .collect::<Vec<_>>()
            .join(" and ")
    }

    /// Results of a node, the first ones of those that it names.
    fn apply(&mut self, node: &Node, operands: &[Option<Value>]) -> Translated<Vec<Value>> {
        let operator = operators::supported(node)?;
        let constant = !operands.is_empty() && operands.iter().flatten().all(Value::is_constant);
        let is_final = self.is_final(node);
        self.state.is_last = operator.domain == Domain::Ml && self.is_last(node);
        let state = &mut self.state;
        let value = match (&operator.handler, constant) {
            (Handler::AtEnd, _) if is_final => {
                let text = "at the end is left to the client: the outputs are what it reads";
                state.note(node, format!("{} {text}", node.op));
                machine_learning::at_end(state, node, operands)
            }
            (Handler::AtEnd, _) => Err(NodeProblem::new(
                "it is not at the end of the network",
                "the same at the end, where it is left to the client",
            )),
            // A class is another number of the same class as any type.
            (Handler::Sample { .. }, false) if is_final && operator.may_end && state.end.names_class => {
                machine_learning::at_end(state, node, operands)
            }
            (Handler::Any(apply), _) => apply(state, node, operands),
            (Handler::Several(apply), _) => {
                let results = apply(state, node, operands)?.into_iter();
                return results.map(|value| self.bounded(value)).collect();
            }
            (Handler::Sample { fold: Some(fold), .. } | Handler::Constants(fold), true) => {
                let value = fold(state, node, operands)?;
                self.counted(value)
            }
            (Handler::Function(make), true) => {
                let value = constants::function(state, node, operands, *make)?;
                self.counted(value)
            }
            (Handler::Reshape(shape), true) => {
                let value = constants::reshape(state, node, operands, *shape)?;
                self.counted(value)
            }
            (Handler::Sample { fold: None, .. }, true) => Err(NodeProblem::new(
                format!("{} of constants is not folded", node.op),
                "an export with constants folded (do_constant_folding=True)",
            )),
            (Handler::Constants(_), false) => Err(NodeProblem::new(
                "it reads a value that depends on the input, needs constants",
                "an export with fixed shapes and indices",
            )),
            (Handler::Sample { apply, .. }, false) => {
                let value = apply(state, node, operands)?;
                self.bounded(value)
            }
            (Handler::Function(make), false) => {
                let value = functions::apply(state, node, operands, *make)?;
                self.bounded(value)
            }
            (Handler::Reshape(shape), false) => {
                let value = moves::reshape(state, node, operands, *shape)?;
                self.bounded(value)
            }
        };
        value.map(|value| vec![value])
    }

    /// Refuses too many elements of computed constants.
    fn counted(&mut self, value: Value) -> Translated<Value> {
        self.folded = self.folded.saturating_add(match &value {
            Value::Constant(tensor) => tensor.len(),
            Value::Coded(_) | Value::Live(_) | Value::Integers(..) | Value::Broken => 0,
        });
        if self.folded <= MAX_FOLDED {
            return Ok(value);
        }
        Err(NodeProblem::new(
            format!(
                "computed constants of {} elements in all, limit {MAX_FOLDED}",
                self.folded
            ),
            "an export with its constants folded",
        ))
    }

    /// Refuses a value of the sample of too many elements, or of none.
    fn bounded(&self, value: Value) -> Translated<Value> {
        if let Value::Live(id) = value {
            let shape = self.state.shape(id);
            let count = shape.iter().fold(1usize, |n, &d| n.saturating_mul(d));
            if !(1..=MAX_LIVE).contains(&count) {
                return Err(NodeProblem::new(
                    format!("a result of shape {shape:?}, needs 1 to {MAX_LIVE} elements"),
                    "a smaller network",
                ));
            }
        }
        Ok(value)
    }

    /// Whether the results that anything reads are final.
    fn is_last(&self, node: &Node) -> bool {
        let read = |o: &&String| self.model.nodes.iter().any(|n| n.inputs.contains(o));
        let mut results = node.outputs.iter().filter(|o| !o.is_empty() && read(o));
        results.all(|o| self.final_values.contains(o))
    }

    fn is_final(&self, node: &Node) -> bool {
        let mut results = node.outputs.iter().filter(|o| !o.is_empty());
        results.all(|o| self.final_values.contains(o))
    }
}
