//! One layer after the other.

use super::activations::ValueRange;
use super::batch::{LinearMap, between, fake_quantized, inputs_of, replaced, value};
use super::calibration::Calibration;
use super::placement::Placement;
use super::{PtqConfig, PtqMethod, weights};
use crate::accumulators::reaches;
use crate::error::misfit;
use crate::{ActQuantizer, Layer, LayerId, LayerNode, Network, QuantError, accumulators, budget};
use ndarray::{Array2, ArrayView2, Axis, CowArray, Ix2};
use std::ops::Range;

/// Rows on which a candidate is judged before it is compared with the best.
const JUDGED_AT_ONCE: usize = 16;
/// Rows after which a candidate of so many times the loss of the best on them is given up.
const TRUSTED: usize = 64;
/// So many times.
const LOST: f64 = 1.5;
/// Rounding of a sum of losses, relative.
const ROUNDING: f64 = 1e-9;

/// A quantized network for a float one: quantizers where integers are needed, integer weights.
///
/// `samples` are `[rows, inputs]` of the kind that the network will see; of many some thousand are
/// used, evenly spread. Names and shapes stay; a quantizer after layer `fc1` and its function is
/// called `fc1/quant`. The result is deterministic. With [`PtqMethod::Adaptive`] it is never
/// further from the float network's outputs on the samples than with [`PtqMethod::MinMax`]; as
/// distance of class scores (a network with labels) counts the share of rows whose best class
/// changes, plus a little of the Kullback-Leibler divergence, of other outputs the squared error.
///
/// # Errors
/// If the network is quantized already or has no output, the configuration is out of range, there
/// are no samples or they do not fit the input or are not finite, or a bound on accumulators leaves
/// no room for a weight.
pub fn quantize_network(
    network: &Network,
    samples: ArrayView2<'_, f32>,
    config: &PtqConfig,
) -> Result<Network, QuantError> {
    config.validate()?;
    if let Some(node) = network.layers().iter().find(|n| !n.layer.kind().is_float()) {
        return Err(QuantError::NotFloat(node.name.clone()));
    }
    if let has @ 1.. = network.input_steps().len() {
        let name = &network.layers()[0].name;
        return Err(misfit(
            name,
            "steps before its quantizer",
            "none of a float network",
            has,
        ));
    }
    let calibration = Calibration::new(network, samples)?;
    let min_max = Driver::new(&calibration, config, PtqMethod::MinMax)?.run();
    if config.method == PtqMethod::MinMax {
        return min_max;
    }
    let adaptive = Driver::new(&calibration, config, PtqMethod::Adaptive)?.run()?;
    let Ok(min_max) = min_max else { return Ok(adaptive) };
    let worse = calibration.exact_loss(&adaptive)? > calibration.exact_loss(&min_max)?;
    Ok(if worse { min_max } else { adaptive })
}

/// A network under quantization.
struct Driver<'a> {
    float: &'a Calibration<'a>,
    config: &'a PtqConfig,
    method: PtqMethod,
    placement: Placement,
    /// Weights so far: quantized up to a layer, float after it.
    products: Vec<Option<LinearMap>>,
    /// Values of the layers so far.
    values: Vec<Array2<f64>>,
    /// Quantizer of each group, named by a layer.
    quantizers: Vec<Option<ActQuantizer>>,
    network: Network,
    /// Layers of the result, for the results of the float network's and for these quantized.
    plain: Vec<LayerId>,
    codes: Vec<Option<LayerId>>,
}

impl<'a> Driver<'a> {
    fn new(float: &'a Calibration<'a>, config: &'a PtqConfig, method: PtqMethod) -> Result<Self, QuantError> {
        let source = float.network;
        let mut network = Network::new(source.name(), source.layers()[0].shape.clone());
        network.set_columns(source.columns().to_vec())?;
        network.set_training(source.training().copied())?;
        Ok(Self {
            float,
            config,
            method,
            placement: Placement::of(source, float.output),
            products: float.products.clone(),
            values: Vec::with_capacity(source.layers().len()),
            quantizers: vec![None; source.layers().len()],
            network,
            plain: Vec::new(),
            codes: Vec::new(),
        })
    }

    fn run(mut self) -> Result<Network, QuantError> {
        for (i, node) in self.float.network.layers().iter().enumerate() {
            self.layer(i, node)?;
            let codes = match self.placement.group[i] {
                None => None,
                Some(group) => Some(self.quantizer(i, group)?),
            };
            self.codes.push(codes);
        }
        let output = self.float.output;
        let id = match self.codes[output].filter(|_| self.placement.output) {
            Some(codes) => codes,
            None => self.plain[output],
        };
        let labels: Vec<&str> = self.float.network.labels().iter().map(String::as_str).collect();
        self.network.set_output(id, &labels)?;
        self.network.set_probabilities(self.float.network.probabilities());
        // What is neither looked up nor decrypted is part of an accumulator after it.
        let ends = |name: &str| {
            let mut nodes = self.network.layers().iter().enumerate();
            nodes.any(|(i, n)| n.name == name && (i == id.index() || LinearMap::of(&n.layer).is_some()))
        };
        for found in accumulators(&self.network)? {
            let limit = self.limit(found.lookup).unwrap_or(u64::MAX);
            if found.values > limit && (found.lookup || ends(&found.layer)) {
                return Err(QuantError::Unbounded {
                    layer: found.layer,
                    has: found.values,
                    limit,
                });
            }
        }
        Ok(self.network)
    }

    fn limit(&self, lookup: bool) -> Option<u64> {
        if lookup {
            self.config.max_accumulator_values
        } else {
            self.config.max_output_values
        }
    }

    /// Adds a layer, with integer weights if it has weights.
    fn layer(&mut self, i: usize, node: &LayerNode) -> Result<(), QuantError> {
        if let Layer::Input = node.layer {
            self.plain.push(self.network.input());
            self.values.push(self.float.values[i].clone());
            return Ok(());
        }
        let operands: Vec<LayerId> = node
            .operands
            .iter()
            .zip(&self.placement.quantized[i])
            .map(|(o, &quantized)| match self.codes[o.index()] {
                Some(codes) if quantized => codes,
                _ => self.plain[o.index()],
            })
            .collect();
        let mut layer = node.layer.clone();
        if let Some(products) = &self.float.products[i] {
            let found = self.weights(i, node, products, operands[0])?;
            layer = replaced(&node.layer, found.codes, found.bias, found.quantizer)?;
            self.products[i] = LinearMap::of(&layer);
        }
        self.plain.push(self.network.push(&node.name, layer, &operands)?);
        let value = self.value(i, self.values.len(), &[], 0..self.float.rows(), |g| {
            self.quantizers[g]
        });
        self.values.push(value);
        Ok(())
    }

    fn weights(
        &self,
        i: usize,
        node: &LayerNode,
        float: &LinearMap,
        x: LayerId,
    ) -> Result<weights::Quantized, QuantError> {
        let (added, lookup) = self.placement.after(self.float.network, i);
        let bits = self.config.weight_bits;
        let mut most = u64::MAX;
        if let Some(values) = self.limit(lookup) {
            let reach = reaches(&self.network)?[x.index()];
            let zero = self.network.meanings()?[x.index()]
                .as_ref()
                .map_or(0, |m| m.zero_point);
            let padded = matches!(&node.layer, Layer::Conv2d(conv) if conv.is_padded());
            let span = reach.map_or(0, |r| r.relative(zero, padded).span);
            most = budget::l1_budget(values, span.saturating_mul(added));
            if most == 0 {
                return Err(QuantError::Unbounded {
                    layer: node.name.clone(),
                    has: 1 + span * added,
                    limit: values,
                });
            }
        }
        if self.method == PtqMethod::MinMax {
            return weights::min_max(float, bits, most);
        }
        let x = self.read(i, 0, self.values.len(), &[], 0..self.float.rows(), &|g| {
            self.quantizers[g]
        });
        let inputs = inputs_of(self.float.network, node, x.view());
        weights::adaptive(float, bits, most, &inputs, &self.float.values[i])
    }

    /// Chooses the quantizer of a group, if it is not chosen, and adds it after layer `i`.
    fn quantizer(&mut self, i: usize, group: usize) -> Result<LayerId, QuantError> {
        let q = match self.quantizers[group] {
            Some(q) => q,
            None => self.choose(i, group)?,
        };
        self.quantizers[group] = Some(q);
        let name = self.name(i);
        self.network.quantize(&name, self.plain[i], q)
    }

    fn choose(&self, i: usize, group: usize) -> Result<ActQuantizer, QuantError> {
        let raw = |l: usize| {
            matches!(
                self.float.network.layers()[l].layer,
                Layer::Input | Layer::Normalize(_)
            )
        };
        let bits = if self.placement.members(group).all(raw) {
            self.config.input_bits
        } else {
            self.config.activation_bits
        };
        // Members that are not there yet count as the float network has them.
        let range = self
            .placement
            .members(group)
            .fold(ValueRange::default(), |range, member| {
                let values = if self.method == PtqMethod::MinMax {
                    &self.float.values[member]
                } else {
                    self.values.get(member).unwrap_or(&self.float.values[member])
                };
                range.with(values.view())
            });
        if self.method == PtqMethod::MinMax {
            return range.min_max(bits);
        }
        let rows = self.float.judged();
        // Sums of the best candidate's losses after each part of the rows.
        let mut leader: Vec<f64> = Vec::new();
        let found = range.search(bits, |candidate, best| {
            let (mut sum, mut done, mut sums) = (0.0, 0, Vec::new());
            // Most candidates are worse than the best on a few rows already.
            while done < rows {
                let lost = done >= TRUSTED && leader.get(sums.len() - 1).is_some_and(|&l| sum > LOST * l);
                if lost || sum > best * rows as f64 * (1.0 + ROUNDING) {
                    return f64::INFINITY;
                }
                let part = done..rows.min(done + JUDGED_AT_ONCE);
                let outputs = self.outputs(i + 1, part.clone(), |g| {
                    if g == group {
                        Some(*candidate)
                    } else {
                        self.quantizers[g]
                    }
                });
                self.float.add_losses(&mut sum, part.clone(), outputs.view());
                done = part.end;
                sums.push(sum);
            }
            let loss = sum / rows as f64;
            if loss < best {
                leader = sums;
            }
            loss
        })?;
        range.trimmed(found)
    }

    /// Outputs of some rows, layers from `first` on with the weights that they have now.
    fn outputs(
        &self,
        first: usize,
        rows: Range<usize>,
        quantizer: impl Fn(usize) -> Option<ActQuantizer>,
    ) -> Array2<f64> {
        let mut fresh = Vec::new();
        for i in first..=self.float.output {
            let value = self.value(i, first, &fresh, rows.clone(), &quantizer);
            fresh.push(value);
        }
        let output = self.float.output;
        let y = known(&self.values, &fresh, first, output, rows);
        match self.placement.group[output]
            .filter(|_| self.placement.output)
            .and_then(quantizer)
        {
            Some(q) => fake_quantized(&q, y),
            None => y.to_owned(),
        }
    }

    /// Values of a layer: those before `first` are known, those from it on are in `fresh`.
    fn value(
        &self,
        i: usize,
        first: usize,
        fresh: &[Array2<f64>],
        rows: Range<usize>,
        quantizer: impl Fn(usize) -> Option<ActQuantizer>,
    ) -> Array2<f64> {
        let node = &self.float.network.layers()[i];
        let operands: Vec<CowArray<'_, f64, Ix2>> = (0..node.operands.len())
            .map(|slot| self.read(i, slot, first, fresh, rows.clone(), &quantizer))
            .collect();
        let views: Vec<ArrayView2<'_, f64>> = operands.iter().map(|x| x.view()).collect();
        value(self.float.network, node, self.products[i].as_ref(), &views)
    }

    /// What a layer reads.
    fn read<'b>(
        &'b self,
        i: usize,
        slot: usize,
        first: usize,
        fresh: &'b [Array2<f64>],
        rows: Range<usize>,
        quantizer: &impl Fn(usize) -> Option<ActQuantizer>,
    ) -> CowArray<'b, f64, Ix2> {
        let o = self.float.network.layers()[i].operands[slot].index();
        let x = known(&self.values, fresh, first, o, rows);
        let group = self.placement.group[o].filter(|_| self.placement.quantized[i][slot]);
        match group.and_then(quantizer) {
            Some(q) => fake_quantized(&q, x).into(),
            None => x.into(),
        }
    }

    /// `fc1/quant` for layer `fc1` and for `fc1/relu` that reads it.
    fn name(&self, i: usize) -> String {
        let source = self.float.network;
        let mut node = &source.layers()[i];
        while let (Layer::Function(_) | Layer::Normalize(_), Some(&o)) = (&node.layer, node.operands.first())
        {
            node = source.layer(o);
        }
        let mut name = format!("{}/quant", node.name);
        let taken = |name: &str| {
            let mut nodes = source.layers().iter().chain(self.network.layers());
            nodes.any(|n| n.name == name)
        };
        while taken(&name) {
            name.push('_');
        }
        name
    }
}

fn known<'b>(
    values: &'b [Array2<f64>],
    fresh: &'b [Array2<f64>],
    first: usize,
    layer: usize,
    rows: Range<usize>,
) -> ArrayView2<'b, f64> {
    if layer < first {
        between(values[layer].view(), Axis(0), rows)
    } else {
        // Of these rows only.
        fresh[layer - first].view()
    }
}
