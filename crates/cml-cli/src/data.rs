//! Samples for commands: built-in data sets, CSV and NumPy files.

pub(crate) use crate::samples::Samples;
use anyhow::{Context, bail};
use cml_data::{CsvOptions, NAMES};
use ndarray::Array2;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Samples of a built-in set that encrypted commands take if the user names no number.
const FEW: usize = 10;

/// Where samples come from.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct DataArgs {
    /// Built-in data set (checkerboard, checkerboard.csv, iris, digits), a CSV or a NumPy file. Of a data set with
    /// a test split, the test split is used.
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) data: String,
    /// Number of samples, drawn without replacement [default: all; encrypted commands take 10 of a built-in set].
    #[arg(long, value_name = "N")]
    pub(crate) samples: Option<usize>,
    /// Seed of generated data sets and of the draw of samples.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) data_seed: u64,
}

impl DataArgs {
    /// All samples, or as many as the user asks for.
    pub(crate) fn load(&self) -> anyhow::Result<Samples> {
        self.load_some(None)
    }

    /// As [`DataArgs::load`], for commands that take seconds for each: of a built-in set a few, if the user names
    /// no number. Who gives a file wants all of it.
    pub(crate) fn load_few(&self) -> anyhow::Result<Samples> {
        self.load_some(self.csv_path()?.is_none().then_some(FEW))
    }

    fn load_some(&self, default: Option<usize>) -> anyhow::Result<Samples> {
        if self.samples == Some(0) {
            bail!("--samples is 0, needs at least 1");
        }
        let all = self.load_all()?;
        let has = all.len();
        let wanted = match (self.samples, default) {
            (Some(n), _) if n > has => bail!("--samples is {n}, {} has {has}", self.data),
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

    fn load_all(&self) -> anyhow::Result<Samples> {
        if let Some(path) = self.csv_path()? {
            return read_file(&path);
        }
        let split = cml_data::named(&self.data, self.data_seed)?;
        let rows = split
            .test
            .features()
            .rows()
            .into_iter()
            .map(|r| r.to_vec())
            .collect();
        Ok(Samples::new(
            self.data.clone(),
            rows,
            Some(split.test.labels().to_vec()),
        ))
    }

    /// The path, if the argument names a file rather than a built-in set.
    pub(crate) fn csv_path(&self) -> anyhow::Result<Option<PathBuf>> {
        csv_path(&self.data)
    }
}

/// Rows of a file: of a NumPy array all, without classes; of a CSV file see [`read_csv`].
fn read_file(path: &Path) -> anyhow::Result<Samples> {
    match numpy_rows(path)? {
        Some(rows) => {
            let rows = rows.rows().into_iter().map(|r| r.to_vec()).collect();
            Ok(Samples::new(path.display().to_string(), rows, None))
        }
        None => read_csv(path),
    }
}

/// Rows of a `.npy` or `.npz` file; nothing of a file of another name.
fn numpy_rows(path: &Path) -> anyhow::Result<Option<Array2<f32>>> {
    let extension = path.extension().map(|e| e.to_ascii_lowercase());
    Ok(match extension.as_deref().and_then(|e| e.to_str()) {
        Some("npy") => Some(cml_data::read_npy(path)?.into_values()),
        Some("npz") => Some(cml_data::read_npz(path)?.into_values()),
        _ => None,
    })
}

/// Test rows of a CSV file with a split column, all rows of one without;
/// without a label column there are no classes.
fn read_csv(path: &Path) -> anyhow::Result<Samples> {
    let source = path.display().to_string();
    let options = CsvOptions::default();
    let columns = header(path)?;
    let has = |name: &str| columns.iter().any(|c| c == name);
    if has("split") {
        let test = cml_data::read_split_csv(path, &options)?.test;
        let rows = test.features().rows().into_iter().map(|r| r.to_vec()).collect();
        return Ok(Samples::new(source, rows, Some(test.labels().to_vec())));
    }
    if has("label") {
        let all = cml_data::read_csv(path, &options)?;
        let rows = all.features().rows().into_iter().map(|r| r.to_vec()).collect();
        return Ok(Samples::new(source, rows, Some(all.labels().to_vec())));
    }
    let features = cml_data::read_features(path, &options)?;
    let rows = features.values().rows().into_iter().map(|r| r.to_vec()).collect();
    Ok(Samples::new(source, rows, None))
}

/// Rows `[rows, columns]` to calibrate a quantization with: those for training
/// of a data set or file that has a test split, else all.
pub(crate) fn calibration(data: &str, seed: u64) -> anyhow::Result<Array2<f32>> {
    Ok(calibration_set(data, seed)?.0)
}

/// The same rows as samples, with their classes if the file has them.
pub(crate) fn calibration_samples(data: &str, seed: u64) -> anyhow::Result<Samples> {
    let (rows, labels) = calibration_set(data, seed)?;
    let rows = rows.rows().into_iter().map(|r| r.to_vec()).collect();
    Ok(Samples::new(data.to_owned(), rows, labels))
}

fn calibration_set(data: &str, seed: u64) -> anyhow::Result<(Array2<f32>, Option<Vec<usize>>)> {
    let labelled = |set: &cml_data::Dataset| (set.features().clone(), Some(set.labels().to_vec()));
    let Some(path) = csv_path(data)? else {
        return Ok(labelled(&cml_data::named(data, seed)?.train));
    };
    if let Some(rows) = numpy_rows(&path)? {
        return Ok((rows, None));
    }
    let options = CsvOptions::default();
    let columns = header(&path)?;
    let has = |name: &str| columns.iter().any(|c| c == name);
    Ok(if has("split") {
        labelled(&cml_data::read_split_csv(&path, &options)?.train)
    } else if has("label") {
        labelled(&cml_data::read_csv(&path, &options)?)
    } else {
        (cml_data::read_features(&path, &options)?.into_values(), None)
    })
}

/// The path, if data names a file rather than a built-in set.
fn csv_path(data: &str) -> anyhow::Result<Option<PathBuf>> {
    if NAMES.contains(&data) {
        return Ok(None);
    }
    let path = Path::new(data);
    if path.extension().is_none() && !path.exists() {
        bail!(
            "no data set named {data:?} and no such file; built in are {}",
            NAMES.join(", ")
        );
    }
    Ok(Some(path.to_owned()))
}

/// Column names as far as they tell what kind of file it is; the reader checks
/// them properly.
pub(crate) fn header(path: &Path) -> anyhow::Result<Vec<String>> {
    const LONGEST: u64 = 1 << 20;
    let mut start = Vec::new();
    let file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    BufReader::new(file.take(LONGEST))
        .read_until(b'\n', &mut start)
        .with_context(|| path.display().to_string())?;
    let text = String::from_utf8_lossy(&start);
    let cell = |c: &str| {
        c.trim()
            .trim_start_matches('\u{feff}')
            .trim_matches('"')
            .to_owned()
    };
    Ok(text.split(',').map(cell).collect())
}
