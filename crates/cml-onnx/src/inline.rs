//! Calls of the file's own functions, replaced by the functions' nodes.

use crate::OnnxError;
use crate::extras::Reference;
use crate::model::{Attribute, Node};
use crate::operators;
use std::collections::BTreeMap;

/// Most nodes of a file with its functions in place.
const MAX_NODES: usize = 1 << 17;
/// Most elements of constants in copies of functions.
const MAX_ELEMENTS: usize = 1 << 24;
/// Deepest nesting of calls.
const MAX_DEPTH: usize = 16;

/// A function of the file.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    pub(crate) nodes: Vec<InnerNode>,
    pub(crate) defaults: BTreeMap<String, Attribute>,
}

/// A node of a function.
#[derive(Debug)]
pub(crate) struct InnerNode {
    pub(crate) node: Node,
    pub(crate) references: Vec<Reference>,
}

/// By domain and name.
pub(crate) type Functions = BTreeMap<(String, String), Function>;

/// The nodes of a graph without calls. An operator that is known is not looked up among the functions.
///
/// # Errors
/// If functions call each other too deep, or the result is too large.
pub(crate) fn inline(nodes: Vec<Node>, functions: &Functions) -> Result<Vec<Node>, OnnxError> {
    let mut inliner = Inliner {
        functions,
        done: Vec::with_capacity(nodes.len()),
        elements: 0,
    };
    for node in nodes {
        inliner.node(node, 0)?;
    }
    Ok(inliner.done)
}

struct Inliner<'a> {
    functions: &'a Functions,
    done: Vec<Node>,
    elements: usize,
}

fn too_large(what: &str, has: usize, limit: usize) -> OnnxError {
    OnnxError::TooLarge {
        what: what.to_owned(),
        has: has as u64,
        limit: limit as u64,
    }
}

impl Inliner<'_> {
    fn node(&mut self, node: Node, depth: usize) -> Result<(), OnnxError> {
        let functions = self.functions;
        let function = functions.get(&(node.domain.clone(), node.op.clone()));
        let Some(function) = function.filter(|_| operators::find(&node).is_none()) else {
            self.done.push(node);
            if self.done.len() > MAX_NODES {
                let what = "nodes of a file with its functions";
                return Err(too_large(what, self.done.len(), MAX_NODES));
            }
            return Ok(());
        };
        if depth >= MAX_DEPTH {
            return Err(too_large("nesting of functions", depth + 1, MAX_DEPTH));
        }
        // What the function names: the call's operands and results, and values of its own.
        let mut names: BTreeMap<&str, &str> = BTreeMap::new();
        for (formal, slot) in function.inputs.iter().zip(0..) {
            names.insert(formal, node.inputs.get(slot).map_or("", String::as_str));
        }
        for (formal, slot) in function.outputs.iter().zip(0usize..) {
            if let Some(actual) = node.outputs.get(slot).filter(|o| !o.is_empty()) {
                names.insert(formal, actual);
            }
        }
        let prefix = node.outputs.iter().find(|o| !o.is_empty());
        let prefix = prefix.map_or("", String::as_str);
        let renamed = |name: &String| match names.get(name.as_str()) {
            Some(actual) => (*actual).to_owned(),
            None if name.is_empty() => String::new(),
            None => format!("{prefix}/{name}"),
        };
        for inner in &function.nodes {
            let mut copy = inner.node.clone();
            copy.name = format!("{}/{}", node.name, inner.node.name);
            copy.source = inner.node.source.clone().or_else(|| node.source.clone());
            copy.inputs = inner.node.inputs.iter().map(renamed).collect();
            copy.outputs = inner.node.outputs.iter().map(renamed).collect();
            for reference in &inner.references {
                let given = node.attributes.get(&reference.of);
                match given.or_else(|| function.defaults.get(&reference.of)) {
                    Some(value) => copy.attributes.insert(reference.name.clone(), value.clone()),
                    None => copy.attributes.remove(&reference.name),
                };
            }
            for value in copy.attributes.values() {
                self.elements += match value {
                    Attribute::Tensor(t) => t.len(),
                    Attribute::Floats(list) => list.len(),
                    Attribute::Ints(list) => list.len(),
                    Attribute::Texts(list) => list.len(),
                    Attribute::Float(_) | Attribute::Int(_) | Attribute::Text(_) | Attribute::Other => 0,
                };
            }
            if self.elements > MAX_ELEMENTS {
                let what = "elements of constants in functions";
                return Err(too_large(what, self.elements, MAX_ELEMENTS));
            }
            self.node(copy, depth + 1)?;
        }
        Ok(())
    }
}
