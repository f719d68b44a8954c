//! Elementwise nodes that all come from one layer are one function of it, however they are written.

use crate::draft::{Id, Work};
use crate::model::Node;
use crate::report::{NodeProblem, Translated};
use crate::translation::Translation;
use cml_quant::{Expression, ExpressionStep, Layer, Pairing, Univariate};
use std::collections::BTreeMap;

/// What an elementwise node reads.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// A layer.
    Layer(Id),
    /// Numbers, one or one for each channel.
    Numbers(Vec<f32>),
}

/// The result of an elementwise node as a function of the one layer that all its operands are functions of;
/// nothing if there are several. `join` makes the node's step of the numbers of its operands' values.
///
/// # Errors
/// If the function has too many steps.
pub(crate) fn join(
    t: &mut Translation,
    node: &Node,
    parts: &[Part],
    join: impl FnOnce(&[usize]) -> ExpressionStep,
) -> Translated<Option<Id>> {
    let Some(source) = source(t, parts) else {
        return Ok(None);
    };
    let mut program = Program {
        t,
        source,
        steps: Vec::new(),
        values: BTreeMap::from([(source, 0)]),
    };
    let mut operands = Vec::with_capacity(parts.len());
    for part in parts {
        operands.push(match part {
            Part::Layer(id) => program.value(*id)?,
            Part::Numbers(values) => {
                let values = values.clone();
                program.push(ExpressionStep::Constant { values })?
            }
        });
    }
    program.push(join(&operands))?;
    let steps = program.steps;
    let function = Univariate::Expression(Expression { steps });
    Ok(Some(t.function(node, source, function)))
}

/// As [`join`], of a pair.
pub(crate) fn pair(
    t: &mut Translation,
    node: &Node,
    operation: Pairing,
    a: Part,
    b: Part,
) -> Translated<Option<Id>> {
    join(t, node, &[a, b], |at| ExpressionStep::Pair {
        operation,
        operands: [at[0], at[1]],
    })
}

/// Whether a layer is a comparison, whose values are 1 and 0.
pub(crate) fn is_truth(t: &Translation, id: Id) -> bool {
    let Work::Plain(Layer::Function(Univariate::Expression(expression))) = &t.draft.layers[id].work else {
        return false;
    };
    matches!(
        expression.steps.last(),
        Some(ExpressionStep::Pair {
            operation: Pairing::Less | Pairing::LessOrEqual | Pairing::Equal,
            ..
        })
    )
}

/// The layer itself, and those before it that it is a function of, element by element.
pub(crate) fn chain(t: &Translation, id: Id) -> Vec<Id> {
    let mut all = vec![id];
    let mut at = id;
    while let Work::Affine(_) | Work::Plain(Layer::Function(_)) = t.draft.layers[at].work {
        at = t.draft.layers[at].operands[0];
        all.push(at);
    }
    all
}

/// The last layer that all parts are functions of.
fn source(t: &Translation, parts: &[Part]) -> Option<Id> {
    let chains = parts.iter().filter_map(|part| match part {
        Part::Layer(id) => Some(chain(t, *id)),
        Part::Numbers(_) => None,
    });
    let chains: Vec<Vec<Id>> = chains.collect();
    let (first, others) = chains.split_first()?;
    let common = |id: &&Id| others.iter().all(|chain| chain.contains(id));
    first.iter().find(common).copied()
}

/// An expression that is being written.
struct Program<'a> {
    t: &'a Translation,
    source: Id,
    steps: Vec<ExpressionStep>,
    /// Numbers of the values of layers.
    values: BTreeMap<Id, usize>,
}

impl Program<'_> {
    fn push(&mut self, step: ExpressionStep) -> Translated<usize> {
        if self.steps.len() >= Expression::MAX_STEPS {
            return Err(NodeProblem::new(
                format!("a function of more than {} steps", Expression::MAX_STEPS),
                "a quantizer between its parts",
            ));
        }
        self.steps.push(step);
        Ok(self.steps.len())
    }

    /// Number of the value of a layer, which is a function of the source.
    fn value(&mut self, id: Id) -> Translated<usize> {
        let mut missing = Vec::new();
        let mut at = id;
        while !self.values.contains_key(&at) && at != self.source {
            missing.push(at);
            at = self.t.draft.layers[at].operands[0];
        }
        for id in missing.into_iter().rev() {
            let step = &self.t.draft.layers[id];
            let operand = self.values[&step.operands[0]];
            let value = match &step.work {
                Work::Affine(affine) => self.apply(affine.function(), operand)?,
                Work::Plain(Layer::Function(Univariate::Expression(inner))) => self.inner(inner, operand)?,
                Work::Plain(Layer::Function(function)) => self.apply(function.clone(), operand)?,
                Work::Input | Work::Quantize(_) | Work::Weighted(_) | Work::Plain(_) | Work::Unknown => {
                    operand
                }
            };
            self.values.insert(id, value);
        }
        Ok(self.values[&id])
    }

    fn apply(&mut self, function: Univariate, operand: usize) -> Translated<usize> {
        self.push(ExpressionStep::Apply {
            function: Box::new(function),
            operand,
        })
    }

    /// The steps of an expression, applied to a value.
    fn inner(&mut self, inner: &Expression, operand: usize) -> Translated<usize> {
        let mut numbers = vec![operand];
        for step in &inner.steps {
            let mut step = step.clone();
            match &mut step {
                ExpressionStep::Apply { operand, .. } => *operand = numbers[*operand],
                ExpressionStep::Pair { operands, .. } => *operands = operands.map(|o| numbers[o]),
                ExpressionStep::Select { operands } => *operands = operands.map(|o| numbers[o]),
                ExpressionStep::Constant { .. } => {}
            }
            let number = self.push(step)?;
            numbers.push(number);
        }
        Ok(numbers[numbers.len() - 1])
    }
}
