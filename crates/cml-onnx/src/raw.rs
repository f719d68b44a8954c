//! The raw input: what is done with each of its elements before the first quantizer is for the client, and
//! what only moves them comes after it.

use crate::Obstacle;
use crate::draft::{Affine, Id, NetworkDraft, Step, Work, shown};
use crate::fold::redirect;
use crate::raw_quantizer::Chosen;
use crate::report::NodeProblem;
use cml_quant::{ActQuantizer, InputSpec, InputStep, Layer, channel_len};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Most elements that are followed on the way from the input, and numbers of their steps.
const MOST_TRACED: usize = 1 << 25;
/// Most steps of an input.
const MOST_STEPS: usize = 64;

/// What a layer makes of the raw input: every element comes from one of the input by steps.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    /// For each element the one of the input that it comes from; none for zeros that were added.
    sources: Rc<Vec<Option<u32>>>,
    /// Lists have one entry, or one for each element of the input.
    pub(crate) steps: Vec<InputStep>,
    /// What the steps make of zeros that were added.
    padding: Option<f32>,
}

/// What each layer makes of the raw input; nothing if that takes more than steps and moves.
pub(crate) fn trace(draft: &NetworkDraft) -> Vec<Option<Raw>> {
    let inputs = draft.layers[0].shape.iter().product();
    let mut raws: Vec<Option<Raw>> = Vec::with_capacity(draft.layers.len());
    let mut left = MOST_TRACED;
    for step in &draft.layers {
        let before = step.operands.iter().map(|&o| raws[o].as_ref());
        let before: Option<Vec<&Raw>> = before.collect();
        let raw = before.and_then(|before| of_step(step, draft, &before, inputs));
        let raw = raw.filter(|raw| raw.steps.len() <= MOST_STEPS && raw.len() <= left);
        left -= raw.as_ref().map_or(0, Raw::len);
        raws.push(raw);
    }
    raws
}

fn of_step(step: &Step, draft: &NetworkDraft, before: &[&Raw], inputs: usize) -> Option<Raw> {
    match &step.work {
        Work::Input => Some(Raw {
            sources: Rc::new((0..inputs as u32).map(Some).collect()),
            steps: Vec::new(),
            padding: None,
        }),
        Work::Affine(affine) => before.first()?.then(&affine.written, step, inputs),
        Work::Plain(Layer::Function(function)) => {
            before.first()?.then(&function.input_steps()?, step, inputs)
        }
        Work::Plain(layer) => {
            let shapes: Vec<&[usize]> = step
                .operands
                .iter()
                .map(|&o| &draft.layers[o].shape[..])
                .collect();
            let places = layer.origins(&shapes, &step.shape)?;
            Raw::moved(before, &places, inputs)
        }
        Work::Quantize(_) | Work::Weighted(_) | Work::Unknown => None,
    }
}

impl Raw {
    /// Numbers that it holds.
    fn len(&self) -> usize {
        let lists = self.steps.iter().filter_map(InputStep::list).map(<[f32]>::len);
        self.sources.len() + lists.sum::<usize>()
    }

    /// The elements after more steps, whose lists are for the channels of a layer.
    fn then(&self, steps: &[InputStep], step: &Step, inputs: usize) -> Option<Self> {
        let width = channel_len(&step.shape);
        let mut raw = self.clone();
        for next in steps {
            let next = match next.list() {
                Some(list) if list.len() > 1 => {
                    let mut all = vec![list[0]; inputs];
                    for (element, source) in self.sources.iter().enumerate() {
                        all[(*source)? as usize] = *list.get(element / width)?;
                    }
                    next.with_list(all)
                }
                _ => next.clone(),
            };
            raw.padding = raw.padding.map(|x| next.eval(0, x));
            raw.steps.push(next);
        }
        Some(raw)
    }

    /// Elements of several layers in other places.
    fn moved(before: &[&Self], places: &[Option<(usize, usize)>], inputs: usize) -> Option<Self> {
        let parts: Vec<Part<'_>> = before.iter().map(|raw| raw.part(inputs)).collect();
        let mut padding = before.iter().filter_map(|raw| raw.padding);
        let padded = padding.next();
        if places.iter().any(Option::is_none) || padded.is_some() {
            // Zeros that are added now would need the same steps as those that were added before.
            let zeros = padding.chain(padded).all(|x| x == 0.0);
            if !zeros {
                return None;
            }
        }
        let adds = places.iter().any(Option::is_none);
        Some(Self {
            sources: Rc::new(
                places
                    .iter()
                    .map(|place| place.and_then(|(operand, at)| before[operand].sources[at]))
                    .collect(),
            ),
            steps: merged(&parts, inputs)?,
            padding: if adds { Some(0.0) } else { padded },
        })
    }

    fn part(&self, inputs: usize) -> Part<'_> {
        let mut covers = vec![false; inputs];
        for source in self.sources.iter().flatten() {
            covers[*source as usize] = true;
        }
        Part {
            steps: &self.steps,
            covers,
        }
    }
}

/// Steps of some elements of the input.
struct Part<'a> {
    steps: &'a [InputStep],
    covers: Vec<bool>,
}

/// Steps that do with each element what those of its part do; nothing if there are none.
fn merged(parts: &[Part<'_>], inputs: usize) -> Option<Vec<InputStep>> {
    let first = parts.first()?.steps;
    if parts.iter().all(|part| part.steps == first) {
        return Some(first.to_vec());
    }
    let kinds = |steps: &[InputStep]| steps.iter().map(InputStep::name).collect::<Vec<_>>();
    let has_twice = (0..inputs).any(|i| parts.iter().filter(|part| part.covers[i]).count() > 1);
    if has_twice {
        return None;
    }
    let at = |step: &InputStep, i: usize| step.list().map(|list| list[if list.len() == 1 { 0 } else { i }]);
    if parts.iter().all(|part| kinds(part.steps) == kinds(first)) {
        let step = |number: usize| {
            let entry = |i: usize| {
                let part = parts.iter().find(|part| part.covers[i]).unwrap_or(&parts[0]);
                at(&part.steps[number], i)
            };
            let list: Option<Vec<f32>> = (0..inputs).map(entry).collect();
            list.map_or(first[number].clone(), |list| first[number].with_list(list))
        };
        return Some((0..first.len()).map(step).collect());
    }
    // One part after the other, with numbers that change nothing for the others.
    let mut steps = Vec::new();
    for part in parts {
        for step in part.steps {
            let unchanged = unchanged(step)?;
            let entry = |i: usize| {
                if part.covers[i] {
                    at(step, i)
                } else {
                    Some(unchanged)
                }
            };
            let list: Option<Vec<f32>> = (0..inputs).map(entry).collect();
            steps.push(step.with_list(list?));
        }
    }
    Some(steps)
}

/// The number with which a step changes nothing, if there is one.
fn unchanged(step: &InputStep) -> Option<f32> {
    match step {
        InputStep::Add(_) => Some(0.0),
        InputStep::Multiply(_) | InputStep::Divide(_) => Some(1.0),
        InputStep::Max(_) => Some(f32::MIN),
        InputStep::Min(_) => Some(f32::MAX),
        InputStep::Sign | InputStep::Abs | InputStep::Round | InputStep::Floor | InputStep::Ceil => None,
    }
}

/// Makes one quantizer of those on the raw input, right behind it: steps become the client's, and moves come
/// after. Quantizers that do the same are joined everywhere.
pub(crate) fn hoist(draft: &mut NetworkDraft, output: &mut Id, obstacles: &mut Vec<Obstacle>) {
    join(draft, output);
    let inputs = draft.layers[0].shape.iter().product();
    let raws = trace(draft);
    let mut found: Vec<(Id, ActQuantizer, &Raw)> = Vec::new();
    for id in draft.needed(*output) {
        let step = &draft.layers[id];
        let (Work::Quantize(quantizer), Some(operand)) = (&step.work, step.operands.first()) else {
            continue;
        };
        let Some(raw) = &raws[*operand] else { continue };
        if let Some(zero) = raw
            .padding
            .filter(|&zero| quantizer.quantize(zero) != quantizer.zero_point)
        {
            let problem = NodeProblem::new(
                format!("zeros are added to the raw input, and become {zero} before it is quantized"),
                "padding after the quantizer, or in the convolution",
            );
            obstacles.push(Obstacle::new(
                &step.name,
                &step.operator,
                shown(&step.shape),
                problem,
            ));
            return;
        }
        found.push((id, *quantizer, raw));
    }
    let Some(together) = together(&found, inputs) else {
        return;
    };
    // Lists of one entry for each element, in the fewest channels.
    let shape = &draft.layers[0].shape;
    let width = channel_len(shape);
    let by_channel = |list: &[f32]| {
        list.chunks(width)
            .all(|c| c.iter().all(|x| x.to_bits() == c[0].to_bits()))
    };
    let lists = || together.steps.iter().filter_map(InputStep::list);
    let flat = lists().any(|list| list.len() > 1 && !by_channel(list));
    let shortened = |step: &InputStep| match step.list() {
        Some(list) if list.iter().all(|x| x.to_bits() == list[0].to_bits()) => step.with_list(vec![list[0]]),
        Some(list) if !flat => step.with_list(list.chunks(width).map(|c| c[0]).collect()),
        _ => step.clone(),
    };
    let steps = together.steps.iter().map(shortened).collect();
    let quantized: Vec<(Id, f64)> = found.iter().map(|f| f.0).zip(together.factors).collect();
    *draft = rebuilt(draft, output, flat, &quantized, together.quantizer);
    draft.input_steps = steps;
}

/// One quantizer in place of several on the raw input.
struct Together {
    steps: Vec<InputStep>,
    quantizer: ActQuantizer,
    /// What the results of each are multiplied with.
    factors: Vec<f64>,
}

fn together(found: &[(Id, ActQuantizer, &Raw)], inputs: usize) -> Option<Together> {
    let (_, quantizer, first) = found.first()?;
    if found
        .iter()
        .all(|(_, q, raw)| q == quantizer && raw.steps == first.steps)
    {
        return Some(Together {
            steps: first.steps.clone(),
            quantizer: *quantizer,
            factors: vec![1.0; found.len()],
        });
    }
    if found.iter().any(|(_, q, _)| q.zero_point != 0) {
        return None;
    }
    // Each part ends with its own bounds. Where scales differ it is divided too, and what is left are integers.
    let same_scale = found.iter().all(|(_, q, _)| q.scale == quantizer.scale);
    let ends = |(_, q, raw): &(Id, ActQuantizer, &Raw)| {
        let codes = q.codes();
        let mut steps = raw.steps.clone();
        if !same_scale {
            steps.push(InputStep::Divide(vec![q.scale]));
        }
        let bound = |code: i64| vec![code as f32 * if same_scale { q.scale } else { 1.0 }];
        steps.push(InputStep::Max(bound(codes.lo)));
        steps.push(InputStep::Min(bound(codes.hi)));
        steps
    };
    let all: Vec<Vec<InputStep>> = found.iter().map(ends).collect();
    let parts = found.iter().zip(&all);
    let parts = parts.map(|((_, _, raw), steps)| Part {
        steps,
        ..raw.part(inputs)
    });
    let steps = merged(&parts.collect::<Vec<_>>(), inputs)?;
    let codes = found.iter().map(|(_, q, _)| q.codes());
    let (lo, hi) = codes.fold((0, 0), |(lo, hi), c| (lo.min(c.lo), hi.max(c.hi)));
    let (scale, factors) = if same_scale {
        (quantizer.scale, vec![1.0; found.len()])
    } else {
        (1.0, found.iter().map(|(_, q, _)| f64::from(q.scale)).collect())
    };
    Some(Together {
        steps,
        quantizer: covering(lo, hi, scale)?,
        factors,
    })
}

/// The narrowest quantizer without a zero point that has codes.
pub(crate) fn covering(lo: i64, hi: i64, scale: f32) -> Option<ActQuantizer> {
    let forms = (1..=crate::quantizers::MOST_BITS).flat_map(|bits| {
        let of = move |(signed, narrow)| ActQuantizer::new(bits, signed, narrow, scale, 0).ok();
        [(false, false), (true, true), (true, false)]
            .into_iter()
            .filter_map(of)
    });
    forms
        .into_iter()
        .find(|q| q.codes().contains(lo) && q.codes().contains(hi))
}

/// The draft with one quantizer behind the input.
fn rebuilt(
    draft: &NetworkDraft,
    output: &mut Id,
    flat: bool,
    quantized: &[(Id, f64)],
    quantizer: ActQuantizer,
) -> NetworkDraft {
    let mut new = NetworkDraft {
        layers: vec![draft.layers[0].clone()],
        input_steps: Vec::new(),
        columns: draft.columns.clone(),
    };
    let shape = draft.layers[0].shape.clone();
    if flat {
        new.layers[0].shape = vec![shape.iter().product()];
    }
    let first = &draft.layers[quantized[0].0];
    let mut at = new.push(Step {
        work: Work::Quantize(quantizer),
        operands: vec![0],
        shape: new.layers[0].shape.clone(),
        ..first.clone()
    });
    if flat {
        at = new.push(Step {
            work: Work::Plain(Layer::Reshape(cml_quant::Reshape { shape: shape.clone() })),
            operands: vec![at],
            shape,
            ..first.clone()
        });
    }
    let mut moved = BTreeMap::from([(0, at)]);
    // Steps that came before are read by nothing, but keep shapes that fit.
    let raw = if flat {
        let (work, shape) = (new.layers[at].work.clone(), new.layers[at].shape.clone());
        new.push(Step {
            work,
            operands: vec![0],
            shape,
            ..first.clone()
        })
    } else {
        0
    };
    let mut places = BTreeMap::from([(0, raw)]);
    for id in draft.needed(*output).into_iter().filter(|&id| id != 0) {
        let step = &draft.layers[id];
        let place = match quantized.iter().find(|(of, _)| *of == id) {
            Some((_, factor)) => {
                let codes = codes_of(draft, step.operands[0], &mut new, &mut moved);
                if *factor == 1.0 {
                    codes
                } else {
                    new.push(Step {
                        work: Work::Affine(Affine::scaled(vec![*factor])),
                        operands: vec![codes],
                        ..step.clone()
                    })
                }
            }
            None => new.push(Step {
                operands: step.operands.iter().map(|o| places[o]).collect(),
                ..step.clone()
            }),
        };
        places.insert(id, place);
    }
    *output = places[output];
    new
}

/// The codes of what a layer made of the raw input: the same moves, without the steps.
fn codes_of(draft: &NetworkDraft, id: Id, new: &mut NetworkDraft, moved: &mut BTreeMap<Id, Id>) -> Id {
    if let Some(&known) = moved.get(&id) {
        return known;
    }
    let step = &draft.layers[id];
    let operands: Vec<Id> = step
        .operands
        .iter()
        .map(|&o| codes_of(draft, o, new, moved))
        .collect();
    let is_step = matches!(&step.work, Work::Affine(_) | Work::Plain(Layer::Function(_)));
    let at = if is_step {
        operands[0]
    } else {
        new.push(Step {
            operands,
            ..step.clone()
        })
    };
    moved.insert(id, at);
    at
}

/// Quantizers of one value that are equal become one.
fn join(draft: &mut NetworkDraft, output: &mut Id) {
    for second in 0..draft.layers.len() {
        let Work::Quantize(quantizer) = &draft.layers[second].work else {
            continue;
        };
        let operand = draft.layers[second].operands[0];
        let first = (0..second).find(|&first| {
            let step = &draft.layers[first];
            matches!(&step.work, Work::Quantize(q) if q == quantizer) && step.operands[..] == [operand]
        });
        if let Some(first) = first {
            redirect(draft, output, second, first);
        }
    }
}

/// Whether steps lead to other codes than those in use.
pub(crate) fn has_codes_beyond(chosen: &Chosen, steps: &[InputStep], inputs: usize) -> bool {
    let q = &chosen.quantizer;
    let spec = InputSpec {
        steps: steps.to_vec(),
        ..InputSpec::new(q.scale, q.zero_point, q.codes())
    };
    (0..inputs).any(|i| {
        let reached = spec.reached(i);
        reached.lo < chosen.codes.lo || reached.hi > chosen.codes.hi
    })
}
