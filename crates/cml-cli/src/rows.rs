//! Which rows of a data set are taken, and whether the program was trained on them.

use crate::border::Border;
use anyhow::bail;
use cml_data::{Table, rows_digest};
use cml_ir::TrainingRows;
use serde_json::{Value, json};

/// Rows that a user asks for.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// All rows, those of the training included.
    All,
    /// Rows that are not for training.
    HeldOut,
}

/// The rows that are taken, and what is known of them.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// For each row of the data whether it is taken; `None` for all.
    chosen: Option<Vec<bool>>,
    /// Rows of the data.
    of: usize,
    /// Rows taken.
    pub(crate) count: usize,
    /// Data set or file.
    source: String,
    /// What is known of them.
    trained: Trained,
}

/// Whether the program was trained on the rows that are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trained {
    /// On none of them: they are its own held-out ones.
    No,
    /// On so many of them.
    On(u64),
    /// The program was trained on other data.
    OtherData,
    /// The data has test rows of its own; the program does not say what it was trained on.
    TestSplit,
    /// Nothing is known.
    Unknown,
}

/// Chooses rows of a data set: those that the user asks for; else its test rows, those that were held
/// out from the training if the program was trained on this data and rows are scored, or all.
///
/// # Errors
///
/// If there are no rows to choose, or the data is that of the training but its split is not.
pub(crate) fn choose(
    table: &Table,
    has_labels: bool,
    border: &Border<'_>,
    asked: Option<Rows>,
    seed: u64,
) -> anyhow::Result<Scope> {
    let source = table.source();
    let known = recognized(table, border);
    let all = |trained| scope(table, None, trained);
    let some = |chosen, trained| scope(table, Some(chosen), trained);
    if asked == Some(Rows::All) {
        return all(match (&known, border.training) {
            (Known::Held(rows, _) | Known::OtherSplit(rows), _) => Trained::On(rows.rows - rows.held_out),
            (Known::No, Some(_)) => Trained::OtherData,
            (Known::No, None) => Trained::Unknown,
        });
    }
    let own = table.held_out().map(<[bool]>::to_vec);
    let matters = has_labels || asked.is_some();
    match (known, own) {
        (Known::Held(_, held_out), own) if matters || own.is_some() => some(held_out, Trained::No),
        (Known::Held(rows, _), _) => all(Trained::On(rows.rows - rows.held_out)),
        (Known::OtherSplit(_), _) if matters => bail!(
            "{source}: is the data that the {} was trained on, but its split is not that of the training: which \
             rows were held out cannot be told; --rows all takes all of them",
            border.what
        ),
        (Known::OtherSplit(_), Some(own)) => some(own, Trained::Unknown),
        (Known::OtherSplit(rows), None) => all(Trained::On(rows.rows - rows.held_out)),
        (Known::No, Some(own)) if border.training.is_some() => some(own, Trained::OtherData),
        (Known::No, Some(own)) => some(own, Trained::TestSplit),
        (Known::No, None) if asked.is_none() => all(match border.training {
            Some(_) => Trained::OtherData,
            None => Trained::Unknown,
        }),
        (Known::No, None) if border.training.is_some() => bail!(
            "{source}: is not the data that the {} was trained on, nothing of it was held out: --rows all \
             takes all of it",
            border.what
        ),
        (Known::No, None) => some(table.draw_held_out(table.fifth(), seed)?, Trained::Unknown),
    }
}

/// The rows to calibrate with: those of the training, as far as that is known.
pub(crate) fn not_held_out(table: &Table, border: &Border<'_>) -> anyhow::Result<Vec<usize>> {
    let held_out = match recognized(table, border) {
        Known::Held(_, held_out) => Some(held_out),
        Known::OtherSplit(_) | Known::No => table.held_out().map(<[bool]>::to_vec),
    };
    let is_held_out = |&row: &usize| held_out.as_ref().is_some_and(|held_out| held_out[row]);
    let rows: Vec<usize> = (0..table.len()).filter(|row| !is_held_out(row)).collect();
    if rows.is_empty() {
        bail!("{}: all of its rows are for the test", table.source());
    }
    Ok(rows)
}

/// Whether data is that of the training.
enum Known {
    /// It is, and these rows were held out.
    Held(TrainingRows, Vec<bool>),
    /// It is, with other rows held out than it says now.
    OtherSplit(TrainingRows),
    /// It is not, or nothing is known.
    No,
}

fn recognized(table: &Table, border: &Border<'_>) -> Known {
    let Some(training) = border.training else {
        return Known::No;
    };
    if training.rows != table.len() as u64 || training.data != table.digest() {
        return Known::No;
    }
    let own = table.held_out().map(<[bool]>::to_vec);
    let drawn = training.seed.and_then(|seed| {
        let count = usize::try_from(training.held_out).ok()?;
        table.draw_held_out(count, seed).ok()
    });
    let is_right = |rows: &Vec<bool>| rows_digest(rows) == training.held_out_rows;
    match [drawn, own].into_iter().flatten().find(is_right) {
        Some(held_out) => Known::Held(training, held_out),
        None => Known::OtherSplit(training),
    }
}

fn scope(table: &Table, chosen: Option<Vec<bool>>, trained: Trained) -> anyhow::Result<Scope> {
    let of = table.len();
    let count = chosen
        .as_ref()
        .map_or(of, |rows| rows.iter().filter(|taken| **taken).count());
    if count == 0 {
        bail!("{}: none of its {of} rows is for the test", table.source());
    }
    Ok(Scope {
        chosen,
        of,
        count,
        source: table.source().to_owned(),
        trained,
    })
}

impl Scope {
    /// Numbers of the rows that are taken, rising.
    pub(crate) fn select(&self, table: &Table) -> Vec<usize> {
        let taken = |&row: &usize| self.chosen.as_ref().is_none_or(|chosen| chosen[row]);
        (0..table.len()).filter(taken).collect()
    }

    /// `the 20 held-out rows of 100 of my.csv`, and the like, where so many of them are drawn.
    pub(crate) fn text(&self, drawn: usize) -> String {
        let Self {
            of, count, source, ..
        } = self;
        let rows = match &self.chosen {
            None => format!("all {of} rows of {source}"),
            Some(_) => format!("the {count} held-out rows of {of} of {source}"),
        };
        let rows = if drawn < *count {
            format!("{drawn} of {rows}")
        } else {
            rows
        };
        match self.trained {
            Trained::On(n) => format!("{rows}, {n} of which it was trained on"),
            Trained::OtherData => format!("{rows}, which is not the data of its training"),
            Trained::No | Trained::TestSplit | Trained::Unknown => rows,
        }
    }

    /// What is to be said where an accuracy may be that of rows that a program was trained on.
    pub(crate) fn warning(&self) -> Option<String> {
        let Self { of, source, .. } = self;
        match self.trained {
            Trained::On(n) => Some(format!(
                "it was trained on {n} of the {of} rows of {source}: this accuracy says little about new data; \
                 --rows held-out scores the others"
            )),
            Trained::Unknown if self.chosen.is_none() => Some(format!(
                "it is not known what it was trained on: if that was {source}, this accuracy says little about \
                 new data; --rows held-out scores the fifth that `cml train` holds out"
            )),
            Trained::No | Trained::OtherData | Trained::TestSplit | Trained::Unknown => None,
        }
    }

    /// What [`Scope::text`] says, for programs.
    pub(crate) fn json(&self) -> Value {
        let trained_on = match self.trained {
            Trained::No | Trained::OtherData => json!(0),
            Trained::On(n) => json!(n),
            Trained::TestSplit | Trained::Unknown => Value::Null,
        };
        json!({
            "rows": if self.chosen.is_some() { "held-out" } else { "all" },
            "count": self.count,
            "of": self.of,
            "source": self.source,
            "trained_on": trained_on,
        })
    }
}
