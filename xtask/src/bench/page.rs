//! `docs/performance.md`, of kept results alone.

use super::{Results, kernels, networks, peer};
use crate::prose::wrapped;
use crate::seeds::table::Table;
use serde_json::Value;
use std::collections::BTreeSet;

/// The page.
pub(crate) fn markdown(results: &Results) -> String {
    let of = |field: &str| -> String {
        let all: BTreeSet<&str> = results.values().filter_map(|r| r[field].as_str()).collect();
        all.into_iter().collect::<Vec<_>>().join(", ")
    };
    let mut text = format!(
        "# Performance\n\n{}\n\nMeasured on: {}; on {}.\n",
        wrapped(WORDS),
        of("machine"),
        of("date")
    );
    for (title, words, table) in sections(results) {
        text.push_str(&format!(
            "\n## {title}\n\n{}\n\n{}",
            wrapped(words),
            table.markdown()
        ));
    }
    text
}

/// The tables, for the terminal.
pub(crate) fn text(results: &Results) -> String {
    let section = |(title, _, table): (&str, &str, Table)| format!("{title}\n\n{}\n", table.text());
    sections(results).into_iter().map(section).collect()
}

fn sections(results: &Results) -> Vec<(&'static str, &'static str, Table)> {
    let sections = [
        ("Networks: time", TIME, times(results)),
        ("Networks: keys", KEYS, keys(results)),
        ("Kernels", KERNELS, kernel_rows(results)),
        ("Concrete ML 1.9.0", PEER, peers(results)),
    ];
    sections
        .into_iter()
        .filter(|(.., table)| !table.rows.is_empty())
        .collect()
}

const WORDS: &str = "`cargo xtask bench` writes this page, and `--kernels` and `--peer` measure their sections. Times are \
    those of the wall clock.";
const TIME: &str = "Times are of one encrypted inference: *first* is the first one, and *median* is the median of those \
    after it. *Predicted* is what `cml plan` says before any key exists. *Limit* is the total time of all \
    blind rotations and keyswitches with all cores busy, divided by the number of cores. *Of a core alone* \
    is the same with times of one core while the others rest. *Batch* is the time for each sample in one \
    `cml run` of several samples. Every decrypted result is compared with the interpreter's. For an \
    approximate circuit the classes are compared.";
const KEYS: &str = "The client draws keys and uploads them as seeds and bodies, and the server expands them once. An input \
    is one seed, and for each value 4 bytes under the small key or 8 bytes under the big one. Results are \
    rounded to as few bytes a word as the failure budget allows. Memory is what `cml plan` says.";
const KERNELS: &str = "Times are of one thread, by the bits of the lookup's input. A lookup fails with at most 2^-40, the \
    weights before it have norm 8, and `cml` chose the parameters. A batch has 8 lookups, and its times \
    are for each of them. *tfhe's batch* is `batch_programmable_bootstrap_lwe_ciphertext_mem_optimized` \
    with a keyswitch for each lookup, at the crate's standard parameters for as many bits.";
const PEER: &str = "Both programs did the same task, in turn, in one run. For the checkerboard both read one ONNX file, so \
    they compute with the same integers. For Iris and Digits each trains the network of its own example. \
    *Exact* means 2^-40 failures a lookup. *Approximate-N* rounds accumulators approximately to N bits, \
    with p_error 0.1. *Example* rounds exactly to 6 bits, with p_error 0.1. *@R* calibrates on R training \
    rows, which gives narrower accumulators, and overflows where a value did not occur in these rows. \
    Accuracy is that of the clear simulation with noise on test samples.";

fn times(results: &Results) -> Table {
    let row = |name: String, r: &Value| {
        let batch = ratio(&r["batch_seconds"], &r["batch_samples"]);
        vec![
            format!("{name}: {}", r["title"].as_str().unwrap_or("?")),
            whole(&r["lookups"]),
            whole(&r["rotations"]),
            seconds(&r["predicted_seconds"]),
            seconds(&r["first_seconds"]),
            seconds(&r["median_seconds"]),
            seconds(&r["limit_seconds"]),
            seconds(&r["single_limit_seconds"]),
            times_of(ratio(&r["median_seconds"], &r["limit_seconds"])),
            batch.map_or(NONE.to_owned(), |b| {
                format!("{} ({} at once)", in_seconds(b), r["batch_samples"])
            }),
            if r["exact"] == Value::Bool(false) {
                format!(
                    "{} of {} classes",
                    whole(&r["other_classes"]),
                    whole(&r["samples"])
                )
            } else {
                format!("{} of {}", whole(&r["different"]), whole(&r["samples"]))
            },
            percent(&r["noisy_accuracy"]),
        ]
    };
    Table {
        header: vec![
            "network",
            "lookups",
            "blind rotations",
            "predicted",
            "first",
            "median",
            "limit",
            "of a core alone",
            "median / limit",
            "batch, a sample",
            "results that differ",
            "accuracy",
        ],
        rows: in_order(results).map(|(name, r)| row(name, r)).collect(),
    }
}

fn keys(results: &Results) -> Table {
    let row = |name: String, r: &Value| {
        vec![
            name,
            r["parameters_text"].as_str().unwrap_or(NONE).to_owned(),
            seconds(&r["keygen_seconds"]),
            megabytes(&r["upload_bytes"]),
            megabytes(&r["expanded_bytes"]),
            seconds(&r["expand_seconds"]),
            kilobytes(&r["input_bytes"]),
            kilobytes(&r["output_bytes"]),
            megabytes(&r["peak_bytes"]),
        ]
    };
    Table {
        header: vec![
            "network",
            "parameters",
            "made in",
            "to upload",
            "expanded",
            "expanded in",
            "input, a sample",
            "results, a sample",
            "memory of the server",
        ],
        rows: in_order(results).map(|(name, r)| row(name, r)).collect(),
    }
}

/// Results of networks: those of the table first, then those of files.
fn in_order(results: &Results) -> impl Iterator<Item = (String, &Value)> {
    let known: Vec<String> = networks::all().into_iter().map(|network| network.name).collect();
    let files = results.keys().filter(|name| name.starts_with("file_")).cloned();
    let names: Vec<String> = known.into_iter().chain(files).collect();
    names
        .into_iter()
        .filter_map(|name| results.get(&name).map(|r| (name, r)))
}

fn kernel_rows(results: &Results) -> Table {
    let rows = results.get(kernels::NAME).and_then(|r| r["rows"].as_array());
    let row = |r: &Value| {
        let find = |start: &str| {
            let all = r["ns"].as_object()?;
            let (name, value) = all.iter().find(|(name, _)| name.starts_with(start))?;
            let batch = name
                .rsplit_once("_batch_of_")
                .map_or(Some(1.0), |(_, n)| n.parse().ok())?;
            Some(value.as_f64()? / 1e6 / batch)
        };
        let ms = |ns: Option<f64>| ns.map_or(NONE.to_owned(), |ms| format!("{ms:.2} ms"));
        let (ours, theirs) = (find("lookup_batch"), find("tfhe_batch"));
        vec![
            r["group"].as_str().unwrap_or("?").replace("_bits", ""),
            r["parameters_text"].as_str().unwrap_or(NONE).to_owned(),
            ms(find("keyswitch")),
            ms(find("blind_rotation")),
            ms(find("linear")),
            ms(ours),
            ms(theirs),
            times_of(theirs.zip(ours).map(|(theirs, ours)| theirs / ours)),
        ]
    };
    Table {
        header: vec![
            "bits",
            "parameters",
            "keyswitch",
            "blind rotation",
            "30 terms",
            "lookup in a batch",
            "tfhe's batch",
            "tfhe's / ours",
        ],
        rows: rows.into_iter().flatten().map(row).collect(),
    }
}

fn peers(results: &Results) -> Table {
    let row = |r: &Value| {
        let (ours, theirs) = (&r["ours"], &r["peer"]);
        vec![
            format!(
                "{}, its {}",
                r["network"].as_str().unwrap_or("?"),
                r["setting"].as_str().unwrap_or("?")
            ),
            percent(&theirs["accuracy"]),
            percent(&ours["noisy_accuracy"]),
            seconds(&theirs["median_seconds"]),
            seconds(&ours["median_seconds"]),
            times_of(ratio(&theirs["median_seconds"], &ours["median_seconds"])),
            megabytes(&theirs["key_bytes"]),
            megabytes(&ours["upload_bytes"]),
            seconds(&theirs["keygen_seconds"]),
            seconds(&ours["keygen_seconds"]),
        ]
    };
    Table {
        header: vec![
            "network of ours, setting of its",
            "its accuracy",
            "ours",
            "its median inference",
            "ours",
            "faster",
            "its keys",
            "ours",
            "made in",
            "ours",
        ],
        rows: peer::names()
            .filter_map(|name| results.get(&name))
            .map(row)
            .collect(),
    }
}

const NONE: &str = "-";

fn ratio(above: &Value, below: &Value) -> Option<f64> {
    Some(above.as_f64()? / below.as_f64()?)
}

fn times_of(ratio: Option<f64>) -> String {
    ratio.map_or(NONE.to_owned(), |ratio| format!("{ratio:.2}"))
}

fn whole(v: &Value) -> String {
    v.as_u64().map_or(NONE.to_owned(), |n| n.to_string())
}

/// To three digits, milliseconds below a second.
fn in_seconds(s: f64) -> String {
    match s {
        s if s < 0.1 => format!("{:.1} ms", 1e3 * s),
        s if s < 1.0 => format!("{:.0} ms", 1e3 * s),
        s => format!("{s:.2} s"),
    }
}

fn seconds(v: &Value) -> String {
    v.as_f64().map_or(NONE.to_owned(), in_seconds)
}

fn megabytes(v: &Value) -> String {
    v.as_f64()
        .map_or(NONE.to_owned(), |b| format!("{:.1} MB", b / 1e6))
}

fn kilobytes(v: &Value) -> String {
    v.as_f64().map_or(NONE.to_owned(), |b| match b {
        b if b < 1e3 => format!("{b} B"),
        b => format!("{:.1} kB", b / 1e3),
    })
}

fn percent(v: &Value) -> String {
    v.as_f64()
        .map_or(NONE.to_owned(), |p| format!("{:.1}%", 100.0 * p))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_not_measured_is_not_invented() {
        let results = Results::from([("iris_small".to_owned(), json!({"title": "Iris", "lookups": 26}))]);
        let page = markdown(&results);
        assert!(page.contains("| iris_small: Iris | 26 | - | - |"), "{page}");
        assert!(
            !page.contains("## Kernels") && !page.contains("## Concrete"),
            "{page}"
        );
    }

    #[test]
    fn the_kept_page_has_these_words() {
        let page = crate::tools::root().unwrap().join("docs/performance.md");
        let page = std::fs::read_to_string(page).unwrap();
        for words in [WORDS, TIME, KEYS, KERNELS, PEER] {
            assert!(page.contains(&wrapped(words)), "no {words:?}");
        }
    }

    #[test]
    fn kernels_of_a_batch_are_for_each_lookup() {
        let ns = json!({"lookup": 9e6, "lookup_batch_of_8": 4e7, "tfhe_batch_of_8": 8e7});
        let kernels = json!({"rows": [{"group": "3_bits", "parameters_text": "n=1", "ns": ns}]});
        let page = markdown(&Results::from([("kernels".to_owned(), kernels)]));
        let row = "| 3 | n=1 | - | - | - | 5.00 ms | 10.00 ms | 2.00 |";
        assert!(page.contains(row), "{page}");
    }
}
