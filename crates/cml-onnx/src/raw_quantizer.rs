//! Quantizers for an input that has none: its user knows what the data are, or the file says it.

use crate::draft::{Affine, Id, NetworkDraft, Step, WeightedKind, Work};
use crate::import::InputData;
use crate::quantizers::MOST_BITS;
use crate::raw::{Raw, covering, has_codes_beyond, trace};
use crate::report::Note;
use cml_quant::{ActQuantizer, InputStep, Interval, Layer, Univariate, Weights};
use std::collections::{BTreeMap, BTreeSet};

/// Values that lie on `offset + k * step`, from `lo` to `hi`.
#[derive(Clone, Copy, Debug)]
struct Values {
    lo: f64,
    hi: f64,
    /// Step and offset; nothing if values can lie anywhere.
    lattice: Option<(f64, f64)>,
}

/// Whether a number is whole, up to the rounding of `f32`.
fn is_whole(x: f64) -> bool {
    (x - x.round()).abs() < 1e-4
}

impl Values {
    fn anything() -> Self {
        Self {
            lo: f64::NEG_INFINITY,
            hi: f64::INFINITY,
            lattice: None,
        }
    }

    /// What the user says of the data.
    fn of(data: &InputData) -> Self {
        let [lo, hi] = data
            .range
            .map_or([f64::NEG_INFINITY, f64::INFINITY], |r| r.map(f64::from));
        let lattice = match data.bits {
            None => Some(1.0),
            Some(bits) if (hi - lo).is_finite() && hi > lo => {
                Some((hi - lo) / (f64::from(bits).exp2() - 1.0))
            }
            Some(_) => None,
        };
        Self {
            lo,
            hi,
            lattice: lattice.map(|step| (step, 0.0)),
        }
    }

    /// The values after a step.
    fn then(self, step: &InputStep) -> Self {
        let list = step.list().unwrap_or_default();
        let ends = |each: &dyn Fn(f64, f64) -> f64| {
            let all = list
                .iter()
                .flat_map(|&c| [each(self.lo, c.into()), each(self.hi, c.into())]);
            // An infinite end times 0.
            let all = all.map(|x| if x.is_nan() { 0.0 } else { x });
            all.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), x| {
                (lo.min(x), hi.max(x))
            })
        };
        let one = match list {
            [one] => Some(f64::from(*one)),
            _ => None,
        };
        let within = |(lo, hi): (f64, f64), lattice: Option<(f64, f64)>| Self { lo, hi, lattice };
        let whole = |lo: f64, hi: f64| Self {
            lo,
            hi,
            lattice: Some((1.0, 0.0)),
        };
        let scaled = |factor: f64| {
            let lattice = self.lattice.filter(|_| factor != 0.0);
            lattice.map(|(step, offset)| (step * factor.abs(), offset * factor))
        };
        // A bound keeps the lattice if it lies on it, or beyond the values.
        let bounded = |bound: f64, acts: bool| {
            self.lattice
                .filter(|(step, offset)| !acts || is_whole((bound - offset) / step))
        };
        match step {
            InputStep::Add(_) => within(
                ends(&|x, c| x + c),
                one.and_then(|c| self.lattice.map(|(step, offset)| (step, offset + c))),
            ),
            InputStep::Multiply(_) => within(ends(&|x, c| x * c), one.and_then(scaled)),
            InputStep::Divide(_) => within(ends(&|x, c| x / c), one.and_then(|c| scaled(c.recip()))),
            InputStep::Max(_) => within(ends(&f64::max), one.and_then(|c| bounded(c, c > self.lo))),
            InputStep::Min(_) => within(ends(&f64::min), one.and_then(|c| bounded(c, c < self.hi))),
            InputStep::Sign => {
                let sign = |x: f64| if x == 0.0 { 0.0 } else { x.signum() };
                whole(sign(self.lo), sign(self.hi))
            }
            InputStep::Abs => {
                let straddles = self.lo < 0.0 && self.hi > 0.0;
                let (lo, hi) = (self.lo.abs(), self.hi.abs());
                let least = if straddles { 0.0 } else { lo.min(hi) };
                let lattice = self.lattice.filter(|(step, offset)| is_whole(offset / step));
                within((least, lo.max(hi)), lattice)
            }
            InputStep::Round => whole(self.lo.round_ties_even(), self.hi.round_ties_even()),
            InputStep::Floor => whole(self.lo.floor(), self.hi.floor()),
            InputStep::Ceil => whole(self.lo.ceil(), self.hi.ceil()),
        }
    }

    /// The values after steps.
    fn after(self, raw: &Raw) -> Self {
        raw.steps.iter().fold(self, |values, step| values.then(step))
    }

    /// The quantizer that has all values, if there is one; the offset may be so many parts of a step.
    fn exact(&self, parts: u32) -> Option<Chosen> {
        let (step, offset) = self.lattice?;
        let part = (1..=parts).find(|&part| is_whole(offset / step * f64::from(part)))?;
        self.with_step(step / f64::from(part), true)
    }

    /// A quantizer of so many bits over the values.
    fn rounded(&self, bits: u32) -> Option<Chosen> {
        self.with_step((self.hi - self.lo) / (f64::from(bits).exp2() - 1.0), false)
    }

    fn with_step(&self, step: f64, exact: bool) -> Option<Chosen> {
        let code = |x: f64| (x / step).round();
        let (lo, hi) = (code(self.lo), code(self.hi));
        if !(lo.abs() < 1e9 && hi.abs() < 1e9 && lo <= hi) {
            return None;
        }
        let codes = Interval::new(lo as i64, hi as i64);
        let quantizer = covering(codes.lo.min(0), codes.hi.max(0), step as f32)?;
        let bounds = [lo * step, hi * step].map(|x| x as f32);
        Some(Chosen {
            quantizer,
            codes,
            bounds,
            exact,
        })
    }
}

/// A quantizer for the raw input.
pub(crate) struct Chosen {
    pub(crate) quantizer: ActQuantizer,
    /// Its codes that are in use.
    pub(crate) codes: Interval,
    /// What they stand for.
    bounds: [f32; 2],
    /// Whether no value is rounded.
    exact: bool,
}

impl Chosen {
    fn text(&self, data: Option<&InputData>) -> String {
        let what = match (self.exact, data) {
            (true, None) => "what is done with the input before it is read makes whole numbers of it",
            (true, Some(data)) if data.bits.is_none() => "the input takes whole numbers",
            (true, Some(_)) => "the input is quantized as asked for",
            (false, _) => "the input is rounded before it is read",
        };
        let [lo, hi] = self.bounds;
        let (count, scale) = (self.codes.hi - self.codes.lo + 1, self.quantizer.scale);
        format!("{what}: {count} values from {lo} to {hi}, in steps of {scale}")
    }
}

/// Gives each value of the raw input that is read without a quantizer one, if it is known what the data are, or
/// the steps say it. Whether there are such values.
pub(crate) fn quantize(
    draft: &mut NetworkDraft,
    output: &mut Id,
    data: Option<&InputData>,
    notes: &mut Vec<Note>,
) -> bool {
    let raws = trace(draft);
    let start = data.map_or_else(Values::anything, Values::of);
    let mut read: Vec<Id> = Vec::new();
    for id in draft.needed(*output).into_iter().filter(|&id| raws[id].is_none()) {
        let step = &draft.layers[id];
        if !matches!(step.work, Work::Quantize(_) | Work::Unknown) {
            read.extend(step.operands.iter().filter(|&&o| raws[o].is_some()));
        }
    }
    read.sort_unstable();
    read.dedup();
    let is_read = !read.is_empty();
    let inputs = draft.layers[0].shape.iter().product();
    let mut places: BTreeMap<Id, Place> = BTreeMap::new();
    let mut tails: BTreeSet<Id> = BTreeSet::new();
    for mut id in read {
        let before = draft.layers[id].operands.first().copied();
        if let Some(before) = before.filter(|&before| exact(start, &raws, before).is_some())
            && exact(start, &raws, id).is_none()
            && is_linear(draft, id, *output)
        {
            tails.insert(id);
            id = before;
        }
        let Some(raw) = &raws[id] else { continue };
        let values = start.after(raw);
        let bits = data.map(InputData::width).filter(|&bits| bits <= MOST_BITS);
        let chosen = values.exact(8).or_else(|| values.rounded(bits?));
        if let Some(chosen) = chosen {
            let bounded = has_codes_beyond(&chosen, &raw.steps, inputs);
            let text = chosen.text(data);
            let node = draft.layers[0].edge.clone();
            notes.push(Note { node, text });
            places.insert(id, Place { chosen, bounded });
        }
    }
    insert(draft, output, &places, |id| {
        raws[id].is_none() || tails.contains(&id)
    });
    is_read
}

/// A quantizer that a value gets.
struct Place {
    chosen: Chosen,
    /// Whether its bounds have to be put on the value.
    bounded: bool,
}

fn exact(start: Values, raws: &[Option<Raw>], id: Id) -> Option<Chosen> {
    start.after(raws[id].as_ref()?).exact(1)
}

/// Whether a layer is one factor and offset that all of its readers can take into their weights and biases.
fn is_linear(draft: &NetworkDraft, id: Id, output: Id) -> bool {
    let Work::Affine(affine) = &draft.layers[id].work else {
        return false;
    };
    let mut readers = draft.needed(output).into_iter().map(|id| &draft.layers[id]);
    let takes = |step: &Step| !step.operands.contains(&id) || takes_offset(&step.work);
    id != output && affine.len() == 1 && readers.all(takes)
}

/// Whether an offset of what it reads is one of its results.
pub(crate) fn takes_offset(work: &Work) -> bool {
    let Work::Weighted(weighted) = work else {
        return false;
    };
    let is_bare = match weighted.kind {
        WeightedKind::Dense => true,
        WeightedKind::Conv { padding, .. } => padding == [0; 4],
    };
    is_bare && matches!(weighted.weights, Weights::Codes { .. })
}

/// Puts quantizers behind values, which those layers read that are said to.
fn insert(
    draft: &mut NetworkDraft,
    output: &mut Id,
    places: &BTreeMap<Id, Place>,
    reads_codes: impl Fn(Id) -> bool,
) {
    let old = std::mem::take(&mut draft.layers);
    // Where each value is now, as floats and as codes.
    let mut floats: Vec<Id> = Vec::with_capacity(old.len());
    let mut codes: Vec<Id> = Vec::with_capacity(old.len());
    for (id, mut layer) in old.into_iter().enumerate() {
        let takes = reads_codes(id) && !matches!(layer.work, Work::Quantize(_));
        for operand in &mut layer.operands {
            *operand = if takes { codes[*operand] } else { floats[*operand] };
        }
        let step = |work: Work, operand: Id| Step {
            name: format!("{}/quant", layer.edge),
            work,
            operands: vec![operand],
            ..layer.clone()
        };
        let mut last = draft.push(layer.clone());
        floats.push(last);
        if let Some(Place { chosen, bounded }) = places.get(&id) {
            if *bounded {
                let [lo, hi] = chosen.bounds;
                let clip = Layer::Function(Univariate::Clip { lo, hi });
                last = draft.push(step(Work::Plain(clip), last));
            }
            last = draft.push(step(Work::Quantize(chosen.quantizer), last));
        }
        codes.push(last);
    }
    *output = floats[*output];
}

/// Takes an offset of what a layer reads into its bias.
pub(crate) fn absorb_offset(work: &mut Work, affine: &Affine) {
    let Work::Weighted(weighted) = work else { return };
    let outputs = weighted.outputs();
    let mut bias = weighted.bias.take().unwrap_or_else(|| vec![0.0; outputs]);
    if let Weights::Codes { codes, quantizer } = &weighted.weights {
        for (c, (row, bias)) in codes.outer_iter().zip(&mut bias).enumerate() {
            let sum = row.iter().sum::<i64>() as f64;
            let weight = f64::from(crate::draft::of(&quantizer.scale, c));
            *bias = (f64::from(*bias) + affine.offset[0] * weight * sum) as f32;
        }
    }
    weighted.bias = Some(bias);
}
