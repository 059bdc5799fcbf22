//! Words of a Dockerfile's line: quotes, and variables that stand for what the image has.

use dhow_model::{Error, Result};

/// Words separated by spaces, as they were written: quotes keep spaces, a backslash keeps the next character.
pub(super) fn split(text: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            (c, None) if c.is_whitespace() => {
                words.extend(word.take());
                continue;
            }
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => quote = Some(character),
            _ => {}
        }
        let word = word.get_or_insert_default();
        word.push(character);
        if character == '\\' && quote != Some('\'') {
            word.extend(characters.next());
        }
    }
    if quote.is_some() {
        return Err(unmatched(text));
    }
    words.extend(word);
    Ok(words)
}

fn unmatched(text: &str) -> Error {
    Error::invalid(format!("unexpected end of statement while looking for matching quote in {text:?}"))
}

/// A word without its quotes, with the values of its variables.
pub(super) fn expand(word: &str, env: &[String]) -> Result<String> {
    let mut expanded = String::new();
    let mut quote = None;
    let mut rest = word;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match (character, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => quote = Some(character),
            ('$', None | Some('"')) => {
                let (value, after) = variable(rest, env)?;
                expanded.push_str(&value);
                rest = after;
            }
            ('\\', None | Some('"')) => {
                let next = rest.chars().next();
                rest = next.map_or("", |next| &rest[next.len_utf8()..]);
                let kept = quote.is_some() && !matches!(next, Some('"' | '$' | '\\'));
                expanded.extend(kept.then_some('\\').into_iter().chain(next));
            }
            (c, _) => expanded.push(c),
        }
    }
    if quote.is_some() { Err(unmatched(word)) } else { Ok(expanded) }
}

/// `NAME`, `{NAME}`, `{NAME:-else}`, `{NAME:+then}`: the value, and what follows.
fn variable<'a>(text: &'a str, env: &[String]) -> Result<(String, &'a str)> {
    let value =
        |name: &str| env.iter().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).unwrap_or("");
    let Some(braced) = text.strip_prefix('{') else {
        let name = name(text);
        let shown = if name.is_empty() { "$" } else { value(name) };
        return Ok((shown.to_owned(), &text[name.len()..]));
    };
    let wrong = || Error::invalid(format!("unsupported substitution: ${text}"));
    let (inner, after) = closed(braced).ok_or_else(wrong)?;
    let name = name(inner);
    let own = value(name);
    let word = match &inner[name.len()..] {
        "" if !name.is_empty() => own.to_owned(),
        rest if rest.starts_with(":-") => {
            if own.is_empty() {
                expand(&rest[2..], env)?
            } else {
                own.to_owned()
            }
        }
        rest if rest.starts_with(":+") => {
            if own.is_empty() {
                String::new()
            } else {
                expand(&rest[2..], env)?
            }
        }
        _ => return Err(wrong()),
    };
    Ok((word, after))
}

/// Variables within variables.
const DEEPEST: usize = 16;

/// Splits at the brace that closes, behind those that open in between.
fn closed(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0;
    let mut before = '\0';
    for (at, byte) in text.char_indices() {
        match (before, byte) {
            ('\\', _) => {
                before = '\0';
                continue;
            }
            ('$', '{') if depth == DEEPEST => return None,
            ('$', '{') => depth += 1,
            (_, '}') if depth == 0 => return Some((&text[..at], &text[at + 1..])),
            (_, '}') => depth -= 1,
            _ => {}
        }
        before = byte;
    }
    None
}

fn name(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_stand_for_what_the_image_has() {
        let env = ["PATH=/bin".to_owned(), "E=".to_owned()];
        for (word, expected) in [
            ("$PATH:/x", "/bin:/x"),
            ("\"${PATH} y\"", "/bin y"),
            ("'$PATH'", "$PATH"),
            ("\\$PATH", "$PATH"),
            ("${E:-no}${PATH:+yes}$NONE", "noyes"),
            ("\"a\\nb\"", "a\\nb"),
            ("a\\ b", "a b"),
            ("5$", "5$"),
            ("${PATH:-${E}}x", "/binx"),
            ("${E:-${NONE:-a}b}c", "abc"),
        ] {
            assert_eq!(expand(word, &env).unwrap(), expected, "{word}");
        }
        let deep = "${E:-".repeat(100_000);
        for wrong in ["${PATH", "${PATH:?x}", "${}", "\"x", &deep] {
            assert!(expand(wrong, &env).is_err(), "{wrong}");
        }
    }
}
