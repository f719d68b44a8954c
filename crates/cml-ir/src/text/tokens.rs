//! A line of text in pieces.

use std::fmt;

/// A piece of a line.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// A keyword, an operation or a width.
    Word(&'a str),
    /// `%` and digits, without the `%`.
    Node(&'a str),
    /// Digits, with sign, point and exponent if there are.
    Number(&'a str),
    /// Text in quotes, as it was written, quotes included.
    Quoted(&'a str),
    /// `..`
    To,
    /// One of `[]{},:=`, or a character that has no meaning.
    Sign(char),
    /// The line is over.
    End,
}

/// As errors show it.
impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Word(t) | Token::Number(t) | Token::Quoted(t) => write!(f, "`{}`", Short(t)),
            Token::Node(t) => write!(f, "`%{}`", Short(t)),
            Token::To => f.write_str("`..`"),
            Token::Sign(c) => write!(f, "`{}`", c.escape_debug()),
            Token::End => f.write_str("the end of the line"),
        }
    }
}

/// The start of a text that may be long.
struct Short<'a>(&'a str);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 40;
        for c in self.0.chars().take(SHOWN).flat_map(char::escape_debug) {
            write!(f, "{c}")?;
        }
        if self.0.chars().nth(SHOWN).is_some() {
            f.write_str("...")?;
        }
        Ok(())
    }
}

/// The pieces of one line, one after the other.
pub(super) struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Self { rest: line }
    }

    /// The next piece, which stays.
    pub(super) fn peek(&self) -> Token<'a> {
        Self { rest: self.rest }.next()
    }

    /// The next piece; at the end of the line or a comment, [`Token::End`] for ever.
    pub(super) fn next(&mut self) -> Token<'a> {
        self.rest = self.rest.trim_start();
        let rest = self.rest;
        let Some(first) = rest.chars().next() else {
            return Token::End;
        };
        match first {
            ';' => Token::End,
            '"' => Token::Quoted(self.take(quoted(rest))),
            '%' => Token::Node(&self.take(1 + digits(&rest[1..]))[1..]),
            '0'..='9' => Token::Number(self.take(number(rest))),
            '-' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                Token::Number(self.take(1 + number(&rest[1..])))
            }
            '.' if rest.starts_with("..") => {
                self.take(2);
                Token::To
            }
            c if c.is_ascii_alphabetic() => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric());
                Token::Word(self.take(end.unwrap_or(rest.len())))
            }
            c => {
                self.take(c.len_utf8());
                Token::Sign(c)
            }
        }
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// Length of a number without sign: `2..3` is a number, two points and another.
fn number(text: &str) -> usize {
    let mut end = digits(text);
    if let Some(fraction) = text[end..].strip_prefix('.')
        && digits(fraction) > 0
    {
        end += 1 + digits(fraction);
    }
    if let Some(exponent) = text[end..].strip_prefix(['e', 'E']) {
        let signed = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if digits(signed) > 0 {
            end += 1 + exponent.len() - signed.len() + digits(signed);
        }
    }
    end
}

/// Length of a text in quotes, quotes included; of all that is left if it does not end.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// What a text in quotes says, or what is wrong with it.
pub(super) fn unquote(token: &str) -> Result<String, &'static str> {
    let inner = token.strip_prefix('"').ok_or("a text in quotes")?;
    let mut text = String::new();
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        match c {
            '"' => return Ok(text),
            '\\' => text.push(escape(&mut rest)?),
            c => text.push(c),
        }
    }
    Err("a quote at the end of the text")
}

fn escape(rest: &mut std::str::Chars<'_>) -> Result<char, &'static str> {
    const KNOWN: &str = "an escape \\\\, \\\", \\', \\n, \\r, \\t, \\0 or \\u{..}";
    match rest.next() {
        Some(c @ ('\\' | '"' | '\'')) => Ok(c),
        Some('n') => Ok('\n'),
        Some('r') => Ok('\r'),
        Some('t') => Ok('\t'),
        Some('0') => Ok('\0'),
        Some('u') => {
            let inner = rest.as_str().strip_prefix('{').ok_or(KNOWN)?;
            let (hex, after) = inner.split_once('}').ok_or(KNOWN)?;
            let good = (1..=6).contains(&hex.len()) && hex.bytes().all(|b| b.is_ascii_hexdigit());
            let code = good.then(|| u32::from_str_radix(hex, 16).ok()).flatten();
            *rest = after.chars();
            code.and_then(char::from_u32)
                .ok_or("an escape \\u{..} of a character")
        }
        Some(_) | None => Err(KNOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_taken_apart() {
        let mut tokens = Tokens::new("%12 \"a\\\"b\": -3..4 [1.5e-7,2]{x1}é; rest");
        let mut found = Vec::new();
        while found.last() != Some(&Token::End) {
            found.push(tokens.next());
        }
        let sign = Token::Sign;
        let expected = [
            Token::Node("12"),
            Token::Quoted("\"a\\\"b\""),
            sign(':'),
            Token::Number("-3"),
            Token::To,
            Token::Number("4"),
            sign('['),
            Token::Number("1.5e-7"),
            sign(','),
            Token::Number("2"),
            sign(']'),
            sign('{'),
            Token::Word("x1"),
            sign('}'),
            sign('é'),
            Token::End,
        ];
        assert_eq!(found, expected);
        assert_eq!(tokens.next(), Token::End);
    }

    #[test]
    fn bad_quotes_and_escapes_say_what_is_needed() {
        let check = |token: &str, needs: &str| assert_eq!(unquote(token).unwrap_err(), needs, "{token}");
        check("\"open", "a quote at the end of the text");
        check("\"open\\\"", "a quote at the end of the text");
        check("\"\\u{d800}\"", "an escape \\u{..} of a character");
        check("\"\\u{1234567}\"", "an escape \\u{..} of a character");
        for token in ["\"\\x\"", "\"\\u41\"", "\"\\u{41\"", "\"\\"] {
            assert!(
                unquote(token).unwrap_err().starts_with("an escape \\\\"),
                "{token}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_text_survives_its_quotes(text in any::<String>()) {
            let token = format!("{text:?}");
            prop_assert!(!token.contains('\n'));
            let mut tokens = Tokens::new(&token);
            prop_assert_eq!(tokens.next(), Token::Quoted(&token));
            prop_assert_eq!(tokens.next(), Token::End);
            prop_assert_eq!(unquote(&token), Ok(text));
        }

        #[test]
        fn any_line_ends(line in any::<String>()) {
            let mut tokens = Tokens::new(&line);
            let steps = (0..=line.len()).take_while(|_| tokens.next() != Token::End).count();
            prop_assert!(steps <= line.len());
        }
    }
}
