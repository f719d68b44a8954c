//! Training.

use std::time::Instant;

use cml_data::{Dataset, Split, shuffle_batches};
use cml_quant::{MAX_NAMES, Network, QuantError, argmax};
use ndarray::{Array2, Axis};
use tch::{COptimizer, Reduction, Tensor};

use crate::augment::Augmenter;
use crate::model::TrainableNetwork;
use crate::{Augment, Control, NnError, TrainConfig, TrainProgress, check, normalize, schedule, scores};

/// A trained network and how it came about.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Trained {
    /// The network of the epoch with the best training accuracy (the last of equals).
    pub network: Network,
    /// That epoch, from 1.
    pub best_epoch: usize,
    /// Its share of training rows whose class is found, 0 to 1.
    pub train_accuracy: f64,
    /// Its share of test rows whose class is found, 0 to 1.
    pub test_accuracy: f64,
    /// What was reported after each epoch.
    pub history: Vec<TrainProgress>,
}

/// Trains a network on `data.train`; `data.test` is only measured, and decides nothing.
///
/// Each epoch ends with a call of `progress`. The result is a function of data and configuration on
/// one machine: libtorch is set to one thread (for the whole process), and its random numbers are
/// not used. A quantized network is checked before it is handed out: its accumulators keep to the
/// configured bounds, and its scores on the test rows (the first 1,000) are those of libtorch bit for bit.
/// It has the names of the data's columns and classes (`0`, `1`, ... for classes without names).
///
/// # Errors
/// If the configuration is out of range, the loss or a weight is not finite, an accumulator leaves
/// what `f32` holds exactly, or libtorch fails.
pub fn train(
    data: &Split,
    config: &TrainConfig,
    progress: &mut dyn FnMut(TrainProgress) -> Control,
) -> Result<Trained, NnError> {
    config.validate()?;
    tch::set_num_threads(1);
    let mut training = Training::new(data, config)?;
    let mut history = Vec::with_capacity(config.epochs);
    let mut best: Option<Snapshot> = None;
    for epoch in 1..=config.epochs {
        let mut now = training.epoch(epoch).map_err(|e| diverged(e, epoch))?;
        history.push(now.progress);
        let stop = progress(now.progress) == Control::Stop;
        if stop && best.is_none() {
            now = training.narrowed(now.progress).map_err(|e| diverged(e, epoch))?;
        }
        let better = |b: &Snapshot| now.progress.train_accuracy >= b.progress.train_accuracy;
        if now.final_budget && best.as_ref().is_none_or(better) {
            best = Some(now);
        }
        if stop {
            break;
        }
    }
    let Some(Snapshot {
        progress,
        mut network,
        scores,
        ..
    }) = best
    else {
        unreachable!("the last epoch has the final budget");
    };
    if config.quantized {
        check::bound(&network, &training.model)?;
        check::exact(&network, &data.test, &scores)?;
    }
    name(&mut network, &data.train)?;
    Ok(Trained {
        network,
        best_epoch: progress.epoch,
        train_accuracy: progress.train_accuracy,
        test_accuracy: progress.test_accuracy,
        history,
    })
}

/// Gives a network the names of columns and classes. Columns beyond what a network can name have none.
fn name(network: &mut Network, data: &Dataset) -> Result<(), NnError> {
    let columns = data.feature_names();
    if columns.len() <= MAX_NAMES {
        network.set_columns(columns.to_vec())?;
    }
    if !data.class_names().is_empty() {
        let classes: Vec<&str> = data.class_names().iter().map(String::as_str).collect();
        network.set_output(network.output()?, &classes)?;
    }
    Ok(())
}

/// What an epoch has come to.
struct Snapshot {
    progress: TrainProgress,
    network: Network,
    /// Scores of the test rows, by libtorch.
    scores: Array2<f32>,
    /// Whether the accumulators keep to the configured bound already.
    final_budget: bool,
}

/// Normalized features `[rows, columns]` and classes `[rows]` to learn from.
struct Rows {
    features: Array2<f32>,
    tensor: Tensor,
    classes: Tensor,
}

struct Training<'a> {
    config: &'a TrainConfig,
    data: &'a Split,
    start: Instant,
    model: TrainableNetwork,
    optimizer: COptimizer,
    rows: Rows,
    augmenter: Option<Augmenter>,
    /// Share of the steps done.
    done: f64,
}

impl<'a> Training<'a> {
    fn new(data: &'a Split, config: &'a TrainConfig) -> Result<Self, NnError> {
        let start = Instant::now();
        let columns = [data.train.feature_count()];
        let shape = match config.input_shape.as_slice() {
            [] => &columns,
            shape => shape,
        };
        let fitted = normalize::fit(&data.train, shape, config.normalize)?;
        let features = normalize::apply(fitted.as_ref(), data.train.features());
        let model = TrainableNetwork::new(
            config,
            fitted,
            data.train.feature_count(),
            data.train.class_count(),
        )?;
        let (rate, decay) = (config.learning_rate, config.weight_decay);
        let mut optimizer = COptimizer::adamw(rate, 0.9, 0.999, decay, 1e-8, false)?;
        for parameter in model.parameters() {
            optimizer.add_parameters(parameter, 0)?;
        }
        let mut has_undecayed = false;
        for parameter in model.undecayed() {
            optimizer.add_parameters(parameter, 1)?;
            has_undecayed = true;
        }
        if has_undecayed {
            optimizer.set_weight_decay_group(1, 0.0)?;
        }
        let augmenter = (config.augment != Augment::default())
            .then(|| Augmenter::new(config.augment, model.input_shape(), config.seed));
        Ok(Self {
            config,
            data,
            start,
            model,
            optimizer,
            rows: Rows::new(features, &data.train)?,
            augmenter,
            done: 0.0,
        })
    }

    /// One pass over the training rows.
    fn epoch(&mut self, epoch: usize) -> Result<Snapshot, NnError> {
        let config = self.config;
        let rows = self.rows.features.nrows();
        let batches = shuffle_batches(rows, config.batch, config.seed, epoch as u64);
        let (count, mut sum) = (batches.len() as f64, 0.0);
        for (i, batch) in batches.iter().enumerate() {
            self.done = (epoch as f64 - 1.0 + i as f64 / count) / config.epochs as f64;
            sum += self.step(batch)?;
        }
        self.done = epoch as f64 / config.epochs as f64;
        let slack = schedule::slack(self.done);
        self.model.refresh(schedule::choose(self.done), slack)?;
        self.snapshot(epoch, sum / count, slack == 0.0)
    }

    /// One step of the optimizer; the loss before it.
    fn step(&mut self, batch: &[usize]) -> Result<f64, NnError> {
        let (schedule, done) = (self.config.schedule, self.done);
        self.model
            .refresh(schedule::choose(done), schedule::slack(done))?;
        let rows: Vec<i64> = batch.iter().map(|&row| row as i64).collect();
        let rows = Tensor::f_from_slice(&rows)?;
        let features = match &mut self.augmenter {
            None => self.rows.tensor.f_index_select(0, &rows)?,
            Some(augmenter) => {
                let mut features = self.rows.features.select(Axis(0), batch);
                augmenter.apply(&mut features);
                Tensor::try_from(&features)?
            }
        };
        let scores = self.model.forward(&features, schedule::frozen(done))?;
        let classes = self.rows.classes.f_index_select(0, &rows)?;
        let smoothing = self.config.label_smoothing;
        let loss =
            scores.f_cross_entropy_loss::<&Tensor>(&classes, None, Reduction::Mean, -100, smoothing)?;
        let has = loss.f_double_value(&[])?;
        if !has.is_finite() {
            return Err(NnError::Quant(QuantError::Number {
                what: "loss".to_owned(),
                has: has as f32,
            }));
        }
        self.optimizer
            .set_learning_rate(self.config.learning_rate * schedule.factor(done))?;
        self.optimizer.zero_grad()?;
        loss.f_backward()?;
        self.optimizer.step()?;
        Ok(has)
    }

    /// Where the training would be if the budget had its final value now.
    fn narrowed(&mut self, now: TrainProgress) -> Result<Snapshot, NnError> {
        self.model.refresh(true, 0.0)?;
        self.snapshot(now.epoch, now.loss, true)
    }

    fn snapshot(&self, epoch: usize, loss: f64, final_budget: bool) -> Result<Snapshot, NnError> {
        let network = self.model.export()?;
        let of = |data: &Dataset| scores(&network, data.features().view());
        let train_accuracy = accuracy(&of(&self.data.train)?, &self.data.train);
        let scores = of(&self.data.test)?;
        let test_accuracy = accuracy(&scores, &self.data.test);
        let progress = TrainProgress {
            epoch,
            epochs: self.config.epochs,
            loss,
            train_accuracy,
            test_accuracy,
            seconds: self.start.elapsed().as_secs_f64(),
        };
        Ok(Snapshot {
            progress,
            network,
            scores,
            final_budget,
        })
    }
}

/// Share of rows whose class has the largest score, the first of equals.
fn accuracy(scores: &Array2<f32>, data: &Dataset) -> f64 {
    let right = scores
        .rows()
        .into_iter()
        .zip(data.labels())
        .filter(|(row, class)| row.as_slice().map(argmax) == Some(**class));
    right.count() as f64 / data.len() as f64
}

impl Rows {
    fn new(features: Array2<f32>, data: &Dataset) -> Result<Self, NnError> {
        let classes: Vec<i64> = data.labels().iter().map(|&class| class as i64).collect();
        Ok(Self {
            tensor: Tensor::try_from(features.as_standard_layout())?,
            features,
            classes: Tensor::f_from_slice(&classes)?,
        })
    }
}

/// A number that is not finite any more is what divergence looks like.
fn diverged(error: NnError, epoch: usize) -> NnError {
    match error {
        NnError::Quant(QuantError::Number { what, has }) => NnError::Diverged { epoch, what, has },
        other => other,
    }
}
