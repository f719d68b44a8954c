//! Ensembles of decision trees on the raw input.
//!
//! The client compares: it has all thresholds, and sends a bit for each comparison. So this layer quantizes the input,
//! as a quantizer would, and [`crate::Network::input_spec`] takes the thresholds from it. What the trees make of the bits is in
//! `tree_blocks.rs`.

use super::kind::{IntegerUse, Integers, LayerKind, Operands, Place, Reaches};
use super::tree_blocks::Block;
use crate::accumulators::{IntegerReach, checked};
use crate::error::{check_number, misfit};
use crate::meaning::bounded;
use crate::tensors::{Tensors, Written, invalid};
use crate::to_graph::Lowering;
use crate::{Dequantizer, LayerNode, QuantError};
use cml_ir::{Dot, InputSpec, Interval, Lut, NodeId, Op, Steps, Tensor, Threshold, Thresholds};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most branches, most leaves, and most paths from a root to a leaf, of all trees together.
const MAX_NODES: usize = 1 << 20;
/// What the digits of a score count in, where it has several. It is odd, so that the digits of `-v` are those of `v`, turned: then
/// lookups of opposite scores are one.
const RADIX: i64 = 15;
/// Most digits.
const MOST_WORDS: u32 = 4;
/// See [`MAX_NODES`].
const MAX_PATHS: u64 = 1 << 18;

/// Trees whose leaves are added up: `score[c] = scale * (base[c] + sum leaf[c])`, with the leaf that each tree ends at.
#[derive(Clone, Debug, PartialEq)]
pub struct Trees {
    /// Number of floats of a sample.
    pub features: usize,
    /// Number of scores.
    pub scores: usize,
    /// What one unit of a leaf and of the base stands for.
    pub scale: f32,
    /// Where each tree begins.
    pub roots: Vec<Child>,
    /// Comparisons. Children have greater numbers than their parents; two parents may share one.
    pub branches: Vec<Branch>,
    /// Integers of each leaf, one for each score.
    pub leaves: Vec<Vec<i64>>,
    /// Integers to begin with, one for each score.
    pub base: Vec<i64>,
    /// Whether a float of a sample may be missing (NaN).
    pub takes_missing: bool,
}

/// A comparison `x[feature] >= value` of floats.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    /// What is compared, with what, and what comes of a missing value.
    pub test: Threshold,
    /// Where it goes on if the value is not reached.
    pub below: Child,
    /// Where it goes on if it is.
    pub reached: Child,
}

/// What a branch leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Child {
    /// Another branch, by number.
    Branch(u32),
    /// A leaf, by number.
    Leaf(u32),
}

impl Trees {
    /// How the client makes bits of a sample: each comparison once, in the order of features and values.
    pub(crate) fn input_spec(&self) -> InputSpec {
        let mut list: Vec<Threshold> = self.branches.iter().map(|b| plain(&b.test)).collect();
        list.sort_by(order);
        list.dedup();
        InputSpec::of_thresholds(Thresholds {
            features: self.features,
            takes_missing: self.takes_missing,
            list,
        })
    }

    /// Refuses trees that do not hold together; `name` is the layer's.
    pub(crate) fn check(&self, name: &str) -> Result<(), QuantError> {
        let limit = |what, has: usize, limit: usize| {
            if has > limit {
                return Err(misfit(name, what, format!("at most {limit}"), has));
            }
            Ok(())
        };
        limit("branches", self.branches.len(), MAX_NODES)?;
        limit("leaves", self.leaves.len(), MAX_NODES)?;
        limit("trees", self.roots.len(), MAX_NODES)?;
        if self.branches.is_empty() {
            return Err(misfit(name, "branches", "at least 1", 0));
        }
        check_number("scale of trees", self.scale)?;
        if self.scale <= 0.0 {
            return Err(misfit(name, "scale", "a positive number", self.scale));
        }
        let lists = self.leaves.iter().chain([&self.base]);
        if let Some(bad) = lists.map(Vec::len).find(|&n| n != self.scores || n == 0) {
            return Err(misfit(name, "scores of a leaf", self.scores.max(1), bad));
        }
        for &root in &self.roots {
            self.check_child(name, None, root)?;
        }
        for (i, branch) in self.branches.iter().enumerate() {
            self.check_child(name, Some(i), branch.below)?;
            self.check_child(name, Some(i), branch.reached)?;
        }
        let thresholds = self.input_spec();
        let bits = thresholds.thresholds.as_ref().map_or(0, |t| t.list.len());
        thresholds.check(name, &[bits])?;
        let paths = self.paths();
        if paths > MAX_PATHS {
            return Err(misfit(
                name,
                "paths from roots to leaves",
                format!("at most {MAX_PATHS}"),
                paths,
            ));
        }
        self.hull(name).map(drop)
    }

    fn check_child(&self, name: &str, parent: Option<usize>, child: Child) -> Result<(), QuantError> {
        let (what, has, from, to) = match child {
            Child::Leaf(leaf) => ("number of a leaf", leaf as usize, 0, self.leaves.len()),
            Child::Branch(branch) => {
                let from = parent.map_or(0, |parent| parent + 1);
                ("number of a branch", branch as usize, from, self.branches.len())
            }
        };
        if (from..to).contains(&has) {
            return Ok(());
        }
        Err(misfit(
            name,
            what,
            format!("{from} to {}", to.saturating_sub(1)),
            has,
        ))
    }

    /// Number of ways from a root to a leaf; saturating.
    fn paths(&self) -> u64 {
        let mut paths = vec![0u64; self.branches.len()];
        let of = |paths: &[u64], child| match child {
            Child::Leaf(_) => 1,
            Child::Branch(branch) => paths[branch as usize],
        };
        for (i, branch) in self.branches.iter().enumerate().rev() {
            paths[i] = of(&paths, branch.below).saturating_add(of(&paths, branch.reached));
        }
        self.roots
            .iter()
            .fold(0, |sum: u64, &root| sum.saturating_add(of(&paths, root)))
    }

    /// Least and greatest integer that the leaves of each child can give, score by score.
    fn hull(&self, name: &str) -> Result<Vec<Interval>, QuantError> {
        let leaf = |leaf: u32| -> Result<Vec<Interval>, QuantError> {
            let values = self.leaves[leaf as usize].iter();
            values
                .map(|&v| bounded(name, v.into()).map(Interval::point))
                .collect()
        };
        let mut of_branch: Vec<Vec<Interval>> = vec![Vec::new(); self.branches.len()];
        let of = |of_branch: &[Vec<Interval>], child| match child {
            Child::Leaf(number) => leaf(number),
            Child::Branch(number) => Ok(of_branch[number as usize].clone()),
        };
        for (i, branch) in self.branches.iter().enumerate().rev() {
            let (below, reached) = (of(&of_branch, branch.below)?, of(&of_branch, branch.reached)?);
            of_branch[i] = below.into_iter().zip(reached).map(|(a, b)| a.hull(b)).collect();
        }
        let mut sums: Vec<Interval> = Vec::with_capacity(self.scores);
        for &base in &self.base {
            sums.push(Interval::point(bounded(name, base.into())?));
        }
        for &root in &self.roots {
            for (sum, own) in sums.iter_mut().zip(of(&of_branch, root)?) {
                let end = |a: i64, b: i64| bounded(name, i128::from(a) + i128::from(b));
                *sum = Interval::new(end(sum.lo, own.lo)?, end(sum.hi, own.hi)?);
            }
        }
        Ok(sums)
    }

    /// The leaf at which a sample ends.
    fn leaf(&self, root: Child, sample: &[f32]) -> &[i64] {
        let mut child = root;
        loop {
            match child {
                Child::Leaf(leaf) => return &self.leaves[leaf as usize],
                Child::Branch(branch) => {
                    let Branch { test, below, reached } = &self.branches[branch as usize];
                    let x = sample[test.feature as usize];
                    let is_reached = if x.is_nan() {
                        test.of_missing
                    } else {
                        x >= test.value
                    };
                    child = if is_reached { *reached } else { *below };
                }
            }
        }
    }

    /// Integers of each score in a graph.
    ///
    /// The finer the leaves, the more bits the noise of the lookups must leave to their sum. So leaves are taken apart
    /// into digits, whose lookups share a rotation, and the client puts the sums of the digits together again.
    fn words(&self) -> u32 {
        let largest = self.leaves.iter().flatten().map(|v| v.unsigned_abs()).max();
        let mut most = RADIX as u64;
        let mut words = 1;
        while most < largest.unwrap_or(0) && words < MOST_WORDS {
            (most, words) = (most * RADIX as u64, words + 1);
        }
        words
    }

    /// Number of lookups, one rotation each.
    pub fn lookups(&self) -> usize {
        Block::of(self).0.len()
    }
}

/// By feature and value.
fn order(a: &Threshold, b: &Threshold) -> std::cmp::Ordering {
    let by_value = a.feature.cmp(&b.feature).then(a.value.total_cmp(&b.value));
    by_value.then(a.of_missing.cmp(&b.of_missing))
}

impl LayerKind for Trees {
    fn mnemonic(&self) -> &'static str {
        "trees"
    }

    fn operands(&self) -> Operands {
        Operands::Exactly(1)
    }

    fn shape(&self, name: &str, read: &[&[usize]]) -> Result<Vec<usize>, QuantError> {
        if *read[0] != [self.features] {
            let (needs, has) = (format!("[{}]", self.features), format!("{:?}", read[0]));
            return Err(misfit(name, "input", needs, has));
        }
        self.check(name)?;
        Ok(vec![self.scores])
    }

    fn is_float(&self) -> bool {
        false
    }

    fn floats(&self, at: &Place<'_, Vec<f32>>) -> Result<Vec<f32>, QuantError> {
        Err(QuantError::NotFloat(at.node.name.clone()))
    }

    fn meaning(&self, _: &Place<'_, Option<Dequantizer>>) -> Result<Option<Dequantizer>, QuantError> {
        Ok(Some(Dequantizer {
            zero_point: 0,
            scale: vec![self.scale],
            bias: None,
            functions: Vec::new(),
        }))
    }

    /// By walking down each tree with the floats, where the graph looks up bits.
    fn integers(&self, at: &Integers<'_>) -> Result<Vec<i64>, QuantError> {
        let score = |c: usize| {
            let leaves = self
                .roots
                .iter()
                .map(|&root| i128::from(self.leaf(root, at.sample)[c]));
            i128::from(self.base[c]) + leaves.sum::<i128>()
        };
        at.bounded((0..self.scores).map(score))
    }

    fn to_graph(&self, node: &LayerNode, graph: &mut Lowering<'_>) -> Result<Option<NodeId>, QuantError> {
        let input = graph.input()?;
        let bits: BTreeMap<(u32, u32, bool), usize> = self
            .input_spec()
            .thresholds
            .iter()
            .flat_map(|t| &t.list)
            .enumerate()
            .map(|(i, t)| (key(t), i))
            .collect();
        let (blocks, constant) = Block::of(self);
        let mut weights = vec![0; blocks.len().max(1) * bits.len()];
        let mut bias = vec![0; blocks.len().max(1)];
        for ((block, row), bias) in blocks.iter().zip(weights.chunks_mut(bits.len())).zip(&mut bias) {
            block.for_each_term(|test, weight| row[bits[&key(test)]] += weight, bias);
        }
        let shape = vec![bias.len(), bits.len()];
        let dot = Op::Dot(Dot {
            weights: Tensor::new(shape, weights)?,
            bias,
        });
        let rows = graph.push(&node.name, false, dot, &[input])?;
        let words = self.words();
        graph.words = (words, if words > 1 { RADIX as u32 } else { 1 });
        let mut scores = Vec::with_capacity(self.scores * words as usize);
        for (word, c) in (0..words).flat_map(|word| (0..self.scores).map(move |c| (word, c))) {
            let digit = |v| digit(v, word, words);
            let constant = digit(constant[c]);
            let tables: Vec<Steps> = blocks.iter().map(|block| block.table(c, digit)).collect();
            let tables = if tables.is_empty() {
                vec![Steps::constant(0)]
            } else {
                tables
            };
            let parts = graph.push(&node.name, false, Op::Lut(Lut::per_channel(tables)?), &[rows])?;
            let count = blocks.len().max(1);
            let dot = Op::Dot(Dot {
                weights: Tensor::new(vec![1, count], vec![1; count])?,
                bias: vec![constant],
            });
            scores.push(graph.push(&node.name, false, dot, &[parts])?);
        }
        graph
            .push(&node.name, true, Op::Concat { axis: 0 }, &scores)
            .map(Some)
    }

    fn reach(&self, at: &Reaches<'_>) -> Result<Option<IntegerReach>, QuantError> {
        let name = &at.place.node.name;
        let scores = self.hull(name)?;
        let span = scores.iter().map(|i| i.hi.abs_diff(i.lo)).max().unwrap_or(0);
        let hull = Interval::hull_of(scores).unwrap_or(Interval::point(0));
        checked(name, hull, span).map(Some)
    }

    fn accumulator(&self, _: u64) -> Option<u64> {
        None
    }

    fn reading(&self) -> IntegerUse {
        IntegerUse::Nothing
    }

    fn is_non_negative(&self, _: bool) -> bool {
        false
    }
}

/// A digit of a number in balanced digits, from the lowest; the last one is what is left.
fn digit(mut value: i64, word: u32, words: u32) -> i64 {
    for at in 0..words - 1 {
        let low = (value + RADIX / 2).rem_euclid(RADIX) - RADIX / 2;
        if at == word {
            return low;
        }
        value = (value - low) / RADIX;
    }
    value
}

/// The same comparison with one zero.
fn plain(test: &Threshold) -> Threshold {
    Threshold {
        value: test.value + 0.0,
        ..*test
    }
}

/// What makes comparisons equal.
fn key(test: &Threshold) -> (u32, u32, bool) {
    let test = plain(test);
    (test.feature, test.value.to_bits(), test.of_missing)
}

/// Trees in a file, beside the tensors of their thresholds and leaves.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TreesForm {
    features: usize,
    scale: f32,
    takes_missing: bool,
    base: Vec<i64>,
    roots: Vec<Child>,
    /// Of each branch.
    feature: Vec<u32>,
    /// Branches at which a missing value counts as one that is reached.
    missing_reaches: Vec<u32>,
    below: Vec<Child>,
    reached: Vec<Child>,
}

impl TreesForm {
    /// The form of a layer; its tensors are added to those of the file.
    pub(crate) fn of(trees: &Trees, name: &str, tensors: &mut Written) -> Self {
        let branches = || trees.branches.iter();
        let thresholds = branches().map(|b| b.test.value).collect();
        tensors.insert(
            format!("{name}.thresholds"),
            vec![trees.branches.len()],
            thresholds,
        );
        let leaves = trees.leaves.iter().flatten().map(|&v| v as f32 * trees.scale);
        let shape = vec![trees.leaves.len(), trees.scores];
        tensors.insert(format!("{name}.leaves"), shape, leaves.collect());
        let missing = branches().enumerate().filter(|(_, b)| b.test.of_missing);
        Self {
            features: trees.features,
            scale: trees.scale,
            takes_missing: trees.takes_missing,
            base: trees.base.clone(),
            roots: trees.roots.clone(),
            feature: branches().map(|b| b.test.feature).collect(),
            missing_reaches: missing.map(|(i, _)| i as u32).collect(),
            below: branches().map(|b| b.below).collect(),
            reached: branches().map(|b| b.reached).collect(),
        }
    }

    /// The layer of this name.
    pub(crate) fn read(self, name: &str, tensors: &Tensors<'_>) -> Result<Trees, QuantError> {
        let (_, values) = tensors.floats(&format!("{name}.thresholds"))?;
        let (shape, leaves) = tensors.floats(&format!("{name}.leaves"))?;
        let count = values.len();
        for (what, has) in [
            ("features of branches", self.feature.len()),
            ("branches below", self.below.len()),
            ("branches reached", self.reached.len()),
        ] {
            if has != count {
                return Err(invalid(name, &misfit(name, what, count, has)));
            }
        }
        let &[_, scores] = &shape[..] else {
            return Err(invalid(
                name,
                &misfit(name, "leaves", "[leaves, scores]", format!("{shape:?}")),
            ));
        };
        let mut missing = vec![false; count];
        for &i in &self.missing_reaches {
            match missing.get_mut(i as usize) {
                Some(missing) => *missing = true,
                None => return Err(invalid(name, &misfit(name, "branch of missing values", count, i))),
            }
        }
        let tests = self.feature.iter().zip(&values).zip(missing);
        let branches = tests.zip(self.below.iter().zip(&self.reached));
        let branch = |(((&feature, &value), of_missing), (&below, &reached))| Branch {
            test: Threshold {
                feature,
                value,
                of_missing,
            },
            below,
            reached,
        };
        // Leaves are whole numbers of units; what is not one is rounded to the nearest.
        let leaf = |values: &[f32]| values.iter().map(|v| (v / self.scale).round() as i64).collect();
        let trees = Trees {
            features: self.features,
            scores,
            scale: self.scale,
            takes_missing: self.takes_missing,
            branches: branches.map(branch).collect(),
            leaves: leaves.chunks(scores.max(1)).map(leaf).collect(),
            base: self.base,
            roots: self.roots,
        };
        trees.check(name).map_err(|e| invalid(name, &e))?;
        Ok(trees)
    }
}
