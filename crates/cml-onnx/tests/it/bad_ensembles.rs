//! Trees and linear models that are damaged or hostile: one clear error each, and no panic.

use crate::ensembles::Stump;
use crate::wire::{Attr, File};
use crate::world::{fixed, vector};
use cml_onnx::import_bytes;
use proptest::prelude::*;

fn refused(file: &File, expected: &str) {
    let message = import_bytes(&file.build(), None, &cml_onnx::Options::default())
        .unwrap_err()
        .to_string();
    assert!(message.contains(expected), "{expected:?} in {message:?}");
}

#[test]
fn trees_that_are_none_are_refused() {
    let check = |spoil: fn(&mut Stump), expected| {
        let mut stump = Stump::new("BRANCH_LEQ", 1.0);
        spoil(&mut stump);
        refused(&stump.file(&[]), expected);
    };
    check(|s| s.yes[0] = 7, "node 7 of tree 4 is on a cycle");
    check(|s| s.yes[0] = 9, "node 9 of tree 4 has two parents");
    check(
        |s| s.no[0] = 5,
        "node 7 of tree 4 leads to node 5, which is not there",
    );
    check(
        |s| s.trees[2] = 5,
        "node 7 of tree 4 leads to node 9, which is not there",
    );
    check(|s| s.ids[2] = 8, "tree 4 has node 8 twice");
    check(|s| s.modes[0] = "LEAF", "node 8 of tree 4 is a second root");
    check(
        |s| s.modes[0] = "BRANCH_SOMETIMES",
        "nodes_modes has \"BRANCH_SOMETIMES\"",
    );
    check(|s| s.features[0] = 2, "compares feature 2, the input has 2");
    check(
        |s| s.features[0] = i64::MIN,
        "compares feature -9223372036854775808",
    );
    check(
        |s| s.values[0] = f32::NAN,
        "compares with NaN, needs a finite number",
    );
    check(|s| s.values[0] = f32::MAX, "needs a finite number");
    check(
        |s| s.values.truncate(2),
        "nodes_values has 2 entries, nodes_treeids 3",
    );
    check(|s| s.modes.truncate(1), "nodes_modes has 1 entries");
    check(|s| s.trees.clear(), "nodes_modes has 3 entries, nodes_treeids 0");
    check(
        |s| s.leaves[0] = 7,
        "target_nodeids has node 7 of tree 4, which is no leaf",
    );
    check(
        |s| s.leaf_trees[0] = 1,
        "target_nodeids has node 8 of tree 1, which is no leaf",
    );
    check(
        |s| s.weights.truncate(3),
        "target_weights has 3 entries, target_ids 4",
    );
    check(|s| s.weights[0] = f32::INFINITY, "target_weights has inf");
    check(|s| s.targets[0] = 2, "target_ids has 2, needs 0 to 1");
    check(|s| s.weights.fill(0.0), "leaves of at most 0");
}

#[test]
fn what_does_not_fit_the_rest_is_refused() {
    let check = |more: &[(&str, Attr<'_>)], expected| {
        refused(&Stump::new("BRANCH_LEQ", 1.0).file(more), expected);
    };
    check(
        &[("n_targets", Attr::Int(i64::MAX))],
        "n_targets is 9223372036854775807",
    );
    check(
        &[("aggregate_function", Attr::Text("MAX"))],
        "aggregate_function MAX",
    );
    check(
        &[("base_values", Attr::Floats(&[1.0]))],
        "1 base_values for 2 targets",
    );
    check(
        &[("base_values", Attr::Floats(&[f32::NAN, 0.0]))],
        "leaves of at most",
    );
    check(&[("base_values", Attr::Floats(&[1e30, 0.0]))], "a base value of");
    check(
        &[("post_transform", Attr::Text("PROBIT"))],
        "post_transform PROBIT",
    );
    let none = File::new(&[-1, 2]).node("ai.onnx.ml:TreeEnsembleRegressor", "x", "y", &[]);
    refused(&none, "it has no nodes");
    let two = File::new(&[-1, 2]).node("Relu", "x", "a", &[]).node(
        "ai.onnx.ml:TreeEnsembleRegressor",
        "a",
        "y",
        &[],
    );
    refused(&two, "trees that read another layer");
}

#[test]
fn linear_models_that_do_not_hold_together_are_refused() {
    let check = |attributes: &[(&str, Attr<'_>)], expected| {
        let file = File::new(&[-1, 2]).node("ai.onnx.ml:LinearClassifier", "x", "y", attributes);
        refused(&file, expected);
    };
    let labels = ("classlabels_ints", Attr::Ints(&[0, 1]));
    check(&[], "0 numbers and 0 names of classes");
    check(&[labels], "0 coefficients and 0 intercepts for 2 features");
    let three = Attr::Floats(&[1.0, 2.0, 3.0]);
    check(
        &[labels, ("coefficients", three)],
        "3 coefficients and 1 intercepts",
    );
    let six = Attr::Floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    check(
        &[labels, ("coefficients", six)],
        "3 rows of coefficients for 2 classes",
    );
    let bad = Attr::Floats(&[1.0, f32::NAN]);
    check(&[labels, ("coefficients", bad)], "is NaN");
    let names = ("classlabels_strings", Attr::Texts(&["a", "b\u{1b}"]));
    check(&[names], "the name of a class holds control characters");
}

#[test]
fn scalers_are_refused_where_they_are_not_one_of_the_input() {
    let scaled = |scale: &[f32]| {
        let scale = [
            ("offset", Attr::Floats(&[0.0, 1.0])),
            ("scale", Attr::Floats(scale)),
        ];
        File::new(&[-1, 2])
            .node("ai.onnx.ml:Scaler", "x", "a", &scale)
            .node("Relu", "a", "y", &[])
    };
    refused(&scaled(&[1.0, -1.0]), "a scale of -1");
    refused(
        &scaled(&[1.0, 2.0, 3.0]),
        "scale of 3 finite numbers, needs 1 or 2",
    );
    refused(&scaled(&[1.0, f32::NAN]), "scale of 2 finite numbers");
}

/// The class goes into another layer.
#[test]
fn models_whose_class_is_used_are_refused() {
    let labels = ("classlabels_ints", Attr::Ints(&[0, 1]));
    let weights = ("coefficients", Attr::Floats(&[1.0, 2.0]));
    let file = File::new(&[-1, 2])
        .node("ai.onnx.ml:LinearClassifier", "x", "a", &[labels, weights])
        .node("Relu", "a", "y", &[]);
    refused(&file, "its class or its scores go into further layers");
}

proptest! {
    #![proptest_config(fixed(300, 41))]

    #[test]
    fn damaged_files_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), more in 0usize..4) {
        let mut bytes = std::fs::read(vector("wine.tree.onnx")).unwrap();
        let at = at.index(bytes.len());
        for i in at..(at + more + 1).min(bytes.len()) {
            bytes[i] = byte;
        }
        let _ = import_bytes(&bytes, None, &cml_onnx::Options::default());
    }
}
