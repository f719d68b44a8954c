//! Tables, for the page and for the terminal.

/// A table of words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) header: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    /// In markdown.
    pub(crate) fn markdown(&self) -> String {
        let escaped = |cell: &String| cell.replace('|', "\\|");
        let mut text = format!("| {} |\n", self.header.join(" | "));
        text.push_str(&format!("|{}\n", "---|".repeat(self.header.len())));
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(escaped).collect();
            text.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
        text
    }

    /// With aligned columns.
    pub(crate) fn text(&self) -> String {
        let header: Vec<String> = self.header.iter().map(|&h| h.to_owned()).collect();
        let lines: Vec<&Vec<String>> = std::iter::once(&header).chain(&self.rows).collect();
        let width = |c: usize| lines.iter().map(|l| l[c].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..header.len()).map(width).collect();
        let line = |l: &&Vec<String>| {
            let cells: Vec<String> = l.iter().zip(&widths).map(|(c, &w)| format!("{c:<w$}")).collect();
            cells.join("  ").trim_end().to_owned() + "\n"
        };
        lines.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms() {
        let table = Table {
            header: vec!["network", "bits"],
            rows: vec![vec!["a|b".to_owned(), "7".to_owned()]],
        };
        assert_eq!(table.markdown(), "| network | bits |\n|---|---|\n| a\\|b | 7 |\n");
        assert_eq!(table.text(), "network  bits\na|b      7\n");
    }
}
