//! What a quantized network needs, checked on the draft so that every obstacle is found at once.

use crate::Obstacle;
use crate::draft::{Id, NetworkDraft, Step, Weighted, Work, of, shown};
use crate::raw::{Raw, trace};
use crate::report::NodeProblem;
use cml_quant::{Layer, PoolKind, Weights};

/// What the integers of a layer stand for, as far as it matters to its readers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// Floats of the input.
    Raw,
    /// Integers of one scale.
    Plain { scale: f32, zero_point: i64 },
    /// Sums with a bias, or scales that differ.
    Sums,
    /// A function was applied.
    Function,
    /// An obstacle was found before.
    Unknown,
}

/// Whether any layer works on integers.
pub(crate) fn is_quantized(draft: &NetworkDraft, output: Id) -> bool {
    draft
        .needed(output)
        .into_iter()
        .any(|id| match &draft.layers[id].work {
            Work::Quantize(_) => true,
            Work::Weighted(w) => matches!(w.weights, Weights::Codes { .. }),
            Work::Plain(layer) => matches!(layer, Layer::Trees(_)),
            Work::Input | Work::Affine(_) | Work::Unknown => false,
        })
}

/// Every obstacle of a network of integers.
pub(crate) fn check(draft: &NetworkDraft, output: Id) -> Vec<Obstacle> {
    let mut checks = Checks {
        draft,
        raws: trace(draft),
        states: vec![State::Unknown; draft.layers.len()],
        found: Vec::new(),
    };
    for id in draft.needed(output) {
        checks.states[id] = checks.state(&draft.layers[id]);
    }
    let last = &draft.layers[output];
    let problem = match checks.states[output] {
        State::Function if !grows(draft, output) => Some(NodeProblem::new(
            format!("the output {} ends with a function", last.edge),
            "a QuantIdentity after it, or the function left to the client",
        )),
        State::Raw => Some(NodeProblem::new(
            "the output is the input",
            "a network with a layer",
        )),
        _ => None,
    };
    checks.found.extend(problem.map(|p| refused(last, p)));
    checks.found.extend(several_readers(draft, output));
    checks.found
}

/// The obstacle of an input that several layers read; normalized, it is still the input.
fn several_readers(draft: &NetworkDraft, output: Id) -> Option<Obstacle> {
    let mut raw = 0;
    loop {
        let needed = draft.needed(output).into_iter();
        let readers: Vec<Id> = needed
            .filter(|&id| draft.layers[id].operands.contains(&raw))
            .collect();
        match readers[..] {
            [only] if matches!(draft.layers[only].work, Work::Affine(_)) => raw = only,
            [] | [_] => return None,
            [..] => {
                let names: Vec<&str> = readers.iter().map(|&id| draft.layers[id].name.as_str()).collect();
                let problem = NodeProblem::new(
                    format!(
                        "{} layers read the raw input: {}",
                        readers.len(),
                        names.join(", ")
                    ),
                    "one QuantIdentity on the input, which all of them read",
                );
                return Some(refused(&draft.layers[raw], problem));
            }
        }
    }
}

/// Whether the functions at the end are factors above 0 and offsets, which become the output's scale.
pub(crate) fn grows(draft: &NetworkDraft, mut id: Id) -> bool {
    loop {
        let step = &draft.layers[id];
        match &step.work {
            Work::Affine(a) if a.scale.iter().all(|&s| s > 0.0) => {}
            Work::Plain(Layer::Reshape(_)) => {}
            Work::Affine(_) | Work::Plain(Layer::Function(_)) => return false,
            Work::Input | Work::Quantize(_) | Work::Weighted(_) | Work::Unknown => return true,
            Work::Plain(
                Layer::Input
                | Layer::Normalize(_)
                | Layer::Quantize(_)
                | Layer::Linear(_)
                | Layer::Conv2d(_)
                | Layer::Pool(_)
                | Layer::Add
                | Layer::Sub
                | Layer::Mul
                | Layer::Transpose(_)
                | Layer::Slice(_)
                | Layer::Pad(_)
                | Layer::Concat(_)
                | Layer::Gather(_)
                | Layer::Trees(_),
            ) => return true,
        }
        id = step.operands[0];
    }
}

fn refused(step: &Step, problem: NodeProblem) -> Obstacle {
    Obstacle::new(&step.shown(), &step.operator, shown(&step.shape), problem)
}

/// How the user of a file says what its input is.
const INPUT_DATA: &str = "an import that knows the data: --input-range LO..HI with --input-integers or --input-bits \
     BITS, or --calibrate DATA";

struct Checks<'a> {
    draft: &'a NetworkDraft,
    /// What is the raw input still.
    raws: Vec<Option<Raw>>,
    states: Vec<State>,
    found: Vec<Obstacle>,
}

impl Checks<'_> {
    fn refuse(&mut self, step: &Step, why: String, instead: String) -> State {
        self.found.push(refused(step, NodeProblem::new(why, instead)));
        State::Unknown
    }

    /// Scale and zero point of an operand, which must be plain codes.
    fn plain(&mut self, step: &Step, slot: usize) -> Option<(f32, i64)> {
        let operand = &self.draft.layers[step.operands[slot]];
        match self.states[step.operands[slot]] {
            State::Plain { scale, zero_point } => return Some((scale, zero_point)),
            State::Unknown => {}
            _ => {
                let edge = &operand.edge;
                let after = match operand.work {
                    Work::Input => "the input".to_owned(),
                    _ => format!("{} ({})", operand.name, operand.operator),
                };
                let quantizer = format!("a QuantIdentity on {edge:?}, between {after} and {}", step.name);
                let instead = if self.raws[step.operands[slot]].is_some() {
                    format!("{INPUT_DATA}; or {quantizer}")
                } else {
                    quantizer
                };
                self.refuse(
                    step,
                    format!("it reads {edge:?} without a quantizer, the result of {after}"),
                    instead,
                );
            }
        }
        None
    }

    fn state(&mut self, step: &Step) -> State {
        let before = step.operands.first().map(|&o| self.states[o]);
        match &step.work {
            Work::Input => State::Raw,
            Work::Quantize(q) => {
                if self.reads_function_of_input(step) {
                    return self.refuse(
                        step,
                        "a function is applied to the raw input before its quantizer".to_owned(),
                        format!("{INPUT_DATA}; or the quantizer first, or the function applied to the data"),
                    );
                }
                State::Plain {
                    scale: q.scale,
                    zero_point: q.zero_point,
                }
            }
            Work::Affine(affine) => match before {
                Some(State::Raw) if affine.scale.iter().any(|&s| s <= 0.0) => self.refuse(
                    step,
                    "the input is multiplied with a number that is not positive".to_owned(),
                    "a positive factor".to_owned(),
                ),
                Some(State::Raw) => State::Raw,
                Some(State::Unknown) => State::Unknown,
                _ => State::Function,
            },
            Work::Weighted(weighted) => self.products(step, weighted),
            Work::Plain(layer) => self.layer(step, layer, before.unwrap_or(State::Unknown)),
            Work::Unknown => State::Unknown,
        }
    }

    /// Whether a function lies between the raw input and a quantizer.
    fn reads_function_of_input(&self, step: &Step) -> bool {
        let mut id = step.operands[0];
        let mut function = false;
        loop {
            let step = &self.draft.layers[id];
            match &step.work {
                Work::Input => return function,
                Work::Plain(Layer::Function(_)) => function = true,
                Work::Affine(_) => {}
                Work::Plain(Layer::Reshape(_) | Layer::Transpose(_) | Layer::Slice(_) | Layer::Gather(_)) => {
                }
                _ => return false,
            }
            id = step.operands[0];
        }
    }

    fn products(&mut self, step: &Step, weighted: &Weighted) -> State {
        let read = self.plain(step, 0);
        let Weights::Codes { quantizer, .. } = &weighted.weights else {
            self.refuse(
                step,
                "its weights have no quantizer, but other layers are quantized".to_owned(),
                "a layer with weight quantization (QuantLinear, QuantConv2d)".to_owned(),
            );
            // What reads it needs a quantizer in any case.
            return State::Sums;
        };
        match read {
            Some((scale, _)) if weighted.bias.is_none() && quantizer.scale.len() == 1 => State::Plain {
                scale: scale * of(&quantizer.scale, 0),
                zero_point: 0,
            },
            Some(_) => State::Sums,
            None => State::Unknown,
        }
    }

    fn layer(&mut self, step: &Step, layer: &Layer, before: State) -> State {
        match layer {
            Layer::Function(_) => match before {
                State::Unknown => State::Unknown,
                _ => State::Function,
            },
            Layer::Pool(pool) => match (before, pool.kind) {
                (State::Function | State::Raw, _) | (State::Sums, PoolKind::Max) => {
                    self.plain(step, 0);
                    State::Unknown
                }
                (State::Plain { scale, zero_point }, PoolKind::Average) => {
                    let count = pool.kernel[0].saturating_mul(pool.kernel[1]);
                    State::Plain {
                        scale: scale / count as f32,
                        zero_point: zero_point.saturating_mul(count as i64),
                    }
                }
                (State::Plain { scale, zero_point }, PoolKind::Sum) => State::Plain {
                    scale,
                    zero_point: zero_point
                        .saturating_mul(pool.kernel[0].saturating_mul(pool.kernel[1]) as i64),
                },
                (state, _) => state,
            },
            Layer::Mul => match (self.plain(step, 0), self.plain(step, 1)) {
                (Some((a, _)), Some((b, _))) => State::Plain {
                    scale: a * b,
                    zero_point: 0,
                },
                _ => State::Unknown,
            },
            Layer::Add => self.common(step, |a, b| Some(a.saturating_add(b))),
            Layer::Sub => self.common(step, |a, b| Some(a.saturating_sub(b))),
            Layer::Concat(_) => self.common(step, |a, b| (a == b).then_some(a)),
            Layer::Pad(_) => match self.plain(step, 0) {
                Some((scale, zero_point)) => State::Plain { scale, zero_point },
                None => State::Unknown,
            },
            Layer::Reshape(_) | Layer::Transpose(_) | Layer::Slice(_) | Layer::Gather(_) => before,
            // These are other works than plain layers.
            Layer::Input | Layer::Normalize(_) | Layer::Quantize(_) | Layer::Linear(_) | Layer::Conv2d(_) => {
                before
            }
            Layer::Trees(_) => State::Sums,
        }
    }

    /// Values that are added or joined need one scale. `zero` gives the zero point of two of them, if they
    /// have one.
    fn common(&mut self, step: &Step, zero: impl Fn(i64, i64) -> Option<i64>) -> State {
        let read: Vec<Option<(f32, i64)>> = (0..step.operands.len())
            .map(|slot| self.plain(step, slot))
            .collect();
        let Some(known) = read.into_iter().collect::<Option<Vec<_>>>() else {
            return State::Unknown;
        };
        let (scale, first) = known[0];
        let mut zero_point = first;
        for (slot, &(other, next)) in known.iter().enumerate().skip(1) {
            match zero(zero_point, next).filter(|_| other == scale) {
                Some(found) => zero_point = found,
                None => {
                    let edge = |slot: usize| &self.draft.layers[step.operands[slot]].edge;
                    let (a, b) = (edge(0).clone(), edge(slot).clone());
                    return self.refuse(
                        step,
                        format!(
                            "{a:?} has scale {scale} and {b:?} has scale {other} (zero points {first}, {next})"
                        ),
                        format!("one QuantIdentity, shared by both, on {a:?} and {b:?}"),
                    );
                }
            }
        }
        State::Plain { scale, zero_point }
    }
}
