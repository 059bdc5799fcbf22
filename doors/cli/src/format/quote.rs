//! Text in Go's double quotes (`strconv.Quote`).

use std::fmt::Write as _;

pub(crate) fn quoted(text: &str) -> String {
    quoted_as(text, '"', false)
}

/// A single character between single quotes.
pub(crate) fn quoted_rune(letter: char, ascii: bool) -> String {
    quoted_as(letter.encode_utf8(&mut [0; 4]), '\'', ascii)
}

/// Between quotes of one kind; where it has to be ASCII, all else is told by its number.
pub(crate) fn quoted_as(text: &str, quote: char, ascii: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\u{b}' => out.push_str("\\v"),
            other if other == quote => out.extend(['\\', other]),
            other if other.is_ascii_control() => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\x{:02x}", u32::from(other));
            }
            other if is_unseen(other) || (ascii && !other.is_ascii()) => {
                let _ = match u32::from(other) {
                    code @ 0x10000.. => write!(out, "\\U{code:08x}"),
                    code => write!(out, "\\u{code:04x}"),
                };
            }
            other => out.push(other),
        }
    }
    out.push(quote);
    out
}

fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_a_line_is_escaped() {
        assert_eq!(quoted("sh -c \"a\\b\"\n\t\u{1}é…"), r#""sh -c \"a\\b\"\n\t\x01é…""#);
        assert_eq!(quoted_as("é\u{1f600}", '"', true), r#""\u00e9\U0001f600""#);
        assert_eq!(quoted_rune('\'', false), r"'\''");
    }
}
