//! Nodes in the order of execution.

use crate::OnnxError;
use crate::model::Node;
use std::collections::{BTreeMap, BTreeSet};

/// Sorts nodes so that each comes after those that it reads, keeping the file's order otherwise.
///
/// # Errors
/// If nodes read each other.
pub(crate) fn sort(nodes: Vec<Node>) -> Result<Vec<Node>, OnnxError> {
    let source: BTreeMap<&str, usize> = nodes
        .iter()
        .enumerate()
        .flat_map(|(i, n)| n.outputs.iter().map(move |o| (o.as_str(), i)))
        .filter(|(o, _)| !o.is_empty())
        .collect();
    let mut waits_for = vec![0usize; nodes.len()];
    let mut readers = vec![Vec::new(); nodes.len()];
    for (i, node) in nodes.iter().enumerate() {
        let before: BTreeSet<usize> = node
            .inputs
            .iter()
            .filter_map(|n| source.get(n.as_str()).copied())
            .collect();
        waits_for[i] = before.len();
        for b in before {
            readers[b].push(i);
        }
    }
    let mut ready: BTreeSet<usize> = (0..nodes.len()).filter(|&i| waits_for[i] == 0).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(next) = ready.pop_first() {
        order.push(next);
        for &reader in &readers[next] {
            waits_for[reader] -= 1;
            if waits_for[reader] == 0 {
                ready.insert(reader);
            }
        }
    }
    if let Some(stuck) = waits_for.iter().position(|&w| w > 0) {
        return Err(OnnxError::Cycle(nodes[stuck].name.clone()));
    }
    let mut nodes: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|i| nodes[i].take()).collect())
}
