//! The float network on the calibration rows, and how far a quantized one is from it.

use super::batch::{LinearMap, between, value};
use super::loss::losses;
use crate::error::misfit;
use crate::{Layer, LayerNode, Network, QuantError};
use ndarray::{Array2, ArrayView2, Axis};
use std::ops::Range;

/// Most calibration rows that are used.
const ROWS: usize = 4096;
/// Most numbers of all layers for these rows.
const NUMBERS: usize = 1 << 25;
/// Rows on which a candidate quantizer is judged, at most.
const JUDGED: usize = 512;
/// Products that judging a candidate may take.
const JUDGED_WORK: usize = 200_000_000;

/// The float network on the calibration rows.
pub(super) struct Calibration<'a> {
    pub(super) network: &'a Network,
    pub(super) output: usize,
    /// Whether the outputs are scores of classes.
    classes: bool,
    /// Values of each layer.
    pub(super) values: Vec<Array2<f64>>,
    pub(super) products: Vec<Option<LinearMap>>,
    /// Products in one forward pass of a row.
    work: usize,
}

impl<'a> Calibration<'a> {
    pub(super) fn new(network: &'a Network, samples: ArrayView2<'_, f32>) -> Result<Self, QuantError> {
        let output = network.output()?.index();
        if samples.nrows() == 0 {
            let input = &network.layers()[0].name;
            return Err(misfit(input, "calibration samples", "at least 1", 0));
        }
        for row in samples.rows() {
            network.check_sample(&row.to_vec())?;
        }
        let numbers: usize = network.layers().iter().map(elements).sum();
        let rows = samples.nrows().min(ROWS).min((NUMBERS / numbers.max(1)).max(16));
        let picked = spread(samples.nrows(), rows);
        let x = Array2::from_shape_fn((rows, samples.ncols()), |(r, i)| {
            f64::from(samples[[picked[r], i]])
        });
        let products: Vec<Option<LinearMap>> =
            network.layers().iter().map(|n| LinearMap::of(&n.layer)).collect();
        let mut values: Vec<Array2<f64>> = Vec::with_capacity(network.layers().len());
        for (node, products) in network.layers().iter().zip(&products) {
            let operands: Vec<ArrayView2<'_, f64>> =
                node.operands.iter().map(|o| values[o.index()].view()).collect();
            let value = if operands.is_empty() {
                x.clone()
            } else {
                value(network, node, products.as_ref(), &operands)
            };
            if let (Layer::Function(f), Some(read)) = (&node.layer, operands.first()) {
                let mut pairs = read.iter().zip(&value);
                if let Some((&argument, &has)) = pairs.find(|(_, has)| !has.is_finite()) {
                    return Err(QuantError::NotFinite {
                        layer: node.name.clone(),
                        function: f.name(),
                        argument: argument as f32,
                        has: has as f32,
                    });
                }
            }
            values.push(value);
        }
        let labelled = !network.labels().is_empty() && values[output].ncols() > 1;
        let work = network.layers().iter().zip(&products);
        let work = work
            .map(|(n, p)| p.as_ref().map_or(0, |p| elements(n) * p.weights.ncols()))
            .sum();
        Ok(Self {
            network,
            output,
            classes: labelled,
            values,
            products,
            work,
        })
    }

    pub(super) fn rows(&self) -> usize {
        self.values[0].nrows()
    }

    /// Rows on which a candidate is judged.
    pub(super) fn judged(&self) -> usize {
        self.rows()
            .min(JUDGED)
            .min((JUDGED_WORK / self.work.max(1)).max(16))
    }

    /// Mean loss of the outputs of the first rows.
    pub(super) fn loss(&self, outputs: ArrayView2<'_, f64>) -> f64 {
        let mut sum = 0.0;
        self.add_losses(&mut sum, 0..outputs.nrows(), outputs);
        sum / outputs.nrows().max(1) as f64
    }

    /// Adds the losses of the outputs of some rows, row by row. None is below 0, but for rounding.
    pub(super) fn add_losses(&self, sum: &mut f64, rows: Range<usize>, outputs: ArrayView2<'_, f64>) {
        let float = between(self.values[self.output].view(), Axis(0), rows);
        losses(&float, &outputs, self.classes).for_each(|loss| *sum += loss);
    }

    /// Loss of a quantized network, by its exact forward pass.
    pub(super) fn exact_loss(&self, quantized: &Network) -> Result<f64, QuantError> {
        let rows = self.rows().min((JUDGED_WORK / self.work.max(1)).max(16));
        let mut outputs = Vec::new();
        for sample in self.values[0].rows().into_iter().take(rows) {
            let sample: Vec<f32> = sample.iter().map(|&x| x as f32).collect();
            outputs.extend(quantized.forward(&sample)?.into_iter().map(f64::from));
        }
        let width = outputs.len() / rows.max(1);
        let outputs = ArrayView2::from_shape((rows, width), &outputs);
        let outputs = outputs.map_err(|e| misfit("output", "values", "rows of one length", e))?;
        Ok(self.loss(outputs))
    }
}

fn elements(node: &LayerNode) -> usize {
    node.shape.iter().product()
}

/// `wanted` of `all` indices such that any first ones of them are spread evenly.
fn spread(all: usize, wanted: usize) -> Vec<usize> {
    let gcd = |mut a: usize, mut b: usize| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    // A stride near the golden section, without a common divisor.
    let near = (all as f64 * 0.618_034) as usize;
    let stride = (near.max(1)..).find(|&s| gcd(s, all) == 1).unwrap_or(1);
    (0..wanted).map(|k| k * stride % all).collect()
}
