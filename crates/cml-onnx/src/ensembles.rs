//! Tree ensembles of `ai.onnx.ml`, as skl2onnx and onnxmltools write them.

use crate::draft::{Id, Work};
use crate::machine_learning::{End, classes, finish, transform};
use crate::model::Node;
use crate::report::{NodeProblem, Translated};
use crate::translation::{Translation, live};
use crate::tree_nodes::{Nodes, Raw};
use crate::value::Value;
use cml_quant::{Layer, Normalize, Probabilities, Trees};

/// Most bits of the range of a score: leaves are rounded to so many steps.
const SCORE_BITS: u32 = 16;

/// What leaves are worth before they are rounded.
struct Scores {
    /// Of each leaf, one value for each score.
    leaves: Vec<Vec<f64>>,
    base: Vec<f64>,
    /// Whether the model has one score, of which two are made.
    pair: Option<Pair>,
}

/// Two scores of the one that a model of two classes has. The second class wins if its score is the larger one.
#[derive(Clone, Copy, PartialEq)]
enum Pair {
    /// `1 - s` and `s`.
    Complement,
    /// `-s` and `s`.
    Negative,
}

pub(crate) fn classifier(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let (x, features, raw) = read(t, node, operands, "class")?;
    let labels = classes(node, "classlabels_int64s")?;
    let count = labels.count;
    let mut used = vec![false; count];
    for &(_, class, _) in &raw.weights {
        used[slot(class, count, "class_ids")?] = true;
    }
    let with_weights = used.iter().filter(|&&u| u).count();
    let all_positive = raw.weights.iter().all(|w| w.2 >= 0.0);
    let base = node.floats("base_values")?.unwrap_or_default();
    let misfit = || {
        Err(NodeProblem::malformed(format!(
            "{} base_values for {count} classes",
            base.len()
        )))
    };
    let (pair, base) = if count == 2 && with_weights == 1 {
        let base = match base[..] {
            [] => 0.0,
            [one] | [_, one] => one,
            _ => return misfit(),
        };
        let pair = if all_positive {
            Pair::Complement
        } else {
            Pair::Negative
        };
        (Some(pair), vec![f64::from(base)])
    } else if with_weights < count || count == 2 {
        return Err(NodeProblem::new(
            format!("{count} classes, of which {with_weights} have weights"),
            "weights for each of several classes, or for one of two",
        ));
    } else if base.is_empty() {
        (None, vec![0.0; count])
    } else if base.len() == count {
        (None, base.into_iter().map(f64::from).collect())
    } else {
        return misfit();
    };
    let width = base.len();
    let leaves = raw.leaves(width, |class| {
        if width == 1 {
            Ok(0)
        } else {
            slot(class, count, "class_ids")
        }
    })?;
    let probabilities = match (transform(node)?, pair) {
        // The model takes the class at 0.5, and its probability is that of another threshold.
        (Probabilities::Logistic | Probabilities::Softmax, Some(Pair::Complement)) => {
            return Err(NodeProblem::new(
                "weights that are all positive, with a post_transform",
                "post_transform = NONE",
            ));
        }
        (probabilities, _) => probabilities,
    };
    let trees = Scores { leaves, base, pair }.rounded(t, node, raw.nodes, features)?;
    let y = push(t, node, x, trees);
    finish(
        t,
        node,
        End {
            labels: labels.names,
            probabilities,
            names_class: true,
        },
    )?;
    Ok(Value::Live(y))
}

pub(crate) fn regressor(t: &mut Translation, node: &Node, operands: &[Option<Value>]) -> Translated<Value> {
    let (x, features, raw) = read(t, node, operands, "target")?;
    let targets = node.int_or("n_targets", 1)?;
    let count = usize::try_from(targets)
        .ok()
        .filter(|n| (1..=1 << 12).contains(n));
    let count = count.ok_or_else(|| NodeProblem::malformed(format!("n_targets is {targets}")))?;
    let average = match node.text_or("aggregate_function", "SUM")?.as_str() {
        "SUM" => 1.0,
        "AVERAGE" => raw.nodes.roots().max(1) as f64,
        other => {
            return Err(NodeProblem::new(
                format!("aggregate_function {other}: leaves are not added up"),
                "SUM or AVERAGE",
            ));
        }
    };
    let base = node.floats("base_values")?.unwrap_or_default();
    let base = match base.len() {
        0 => vec![0.0; count],
        n if n == count => base.into_iter().map(f64::from).collect(),
        n => {
            let why = format!("{n} base_values for {count} targets");
            return Err(NodeProblem::malformed(why));
        }
    };
    let mut leaves = raw.leaves(count, |target| slot(target, count, "target_ids"))?;
    leaves.iter_mut().flatten().for_each(|v| *v /= average);
    let probabilities = transform(node)?;
    let pair = None;
    let trees = Scores { leaves, base, pair }.rounded(t, node, raw.nodes, features)?;
    let y = push(t, node, x, trees);
    finish(
        t,
        node,
        End {
            labels: Vec::new(),
            probabilities,
            names_class: false,
        },
    )?;
    Ok(Value::Live(y))
}

fn slot(id: i64, count: usize, what: &str) -> Translated<usize> {
    let slot = usize::try_from(id).ok().filter(|&i| i < count);
    slot.ok_or_else(|| {
        NodeProblem::malformed(format!("{what} has {id}, needs 0 to {}", count.saturating_sub(1)))
    })
}

/// The raw input, its number of features, and the trees with thresholds on it.
fn read(
    t: &Translation,
    node: &Node,
    operands: &[Option<Value>],
    target: &str,
) -> Translated<(Id, usize, Raw)> {
    let mut x = live(operands, 0)?;
    let mut scaler = None;
    if let Work::Plain(Layer::Normalize(normalize)) = &t.draft.layers[x].work {
        scaler = Some(normalize.clone());
        x = t.draft.layers[x].operands[0];
    }
    if !matches!(t.draft.layers[x].work, Work::Input) {
        return Err(NodeProblem::new(
            "trees that read another layer",
            "trees on the input, or on a Scaler of the input",
        ));
    }
    let &[features] = t.shape(x) else {
        let why = format!("an input of shape {:?}", t.shape(x));
        return Err(NodeProblem::new(why, "an input of shape [N, features]"));
    };
    let mut raw = Raw::read(node, target, features)?;
    if let Some(scaler) = scaler {
        raw.nodes
            .move_thresholds(|feature, value| before(&scaler, feature, value))?;
    }
    Ok((x, features, raw))
}

/// The least float that a scaler maps to at least `value`. It grows, so a bisection finds it.
fn before(scaler: &Normalize, feature: usize, value: f32) -> Translated<f32> {
    // Numbers in the order of floats.
    let float = |i: i64| {
        let bits = i.unsigned_abs() as u32;
        if i < 0 {
            -f32::from_bits(bits)
        } else {
            f32::from_bits(bits)
        }
    };
    let reaches = |i: i64| scaler.eval(feature, float(i)) >= value;
    let end = i64::from(f32::MAX.to_bits());
    let (mut below, mut reached) = (-end - 1, end);
    if !reaches(reached) {
        return Err(NodeProblem::new(
            format!("no float reaches the threshold {value} of feature {feature} behind its Scaler"),
            "a model without that branch",
        ));
    }
    while reached - below > 1 {
        let middle = (below + reached).div_euclid(2);
        if reaches(middle) {
            reached = middle;
        } else {
            below = middle;
        }
    }
    Ok(float(reached) + 0.0)
}

fn push(t: &mut Translation, node: &Node, x: Id, trees: Trees) -> Id {
    let scores = trees.scores;
    t.push(node, Work::Plain(Layer::Trees(trees)), &[x], vec![scores])
}

impl Scores {
    /// Leaves as whole numbers of the finest step for which scores stay in so many bits, and a note of what that costs.
    fn rounded(self, t: &mut Translation, node: &Node, nodes: Nodes, features: usize) -> Translated<Trees> {
        let Self { leaves, base, pair } = self;
        let largest = leaves
            .iter()
            .flatten()
            .fold(0.0, |most: f64, v| most.max(v.abs()));
        if !largest.is_normal() || base.iter().any(|b| !b.is_finite()) {
            return Err(NodeProblem::malformed(format!("leaves of at most {largest}")));
        }
        let width = base.len();
        let ranges = nodes.ranges(&leaves, width);
        let widest = ranges.iter().copied().fold(largest, f64::max);
        // The largest leaf is a whole number of steps: of averages, so are those of one class alone.
        let mut step = largest;
        while widest / (step / 2.0) <= f64::from(1u32 << SCORE_BITS) {
            step /= 2.0;
        }
        let step = step as f32;
        let units = |v: f64| (v / f64::from(step)).round();
        let far = base.iter().find(|b| units(**b).abs() >= f64::from(1 << 24));
        if let Some(far) = far {
            let why = format!("a base value of {far} with leaves of at most {largest}");
            return Err(NodeProblem::new(why, "base values of the size of the leaves"));
        }
        let errors: Vec<Vec<f64>> = leaves
            .iter()
            .map(|leaf| {
                leaf.iter()
                    .map(|&v| (units(v) * f64::from(step) - v).abs())
                    .collect()
            })
            .collect();
        let of_base = base.iter().map(|&b| (units(b) * f64::from(step) - b).abs());
        let bounds = nodes
            .largest(&errors, width)
            .into_iter()
            .zip(of_base)
            .map(|(a, b)| a + b);
        let bound = bounds.fold(0.0, f64::max);
        let spread = |values: &[f64], one: i64| -> Vec<i64> {
            let whole: Vec<i64> = values.iter().map(|&v| units(v) as i64).collect();
            match pair {
                None => whole,
                Some(_) => vec![one - whole[0], whole[0]],
            }
        };
        let one = if pair == Some(Pair::Complement) {
            units(1.0) as i64
        } else {
            0
        };
        let (trees, bits) = (nodes.roots(), nodes.thresholds());
        let takes_missing = nodes.takes_missing();
        let (roots, branches) = nodes.into_branches();
        let trees_of = Trees {
            features,
            scores: if pair.is_some() { 2 } else { width },
            scale: step,
            roots,
            branches,
            leaves: leaves.iter().map(|leaf| spread(leaf, 0)).collect(),
            base: spread(&base, one),
            takes_missing,
        };
        let lookups = trees_of.lookups();
        t.note(
            node,
            format!(
                "{trees} trees, {lookups} lookups; leaves are rounded to multiples of {step:.2e}, which moves a score by at most {bound:.2e}"
            ),
        );
        t.note(
            node,
            format!(
                "the client compares {features} features with {bits} thresholds, which stand in its spec: they are a part of the model"
            ),
        );
        Ok(trees_of)
    }
}
