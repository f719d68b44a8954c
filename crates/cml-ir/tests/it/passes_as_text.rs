//! What passes do, case by case: the files in `passes/`.
//!
//! A file says what it shows, names the pass (or `optimize`, for all of them), and holds the graph
//! before and the graph after, with `---` between them. The graph before may be written by hand;
//! the one after is as [`graph_to_text`] writes it. `cargo xtask bless` writes it anew.

use cml_ir::passes::run_verified;
use cml_ir::{Graph, PASSES, Tensor, graph_from_text, graph_to_text, interpret, optimize};
use std::fs;
use std::path::{Path, PathBuf};

/// Most inputs that a case may have: all are tried.
const MOST_INPUTS: u64 = 1 << 12;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/passes");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    files
}

fn run(pass: &str, before: &Graph) -> Graph {
    if pass == "optimize" {
        return optimize(before).unwrap();
    }
    let found = PASSES.iter().find(|p| p.name == pass);
    run_verified(found.unwrap_or_else(|| panic!("no pass {pass}")), before).unwrap()
}

/// Every assignment of codes to the inputs.
fn all_inputs(graph: &Graph) -> Vec<Vec<Tensor>> {
    let inputs: Vec<_> = graph.inputs().collect();
    let elements = |shape: &[usize]| shape.iter().product::<usize>();
    let count = inputs.iter().fold(1u64, |n, (_, node, spec)| {
        n.saturating_mul(spec.range.count().saturating_pow(elements(&node.ty.shape) as u32))
    });
    assert!(count <= MOST_INPUTS, "{count} inputs, limit {MOST_INPUTS}");
    let assignment = |mut number: u64| {
        let mut code = |lo: i64, values: u64| {
            let digit = number % values;
            number /= values;
            lo + digit as i64
        };
        let tensor = |(_, node, spec): &(_, &cml_ir::Node, &cml_ir::InputSpec)| {
            let codes = (0..elements(&node.ty.shape)).map(|_| code(spec.range.lo, spec.range.count()));
            Tensor::new(node.ty.shape.clone(), codes.collect()).unwrap()
        };
        inputs.iter().map(tensor).collect()
    };
    (0..count).map(assignment).collect()
}

#[test]
fn passes_do_what_their_files_say() {
    let bless = std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always");
    let mut covered = Vec::new();
    let mut differ = Vec::new();
    for path in files() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let (head, expected) = text
            .split_once("\n---\n")
            .unwrap_or_else(|| panic!("{name}: no ---"));
        let at = head.find("pass ").unwrap_or_else(|| panic!("{name}: no pass"));
        let (pass, before) = head[at + 5..].split_once('\n').unwrap();
        assert!(head[..at].starts_with("; "), "{name} does not say what it shows");
        assert!(
            name.starts_with(&format!("{pass}.")),
            "{name} is not named after {pass}"
        );
        let before = graph_from_text(before).unwrap_or_else(|e| panic!("{name}, graph before: {e}"));
        let after = run(pass, &before);
        for inputs in all_inputs(&before) {
            assert_eq!(
                interpret(&after, &inputs).unwrap(),
                interpret(&before, &inputs).unwrap(),
                "{name}: {inputs:?}"
            );
        }
        covered.push(pass.to_owned());
        let is = graph_to_text(&after);
        if is == expected {
            continue;
        }
        if bless {
            fs::write(&path, format!("{head}\n---\n{is}")).unwrap();
        } else {
            differ.push(format!("{name}: needs\n{expected}has\n{is}"));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    for pass in PASSES {
        assert!(
            covered.iter().any(|c| c == pass.name),
            "no file shows {}",
            pass.name
        );
    }
}
