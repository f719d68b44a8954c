//! Ensembles of trees: the graph looks up sums of bits, and the forward pass walks down the trees.

use crate::random::fixed;
use cml_ir::{Graph, interpret};
use cml_quant::{
    Branch, Child, Layer, Network, Threshold, Trees, network_from_bytes, network_to_bytes, to_graph,
};
use proptest::prelude::*;

/// Values of thresholds and samples: few, so that they meet, with neighbours among the floats.
const VALUES: [f32; 7] = [-1.5, -0.0, 0.0, f32::MIN_POSITIVE, 1.0, 1.0000001, 3e38];

/// A tree by its draws: each tells a branch from a leaf, what is compared, and what a leaf is worth.
#[derive(Clone, Debug)]
struct Recipe {
    features: usize,
    scores: usize,
    takes_missing: bool,
    trees: Vec<Vec<(u8, usize, bool, i64)>>,
}

fn recipes() -> impl Strategy<Value = Recipe> {
    let draw = (0u8..4, 0usize..1000, any::<bool>(), -3000i64..3000);
    let trees = prop::collection::vec(prop::collection::vec(draw, 1..40), 1..5);
    (1usize..5, 1usize..4, any::<bool>(), trees).prop_map(|(features, scores, takes_missing, trees)| Recipe {
        features,
        scores,
        takes_missing,
        trees,
    })
}

impl Recipe {
    fn build(&self) -> Trees {
        let mut trees = Trees {
            features: self.features,
            scores: self.scores,
            scale: 0.25,
            roots: Vec::new(),
            branches: Vec::new(),
            leaves: Vec::new(),
            base: (0..self.scores as i64).map(|c| 7 * c - 3).collect(),
            takes_missing: self.takes_missing,
        };
        for draws in &self.trees {
            let mut draws = draws.iter().copied();
            let first = trees.branches.len() as u32;
            let root = self.grow(&mut trees, &mut draws, 0, first);
            trees.roots.push(root);
        }
        // There is at least one comparison.
        if trees.branches.is_empty() {
            let leaf = trees.roots[0];
            trees.branches.push(self.branch(0, 3, false, [leaf, leaf]));
            trees.roots[0] = Child::Branch(0);
        }
        trees
    }

    fn branch(&self, feature: usize, value: usize, of_missing: bool, [below, reached]: [Child; 2]) -> Branch {
        Branch {
            test: Threshold {
                feature: (feature % self.features) as u32,
                value: VALUES[value % VALUES.len()],
                of_missing: of_missing && self.takes_missing,
            },
            below,
            reached,
        }
    }

    /// The tree of the next draws; now and then one side leads to a branch of the same tree that is there already.
    fn grow(
        &self,
        trees: &mut Trees,
        draws: &mut impl Iterator<Item = (u8, usize, bool, i64)>,
        depth: usize,
        first: u32,
    ) -> Child {
        match draws.next() {
            Some((1.., what, of_missing, value)) if depth < 6 => {
                let at = trees.branches.len();
                let leaf = Child::Leaf(0);
                trees
                    .branches
                    .push(self.branch(what, what / 7, of_missing, [leaf; 2]));
                let below = self.grow(trees, draws, depth + 1, first);
                let shared = (value % 5 == 0).then(|| trees.branches.len() as u32 - 1);
                let reached = match shared.filter(|&last| last > at as u32 && last > first) {
                    Some(last) => Child::Branch(last),
                    None => self.grow(trees, draws, depth + 1, first),
                };
                (trees.branches[at].below, trees.branches[at].reached) = (below, reached);
                Child::Branch(at as u32)
            }
            drawn => {
                let value = drawn.map_or(5, |d| d.3);
                // Often one of a few values, as in forests.
                let value = if value % 2 == 0 { value / 1500 } else { value };
                trees
                    .leaves
                    .push((1..=self.scores as i64).map(|c| value * c % 2999).collect());
                Child::Leaf(trees.leaves.len() as u32 - 1)
            }
        }
    }
}

fn network(trees: Trees) -> Network {
    let mut network = Network::new("trees", vec![trees.features]);
    let x = network.input();
    let y = network.push("ensemble", Layer::Trees(trees), &[x]).unwrap();
    network.set_output(y, &[]).unwrap();
    network
}

fn scores(graph: &Graph, sample: &[f32]) -> Vec<f32> {
    let codes = interpret(graph, &[graph.quantize_input(sample).unwrap()]).unwrap();
    let (_, _, spec) = graph.outputs().next().unwrap();
    spec.dequantize_all(&codes[0])
}

/// What the trees say of a sample, by the definition alone.
fn expected(trees: &Trees, sample: &[f32]) -> Vec<f32> {
    let mut sums = trees.base.clone();
    for root in &trees.roots {
        let mut child = *root;
        while let Child::Branch(number) = child {
            let branch = &trees.branches[number as usize];
            let x = sample[branch.test.feature as usize];
            let reached = x >= branch.test.value || x.is_nan() && branch.test.of_missing;
            child = if reached { branch.reached } else { branch.below };
        }
        if let Child::Leaf(leaf) = child {
            sums.iter_mut()
                .zip(&trees.leaves[leaf as usize])
                .for_each(|(s, v)| *s += v);
        }
    }
    sums.into_iter().map(|s| s as f32 * trees.scale).collect()
}

proptest! {
    #![proptest_config(fixed(400, 31))]

    #[test]
    fn graphs_of_trees_give_the_sums_of_leaves(
        recipe in recipes(), draws in prop::collection::vec(prop::collection::vec(0usize..16, 4), 30)
    ) {
        let trees = recipe.build();
        let net = network(trees.clone());
        let graph = to_graph(&net).unwrap();
        let optimized = cml_ir::optimize(&graph).unwrap();
        let read = network_from_bytes("net", &network_to_bytes(&net).unwrap()).unwrap();
        prop_assert_eq!(&read, &net);
        for draw in draws {
            let float = |d: &usize| match d {
                14.. if trees.takes_missing => f32::NAN,
                d => if d % 2 == 0 { VALUES[d / 2 % 7] } else { VALUES[d / 2 % 7].next_down() },
            };
            let sample: Vec<f32> = draw[..trees.features].iter().map(float).collect();
            let expected = expected(&trees, &sample);
            prop_assert_eq!(&net.forward(&sample).unwrap(), &expected);
            prop_assert_eq!(&scores(&graph, &sample), &expected);
            prop_assert_eq!(&scores(&optimized, &sample), &expected);
        }
    }
}

fn stump() -> Trees {
    Recipe {
        features: 2,
        scores: 1,
        takes_missing: false,
        trees: vec![vec![(1, 7, false, 1), (0, 0, false, 41), (0, 0, false, 43)]],
    }
    .build()
}

#[test]
fn missing_values_are_errors_where_the_trees_do_not_take_them() {
    let net = network(stump());
    assert!(net.forward(&[f32::NAN, 0.0]).is_err());
    let graph = to_graph(&net).unwrap();
    let error = graph.quantize_input(&[0.0, f32::NAN]).unwrap_err().to_string();
    assert!(error.contains("element 1 is NaN, not a finite number"), "{error}");
}

#[test]
fn trees_that_do_not_hold_together_are_refused() {
    let check = |spoil: fn(&mut Trees), expected: &str| {
        let mut trees = stump();
        spoil(&mut trees);
        let mut net = Network::new("trees", vec![2]);
        let x = net.input();
        let error = net
            .push("ensemble", Layer::Trees(trees), &[x])
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    };
    check(|t| t.features = 3, "input: needs [3], has [2]");
    check(|t| t.branches.clear(), "branches: needs at least 1, has 0");
    check(
        |t| t.branches[0].below = Child::Branch(0),
        "number of a branch: needs 1 to 0, has 0",
    );
    check(
        |t| t.branches[0].reached = Child::Leaf(2),
        "number of a leaf: needs 0 to 1, has 2",
    );
    check(
        |t| t.roots[0] = Child::Branch(9),
        "number of a branch: needs 0 to 0, has 9",
    );
    check(|t| t.leaves[1].push(0), "scores of a leaf: needs 1, has 2");
    check(|t| t.base.clear(), "scores of a leaf: needs 1, has 0");
    check(|t| t.scale = 0.0, "scale: needs a positive number, has 0");
    check(|t| t.scale = f32::NAN, "scale of trees is NaN");
    check(
        |t| t.branches[0].test.value = f32::INFINITY,
        "threshold is inf, must be finite",
    );
    check(
        |t| t.branches[0].test.feature = 2,
        "feature of a threshold: needs below 2, has 2",
    );
    check(
        |t| t.branches[0].test.of_missing = true,
        "bits of missing values: needs none",
    );
    check(|t| t.leaves[0][0] = i64::MAX, "values reach a magnitude of");
}

/// Each branch leads to the next one on both sides: few nodes, and more paths than there is time for.
#[test]
fn too_many_paths_are_refused() {
    let mut trees = stump();
    let last = trees.branches[0].clone();
    trees.branches = (1..60)
        .map(|next| Branch {
            below: Child::Branch(next),
            reached: Child::Branch(next),
            ..last.clone()
        })
        .chain([last.clone()])
        .collect();
    let mut net = Network::new("trees", vec![2]);
    let x = net.input();
    let error = net
        .push("ensemble", Layer::Trees(trees), &[x])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("paths from roots to leaves: needs at most 262144"),
        "{error}"
    );
}

#[test]
fn trees_read_the_raw_input() {
    let mut net = network(stump());
    let y = net.output().unwrap();
    let mut trees = stump();
    trees.features = 1;
    let error = net
        .push("second", Layer::Trees(trees), &[y])
        .unwrap_err()
        .to_string();
    assert!(error.contains("needs the raw input x, has ensemble"), "{error}");
}
