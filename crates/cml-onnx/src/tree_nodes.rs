//! The nodes of a tree ensemble: lists of equal lengths become branches and leaves.

use crate::model::Node;
use crate::report::{NodeProblem, Translated};
use cml_quant::{Branch, Child, Threshold};
use std::collections::{BTreeMap, BTreeSet};

/// A node by its tree and its own number.
type Key = (i64, i64);

/// Trees with what their leaves add to scores.
pub(crate) struct Raw {
    pub(crate) nodes: Nodes,
    /// Leaf, class or target, weight.
    pub(crate) weights: Vec<(u32, i64, f32)>,
}

/// Trees without values.
pub(crate) struct Nodes {
    roots: Vec<Child>,
    branches: Vec<Branch>,
    leaves: usize,
    takes_missing: bool,
}

/// How a branch compares, and whether `reached` of [`Branch`] is its true side.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Leaf,
    LessOrEqual,
    Less,
    GreaterOrEqual,
    Greater,
    Equal,
    NotEqual,
}

impl Mode {
    fn of(name: &str) -> Translated<Self> {
        Ok(match name {
            "LEAF" => Self::Leaf,
            "BRANCH_LEQ" => Self::LessOrEqual,
            "BRANCH_LT" => Self::Less,
            "BRANCH_GTE" => Self::GreaterOrEqual,
            "BRANCH_GT" => Self::Greater,
            "BRANCH_EQ" => Self::Equal,
            "BRANCH_NEQ" => Self::NotEqual,
            other => return Err(NodeProblem::malformed(format!("nodes_modes has {other:?}"))),
        })
    }
}

/// The lists of a file, all of one length.
struct Lists {
    keys: Vec<Key>,
    modes: Vec<Mode>,
    features: Vec<i64>,
    values: Vec<f32>,
    yes: Vec<i64>,
    no: Vec<i64>,
    missing_is_yes: Vec<bool>,
}

impl Lists {
    fn read(node: &Node) -> Translated<Self> {
        for name in ["nodes_values_as_tensor", "base_values_as_tensor"] {
            if node.attributes.contains_key(name) {
                return Err(NodeProblem::new(
                    format!("{name}: a model of doubles"),
                    "a model of float32",
                ));
            }
        }
        let ints = |name| -> Translated<Vec<i64>> { Ok(node.ints(name)?.unwrap_or_default()) };
        let trees = ints("nodes_treeids")?;
        let modes = node.texts("nodes_modes")?.unwrap_or_default();
        let lists = Self {
            keys: trees.iter().copied().zip(ints("nodes_nodeids")?).collect(),
            modes: modes.iter().map(|m| Mode::of(m)).collect::<Translated<_>>()?,
            features: ints("nodes_featureids")?,
            values: node.floats("nodes_values")?.unwrap_or_default(),
            yes: ints("nodes_truenodeids")?,
            no: ints("nodes_falsenodeids")?,
            missing_is_yes: match ints("nodes_missing_value_tracks_true")? {
                list if list.is_empty() => vec![false; trees.len()],
                list => list.into_iter().map(|m| m != 0).collect(),
            },
        };
        let lengths = [
            ("nodes_nodeids", lists.keys.len()),
            ("nodes_modes", lists.modes.len()),
            ("nodes_featureids", lists.features.len()),
            ("nodes_values", lists.values.len()),
            ("nodes_truenodeids", lists.yes.len()),
            ("nodes_falsenodeids", lists.no.len()),
            ("nodes_missing_value_tracks_true", lists.missing_is_yes.len()),
        ];
        match lengths.iter().find(|(_, n)| *n != trees.len()) {
            None if trees.is_empty() => Err(NodeProblem::malformed("it has no nodes")),
            None => Ok(lists),
            Some((name, has)) => Err(NodeProblem::malformed(format!(
                "{name} has {has} entries, nodes_treeids {}",
                trees.len()
            ))),
        }
    }
}

impl Raw {
    /// The trees of a node, whose lists of leaves begin with `target`.
    pub(crate) fn read(node: &Node, target: &str, features: usize) -> Translated<Self> {
        let lists = Lists::read(node)?;
        let mut place: BTreeMap<Key, usize> = BTreeMap::new();
        for (i, &key) in lists.keys.iter().enumerate() {
            if place.insert(key, i).is_some() {
                return Err(NodeProblem::malformed(format!(
                    "tree {} has node {} twice",
                    key.0, key.1
                )));
            }
        }
        let mut build = Build {
            lists: &lists,
            place: &place,
            features,
            nodes: Nodes {
                roots: Vec::new(),
                branches: Vec::new(),
                leaves: 0,
                takes_missing: (0..lists.keys.len())
                    .any(|i| lists.missing_is_yes[i] && lists.modes[i] != Mode::Leaf),
            },
            found: vec![None; lists.keys.len()],
        };
        build.trees()?;
        let Build { nodes, found, .. } = build;
        let ints = |name: String| -> Translated<Vec<i64>> { Ok(node.ints(&name)?.unwrap_or_default()) };
        let (trees, ids) = (
            ints(format!("{target}_treeids"))?,
            ints(format!("{target}_nodeids"))?,
        );
        let targets = ints(format!("{target}_ids"))?;
        let weights = node.floats(&format!("{target}_weights"))?.unwrap_or_default();
        for (name, has) in [
            ("treeids", trees.len()),
            ("nodeids", ids.len()),
            ("weights", weights.len()),
        ] {
            if has != targets.len() {
                let why = format!(
                    "{target}_{name} has {has} entries, {target}_ids {}",
                    targets.len()
                );
                return Err(NodeProblem::malformed(why));
            }
        }
        let mut all = Vec::with_capacity(targets.len());
        for (((tree, id), class), weight) in trees.into_iter().zip(ids).zip(targets).zip(weights) {
            let child = place.get(&(tree, id)).and_then(|&i| found[i]);
            let Some(Child::Leaf(leaf)) = child else {
                let why = format!("{target}_nodeids has node {id} of tree {tree}, which is no leaf");
                return Err(NodeProblem::malformed(why));
            };
            if !weight.is_finite() {
                return Err(NodeProblem::malformed(format!("{target}_weights has {weight}")));
            }
            all.push((leaf, class, weight));
        }
        Ok(Self { nodes, weights: all })
    }

    /// Values of each leaf, `width` of them; several weights of one are added.
    pub(crate) fn leaves(
        &self,
        width: usize,
        slot: impl Fn(i64) -> Translated<usize>,
    ) -> Translated<Vec<Vec<f64>>> {
        let mut leaves = vec![vec![0.0; width]; self.nodes.leaves];
        for &(leaf, class, weight) in &self.weights {
            leaves[leaf as usize][slot(class)?] += f64::from(weight);
        }
        Ok(leaves)
    }
}

/// Branches and leaves while they are numbered.
struct Build<'a> {
    lists: &'a Lists,
    place: &'a BTreeMap<Key, usize>,
    features: usize,
    nodes: Nodes,
    /// What each node of the file became.
    found: Vec<Option<Child>>,
}

impl Build<'_> {
    /// Numbers the nodes of all trees from their roots: parents first.
    fn trees(&mut self) -> Translated<()> {
        let mut children: BTreeSet<usize> = BTreeSet::new();
        for (i, &(tree, id)) in self.lists.keys.iter().enumerate() {
            if self.lists.modes[i] == Mode::Leaf {
                continue;
            }
            for child in [self.lists.yes[i], self.lists.no[i]] {
                let at = self.child(tree, id, child)?;
                if !children.insert(at) {
                    let why = format!("node {child} of tree {tree} has two parents: not a tree");
                    return Err(NodeProblem::malformed(why));
                }
            }
        }
        // Trees in the order of the file.
        let mut roots: BTreeMap<i64, usize> = BTreeMap::new();
        let mut order = Vec::new();
        for (i, &(tree, id)) in self.lists.keys.iter().enumerate() {
            if children.contains(&i) {
                continue;
            }
            if roots.insert(tree, i).is_some() {
                let why = format!("node {id} of tree {tree} is a second root");
                return Err(NodeProblem::malformed(why));
            }
            order.push(i);
        }
        for root in order {
            self.tree(root)?;
            self.nodes.roots.extend(self.found[root]);
        }
        // Every node has at most one parent: what no root leads to is a cycle.
        match self.found.iter().position(Option::is_none) {
            None => Ok(()),
            Some(i) => {
                let (tree, id) = self.lists.keys[i];
                let why = format!("node {id} of tree {tree} is on a cycle");
                Err(NodeProblem::malformed(why))
            }
        }
    }

    fn child(&self, tree: i64, id: i64, child: i64) -> Translated<usize> {
        self.place.get(&(tree, child)).copied().ok_or_else(|| {
            NodeProblem::malformed(format!(
                "node {id} of tree {tree} leads to node {child}, which is not there"
            ))
        })
    }

    /// Numbers one tree, and then lets its branches lead to the numbers.
    fn tree(&mut self, root: usize) -> Translated<()> {
        let first = self.nodes.branches.len();
        let (mut waiting, mut sides) = (vec![root], Vec::new());
        while let Some(i) = waiting.pop() {
            let mode = self.lists.modes[i];
            if mode == Mode::Leaf {
                self.found[i] = Some(Child::Leaf(self.nodes.leaves as u32));
                self.nodes.leaves += 1;
                continue;
            }
            let (tree, id) = self.lists.keys[i];
            let (yes, no) = (
                self.child(tree, id, self.lists.yes[i])?,
                self.child(tree, id, self.lists.no[i])?,
            );
            self.found[i] = Some(Child::Branch(self.nodes.branches.len() as u32));
            self.branch(i, mode, [yes, no], &mut sides)?;
            waiting.extend([no, yes]);
        }
        // Every side is numbered now.
        let number = |side: Side| match side {
            Side::Next(branch) => Some(Child::Branch(branch)),
            Side::Node(i) => self.found[i],
        };
        for (branch, [below, reached]) in self.nodes.branches[first..].iter_mut().zip(sides) {
            if let (Some(below), Some(reached)) = (number(below), number(reached)) {
                (branch.below, branch.reached) = (below, reached);
            }
        }
        Ok(())
    }

    /// The comparison of a node as one or two of `>=`.
    fn branch(
        &mut self,
        i: usize,
        mode: Mode,
        [yes, no]: [usize; 2],
        sides: &mut Vec<[Side; 2]>,
    ) -> Translated<()> {
        let (tree, id) = self.lists.keys[i];
        let malformed = |why: String| NodeProblem::malformed(format!("node {id} of tree {tree} {why}"));
        let feature = u32::try_from(self.lists.features[i]).ok();
        let feature = feature.filter(|&f| (f as usize) < self.features).ok_or_else(|| {
            let has = self.lists.features[i];
            malformed(format!("compares feature {has}, the input has {}", self.features))
        })?;
        let value = self.lists.values[i];
        // Zeros of both signs are one threshold.
        let (value, next) = (value + 0.0, value.next_up() + 0.0);
        if !value.is_finite() || !next.is_finite() {
            return Err(malformed(format!("compares with {value}, needs a finite number")));
        }
        let takes_missing = self.nodes.takes_missing;
        let missing_is_yes = self.lists.missing_is_yes[i];
        let (yes, no) = (Side::Node(yes), Side::Node(no));
        let second = Side::Next(self.nodes.branches.len() as u32 + 1);
        let (equal, other) = if mode == Mode::Equal { (yes, no) } else { (no, yes) };
        let missing_is_equal = missing_is_yes == (mode == Mode::Equal);
        let tests: &[(f32, bool, [Side; 2])] = match mode {
            Mode::Leaf => &[],
            Mode::LessOrEqual => &[(next, !missing_is_yes, [yes, no])],
            Mode::Less => &[(value, !missing_is_yes, [yes, no])],
            Mode::GreaterOrEqual => &[(value, missing_is_yes, [no, yes])],
            Mode::Greater => &[(next, missing_is_yes, [no, yes])],
            // At least the value, and less than the next one.
            Mode::Equal | Mode::NotEqual => &[
                (value, missing_is_equal, [other, second]),
                (next, false, [equal, other]),
            ],
        };
        for &(value, of_missing, ends) in tests {
            self.nodes.branches.push(Branch {
                test: Threshold {
                    feature,
                    value,
                    of_missing: of_missing && takes_missing,
                },
                below: Child::Leaf(0),
                reached: Child::Leaf(0),
            });
            sides.push(ends);
        }
        Ok(())
    }
}

/// What a branch leads to before everything is numbered.
#[derive(Clone, Copy)]
enum Side {
    Node(usize),
    Next(u32),
}

impl Nodes {
    /// Number of trees.
    pub(crate) fn roots(&self) -> usize {
        self.roots.len()
    }

    /// Number of thresholds that differ.
    pub(crate) fn thresholds(&self) -> usize {
        let key = |b: &Branch| (b.test.feature, b.test.value.to_bits(), b.test.of_missing);
        self.branches.iter().map(key).collect::<BTreeSet<_>>().len()
    }

    pub(crate) fn takes_missing(&self) -> bool {
        self.takes_missing
    }

    /// Puts other thresholds in the place of these.
    pub(crate) fn move_thresholds(
        &mut self,
        moved: impl Fn(usize, f32) -> Translated<f32>,
    ) -> Translated<()> {
        for Branch { test, .. } in &mut self.branches {
            test.value = moved(test.feature as usize, test.value)?;
        }
        Ok(())
    }

    pub(crate) fn into_branches(self) -> (Vec<Child>, Vec<Branch>) {
        (self.roots, self.branches)
    }

    /// By how much each score differs between leaves, at most: the sum over trees.
    pub(crate) fn ranges(&self, leaves: &[Vec<f64>], width: usize) -> Vec<f64> {
        let negative: Vec<Vec<f64>> = leaves
            .iter()
            .map(|leaf| leaf.iter().map(|v| -v).collect())
            .collect();
        let (most, least) = (self.largest(leaves, width), self.largest(&negative, width));
        most.into_iter().zip(least).map(|(a, b)| a + b).collect()
    }

    /// The sum over trees of the largest value of a leaf, for each score.
    pub(crate) fn largest(&self, leaves: &[Vec<f64>], width: usize) -> Vec<f64> {
        let of = |most: &[Vec<f64>], child: Child| match child {
            Child::Leaf(leaf) => leaves[leaf as usize].clone(),
            Child::Branch(branch) => most[branch as usize].clone(),
        };
        let mut most: Vec<Vec<f64>> = vec![Vec::new(); self.branches.len()];
        for (i, branch) in self.branches.iter().enumerate().rev() {
            let (below, reached) = (of(&most, branch.below), of(&most, branch.reached));
            most[i] = below.into_iter().zip(reached).map(|(a, b)| a.max(b)).collect();
        }
        let mut sums = vec![0.0; width];
        for &root in &self.roots {
            sums.iter_mut()
                .zip(of(&most, root))
                .for_each(|(sum, v)| *sum += v);
        }
        sums
    }
}
