//! From trees to lookups on sums of bits.
//!
//! A *block* is a part of a tree: a branch with everything below it, or a leaf. Its *gate* is the path to it: of the
//! bits on the path, turned so that 1 leads to the block, all must be 1. The bits of its `m` comparisons make a number
//! below `2^m`. So the row `2^m (sum of gate bits - gate length) + number` is negative where the tree goes elsewhere,
//! and its table is 0 there and the value of the leaf everywhere else. The blocks of a tree partition it, and
//! the score is the sum of all tables.
//!
//! What a lookup costs grows with its half period, but not below that of the smallest table that is worth a rotation
//! ([`FREE`]). So a tree is cut where that makes the sum of half periods least, and small trees are joined.

use super::trees::{Branch, Child, Trees};
use cml_ir::{Steps, Threshold};
use std::collections::{BTreeMap, BTreeSet};

/// Half periods up to this one cost the same.
const FREE: u64 = 10;
/// Most values that are tried as what the leaves of a tree have in common.
const MOST_VALUES: usize = 8;
/// Most comparisons of a block, beside its gate.
const MOST_BITS: usize = 6;

/// A part of one or more trees that is one lookup.
pub(crate) struct Block {
    /// Comparisons on the path, and what they must give.
    gate: Vec<(Threshold, bool)>,
    /// Its own comparisons, the highest bit of the number first.
    bits: Vec<Threshold>,
    /// Scores of each number.
    values: Vec<Vec<i64>>,
}

/// What is known of a sample on a path.
type Path = Vec<(Threshold, bool)>;

impl Block {
    /// Blocks of all trees, and what is added to each score.
    pub(crate) fn of(trees: &Trees) -> (Vec<Self>, Vec<i64>) {
        let mut constant = trees.base.clone();
        let mut blocks: Vec<Self> = Vec::new();
        for &root in &trees.roots {
            // One leaf is reached: what all leaves have in common is a constant, and a leaf that has nothing else needs no lookup.
            let cuts = commonest(trees, root).into_iter().map(|less| {
                let (cost, own) = Cut { trees, less }.best(root, &mut Vec::new());
                (cost, own, less)
            });
            let Some((_, own, less)) = cuts.min_by_key(|(cost, ..)| *cost) else {
                continue;
            };
            let mut add = |value: &[i64]| constant.iter_mut().zip(value).for_each(|(c, v)| *c += v);
            add(less);
            for block in own {
                if block.cost() > 0 {
                    blocks.push(block);
                } else if block.gate.is_empty() {
                    // A tree whose leaves are equal, but for those that no sample reaches.
                    add(&block.values[0]);
                }
            }
        }
        (join(blocks), constant)
    }

    /// Its lookup's row: a weight for each bit, and the constant.
    pub(crate) fn for_each_term(&self, mut term: impl FnMut(&Threshold, i64), constant: &mut i64) {
        let unit = 1i64 << self.bits.len();
        for (test, wanted) in &self.gate {
            if *wanted {
                term(test, unit);
                *constant -= unit;
            } else {
                term(test, -unit);
            }
        }
        for (i, test) in self.bits.iter().rev().enumerate() {
            term(test, 1 << i);
        }
    }

    /// Its lookup's table for a digit of a score.
    pub(crate) fn table(&self, score: usize, digit: impl Fn(i64) -> i64) -> Steps {
        let first = if self.gate.is_empty() {
            digit(self.values[0][score])
        } else {
            0
        };
        let breaks = self.values.iter().zip(0..).map(|(v, at)| (at, digit(v[score])));
        // Positions ascend.
        Steps::new(first, breaks.collect()).unwrap_or(Steps::constant(first))
    }

    fn cost(&self) -> u64 {
        let numbers = self.values.len() as u64;
        let off = self.gate.len() as u64 * numbers;
        let zero = vec![0; self.values[0].len()];
        let before = if off > 0 { &zero } else { &self.values[0] };
        let changes: Vec<u64> = std::iter::once(before)
            .chain(&self.values)
            .zip(&self.values)
            .zip(off..)
            .filter(|((a, b), _)| a != b)
            .map(|(_, at)| at)
            .collect();
        let (Some(first), Some(last)) = (changes.first(), changes.last()) else {
            return 0;
        };
        FREE.max(off + numbers - first).max(*last)
    }
}

/// The values that leaves of a tree have most often.
fn commonest(trees: &Trees, root: Child) -> Vec<&[i64]> {
    let mut counts: BTreeMap<&[i64], usize> = BTreeMap::new();
    let (mut waiting, mut seen) = (vec![root], BTreeSet::new());
    while let Some(child) = waiting.pop() {
        match child {
            Child::Leaf(leaf) => *counts.entry(&trees.leaves[leaf as usize]).or_default() += 1,
            Child::Branch(branch) => {
                if seen.insert(branch) {
                    let Branch { below, reached, .. } = &trees.branches[branch as usize];
                    waiting.extend([*below, *reached]);
                }
            }
        }
    }
    let mut values: Vec<(usize, &[i64])> = counts.into_iter().map(|(v, n)| (n, v)).collect();
    values.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    values.into_iter().take(MOST_VALUES).map(|(_, v)| v).collect()
}

/// The search for the cheapest blocks of a tree.
struct Cut<'a> {
    trees: &'a Trees,
    /// Taken off each leaf.
    less: &'a [i64],
}

impl<'a> Cut<'a> {
    /// Blocks of what a path leads to, and what they cost.
    fn best(&self, from: Child, path: &mut Path) -> (u64, Vec<Block>) {
        let from = self.skip(from, path);
        let whole = self.whole(from, path);
        let Child::Branch(number) = from else {
            return whole.map_or((0, Vec::new()), |block| (block.cost(), vec![block]));
        };
        let Branch { test, below, reached } = &self.trees.branches[number as usize];
        let mut apart = (0, Vec::new());
        for (child, wanted) in [(*below, false), (*reached, true)] {
            path.push((*test, wanted));
            let (cost, blocks) = self.best(child, path);
            path.pop();
            apart.0 += cost;
            apart.1.extend(blocks);
        }
        match whole {
            Some(block) if block.cost() <= apart.0 => (block.cost(), vec![block]),
            _ => apart,
        }
    }

    /// All that a path leads to as one block, unless it has too many comparisons.
    fn whole(&self, from: Child, path: &Path) -> Option<Block> {
        let mut bits = Vec::new();
        self.comparisons(from, &mut path.clone(), &mut bits)?;
        let values = (0..1usize << bits.len()).map(|number| {
            let is_set = |i: usize| number >> (bits.len() - 1 - i) & 1 == 1;
            let mut known = path.clone();
            known.extend(bits.iter().enumerate().map(|(i, test)| (*test, is_set(i))));
            self.value(from, &known)
        });
        let values = values.collect();
        Some(Block {
            gate: self.shortest(path),
            bits,
            values,
        })
    }

    /// Comparisons that a path does not decide; nothing if they are too many.
    fn comparisons(&self, from: Child, path: &mut Path, bits: &mut Vec<Threshold>) -> Option<()> {
        let Child::Branch(number) = self.skip(from, path) else {
            return Some(());
        };
        let Branch { test, below, reached } = &self.trees.branches[number as usize];
        if !bits.contains(test) {
            bits.push(*test);
        }
        if bits.len() > MOST_BITS {
            return None;
        }
        for (child, wanted) in [(*below, false), (*reached, true)] {
            path.push((*test, wanted));
            let found = self.comparisons(child, path, bits);
            path.pop();
            found?;
        }
        Some(())
    }

    /// Where it goes on past branches that are decided.
    fn skip(&self, mut from: Child, path: &Path) -> Child {
        while let Child::Branch(number) = from {
            let Branch { test, below, reached } = &self.trees.branches[number as usize];
            match self.decided(test, path) {
                None => break,
                Some(true) => from = *reached,
                Some(false) => from = *below,
            }
        }
        from
    }

    /// The leaf where all comparisons are decided.
    fn value(&self, from: Child, path: &Path) -> Vec<i64> {
        let Child::Leaf(leaf) = self.skip(from, path) else {
            // Not reached: the path has all comparisons.
            return vec![0; self.trees.scores];
        };
        let leaf = self.trees.leaves[leaf as usize].iter();
        leaf.zip(self.less).map(|(v, less)| v - less).collect()
    }

    /// What a comparison gives, as far as a path says: it may have the same one, or one of the same feature with a
    /// value that lies beyond. A missing value is neither above nor below, so there it must be the same.
    fn decided(&self, test: &Threshold, path: &Path) -> Option<bool> {
        let mut known = path.iter().filter(|(other, _)| other.feature == test.feature);
        known.find_map(|(other, is)| {
            let implies = other == test
                || !self.trees.takes_missing
                    && match is {
                        true => other.value >= test.value,
                        false => other.value <= test.value,
                    };
            implies.then_some(*is)
        })
    }

    /// A path without what the rest of it implies.
    fn shortest(&self, path: &Path) -> Path {
        let is_needed = |(i, (test, is)): (usize, &(Threshold, bool))| {
            let rest: Path = path[i + 1..].to_vec();
            (self.decided(test, &rest) != Some(*is)).then_some((*test, *is))
        };
        path.iter().enumerate().filter_map(is_needed).collect()
    }
}

/// Joins blocks without a gate, whose numbers have few bits, where one lookup costs less than two.
fn join(blocks: Vec<Block>) -> Vec<Block> {
    let (mut open, mut joined): (Vec<Block>, Vec<Block>) =
        blocks.into_iter().partition(|block| block.gate.is_empty());
    open.sort_by_key(|block| std::cmp::Reverse(block.bits.len()));
    let mut left = open.into_iter().rev().collect::<Vec<_>>();
    while let Some(mut block) = left.pop() {
        // The largest that fits goes in first.
        let mut i = left.len();
        while i > 0 {
            i -= 1;
            if let Some(both) = block.with(&left[i])
                && both.cost() < block.cost() + left[i].cost()
            {
                block = both;
                left.remove(i);
            }
        }
        joined.push(block);
    }
    joined
}

impl Block {
    /// This and another as one lookup, neither of which has a gate; nothing if that has too many comparisons.
    fn with(&self, other: &Self) -> Option<Self> {
        let new = other.bits.iter().filter(|test| !self.bits.contains(test));
        let bits: Vec<Threshold> = self.bits.iter().chain(new).copied().collect();
        if bits.len() > MOST_BITS {
            return None;
        }
        let number_of = |block: &Self, number: usize| {
            block.bits.iter().fold(0, |own, test| {
                let at = bits.iter().position(|b| b == test).unwrap_or(0);
                own << 1 | number >> (bits.len() - 1 - at) & 1
            })
        };
        let values = (0..1usize << bits.len()).map(|number| {
            let (a, b) = (number_of(self, number), number_of(other, number));
            let pairs = self.values[a].iter().zip(&other.values[b]);
            pairs.map(|(a, b)| a + b).collect()
        });
        let values = values.collect();
        Some(Self {
            gate: Vec::new(),
            bits,
            values,
        })
    }
}
