//! What a user knows of the data for an input that has no quantizer.

use crate::border::Border;
use crate::data::{Samples, calibration};
use crate::show::{note, percent};
use anyhow::bail;
use cml_onnx::{Imported, InputData, OnnxError, Options};
use std::path::Path;

/// How the values of an input lie, for `cml import`.
#[derive(clap::Args)]
#[command(next_help_heading = "Options for an input without a quantizer")]
pub(crate) struct InputArgs {
    /// The least and the greatest value: 0..255, or -32..31.9990234375 with 16 bits for the fixed point
    /// ap_fixed<16,6>. Without it those of --calibrate, or what the file bounds it to.
    #[arg(long, value_name = "LO..HI", allow_hyphen_values = true)]
    input_range: Option<Range>,
    /// Bits of the codes: as many values, in equal steps over the range.
    #[arg(long, value_name = "BITS", conflicts_with = "input_integers", value_parser = clap::value_parser!(u32).range(1..=16))]
    input_bits: Option<u32>,
    /// The values are whole numbers.
    #[arg(long)]
    input_integers: bool,
    /// Samples: a built-in data set, or a CSV, NPY or NPZ file. They give the range, and have to fit one that is given;
    /// whole numbers are kept, others are rounded to 8 bits. Of a data set with a test split, the other rows are used.
    #[arg(long, value_name = "NAME|FILE")]
    calibrate: Option<String>,
    /// Seed of generated data sets.
    #[arg(long, value_name = "S", default_value_t = 0, requires = "calibrate")]
    data_seed: u64,
    /// Column of the classes in the samples [default: the one named label, class or target, in any case].
    #[arg(long, value_name = "COLUMN", requires = "calibrate")]
    label: Option<String>,
}

/// Two ends on the command line.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Range([f32; 2]);

impl std::str::FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ends = text.split_once("..").and_then(|(lo, hi)| {
            let hi = hi.strip_prefix('=').unwrap_or(hi);
            Some([lo.trim().parse().ok()?, hi.trim().parse().ok()?])
        });
        match ends {
            Some([lo, hi]) if f32::is_finite(lo) && f32::is_finite(hi) && lo < hi => Ok(Self([lo, hi])),
            _ => Err(format!("{text:?} is no range LO..HI of two numbers that rise")),
        }
    }
}

impl InputArgs {
    /// Imports a file with what is known of its input, and says how the data fit it.
    pub(crate) fn import(
        &self,
        file: &Path,
        name: Option<String>,
    ) -> anyhow::Result<Result<Imported, OnnxError>> {
        let samples = match &self.calibrate {
            Some(data) => {
                let border = Border::unknown();
                Some(calibration(data, self.data_seed, self.label.as_deref(), &border)?)
            }
            None => None,
        };
        let with = |data| {
            let name = name.clone();
            cml_onnx::import(file, &Options { name, data })
        };
        let asked = self.asked(samples.as_ref())?;
        let mut imported = with(asked);
        if let (Some(samples), None, Err(OnnxError::Obstacles(_))) = (&samples, asked, &imported) {
            imported = with(Some(of_samples(samples, None)?));
        }
        if let (Some(samples), Ok(imported)) = (&samples, &imported) {
            say_how_they_fit(samples, imported)?;
        }
        Ok(imported)
    }

    /// What the options say; `None` if they are left out.
    fn asked(&self, samples: Option<&Samples>) -> anyhow::Result<Option<InputData>> {
        let says_how = self.input_bits.is_some() || self.input_integers;
        let given = self.input_range.map(|range| range.0);
        if let (Some(range), Some(samples)) = (given, samples) {
            refuse_outside(samples, range)?;
        }
        if let (true, Some(samples)) = (self.input_integers, samples) {
            refuse_fractions(samples)?;
        }
        match (given, samples) {
            (Some(_), None) if !says_how => {
                bail!("--input-range needs --input-integers or --input-bits: which values lie in the range?")
            }
            (None, _) if !says_how => Ok(None),
            (range, Some(samples)) if !says_how => of_samples(samples, range).map(Some),
            (range, samples) => {
                let range = match (range, samples) {
                    (None, Some(samples)) => Some(range_of(samples)?),
                    (range, _) => range,
                };
                let bits = self.input_bits;
                Ok(Some(InputData { range, bits }))
            }
        }
    }
}

fn values(samples: &Samples) -> impl Iterator<Item = f32> {
    samples.rows.iter().flatten().copied()
}

fn range_of(samples: &Samples) -> anyhow::Result<[f32; 2]> {
    let mut range = [f32::INFINITY, f32::NEG_INFINITY];
    for x in values(samples) {
        if !x.is_finite() {
            bail!("{}: holds a value that is not a finite number", samples.source);
        }
        range = [range[0].min(x), range[1].max(x)];
    }
    if range[0] >= range[1] {
        bail!("{}: all values are the same, which is no range", samples.source);
    }
    Ok(range)
}

/// Whole numbers if all samples are, and few enough; else 8 bits.
fn of_samples(samples: &Samples, range: Option<[f32; 2]>) -> anyhow::Result<InputData> {
    const BITS: u32 = 8;
    const MOST: f32 = 65536.0;
    let range = match range {
        Some(range) => range,
        None => range_of(samples)?,
    };
    let whole = values(samples).all(|x| x.fract() == 0.0) && range[1] - range[0] < MOST;
    Ok(InputData {
        range: Some(range),
        bits: (!whole).then_some(BITS),
    })
}

/// How many of all values a test holds for, in words.
fn share(samples: &Samples, holds: impl Fn(f32) -> bool) -> Option<String> {
    let (mut found, mut all) = (0, 0);
    for x in values(samples) {
        all += 1;
        found += usize::from(holds(x));
    }
    (found > 0).then(|| {
        format!(
            "{found} of {all} values of {} ({})",
            samples.source,
            percent(found, all)
        )
    })
}

fn refuse_outside(samples: &Samples, [lo, hi]: [f32; 2]) -> anyhow::Result<()> {
    match share(samples, |x| !(lo..=hi).contains(&x)) {
        None => Ok(()),
        Some(share) => {
            let [least, most] = range_of(samples)?;
            bail!("{share} would be clipped to {lo}..{hi}: they reach from {least} to {most}")
        }
    }
}

fn refuse_fractions(samples: &Samples) -> anyhow::Result<()> {
    match share(samples, |x| x.fract() != 0.0) {
        None => Ok(()),
        Some(share) => bail!("--input-integers: {share} are no whole numbers; --input-bits rounds them"),
    }
}

/// Says how many values are clipped, and whether they fill the codes.
fn say_how_they_fit(samples: &Samples, imported: &Imported) -> anyhow::Result<()> {
    let network = &imported.network;
    let shape = &network.layers()[0].shape;
    if let Some(row) = samples.rows.iter().find(|row| row.len() != network.input_len()) {
        let (source, has, needs) = (&samples.source, row.len(), network.input_len());
        bail!("{source}: has {has} values a sample, the network takes {needs}");
    }
    if network.is_float() {
        note("the network is float: --calibrate is for cml quantize");
        return Ok(());
    }
    let spec = network.input_spec()?;
    let clipped: usize = samples
        .rows
        .iter()
        .map(|row| spec.count_clipped(shape, row))
        .sum();
    if clipped > 0 {
        let all = samples.rows.len() * network.input_len();
        let share = percent(clipped, all);
        note(format_args!(
            "{clipped} of {all} values of {} ({share}) are clipped",
            samples.source
        ));
    }
    samples.say(false);
    if let Some(text) = samples.fill(shape, &spec) {
        note(text);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_two_numbers() {
        assert_eq!("0..255".parse(), Ok(Range([0.0, 255.0])));
        assert_eq!("-32..=31.5".parse(), Ok(Range([-32.0, 31.5])));
        for bad in ["5", "1..1", "2..1", "a..b", "0..inf", "nan..1"] {
            assert!(bad.parse::<Range>().unwrap_err().contains("LO..HI"), "{bad}");
        }
    }

    #[test]
    fn samples_say_what_they_are() {
        let of = |rows: Vec<Vec<f32>>| Samples::new("some.csv".to_owned(), rows, None);
        let whole = of(vec![vec![0.0, 3.0], vec![-7.0, 1.0]]);
        let found = of_samples(&whole, None).unwrap();
        assert_eq!((found.range, found.bits), (Some([-7.0, 3.0]), None));
        let error = refuse_outside(&whole, [0.0, 3.0]).unwrap_err().to_string();
        assert_eq!(
            error,
            "1 of 4 values of some.csv (25.0%) would be clipped to 0..3: they reach from -7 to 3"
        );
        let halves = of(vec![vec![0.5, 3.0]]);
        assert_eq!(of_samples(&halves, None).unwrap().bits, Some(8));
        assert!(
            refuse_fractions(&halves)
                .unwrap_err()
                .to_string()
                .contains("1 of 2 values")
        );
        assert!(range_of(&of(vec![vec![1.0, f32::NAN]])).is_err());
        assert!(range_of(&of(vec![vec![1.0, 1.0]])).is_err());
    }
}
