//! `docs/results.md` and its pictures.

use super::sections::{Results, Section};
use crate::prose::wrapped;
use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Folder of the pictures, beside the page.
const PICTURES: &str = "results";

const WORDS: &str = "`cargo xtask seeds` writes this page. It trains, quantizes, analyses, compiles and runs every network \
    here. The configurations are in `examples`. Training seeds count from 0. The checkerboard is drawn \
    again for each seed, and Iris and Digits have one split. Every accuracy is of a test split that \
    training did not see.";

/// Writes page and pictures into `docs`.
pub(crate) fn write(docs: &Path, results: &Results, sections: &[Section]) -> Result<()> {
    let put = |path: &Path, text: &str| {
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    let folder = docs.join(PICTURES);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for plot in sections.iter().flat_map(|s| &s.plots) {
        put(&folder.join(&plot.file), &plot.svg)?;
    }
    put(&docs.join("results.md"), &markdown(results, sections))
}

/// The page.
pub(crate) fn markdown(results: &Results, sections: &[Section]) -> String {
    let machines: BTreeSet<&str> = results.values().filter_map(|r| r["machine"].as_str()).collect();
    let machines: Vec<&str> = machines.into_iter().collect();
    let mut text = format!(
        "# Results\n\n{}\n\nMeasured on: {}. Times are of one run.\n",
        wrapped(WORDS),
        machines.join("; ")
    );
    for section in sections {
        text.push_str(&format!(
            "\n## {}\n\n{}\n",
            section.title,
            wrapped(&section.words)
        ));
        if let Some(table) = &section.table {
            text.push_str(&format!("\n{}", table.markdown()));
        }
        for plot in &section.plots {
            text.push_str(&format!("\n![{}]({PICTURES}/{})\n", plot.caption, plot.file));
        }
    }
    text
}

/// The tables, for the terminal.
pub(crate) fn tables(sections: &[Section]) -> String {
    let mut text = String::new();
    for section in sections {
        let Some(table) = &section.table else { continue };
        text.push_str(&format!("{}\n\n{}\n", section.title, table.text()));
    }
    text
}
