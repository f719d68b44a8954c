//! Times of the kernels.

use crate::cost::LookupCost;
use crate::exec::{self, Load};
use crate::params::Parameters;

/// Times the kernels of one parameter set, each when it is first asked for.
pub(super) struct Clock {
    parameters: Parameters,
    known: Vec<(Load, LookupCost)>,
    split: Vec<(u32, f64)>,
}

impl Clock {
    pub(super) fn of(parameters: &Parameters) -> Self {
        Self {
            parameters: *parameters,
            known: Vec::new(),
            split: Vec::new(),
        }
    }

    /// One of so many rotations of that extension.
    pub(super) fn rotation(&mut self, extension: u32, rotations: usize) -> LookupCost {
        let load = Load {
            extension,
            rotations: rotations.min(Load::full(extension).rotations),
        };
        if let Some(known) = self.known.iter().find(|k| k.0 == load) {
            return known.1;
        }
        let cost = exec::measure(&self.parameters, &load);
        self.known.push((load, cost));
        cost
    }

    /// One blind rotation on all threads, in nanoseconds.
    pub(super) fn split(&mut self, extension: u32) -> f64 {
        if let Some(known) = self.split.iter().find(|k| k.0 == extension) {
            return known.1;
        }
        let ns = exec::measure_split(&self.parameters, extension);
        self.split.push((extension, ns));
        ns
    }

    /// Times all again that it was asked for; the least counts, since other work can only slow one down.
    pub(super) fn again(&mut self) {
        for (load, cost) in &mut self.known {
            let again = exec::measure(&self.parameters, load);
            cost.keyswitch_ns = cost.keyswitch_ns.min(again.keyswitch_ns);
            cost.blind_rotation_ns = cost.blind_rotation_ns.min(again.blind_rotation_ns);
        }
        for (extension, ns) in &mut self.split {
            *ns = ns.min(exec::measure_split(&self.parameters, *extension));
        }
    }
}
