//! What a program says of the data that it takes, and of the classes that it gives.

use anyhow::bail;
use cml_data::Table;
use cml_ir::{Graph, TrainingRows};
use cml_quant::Network;
use cml_scheme::ClientSpec;
use cml_tfhe::Circuit;

/// Names at the border of a program, and what it knows of its training.
pub(crate) struct Border<'a> {
    /// What it is, for messages.
    pub(crate) what: &'static str,
    /// Names of the columns of its input; none if it has no names.
    pub(crate) columns: &'a [String],
    /// Names of its classes; none if it has no names.
    pub(crate) classes: &'a [String],
    /// Rows that it was trained on, if it knows.
    pub(crate) training: Option<TrainingRows>,
}

/// The number of each row's class among those of a program, if rows have labels, and what is odd
/// about them.
type Classes = (Option<Vec<usize>>, Option<String>);

impl<'a> Border<'a> {
    /// Of no program.
    pub(crate) fn unknown() -> Self {
        Self {
            what: "program",
            columns: &[],
            classes: &[],
            training: None,
        }
    }

    /// Of a network.
    pub(crate) fn of_network(network: &'a Network) -> Self {
        Self {
            what: "network",
            columns: network.columns(),
            classes: network.labels(),
            training: network.training().copied(),
        }
    }

    /// Of a graph's first input and output.
    pub(crate) fn of_graph(graph: &'a Graph) -> Self {
        Self {
            what: "graph",
            columns: graph.inputs().next().map_or(&[], |(_, _, spec)| &spec.columns),
            classes: graph.outputs().next().map_or(&[], |(_, _, spec)| &spec.labels),
            training: graph.training().copied(),
        }
    }

    /// Of a circuit's first input and output. A circuit knows nothing of its training.
    pub(crate) fn of_circuit(circuit: &'a Circuit) -> Self {
        Self {
            what: "circuit",
            columns: circuit.inputs().first().map_or(&[], |input| &input.spec.columns),
            classes: circuit
                .outputs()
                .first()
                .map_or(&[], |output| &output.spec.labels),
            training: None,
        }
    }

    /// Of a client spec's first input and output.
    pub(crate) fn of_spec(spec: &'a ClientSpec) -> Self {
        Self {
            what: "client spec",
            columns: spec.inputs().first().map_or(&[], |input| &input.spec.columns),
            classes: spec.outputs().first().map_or(&[], |output| &output.spec.labels),
            training: None,
        }
    }

    /// What is to be said where columns go by their places.
    pub(crate) fn columns_remark(&self, table: &Table) -> Option<String> {
        let (source, what) = (table.source(), self.what);
        if self.columns.is_empty() {
            return Some(format!(
                "the {what} has no names of columns: those of {source} go by place"
            ));
        }
        let unnamed = table.columns().is_empty();
        unnamed.then(|| format!("{source} has no names of columns: they go by place, as in the {what}"))
    }

    /// Labels as numbers of this program's classes: by name where both have names. A name that the
    /// program has not gets a number beyond its classes.
    pub(crate) fn class_numbers(&self, table: &Table) -> anyhow::Result<Classes> {
        let (source, what, names) = (table.source(), self.what, table.classes());
        let Some(labels) = table.labels() else {
            return Ok((None, None));
        };
        if names.is_empty() {
            let is_number = |(i, class): (usize, &String)| *class == i.to_string();
            let remark = (!self.classes.iter().enumerate().all(is_number)).then(|| {
                format!(
                    "labels of {source} are numbers: they go by place, 0 is {:?}",
                    self.classes[0]
                )
            });
            return Ok((Some(labels.to_vec()), remark));
        }
        if self.classes.is_empty() {
            let remark = format!(
                "labels of {source} are names, the {what} has no names of classes: they are not scored"
            );
            return Ok((None, Some(remark)));
        }
        let place = |(i, name): (usize, &String)| {
            let place = self.classes.iter().position(|class| class == name);
            place.unwrap_or(self.classes.len() + i)
        };
        let numbers: Vec<usize> = names.iter().enumerate().map(place).collect();
        if numbers.iter().all(|&number| number >= self.classes.len()) {
            bail!(
                "{source}: its labels are {}, the classes of the {what} {}",
                few(names),
                few(self.classes)
            );
        }
        Ok((Some(labels.iter().map(|&label| numbers[label]).collect()), None))
    }
}

/// The first names of a list.
fn few(names: &[String]) -> String {
    const SHOWN: usize = 4;
    let mut shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("{name:?}")).collect();
    if names.len() > SHOWN {
        shown.push("...".to_owned());
    }
    shown.join(", ")
}
