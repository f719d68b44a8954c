//! Functions of one variable that are made of several nodes.

use super::univariate::pick;
use crate::QuantError;
use crate::Univariate;
use crate::error::misfit;
use serde::{Deserialize, Serialize};

/// A function of one variable as steps without branches: `x * tanh(softplus(x))` and the like.
///
/// Value 0 is the argument, value `k` the result of step `k - 1`, and the last value is the function's. Each
/// step is rounded to `f32`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expression {
    /// One or more, at most 256.
    pub steps: Vec<ExpressionStep>,
}

/// A step of an [`Expression`]. Operands are numbers of values before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ExpressionStep {
    /// A function that is no expression itself.
    Apply {
        /// Function.
        function: Box<Univariate>,
        /// Its argument.
        operand: usize,
    },
    /// An operation on two values.
    Pair {
        /// Operation.
        operation: Pairing,
        /// Left and right.
        operands: [usize; 2],
    },
    /// The second operand where the first is not 0, else the third.
    Select {
        /// Condition, then, otherwise.
        operands: [usize; 3],
    },
    /// Numbers: one, or one for each channel.
    Constant {
        /// The numbers.
        values: Vec<f32>,
    },
}

/// An operation on two values of an [`Expression`]. Comparisons give 1 or 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pairing {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a * b`.
    Mul,
    /// `a / b`.
    Div,
    /// `a^b`.
    Pow,
    /// The smaller.
    Min,
    /// The larger.
    Max,
    /// Whether `a < b`.
    Less,
    /// Whether `a <= b`.
    LessOrEqual,
    /// Whether `a = b`.
    Equal,
}

impl Pairing {
    fn eval(self, a: f32, b: f32) -> f32 {
        let truth = |holds: bool| f32::from(u8::from(holds));
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
            Self::Pow => libm::powf(a, b),
            // As ONNX has them: what is no number stays.
            Self::Min | Self::Max if a.is_nan() || b.is_nan() => f32::NAN,
            Self::Min => a.min(b),
            Self::Max => a.max(b),
            Self::Less => truth(a < b),
            Self::LessOrEqual => truth(a <= b),
            Self::Equal => truth(a == b),
        }
    }
}

impl ExpressionStep {
    fn operands(&self) -> &[usize] {
        match self {
            Self::Apply { operand, .. } => std::slice::from_ref(operand),
            Self::Pair { operands, .. } => operands,
            Self::Select { operands } => operands,
            Self::Constant { .. } => &[],
        }
    }
}

impl Expression {
    /// Most steps.
    pub const MAX_STEPS: usize = 256;

    pub(crate) fn eval(&self, channel: usize, x: f32) -> f32 {
        let mut values = Vec::with_capacity(self.steps.len() + 1);
        values.push(x);
        for step in &self.steps {
            values.push(match step {
                ExpressionStep::Apply { function, operand } => function.eval(channel, values[*operand]),
                ExpressionStep::Pair {
                    operation,
                    operands: [a, b],
                } => operation.eval(values[*a], values[*b]),
                ExpressionStep::Select {
                    operands: [condition, then, otherwise],
                } => {
                    values[if values[*condition] == 0.0 {
                        *otherwise
                    } else {
                        *then
                    }]
                }
                ExpressionStep::Constant { values: list } => pick(list, channel),
            });
        }
        values[values.len() - 1]
    }

    /// Refuses steps that are too many, read what is not before them, or do not fit so many channels;
    /// `layer` is named in errors.
    pub(crate) fn check(&self, layer: &str, channels: usize) -> Result<(), QuantError> {
        if !(1..=Self::MAX_STEPS).contains(&self.steps.len()) {
            let needs = format!("1 to {}", Self::MAX_STEPS);
            return Err(misfit(layer, "steps of an expression", needs, self.steps.len()));
        }
        for (at, step) in self.steps.iter().enumerate() {
            if let Some(bad) = step.operands().iter().find(|&&o| o > at) {
                let needs = format!("a value up to {at}");
                return Err(misfit(layer, "operand of an expression", needs, bad));
            }
            match step {
                ExpressionStep::Apply { function, .. } => match &**function {
                    Univariate::Expression(_) => {
                        return Err(misfit(layer, "step", "no expression in an expression", "one"));
                    }
                    function => function.check(layer, channels)?,
                },
                ExpressionStep::Constant { values } => {
                    if ![1, channels].contains(&values.len()) {
                        let needs = format!("1 or {channels}");
                        return Err(misfit(layer, "constants", needs, values.len()));
                    }
                    if let Some(has) = values.iter().find(|v| !v.is_finite()) {
                        return Err(misfit(layer, "constants", "finite numbers", has));
                    }
                }
                ExpressionStep::Pair { .. } | ExpressionStep::Select { .. } => {}
            }
        }
        Ok(())
    }

    pub(crate) fn is_per_tensor(&self) -> bool {
        self.steps.iter().all(|step| match step {
            ExpressionStep::Apply { function, .. } => function.is_per_tensor(),
            ExpressionStep::Constant { values } => values.len() == 1,
            ExpressionStep::Pair { .. } | ExpressionStep::Select { .. } => true,
        })
    }

    /// As [`Univariate::respread`]; `spread` leaves lists of one entry as they are.
    pub(crate) fn respread(&self, spread: &dyn Fn(&[f32]) -> Vec<f32>) -> Self {
        let step = |step: &ExpressionStep| match step {
            ExpressionStep::Apply { function, operand } => ExpressionStep::Apply {
                function: Box::new(function.respread(spread)),
                operand: *operand,
            },
            ExpressionStep::Constant { values } => ExpressionStep::Constant {
                values: if values.len() == 1 {
                    values.clone()
                } else {
                    spread(values)
                },
            },
            ExpressionStep::Pair { .. } | ExpressionStep::Select { .. } => step.clone(),
        };
        Self {
            steps: self.steps.iter().map(step).collect(),
        }
    }
}
