//! Inputs of a file: one becomes the input of the network, several are joined to one.

use crate::draft::{Id, NetworkDraft, Step, Work};
use crate::model::{Info, Model};
use crate::report::{NodeProblem, Obstacle, Translated};
use crate::tensor::Dtype;
use crate::value::Value;
use cml_quant::{Layer, MAX_NAMES, Reshape, Slice};
use std::collections::BTreeMap;

/// Most elements of a value of the sample.
pub(crate) const MAX_LIVE: usize = 1 << 22;

/// Starts a draft with the inputs of a file, and says what their names stand for.
///
/// Several are one after the other in the order of the file, each row by row.
pub(crate) fn inputs(
    model: &Model,
    draft: &mut NetworkDraft,
    values: &mut BTreeMap<String, Value>,
) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    let shapes: Vec<Option<Vec<usize>>> = model
        .inputs
        .iter()
        .map(|input| match shape(input) {
            Ok(shape) => Some(shape),
            Err(problem) => {
                obstacles.push(Obstacle::new(&input.name, "input", String::new(), problem));
                None
            }
        })
        .collect();
    let total = |shapes: &[Vec<usize>]| shapes.iter().map(|s| count(s)).fold(0, usize::saturating_add);
    let known: Option<Vec<Vec<usize>>> = shapes.into_iter().collect();
    let known = known.filter(|shapes| !shapes.is_empty() && total(shapes) <= MAX_LIVE);
    if known.is_none() && obstacles.is_empty() {
        let why = match model.inputs.len() {
            0 => "no input".to_owned(),
            n => format!("{n} inputs of more than {MAX_LIVE} elements together"),
        };
        let problem = NodeProblem::new(why, "a network that computes something of an input");
        obstacles.push(Obstacle::new("model", "input", String::new(), problem));
    }
    let shapes = known.unwrap_or_default();
    let edge = model.inputs.first().map_or("x", |i| i.name.as_str());
    let first = draft.push(Step {
        name: edge.to_owned(),
        source: None,
        operator: "input".to_owned(),
        edge: edge.to_owned(),
        work: Work::Input,
        operands: Vec::new(),
        shape: match &shapes[..] {
            [] => vec![1],
            [only] => only.clone(),
            all => vec![total(all)],
        },
    });
    match &shapes[..] {
        [] => {
            let broken = model
                .inputs
                .iter()
                .map(|input| (input.name.clone(), Value::Broken));
            values.extend(broken);
            values.entry(edge.to_owned()).or_insert(Value::Broken);
        }
        [_] => {
            values.insert(edge.to_owned(), Value::Live(first));
        }
        all => {
            let mut start = 0;
            for (input, shape) in model.inputs.iter().zip(all) {
                let end = start + count(shape);
                let part = part(draft, input, first, [start, end], shape);
                values.insert(input.name.clone(), Value::Live(part));
                draft.columns.extend(names(input, end - start));
                start = end;
            }
            if draft.columns.len() > MAX_NAMES {
                draft.columns.clear();
            }
        }
    }
    obstacles
}

/// One of several inputs, from `start` to before `end` of all elements.
fn part(draft: &mut NetworkDraft, input: &Info, first: Id, [start, end]: [usize; 2], shape: &[usize]) -> Id {
    let step = |layer: Layer, operand: Id, shape: &[usize]| Step {
        name: input.name.clone(),
        source: None,
        operator: "input".to_owned(),
        edge: input.name.clone(),
        work: Work::Plain(layer),
        operands: vec![operand],
        shape: shape.to_vec(),
    };
    let slice = Slice {
        starts: vec![start],
        ends: vec![end],
        steps: vec![1],
    };
    let slice = draft.push(step(Layer::Slice(slice), first, &[end - start]));
    if shape == [end - start] {
        return slice;
    }
    let reshape = Reshape {
        shape: shape.to_vec(),
    };
    draft.push(step(Layer::Reshape(reshape), slice, shape))
}

/// Names of the columns of one of several inputs.
fn names(input: &Info, count: usize) -> Vec<String> {
    match count {
        1 => vec![input.name.clone()],
        _ => (0..count).map(|i| format!("{}[{i}]", input.name)).collect(),
    }
}

/// Elements of a shape; saturating, since shapes come from files.
fn count(shape: &[usize]) -> usize {
    shape.iter().fold(1usize, |n, &d| n.saturating_mul(d))
}

/// Shape of an input without the batch axis.
fn shape(input: &Info) -> Translated<Vec<usize>> {
    if input.is_text {
        return Err(NodeProblem::new(
            "an input of texts",
            "numbers: an encoding of the texts that is done with the data",
        ));
    }
    let shape = input
        .shape
        .as_ref()
        .ok_or_else(|| NodeProblem::new("an input of unknown shape", "an export with a fixed shape"))?;
    let known = |d: &Option<usize>| d.map_or("?".to_owned(), |d| d.to_string());
    let text = || shape.iter().map(known).collect::<Vec<_>>().join(", ");
    let Some((None | Some(1), sample)) = shape.split_first().filter(|(_, s)| !s.is_empty()) else {
        return Err(NodeProblem::new(
            format!(
                "input of shape [{}], needs a first axis (the batch) of 1 or symbolic",
                text()
            ),
            "an export with one sample, shape [1, ..]",
        ));
    };
    let sample: Option<Vec<usize>> = sample.iter().copied().collect();
    sample
        .filter(|s| (1..=MAX_LIVE).contains(&count(s)))
        .ok_or_else(|| {
            NodeProblem::new(
                format!(
                    "input of shape [{}], needs known sizes of 1 to {MAX_LIVE} elements",
                    text()
                ),
                "an export in which only the batch axis is symbolic",
            )
        })
}

/// The least and the greatest value of whole numbers that all inputs are, if their type says it and is not too
/// wide for an input.
pub(crate) fn whole_numbers(model: &Model) -> Option<[f32; 2]> {
    let range = |input: &Info| match input.dtype? {
        narrow @ (Dtype::Bool | Dtype::Int { bits: 1..=16, .. }) => narrow.range().map(|(lo, hi)| [lo, hi]),
        Dtype::Int { .. } | Dtype::Float => None,
    };
    let mut ranges = model.inputs.iter().map(range);
    let first = ranges.next()??;
    let same = ranges.all(|range| range == Some(first));
    same.then(|| first.map(|end| end as f32))
}
