//! From a draft to a network.

use crate::draft::{Affine, Id, NetworkDraft, Step, Weighted, WeightedKind, Work, of};
use crate::machine_learning::End;
use crate::report::NodeProblem;
use crate::{Obstacle, draft};
use cml_quant::{Conv2d, Layer, LayerId, Linear, Network, Normalize, QuantError};
use std::collections::BTreeSet;

/// Builds the network.
///
/// # Errors
/// If a layer does not fit the network, which no check before has found.
pub(crate) fn emit(
    draft: &NetworkDraft,
    output: Id,
    name: &str,
    end: &End,
    obstacles: &mut Vec<Obstacle>,
) -> Result<Network, QuantError> {
    let mut network = Network::new(name, draft.layers[0].shape.clone());
    network.set_input_steps(draft.input_steps.clone())?;
    network.set_columns(draft.columns.clone())?;
    let mut names: BTreeSet<String> = network.layers().iter().map(|l| l.name.clone()).collect();
    let mut ids: Vec<Option<LayerId>> = vec![None; draft.layers.len()];
    ids[0] = Some(network.input());
    for id in draft.needed(output).into_iter().filter(|&id| id != 0) {
        let step = &draft.layers[id];
        let operands: Vec<LayerId> = step.operands.iter().filter_map(|&o| ids[o]).collect();
        let pushed = layer(draft, step)
            .and_then(|layer| network.push(&unique(&mut names, &step.name), layer, &operands));
        match pushed {
            Ok(pushed) => ids[id] = Some(pushed),
            Err(error) => {
                let problem = NodeProblem::new(error.to_string(), "sizes and numbers that fit");
                obstacles.push(Obstacle::new(
                    &step.shown(),
                    &step.operator,
                    draft::shown(&step.shape),
                    problem,
                ));
                return Ok(network);
            }
        }
    }
    if let Some(output) = ids[output] {
        let labels: Vec<&str> = end.labels.iter().map(String::as_str).collect();
        network.set_output(output, &labels)?;
        network.set_probabilities(end.probabilities);
    }
    Ok(network)
}

/// The name without leading slashes, with a number if it is taken.
fn unique(names: &mut BTreeSet<String>, name: &str) -> String {
    let base = name.trim_start_matches('/');
    let base = if base.is_empty() { "layer" } else { base };
    let mut unique = base.to_owned();
    let mut number = 2;
    while !names.insert(unique.clone()) {
        unique = format!("{base}_{number}");
        number += 1;
    }
    unique
}

fn layer(draft: &NetworkDraft, step: &Step) -> Result<Layer, QuantError> {
    Ok(match &step.work {
        Work::Input => Layer::Input,
        Work::Quantize(q) => Layer::Quantize(*q),
        Work::Weighted(w) => weighted(w)?,
        Work::Affine(a) => {
            let reads_input = step
                .operands
                .first()
                .is_some_and(|&o| matches!(draft.layers[o].work, Work::Input));
            match normalization(a).filter(|_| reads_input) {
                Some(normalize) => Layer::Normalize(normalize),
                None => Layer::Function(a.function()),
            }
        }
        Work::Plain(layer) => layer.clone(),
        // Nothing of a draft with obstacles is built.
        Work::Unknown => Layer::Input,
    })
}

/// `(x - offset) * factor`, if every factor is positive.
fn normalization(affine: &Affine) -> Option<Normalize> {
    if affine.scale.iter().any(|&s| s <= 0.0) {
        return None;
    }
    let offset = |c: usize| (-of(&affine.offset, c) / of(&affine.scale, c)) as f32;
    let normalize = Normalize {
        offset: (0..affine.len()).map(|c| offset(c) + 0.0).collect(),
        factor: affine.scale.iter().map(|&s| s as f32).collect(),
    };
    let usable = |list: &[f32]| list.iter().all(|v| v.is_finite());
    (usable(&normalize.offset) && usable(&normalize.factor)).then_some(normalize)
}

fn weighted(layer: &Weighted) -> Result<Layer, QuantError> {
    let (weights, bias) = (layer.weights.clone(), layer.bias.clone());
    Ok(match layer.kind {
        WeightedKind::Dense => Layer::Linear(Linear::from_weights(weights.into_dimensionality()?, bias)?),
        WeightedKind::Conv {
            stride,
            padding,
            groups,
        } => Layer::Conv2d(
            Conv2d::from_weights(weights.into_dimensionality()?, bias)?
                .with_stride(stride)
                .with_padding(padding)
                .with_groups(groups),
        ),
    })
}
