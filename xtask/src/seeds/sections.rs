//! The results in parts: words, a table, pictures. Nothing here measures anything.

use super::plots::{self, Curve, Panel};
use super::spread::Spread;
use super::stages::OVERFLOW_BITS;
use super::systems::{RANGES, SYSTEMS, System, Work};
use super::table::Table;
use super::verdict::{Verdict, verdicts};
use anyhow::Result;
use serde_json::Value;
use std::collections::BTreeMap;

/// Labelled results by name of the entry.
pub(crate) type Results = BTreeMap<String, Value>;

/// A part of the page.
pub(crate) struct Section {
    pub(crate) title: &'static str,
    pub(crate) words: String,
    pub(crate) table: Option<Table>,
    pub(crate) plots: Vec<Plot>,
}

/// A picture of the page.
pub(crate) struct Plot {
    /// File in `docs/results`.
    pub(crate) file: String,
    /// What it shows.
    pub(crate) caption: String,
    pub(crate) svg: String,
}

/// Every section that there are results for.
pub(crate) fn sections(results: &Results) -> Result<Vec<Section>> {
    let sections = [
        targets(results),
        post_training(results),
        aware(results),
        virtual_library(results),
        encrypted(results),
        widths(results)?,
        boundaries(results)?,
        ranges(results)?,
    ];
    Ok(sections.into_iter().flatten().collect())
}

/// Entries that have results, in the order of the table.
fn measured(results: &Results) -> impl Iterator<Item = (&'static System, &Value)> {
    SYSTEMS
        .iter()
        .filter_map(|system| Some((system, results.get(system.name)?)))
}

/// Every target of what was measured.
pub(crate) fn all_verdicts(results: &Results) -> Vec<Verdict> {
    measured(results)
        .flat_map(|(system, result)| verdicts(system, result))
        .collect()
}

fn section(title: &'static str, words: &str, table: Option<Table>, plots: Vec<Plot>) -> Option<Section> {
    let rows = table.as_ref().map_or(0, |t| t.rows.len());
    (rows > 0 || !plots.is_empty()).then(|| Section {
        title,
        words: words.to_owned(),
        table,
        plots,
    })
}

fn targets(results: &Results) -> Option<Section> {
    let row = |v: Verdict| {
        let met = if v.met { "met" } else { "not met" };
        vec![v.title.to_owned(), v.needs, v.has, met.to_owned()]
    };
    let table = Table {
        header: vec!["network", "target", "has", ""],
        rows: all_verdicts(results).into_iter().map(row).collect(),
    };
    section(
        "Targets",
        "This table shows what was asked and what was measured. A figure over several seeds is the mean, \
        followed by the least and the largest value. *Original* is the project that built these networks \
        first.",
        Some(table),
        Vec::new(),
    )
}

fn percent(result: &Value, pointer: &str) -> String {
    Spread::over_runs(result, pointer).map_or("-".to_owned(), |s| s.percent())
}

fn number(result: &Value, pointer: &str) -> String {
    Spread::over_runs(result, pointer).map_or("-".to_owned(), |s| s.number())
}

fn seeds(result: &Value) -> String {
    result["runs"].as_array().map_or(0, Vec::len).to_string()
}

fn post_training(results: &Results) -> Option<Section> {
    let row = |(system, result): (&System, &Value)| {
        let Work::PostTraining {
            float,
            three_bit,
            accumulator,
        } = system.work
        else {
            return None;
        };
        Some(vec![
            system.title.to_owned(),
            seeds(result),
            format!("{float:.2}%"),
            percent(result, "/float"),
            format!("{three_bit:.2}%"),
            percent(result, "/min_max/accuracy"),
            percent(result, "/adaptive/accuracy"),
            format!("{accumulator} bits"),
            number(result, "/min_max/observed_accumulator_size"),
            number(result, "/min_max/accumulator_size"),
        ])
    };
    let table = Table {
        header: vec![
            "network",
            "seeds",
            "float: original",
            "float: ours",
            "3 bits: original",
            "3 bits: ours, min-max",
            "3 bits: ours, adaptive",
            "accumulator: original",
            "ours, observed (bits)",
            "ours, proved (bits)",
        ],
        rows: measured(results).filter_map(row).collect(),
    };
    section(
        "Float networks, quantized after training",
        "`cml train` trains each network in floats, and `cml quantize` quantizes it to 3 bits with \
        calibration on the training split. `min-max` is the scheme of the original: weights are symmetric, \
        and ranges go from the least to the largest activation. `adaptive` is the scheme of `cml`. `cml \
        simulate` counts the accuracy of the integer graph on the test split. The size of the accumulator \
        is that of the machine integer that holds every value of the min-max network. One figure is for \
        the test split, and the other is proved for every input.",
        Some(table),
        Vec::new(),
    )
}

fn aware(results: &Results) -> Option<Section> {
    let row = |(system, result): (&System, &Value)| {
        let Work::Aware { before, .. } = system.work else {
            return None;
        };
        Some(vec![
            system.title.to_owned(),
            before.to_owned(),
            seeds(result),
            percent(result, "/float"),
            percent(result, "/fake_quantized"),
            percent(result, "/graph/accuracy"),
            number(result, "/graph/bits"),
            number(result, "/graph/lookup_bits"),
            number(result, "/graph/lookups"),
        ])
    };
    let table = Table {
        header: vec![
            "network",
            "original, and others",
            "seeds",
            "ours, float",
            "ours, fake-quantized",
            "ours, integer graph",
            "widest value (bits)",
            "widest lookup (bits)",
            "lookups",
        ],
        rows: measured(results).filter_map(row).collect(),
    };
    section(
        "Networks trained with quantization",
        "`float` is the same network trained without quantizers. `fake-quantized` is the accuracy that \
        training reports. `integer graph` is the accuracy that `cml simulate` counts after `cml quantize`. \
        `cml analyze` proves the widths for every input. The widest value includes the scores that are \
        decrypted.",
        Some(table),
        Vec::new(),
    )
}

fn virtual_library(results: &Results) -> Option<Section> {
    let row = |(system, result): (&System, &Value)| {
        let graph = match system.work {
            Work::PostTraining { .. } => "/runs/0/min_max",
            Work::Aware { .. } => "/runs/0/graph",
            Work::Widths { .. } | Work::Boundaries { .. } => return None,
        };
        let graph = result.pointer(graph)?;
        Some(vec![
            system.title.to_owned(),
            graph["bits"].to_string(),
            graph["observed_bits"].to_string(),
            graph["clipped_inputs"].to_string(),
            graph["overflowing"].to_string(),
            format!("{} of {}", graph["samples_overflowing"], graph["samples"]),
        ])
    };
    let table = Table {
        header: vec![
            "network",
            "widest value, proved (bits)",
            "observed (bits)",
            "input values clipped",
            "values that overflow",
            "samples with such a value",
        ],
        rows: measured(results).filter_map(row).collect(),
    };
    let words = format!(
        "`cml simulate` runs a graph of any width on clear data. This table shows its report for the first \
        seed, and for the min-max network where there are two. It says how wide values are for every input \
        and on the test split, and how many inputs the quantizer clips. Each channel has a proved range. A \
        value overflows if it is not among the {} values in the middle of that range, because lookups of \
        {OVERFLOW_BITS} bits could not take it.",
        1u64 << OVERFLOW_BITS
    );
    section("The virtual library", &words, Some(table), Vec::new())
}

fn encrypted(results: &Results) -> Option<Section> {
    let row = |(system, result): (&System, &Value)| {
        let e = result.get("encrypted")?;
        let number = |field: &str| e[field].as_f64();
        let share = |field: &str| number(field).map_or("-".to_owned(), |x| format!("{:.1}%", 100.0 * x));
        let time = |seconds: Option<f64>| seconds.map_or("-".to_owned(), |s| format!("{s:.2} s"));
        let size = |field: &str| number(field).map_or("-".to_owned(), |b| format!("{:.1} MB", b / 1e6));
        let mean = number("run_seconds").zip(number("samples")).map(|(s, n)| s / n);
        Some(vec![
            system.title.to_owned(),
            format!("{} of {}", e["different"], e["samples"]),
            share("exact_accuracy"),
            share("noisy_accuracy"),
            time(mean),
            time(number("first_inference_seconds")),
            time(number("keygen_seconds")),
            size("server_key_bytes"),
            size("evaluation_key_bytes"),
            e["lookups"].to_string(),
            e["inference_fails_once_in"].as_str().unwrap_or("-").to_owned(),
        ])
    };
    let table = Table {
        header: vec![
            "network",
            "decrypted results that differ",
            "accuracy, exact",
            "with sampled noise",
            "mean inference",
            "first inference",
            "key generation",
            "server key, upload",
            "server key, expanded",
            "lookups",
            "an inference fails once in",
        ],
        rows: measured(results).filter_map(row).collect(),
    };
    section(
        "Encrypted",
        "The network of the first seed is compiled at the default failure budget. `cml predict` classifies \
        encrypted test samples, and compares each decrypted result with the interpreter's, integer by \
        integer. `with sampled noise` is the accuracy of `cml simulate --noise` on the whole test split, \
        which predicts the encrypted accuracy. Times are of one run on all cores.",
        Some(table),
        Vec::new(),
    )
}

fn widths(results: &Results) -> Result<Option<Section>> {
    let mut rows = Vec::new();
    let mut curves = Vec::new();
    for (system, result) in measured(results) {
        if !matches!(system.work, Work::Widths { .. }) {
            continue;
        }
        for row in result["rows"].as_array().into_iter().flatten() {
            let failed = row["errors"].as_array().map_or(0, Vec::len);
            let accuracy = match (Spread::over_runs(row, "/graph/accuracy"), failed) {
                (None, _) => "cannot be trained".to_owned(),
                (Some(spread), 0) => spread.percent(),
                (Some(spread), _) => format!("{}, {failed} seeds cannot be trained", spread.percent()),
            };
            rows.push(vec![
                system.title.to_owned(),
                row["limit"].to_string(),
                accuracy,
                number(row, "/graph/lookup_bits"),
                number(row, "/graph/bits"),
                seeds(row),
            ]);
        }
        curves.push(Curve {
            name: system.title,
            result,
        });
    }
    let mut pictures = Vec::new();
    if !curves.is_empty() {
        pictures.push(Plot {
            file: "accuracy_by_width.svg".to_owned(),
            caption: "accuracy against the width of lookups".to_owned(),
            svg: plots::accuracy_by_width(&curves)?,
        });
    }
    let table = Table {
        header: vec![
            "data",
            "lookups at most (bits)",
            "accuracy, integer graph",
            "widest lookup, proved (bits)",
            "widest value, proved (bits)",
            "seeds",
        ],
        rows,
    };
    Ok(section(
        "Accuracy against the width of lookups",
        "`cml train --lookup-bits P` keeps a budget for each neuron's weights, so that every lookup \
        provably takes at most 2^P values. The bars go from the least to the largest accuracy of all \
        seeds.",
        Some(table),
        pictures,
    ))
}

fn boundaries(results: &Results) -> Result<Option<Section>> {
    let found = measured(results).find(|(s, _)| matches!(s.work, Work::Boundaries { .. }));
    let Some((system, result)) = found else {
        return Ok(None);
    };
    let side = result["side"].as_u64().unwrap_or(1) as usize;
    let panel = |title: &str, field: &str| {
        let classes: Option<Vec<u64>> = result[field].as_array()?.iter().map(Value::as_u64).collect();
        Some(Panel {
            title: title.to_owned(),
            classes: classes?,
        })
    };
    let panels: Vec<Panel> = [
        panel("float", "float_classes"),
        panel("integer", "integer_classes"),
        panel("encrypted", "encrypted_classes"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let same = match (&result["integer_classes"], &result["encrypted_classes"]) {
        (Value::Array(integer), Value::Array(encrypted)) => {
            let same = integer.iter().zip(encrypted).filter(|(a, b)| a == b).count();
            format!(
                " The third picture takes {} encrypted points, one for each pair of input codes, and {} of \
                 them differ from the interpreter. So {same} of {} points of the grid have the same class \
                 as in the second picture.",
                result["points"],
                result["different"],
                integer.len()
            )
        }
        _ => " There are too many pairs of input codes to run them all encrypted.".to_owned(),
    };
    let words = format!(
        "The pictures show classes over the unit square: by the float network with h = 100, by the \
        quantized network in integers, and by the same network encrypted.{same}"
    );
    let plot = Plot {
        file: "boundaries.svg".to_owned(),
        caption: "decision boundaries: float, integer, encrypted".to_owned(),
        svg: plots::boundaries(side, &panels)?,
    };
    Ok(section(system.title, &words, None, vec![plot]))
}

fn ranges(results: &Results) -> Result<Option<Section>> {
    let mut pictures = Vec::new();
    for (system, result) in measured(results).filter(|(s, _)| RANGES.contains(&s.name)) {
        pictures.push(Plot {
            file: format!("ranges_{}.svg", system.name),
            caption: format!("{}: ranges by layer", system.title),
            svg: plots::ranges(&result["layers"])?,
        });
    }
    Ok(section(
        "Ranges by layer",
        "The pictures show the ranges of all values that a lookup or a decryption reads, for the network of \
        the first seed. One range is proved for every input, and the other was seen on the test split. The \
        bits are those of the widest channel, because each channel has an offset of its own at no cost.",
        None,
        pictures,
    ))
}
