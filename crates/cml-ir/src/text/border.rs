//! How inputs are quantized and outputs read, from their text.

use super::parse::Line;
use super::tokens::Token;
use crate::{InputSpec, InputStep, IrError, OutputSpec, Probabilities, Threshold, Thresholds};

impl Line<'_> {
    pub(super) fn input_spec(&mut self) -> Result<InputSpec, IrError> {
        let mut spec = if self.is("features") {
            InputSpec::of_thresholds(self.thresholds()?)
        } else {
            InputSpec {
                scale: self.floats("scale")?,
                offset: self.offset()?,
                zero_point: self.field_or("zero", 0, Self::number)?,
                ..InputSpec::new(1.0, 0, self.field("range", Self::interval)?)
            }
        };
        spec.columns = self.field_or("columns", Vec::new(), |line| {
            line.list(|line| line.quoted("a column in quotes"))
        })?;
        spec.steps = self.field_or("steps", Vec::new(), |line| line.list(Self::step))?;
        Ok(spec)
    }

    fn thresholds(&mut self) -> Result<Thresholds, IrError> {
        let features = self.field("features", Self::number)?;
        let compared: Vec<u32> = self.field("compare", |line| line.list(Self::small))?;
        let values: Vec<f32> = self.field("with", |line| line.list(Self::number))?;
        let takes_missing = self.is("missing");
        let missing: Vec<usize> = if takes_missing {
            self.field("missing", |line| line.list(Self::number))?
        } else {
            vec![0; values.len()]
        };
        let fits = values.len() == compared.len() && values.len() == missing.len();
        if !fits || missing.iter().any(|&m| m > 1) {
            return Err(IrError::Syntax {
                line: self.number,
                needs: "as many values as features that are compared, and bits".to_owned(),
                has: format!("{}, {} and {}", compared.len(), values.len(), missing.len()),
            });
        }
        let threshold = |((feature, value), missing): ((u32, f32), usize)| Threshold {
            feature,
            value,
            of_missing: missing == 1,
        };
        let list = compared.into_iter().zip(values).zip(missing).map(threshold);
        Ok(Thresholds {
            features,
            takes_missing,
            list: list.collect(),
        })
    }

    fn small(&mut self) -> Result<u32, IrError> {
        let number: usize = self.number()?;
        Ok(u32::try_from(number).unwrap_or(u32::MAX))
    }

    fn probabilities(&mut self) -> Result<Probabilities, IrError> {
        let known = [Probabilities::Softmax, Probabilities::Logistic];
        let token = self.tokens.next();
        let found = known
            .into_iter()
            .find(|p| matches!(&token, Token::Word(word) if p.name() == Some(word)));
        found.ok_or_else(|| self.wrong("softmax or logistic", &token))
    }

    pub(super) fn output_spec(&mut self) -> Result<OutputSpec, IrError> {
        Ok(OutputSpec {
            scale: self.floats("scale")?,
            offset: self.offset()?,
            zero_point: self.field_or("zero", 0, Self::number)?,
            labels: self.field_or("labels", Vec::new(), |line| {
                line.list(|line| line.quoted("a label in quotes"))
            })?,
            probabilities: self.field_or("probabilities", Probabilities::Unstated, Self::probabilities)?,
            words: self.field_or("words", 1, Self::small)?,
            radix: self.field_or("radix", 1, Self::small)?,
        })
    }

    fn offset(&mut self) -> Result<Vec<f32>, IrError> {
        if self.is("offset") {
            self.floats("offset")
        } else {
            Ok(vec![0.0])
        }
    }

    /// What is done with the floats of an input.
    fn step(&mut self) -> Result<InputStep, IrError> {
        let token = self.tokens.next();
        let Token::Word(name) = token else {
            return Err(self.wrong("a step of the input", &token));
        };
        let all = [
            InputStep::Add(Vec::new()),
            InputStep::Multiply(Vec::new()),
            InputStep::Divide(Vec::new()),
            InputStep::Max(Vec::new()),
            InputStep::Min(Vec::new()),
            InputStep::Sign,
            InputStep::Abs,
            InputStep::Round,
            InputStep::Floor,
            InputStep::Ceil,
        ];
        match all.iter().find(|step| step.name() == name) {
            None => Err(self.wrong("a step of the input", &token)),
            Some(step) if step.list().is_none() => Ok(step.clone()),
            Some(step) => Ok(step.with_list(self.numbers()?)),
        }
    }
}
