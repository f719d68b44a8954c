//! How each layer of a circuit is looked up.

use crate::circuit::{Circuit, Rotation};
use serde::Serialize;
use std::fmt;

/// How the lookups of one layer are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Each value by one lookup, exactly.
    Exact,
    /// Exactly, after digits were taken off wide rows.
    Digits {
        /// Lookups of the layer that take digits off, of which none is a result.
        lookups: usize,
        /// All lookups of the layer.
        of: usize,
    },
    /// Each value by one lookup whose changes may move.
    Approximate {
        /// By how many values, at most.
        slack: u64,
    },
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact => write!(f, "exact"),
            Self::Digits { lookups, of } => {
                write!(f, "exact by digits, which take {lookups} of {of} lookups")
            }
            Self::Approximate { slack } => write!(f, "approximate, changes move by up to {slack} values"),
        }
    }
}

impl Circuit {
    /// How each layer that has lookups is looked up, in the order of the layers.
    pub fn ways(&self) -> Vec<(&str, Way)> {
        let mut ways: Vec<Option<Way>> = vec![None; self.layers().len()];
        let takes = self.rotations_that_take_digits();
        for (rotation, takes) in self.rotations().zip(takes) {
            for lookup in &rotation.lookups {
                let way = ways[lookup.layer as usize].get_or_insert(Way::Exact);
                if rotation.slack > 0 {
                    let before = match *way {
                        Way::Approximate { slack } => slack,
                        Way::Exact | Way::Digits { .. } => 0,
                    };
                    let slack = before.max(rotation.slack);
                    *way = Way::Approximate { slack };
                }
                if let (true, Way::Exact) = (takes, *way) {
                    *way = Way::Digits { lookups: 0, of: 0 };
                }
                if let (true, Way::Digits { lookups, .. }) = (takes, way) {
                    *lookups += 1;
                }
            }
        }
        for (layer, way) in (0..).zip(&mut ways) {
            if let Some(Way::Digits { of, .. }) = way {
                let all = self.rotations().flat_map(|r| &r.lookups);
                *of = all.filter(|lookup| lookup.layer == layer).count();
            }
        }
        let names = self.layers().iter().map(String::as_str);
        names
            .zip(ways)
            .filter_map(|(name, way)| Some((name, way?)))
            .collect()
    }

    /// For each rotation whether it takes a digit off a wide row: a later one of the same layer reads what it puts out.
    pub(crate) fn rotations_that_take_digits(&self) -> Vec<bool> {
        // For each wire its layer, and the rotation that defines it.
        let mut wires: Vec<Option<(u32, usize)>> = vec![None; self.input_count()];
        for (number, rotation) in self.rotations().enumerate() {
            wires.extend(rotation.lookups.iter().map(|l| Some((l.layer, number))));
        }
        let mut takes = vec![false; self.rotation_count()];
        let mut mark = |rotation: &Rotation| {
            for &(wire, _) in &rotation.row.terms {
                if let Some((layer, number)) = wires[wire as usize]
                    && rotation.lookups.iter().any(|l| l.layer == layer)
                {
                    takes[number] = true;
                }
            }
        };
        self.rotations().for_each(&mut mark);
        takes
    }
}
