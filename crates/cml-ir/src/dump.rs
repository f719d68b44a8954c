//! Text form: one node a line, stable, made for diffs.

use crate::{Graph, InputStep, Interval, Op, Tensor, Type};
use std::fmt;

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.range.lo < 0 { 'i' } else { 'u' };
        write!(
            f,
            "{sign}{}{} {}",
            self.range.storage_bits(),
            dims(&self.shape),
            self.range
        )
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<[String; 4]> = self
            .nodes()
            .map(|(id, node)| {
                let operands: Vec<String> = self.operands(id).map(|o| format!("%{}", o.index())).collect();
                let attributes = attributes(&node.op);
                let call = [node.op.mnemonic().to_owned(), operands.join(", "), attributes];
                let call = call
                    .into_iter()
                    .filter(|s| !s.is_empty())
                    .collect::<Vec<_>>()
                    .join(" ");
                [
                    format!("%{}:", id.index()),
                    node.ty.to_string(),
                    call,
                    node.name.clone(),
                ]
            })
            .collect();
        let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
        let (ids, types, calls) = (width(0), width(1), width(2));
        writeln!(f, "graph {}", plain(self.name()))?;
        for [id, ty, call, name] in &rows {
            writeln!(f, "{id:ids$} {ty:types$} = {call:calls$}  {name}")?;
        }
        Ok(())
    }
}

/// A text with U+FFFD for each control character: what is printed of a file of
/// somebody else's must not move the cursor.
pub fn plain(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

fn dims(shape: &[usize]) -> String {
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("[{}]", sizes.join(","))
}

fn values(v: &[i64]) -> Interval {
    Interval::hull_of(v.iter().map(|&v| Interval::point(v))).unwrap_or(Interval::point(0))
}

fn tensor(t: &Tensor) -> String {
    let range = values(t.data());
    format!(
        "{} #{}",
        Type {
            shape: t.shape().to_vec(),
            range
        },
        t.short_hash()
    )
}

fn floats(v: &[f32]) -> String {
    match v {
        [one] => one.to_string(),
        _ => format!("[{}]", v.iter().map(f32::to_string).collect::<Vec<_>>().join(",")),
    }
}

fn bias(v: &[i64]) -> String {
    if v.iter().all(|&b| b == 0) {
        String::new()
    } else {
        format!(" bias {}", values(v))
    }
}

/// Everything about an operation but its operands.
pub(crate) fn attributes(op: &Op) -> String {
    match op {
        Op::Input { spec, .. } => {
            if let Some(thresholds) = &spec.thresholds {
                let missing = if thresholds.takes_missing {
                    ", may be missing"
                } else {
                    ""
                };
                return format!("thresholds of {} features{missing}", thresholds.features);
            }
            let offset = if spec.offset.iter().all(|&o| o == 0.0) {
                String::new()
            } else {
                format!(" offset {}", floats(&spec.offset))
            };
            let steps: Vec<&str> = spec.steps.iter().map(InputStep::name).collect();
            let steps = if steps.is_empty() {
                String::new()
            } else {
                format!(" after {}", steps.join(", "))
            };
            format!(
                "scale {}{offset} zero {}{steps}",
                floats(&spec.scale),
                spec.zero_point
            )
        }
        Op::Dot(d) => format!("w {}{}", tensor(&d.weights), bias(&d.bias)),
        Op::Conv2d(c) => {
            let mut text = format!(
                "w {}{} stride {:?} pad {:?}",
                tensor(&c.weights),
                bias(&c.bias),
                c.stride,
                c.padding
            );
            if c.pad_value != 0 {
                text += &format!(" with {}", c.pad_value);
            }
            if c.groups != 1 {
                text += &format!(" groups {}", c.groups);
            }
            text
        }
        Op::SumPool(p) => format!("kernel {:?} stride {:?}", p.kernel, p.stride),
        Op::Add | Op::Sub => String::new(),
        Op::Lut(l) => {
            let per = if l.is_per_tensor() {
                String::new()
            } else {
                format!(" x{}", l.channels().len())
            };
            format!("steps<={}{per} #{}", l.max_steps(), l.short_hash())
        }
        Op::Reshape { shape } => dims(shape),
        Op::Transpose { perm } => dims(perm),
        Op::Concat { axis } => format!("axis {axis}"),
        Op::Slice { axis, start, end } => format!("axis {axis} {start}..{end}"),
        Op::Pad(p) => format!("before {:?} after {:?} with {}", p.before, p.after, p.value),
        Op::Output(o) => {
            let labels = if o.labels.is_empty() {
                String::new()
            } else {
                format!(" labels {}", plain(&o.labels.join(",")))
            };
            let zero = if o.zero_point == 0 {
                String::new()
            } else {
                format!(" zero {}", o.zero_point)
            };
            format!(
                "scale {} offset {}{zero}{labels}{}{}",
                floats(&o.scale),
                floats(&o.offset),
                o.probabilities
                    .name()
                    .map_or_else(String::new, |name| format!(" {name}")),
                if o.words > 1 {
                    format!(" of {} words radix {}", o.words, o.radix)
                } else {
                    String::new()
                }
            )
        }
    }
}
