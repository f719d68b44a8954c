//! Classes over the unit square: in floats, in integers, and encrypted.

use super::stages::Stages;
use crate::tools::root;
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::fs;

/// Points along a side of the grid, both ends of the unit interval included.
const SIDE: usize = 101;

/// Most points to run encrypted.
const MOST_POINTS: usize = 256;

/// The quantizer of one coordinate.
#[derive(Clone, Copy, Debug)]
struct Quantizer {
    scale: f32,
    offset: f32,
    zero_point: i64,
    lo: i64,
    hi: i64,
}

impl Quantizer {
    /// As `cml simulate --json` tells it; one entry serves every coordinate.
    fn read(input: &Value, coordinate: usize) -> Option<Self> {
        let range = &input["range"];
        let of = |list: &Value| list.get(coordinate).or(list.get(0))?.as_f64();
        Some(Self {
            scale: of(&input["scale"])? as f32,
            offset: of(&input["offset"])? as f32,
            zero_point: input["zero_point"].as_i64()?,
            lo: range["lo"].as_i64()?,
            hi: range["hi"].as_i64()?,
        })
    }

    /// The code of a float; the same arithmetic as a client's.
    fn code(self, x: f32) -> i64 {
        let q = ((x - self.offset) / self.scale + self.zero_point as f32).round_ties_even();
        q.clamp(self.lo as f32, self.hi as f32) as i64
    }

    /// The float that a code stands for.
    fn float(self, code: i64) -> f32 {
        (code - self.zero_point) as f32 * self.scale + self.offset
    }

    /// A float for each code that occurs on the unit interval.
    fn floats(self) -> Vec<f32> {
        (self.code(0.0)..=self.code(1.0)).map(|c| self.float(c)).collect()
    }

    /// Position of a float's code in [`Quantizer::floats`].
    fn position(self, x: f32) -> usize {
        (self.code(x) - self.code(0.0)) as usize
    }
}

/// Trains both networks and runs all three on a grid.
///
/// The server sees nothing of a point but its codes, of which there are few: the encrypted result of
/// one point for each pair of codes is the whole encrypted map.
pub(crate) fn boundaries(stages: &Stages<'_>, float: &str, integer: &str) -> Result<Value> {
    let file = |name: &str| format!("{}/{name}", stages.folder);
    let grid = rectangle(&axis(SIDE), &axis(SIDE));
    let grid_file = file("grid.csv");
    write_points(&grid_file, &grid)?;

    let network = stages.train(float, float, 0, &[])?;
    let simulated = stages.run(&["simulate", &network.network(), "--data", &grid_file])?;
    let float = classes(&simulated)?;

    let network = stages.train(integer, integer, 0, &[])?;
    let (graph, circuit) = (network.file(".cmlg"), network.file(".cmlc"));
    stages.run(&["quantize", &network.network(), "-o", &graph])?;
    let simulated = stages.run(&["simulate", &graph, "--data", &grid_file])?;
    let integer = classes(&simulated)?;

    let read = |coordinate| {
        let quantizer = Quantizer::read(&simulated["input"], coordinate);
        quantizer.context("`cml simulate` tells no input quantizer")
    };
    let quantizers = [read(0)?, read(1)?];
    let [columns, rows] = quantizers.map(Quantizer::floats);
    let points = rectangle(&columns, &rows);
    let mut result = json!({
        "side": SIDE,
        "float_classes": float,
        "integer_classes": integer,
        "points": points.len(),
    });
    if points.len() > MOST_POINTS {
        stages.say(&format!(
            "{} pairs of codes, limit {MOST_POINTS}: not run encrypted",
            points.len()
        ));
        return Ok(result);
    }
    let (points_file, count) = (file("codes.csv"), points.len().to_string());
    write_points(&points_file, &points)?;
    stages.run(&["compile", &graph, "-o", &circuit])?;
    stages.say(&format!("{count} encrypted points"));
    let args = ["predict", &circuit, "--graph", &graph, "--data", &points_file];
    let (predicted, _) = stages.tool.json(&[&args[..], &["--samples", &count]].concat())?;
    let by_code: Option<Vec<u64>> = predicted["results"]
        .as_array()
        .and_then(|results| results.iter().map(|r| r["class"].as_u64()).collect());
    let by_code = by_code
        .filter(|classes| classes.len() == points.len())
        .with_context(|| format!("`cml predict` has no class for each of {count} points"))?;
    let class =
        |&[x, y]: &[f32; 2]| by_code[quantizers[1].position(y) * columns.len() + quantizers[0].position(x)];
    result["encrypted_classes"] = json!(grid.iter().map(class).collect::<Vec<_>>());
    result["different"] = predicted["different"].clone();
    result["run_seconds"] = predicted["run_seconds"].clone();
    Ok(result)
}

/// Evenly spaced values from 0 to 1.
fn axis(side: usize) -> Vec<f32> {
    (0..side).map(|i| i as f32 / (side - 1) as f32).collect()
}

/// Every pair `[x, y]`, x running fastest.
fn rectangle(columns: &[f32], rows: &[f32]) -> Vec<[f32; 2]> {
    let row = |&y: &f32| columns.iter().map(move |&x| [x, y]);
    rows.iter().flat_map(row).collect()
}

fn write_points(file: &str, points: &[[f32; 2]]) -> Result<()> {
    let mut text = String::from("x,y\n");
    for [x, y] in points {
        text.push_str(&format!("{x},{y}\n"));
    }
    fs::write(root()?.join(file), text).with_context(|| format!("cannot write {file}"))
}

fn classes(simulated: &Value) -> Result<Vec<u64>> {
    let list = simulated["classes"].as_array();
    let classes: Option<Vec<u64>> = list.and_then(|l| l.iter().map(Value::as_u64).collect());
    match classes {
        Some(classes) if classes.len() == SIDE * SIDE => Ok(classes),
        _ => bail!("`cml simulate` has no class for each of {} points", SIDE * SIDE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_codes_make_the_map() {
        let input = json!({
            "scale": [0.3, 0.25], "offset": [0.5], "zero_point": 1, "range": {"lo": -3, "hi": 3},
        });
        let [x, y] = [0, 1].map(|c| Quantizer::read(&input, c).unwrap());
        // Code 1 stands for 0.5; 1.0 lies 1.67 steps above.
        assert_eq!(
            [x.code(0.0), x.code(0.5), x.code(1.0), x.code(9.0)],
            [-1, 1, 3, 3]
        );
        for quantizer in [x, y] {
            for (i, &float) in quantizer.floats().iter().enumerate() {
                assert_eq!(quantizer.position(float), i);
            }
        }
        assert_eq!(y.floats(), [0.0, 0.25, 0.5, 0.75, 1.0]);
        let points = rectangle(&axis(3), &axis(2));
        assert_eq!(points.len(), 6);
        assert_eq!((points[1], points[3]), ([0.5, 0.0], [0.0, 1.0]));
    }
}
