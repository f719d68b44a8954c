//! Paragraphs as they stand in the pages.

/// Columns of a line of prose.
const WIDTH: usize = 110;

/// A paragraph in lines of at most [`WIDTH`] columns; a longer word has a line of its own.
pub(crate) fn wrapped(paragraph: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in paragraph.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_by_the_width() {
        let (half, rest) = ("a".repeat(54), "b".repeat(55));
        assert_eq!(
            wrapped(&format!("{half}  {rest}\nc")),
            format!("{half} {rest}\nc")
        );
        let long = "d".repeat(111);
        assert_eq!(wrapped(&format!("c {long} c")), format!("c\n{long}\nc"));
    }
}
