//! Samples for commands: built-in data sets, CSV and NumPy files, fitted to a program.

use crate::border::Border;
use crate::rows::{Rows, choose};
pub(crate) use crate::samples::Samples;
use anyhow::bail;
use cml_data::{CsvOptions, Table, is_builtin};

/// Samples of a built-in set that encrypted commands take if the user names no number.
const FEW: usize = 10;

/// Where samples come from.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct DataArgs {
    /// Built-in data set (checkerboard, checkerboard.csv, iris, digits), a CSV or a NumPy file. Columns are
    /// matched by their names where the program has names, else by place.
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) data: String,
    #[command(flatten)]
    pub(crate) choice: Choice,
}

/// Which samples of a data set.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Choice {
    /// Number of samples, drawn without replacement [default: all; encrypted commands take 10 of a built-in set].
    #[arg(long, value_name = "N", requires = "data")]
    samples: Option<usize>,
    /// Rows to take samples of [default: the held-out ones of a data set with a test split, and of the
    /// data that the program was trained on; else all].
    #[arg(long, value_enum, requires = "data")]
    rows: Option<Rows>,
    /// Seed of generated data sets, of the draw of samples, and of the fifth that is held out where the data
    /// names no test rows: as in `cml train`.
    #[arg(long, value_name = "S", default_value_t = 0)]
    data_seed: u64,
    /// Column of the classes [default: the one named label, class or target, in any case].
    #[arg(long, value_name = "COLUMN", requires = "data")]
    label: Option<String>,
}

impl DataArgs {
    /// All samples, or as many as the user asks for.
    pub(crate) fn load(&self, border: &Border<'_>) -> anyhow::Result<Samples> {
        self.choice.load(&self.data, border, None)
    }

    /// As [`DataArgs::load`], for commands that take seconds for each.
    pub(crate) fn load_few(&self, border: &Border<'_>) -> anyhow::Result<Samples> {
        self.choice.load_few(&self.data, border)
    }
}

impl Choice {
    /// Samples for a command that takes seconds for each: of a built-in set a few, if the user names no
    /// number. A file is used whole.
    pub(crate) fn load_few(&self, data: &str, border: &Border<'_>) -> anyhow::Result<Samples> {
        self.load(data, border, is_builtin(data).then_some(FEW))
    }

    /// Samples of a data set for a program: all, or `few`, or as many as the user asks for.
    pub(crate) fn load(
        &self,
        data: &str,
        border: &Border<'_>,
        few: Option<usize>,
    ) -> anyhow::Result<Samples> {
        if self.samples == Some(0) {
            bail!("--samples is 0, needs at least 1");
        }
        let table = open(data, self.data_seed, self.label.as_deref(), border)?;
        let (labels, remark) = border.class_numbers(&table)?;
        let scope = choose(&table, labels.is_some(), border, self.rows, self.data_seed)?;
        let rows = scope.select(&table);
        let remarks = [border.columns_remark(&table), remark];
        let all = Samples::new(
            data.to_owned(),
            rows.iter().map(|&row| table.values().row(row).to_vec()).collect(),
            labels.map(|labels| rows.iter().map(|&row| labels[row]).collect()),
        )
        .with_scope(scope)
        .with_remarks(remarks.into_iter().flatten().collect());
        let has = all.len();
        let wanted = match (self.samples, few) {
            (Some(n), _) if n > has => bail!("--samples is {n}, {data} has {has}"),
            (Some(n), _) => n,
            (None, Some(n)) => n.min(has),
            (None, None) => has,
        };
        Ok(if wanted == has {
            all
        } else {
            all.draw(wanted, self.data_seed)
        })
    }

    /// Reads the data for no program yet, so that what is wrong with it is found before others are asked.
    pub(crate) fn check(&self, data: &str) -> anyhow::Result<()> {
        match self.load(data, &Border::unknown(), None) {
            // The names of a program's inputs may tell.
            Err(error) if matches!(error.downcast_ref(), Some(cml_data::Error::AmbiguousLabel { .. })) => {
                Ok(())
            }
            other => other.map(|_| ()),
        }
    }
}

/// A data set with the columns of a program, by name where both have names.
fn open(data: &str, seed: u64, label: Option<&str>, border: &Border<'_>) -> anyhow::Result<Table> {
    let options = CsvOptions {
        label: label.map(str::to_owned),
        inputs: (!border.columns.is_empty()).then(|| border.columns.to_vec()),
        ..CsvOptions::default()
    };
    Ok(cml_data::open(data, &options, seed)?.with_columns(border.columns)?)
}

/// A data set to train on.
#[cfg(feature = "train")]
pub(crate) fn open_for_training(data: &str, seed: u64, label: Option<&str>) -> anyhow::Result<Table> {
    open(data, seed, label, &Border::unknown())
}

/// Rows to calibrate a program with, and their classes if the data has them: those for training where
/// the data or the program's own training says which these are, else all.
pub(crate) fn calibration(
    data: &str,
    seed: u64,
    label: Option<&str>,
    border: &Border<'_>,
) -> anyhow::Result<Samples> {
    let table = open(data, seed, label, border)?;
    let (labels, remark) = border.class_numbers(&table)?;
    let rows = crate::rows::not_held_out(&table, border)?;
    let remarks = [border.columns_remark(&table), remark];
    Ok(Samples::new(
        data.to_owned(),
        rows.iter().map(|&row| table.values().row(row).to_vec()).collect(),
        labels.map(|labels| rows.iter().map(|&row| labels[row]).collect()),
    )
    .with_remarks(remarks.into_iter().flatten().collect()))
}
