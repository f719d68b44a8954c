//! Writes a network of random weights that costs what a trained one of its shape costs, and inputs for it.
//!
//! `stand_in LAYERS FILE`: 784 inputs of 3 bits, LAYERS hidden layers of 92 units, 10 outputs, to
//! FILE.cmlg and FILE.csv. Weights have 3 bits; a unit's magnitudes sum to 9, so that every
//! accumulator takes at most 64 values, which is what training with a bound keeps to. It classifies
//! nothing: only its time means something.

use cml_file::Artifact;
use cml_ir::{GraphBuilder, InputSpec, Interval, Lut, OutputSpec, Tensor, optimize};
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

const INPUTS: usize = 784;
const UNITS: usize = 92;
const OUTPUTS: usize = 10;
/// Largest activation: 3 bits.
const TOP: i64 = 7;
/// Largest weight: 3 bits, symmetric.
const LARGEST: i64 = 3;
/// Sum of the magnitudes of a unit's weights: `TOP * BUDGET + 1` is 64.
const BUDGET: i64 = 9;
const SAMPLES: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [layers, file] = args.as_slice() else {
        return Err("usage: stand_in LAYERS FILE".into());
    };
    let layers: usize = layers.parse()?;
    let mut random = Random(1);
    let mut b = GraphBuilder::new(format!("stand_in_{layers}"));
    let spec = InputSpec::new(1.0, 0, Interval::new(0, TOP));
    let mut x = b.input("x", vec![INPUTS], spec)?;
    let mut width = INPUTS;
    for layer in 0..layers {
        let weights = weights(UNITS, width, &mut random)?;
        x = b.dot(&format!("fc{layer}"), x, weights, vec![0; UNITS])?;
        // The upper half of what a unit can reach, on all levels: nothing dies out, however deep.
        let reach = TOP * BUDGET;
        let relu = Lut::from_fn(Interval::new(-reach, reach), |v| {
            (v.max(0) * 4 + reach / 4).min(reach * 2) * TOP / (reach * 2)
        });
        x = b.lut(&format!("relu{layer}"), x, relu)?;
        width = UNITS;
    }
    let weights = weights(OUTPUTS, width, &mut random)?;
    let scores = b.dot("scores", x, weights, vec![0; OUTPUTS])?;
    b.output("y", scores, OutputSpec::identity())?;
    let graph = optimize(&b.finish()?)?;
    graph.write(Path::new(&format!("{file}.cmlg")))?;
    std::fs::write(format!("{file}.csv"), samples(&mut random)?)?;
    Ok(())
}

/// `rows` units with magnitudes that sum to the budget.
fn weights(rows: usize, width: usize, random: &mut Random) -> Result<Tensor, Box<dyn Error>> {
    let mut weights = vec![0; rows * width];
    for row in weights.chunks_exact_mut(width) {
        let mut left = BUDGET;
        while left > 0 {
            let at = random.below(width);
            if row[at] == 0 {
                let magnitude = (1 + random.below(LARGEST as usize) as i64).min(left);
                row[at] = if random.below(2) == 0 {
                    magnitude
                } else {
                    -magnitude
                };
                left -= magnitude;
            }
        }
    }
    Ok(Tensor::new(vec![rows, width], weights)?)
}

/// A CSV file of random inputs.
fn samples(random: &mut Random) -> Result<String, Box<dyn Error>> {
    let names: Vec<String> = (0..INPUTS).map(|i| format!("p{i}")).collect();
    let mut text = names.join(",") + "\n";
    for _ in 0..SAMPLES {
        for i in 0..INPUTS {
            let separator = if i + 1 < INPUTS { ',' } else { '\n' };
            write!(text, "{}{separator}", random.below(TOP as usize + 1))?;
        }
    }
    Ok(text)
}

/// SplitMix64: the same network for everyone.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}
