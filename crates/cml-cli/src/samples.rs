//! Float samples, and how a network's input and classes fit them.

use crate::rows::Scope;
use crate::show::{Report, note, percent};
use anyhow::bail;
use cml_ir::{InputSpec, Interval, Tensor};
use ndarray::Array2;
use serde_json::json;

/// Float samples, row by row, with their classes if known.
pub(crate) struct Samples {
    /// Data set or file that they are of.
    pub(crate) source: String,
    /// One row of features for each sample.
    pub(crate) rows: Vec<Vec<f32>>,
    /// Class of each sample.
    pub(crate) labels: Option<Vec<usize>>,
    /// Number of each sample in its set, from 0, rising.
    pub(crate) numbers: Vec<usize>,
    /// Samples of the set.
    set: usize,
    /// Which rows of the data the set is.
    scope: Option<Scope>,
    /// What is to be said of how the data fits.
    remarks: Vec<String>,
}

/// How many input values lie beyond the codes, and in how many samples.
struct Clipped {
    values: usize,
    samples: usize,
    /// Of so many values.
    all: usize,
}

/// How many classes are right.
pub(crate) struct Score {
    /// Right ones; `None` without labels, or of a network that names no class.
    pub(crate) correct: Option<usize>,
    /// Labels that no class of the network has.
    pub(crate) foreign: usize,
    /// Samples.
    of: usize,
    /// Classes of the network.
    classes: usize,
}

impl Samples {
    /// All samples of a set.
    pub(crate) fn new(source: String, rows: Vec<Vec<f32>>, labels: Option<Vec<usize>>) -> Self {
        Self {
            source,
            numbers: (0..rows.len()).collect(),
            set: rows.len(),
            rows,
            labels,
            scope: None,
            remarks: Vec::new(),
        }
    }

    /// The same, knowing which rows of the data they are.
    pub(crate) fn with_scope(self, scope: Scope) -> Self {
        Self {
            scope: Some(scope),
            ..self
        }
    }

    /// The same, with what is to be said of how the data fits.
    pub(crate) fn with_remarks(self, remarks: Vec<String>) -> Self {
        Self { remarks, ..self }
    }

    /// The rows as an array `[rows, columns]`.
    pub(crate) fn to_array(&self) -> Array2<f32> {
        let columns = self.rows.first().map_or(0, Vec::len);
        Array2::from_shape_fn((self.rows.len(), columns), |(row, column)| self.rows[row][column])
    }

    /// Says what is odd about the data; if classes are `scored`, also where they may have been trained
    /// on. To be called once, when nothing can be wrong with the input any more.
    pub(crate) fn say(&self, scored: bool) {
        let scored = scored && self.labels.is_some();
        let warning = self.scope.as_ref().filter(|_| scored).and_then(Scope::warning);
        self.remarks.iter().chain(warning.as_ref()).for_each(note);
    }

    /// Adds to a report which rows were taken; to its text only where they were scored.
    pub(crate) fn report_rows(&self, report: &mut Report, score: &Score) {
        let Some(scope) = &self.scope else {
            return;
        };
        if score.correct.is_some() {
            report.text += &format!("\nscored {}", scope.text(self.len()));
        }
        report.json["rows"] = scope.json();
    }

    /// Some of all samples, drawn without replacement, in the order of the set.
    pub(crate) fn draw(self, count: usize, seed: u64) -> Self {
        let mut numbers = cml_data::shuffle_batches(self.set, self.set, seed, 0).concat();
        numbers.truncate(count);
        numbers.sort_unstable();
        Self {
            rows: numbers.iter().map(|&i| self.rows[i].clone()).collect(),
            labels: self.labels.map(|l| numbers.iter().map(|&i| l[i]).collect()),
            numbers,
            ..self
        }
    }

    /// `50 samples`, or `10 of 50 samples`.
    pub(crate) fn count_text(&self) -> String {
        match (self.len(), self.set) {
            (has, all) if has == all => format!("{all} samples"),
            (has, all) => format!("{has} of {all} samples"),
        }
    }

    /// Number of samples.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// How many of the classes are right, of a network with so many outputs. One output is a
    /// value and no class.
    pub(crate) fn score(&self, classes: &[usize], outputs: usize) -> Score {
        let labels = self.labels.as_ref().filter(|_| outputs > 1);
        let right = |l: &Vec<usize>| l.iter().zip(classes).filter(|(a, b)| a == b).count();
        Score {
            correct: labels.map(right),
            foreign: labels.map_or(0, |l| l.iter().filter(|&&l| l >= outputs).count()),
            of: classes.len(),
            classes: outputs,
        }
    }

    /// Quantized input tensors, in order.
    pub(crate) fn quantize(
        &self,
        name: &str,
        shape: &[usize],
        spec: &InputSpec,
    ) -> anyhow::Result<Vec<Vec<Tensor>>> {
        let (needs, source) = (spec.sample_len(shape), &self.source);
        let quantize = |(row, i): (&Vec<f32>, &usize)| {
            if row.len() != needs {
                bail!(
                    "{source}: has {} values a sample, input {name} takes {needs}",
                    row.len()
                );
            }
            let Ok(codes) = spec.quantize_all(shape, row) else {
                bail!("{source}: sample {i}: holds a value that is not a finite number");
            };
            Ok(vec![Tensor::new(shape.to_vec(), codes)?])
        };
        self.rows.iter().zip(&self.numbers).map(quantize).collect()
    }

    /// Adds to a report how many input values were clipped.
    pub(crate) fn report_clipped(&self, report: &mut Report, shape: &[usize], spec: &InputSpec) {
        self.clipped(shape, spec).add(report, true);
        self.fill(shape, spec).iter().for_each(note);
    }

    /// The same, but in the text only if there are any.
    pub(crate) fn warn_of_clipped(&self, report: &mut Report, shape: &[usize], spec: &InputSpec) {
        let clipped = self.clipped(shape, spec);
        clipped.add(report, clipped.values > 0);
        self.fill(shape, spec).iter().for_each(note);
    }

    /// A warning if the samples take at most a sixteenth of the codes of an input.
    pub(crate) fn fill(&self, shape: &[usize], spec: &InputSpec) -> Option<String> {
        const PART: u64 = 16;
        let codes = self
            .rows
            .iter()
            .filter_map(|row| spec.quantize_all(shape, row).ok());
        let used = Interval::hull_of(codes.flatten().map(Interval::point))?;
        let (has, of) = (used.count(), spec.range.count());
        (has * PART <= of).then(|| {
            format!(
                "the values of {} take {has} of the {of} codes of the input: the network was made for data of another scale, \
                 or few samples say little",
                self.source
            )
        })
    }

    fn clipped(&self, shape: &[usize], spec: &InputSpec) -> Clipped {
        let clipped = |row: &Vec<f32>| spec.count_clipped(shape, row);
        let by_sample: Vec<usize> = self.rows.iter().map(clipped).collect();
        Clipped {
            values: by_sample.iter().sum(),
            samples: by_sample.iter().filter(|&&n| n > 0).count(),
            all: self.rows.iter().map(Vec::len).sum(),
        }
    }
}

impl Clipped {
    fn add(&self, report: &mut Report, in_text: bool) {
        let Self { values, samples, all } = self;
        if in_text {
            report.text += &format!("\n{values} of {all} input values clipped, in {samples} samples");
        }
        report.json["clipped_inputs"] = json!(values);
        report.json["clipped_samples"] = json!(samples);
    }
}

impl Score {
    /// Share of right ones.
    pub(crate) fn accuracy(&self) -> Option<f64> {
        Some(self.correct? as f64 / self.of as f64)
    }

    /// `accuracy 98.0%`, and what is odd about the labels; nothing without any.
    pub(crate) fn accuracy_text(&self) -> Option<String> {
        let percent = percent(self.correct?, self.of);
        Some(format!("accuracy {percent}{}", self.foreign_text()))
    }

    /// `49 of 50 right (98.0%), `, and what is odd about the labels; nothing without any.
    pub(crate) fn right_text(&self) -> String {
        let Some(correct) = self.correct else {
            return String::new();
        };
        let (of, percent) = (self.of, percent(correct, self.of));
        format!("{correct} of {of} right ({percent}){}, ", self.foreign_text())
    }

    fn foreign_text(&self) -> String {
        match self.foreign {
            0 => String::new(),
            n => format!(
                ", labels that the network (0 to {}) has not: {n}",
                self.classes - 1
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(labels: Option<Vec<usize>>) -> Samples {
        let rows = vec![vec![0.5, 9.0], vec![-9.0, 9.0], vec![0.0, 0.0]];
        Samples::new("some.csv".to_owned(), rows, labels)
    }

    #[test]
    fn drawn_samples_keep_their_numbers() {
        let rows = (0..50).map(|i| vec![i as f32]).collect();
        let all = Samples::new("x".to_owned(), rows, Some((0..50).collect()));
        assert_eq!(all.count_text(), "50 samples");
        let some = all.draw(10, 0);
        assert_eq!(some.count_text(), "10 of 50 samples");
        assert!(some.numbers.is_sorted() && some.numbers != (0..10).collect::<Vec<_>>());
        for ((row, number), label) in some.rows.iter().zip(&some.numbers).zip(some.labels.unwrap()) {
            assert_eq!((row[0], label), (*number as f32, *number));
        }
    }

    #[test]
    fn labels_are_counted_and_doubted() {
        let score = samples(Some(vec![0, 2, 1])).score(&[0, 1, 1], 2);
        assert_eq!((score.correct, score.foreign), (Some(2), 1));
        assert_eq!(
            score.right_text(),
            "2 of 3 right (66.7%), labels that the network (0 to 1) has not: 1, "
        );
        assert_eq!(samples(Some(vec![0; 3])).score(&[0; 3], 1).correct, None);
        assert_eq!(samples(None).score(&[0; 3], 2).right_text(), "");
    }

    #[test]
    fn clipped_values_are_said() {
        let spec = InputSpec::new(1.0, 0, Interval::new(-3, 3));
        let mut report = Report::new("done", json!({}));
        samples(None).warn_of_clipped(&mut report, &[2], &spec);
        assert_eq!(report.text, "done\n3 of 6 input values clipped, in 2 samples");
        let wide = InputSpec::new(1.0, 0, Interval::new(-9, 9));
        let mut report = Report::new("done", json!({}));
        samples(None).warn_of_clipped(&mut report, &[2], &wide);
        assert_eq!(report.text, "done");
        assert_eq!(report.json["clipped_inputs"], 0);
    }

    #[test]
    fn data_that_fill_little_of_the_codes_are_doubted() {
        let fill = |scale: f32| samples(None).fill(&[2], &InputSpec::new(scale, 0, Interval::new(-128, 127)));
        assert_eq!(fill(0.1), None);
        let text = fill(9.0).unwrap();
        assert!(
            text.starts_with("the values of some.csv take 3 of the 256 codes"),
            "{text}"
        );
    }

    #[test]
    fn rows_that_do_not_fit_name_their_file() {
        let spec = InputSpec::new(1.0, 0, Interval::new(-3, 3));
        let error = samples(None).quantize("x", &[3], &spec).unwrap_err();
        assert_eq!(
            error.to_string(),
            "some.csv: has 2 values a sample, input x takes 3"
        );
    }
}
