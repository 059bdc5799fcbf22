//! The header `Content-Type`, held against RFC 2045 as Go's `mime` package does, in its words.

/// Checks a media type and its parameters.
///
/// # Errors
/// What is wrong, as clients of Docker read it.
pub(crate) fn check(value: &str) -> Result<(), &'static str> {
    let (name, parameters) = value.split_once(';').unwrap_or((value, ""));
    names(name.trim())?;
    let mut rest = parameters;
    let mut seen: Vec<String> = Vec::new();
    while !rest.trim().is_empty() {
        let (key, tail) = parameter(rest).ok_or("mime: invalid media parameter")?;
        if seen.contains(&key) {
            return Err("mime: duplicate parameter name");
        }
        seen.push(key);
        rest = tail;
    }
    Ok(())
}

fn names(name: &str) -> Result<(), &'static str> {
    let (kind, rest) = token(name);
    if kind.is_empty() {
        return Err("mime: no media type");
    }
    let Some(rest) = rest.strip_prefix('/') else {
        return if rest.is_empty() { Ok(()) } else { Err("mime: expected slash after first token") };
    };
    match token(rest) {
        ("", _) => Err("mime: expected token after slash"),
        (_, "") => Ok(()),
        _ => Err("mime: unexpected content after media subtype"),
    }
}

/// One `key=value`, and what follows the `;` behind it.
fn parameter(text: &str) -> Option<(String, &str)> {
    let (key, rest) = token(text.trim_start());
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let rest = match rest.strip_prefix('"') {
        Some(quoted) => behind_quote(quoted)?,
        None => Some(token(rest)).filter(|(value, _)| !value.is_empty())?.1,
    };
    let rest = rest.trim_start();
    let next = if rest.is_empty() { "" } else { rest.strip_prefix(';')? };
    (!key.is_empty()).then(|| (key.to_ascii_lowercase(), next))
}

fn behind_quote(text: &str) -> Option<&str> {
    let mut letters = text.char_indices();
    loop {
        match letters.next()? {
            (at, '"') => return Some(&text[at + 1..]),
            (_, '\\') => drop(letters.next()?),
            _ => {}
        }
    }
}

/// What may be a word, and what follows it.
fn token(text: &str) -> (&str, &str) {
    let is_part = |byte: u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte);
    text.split_at(text.bytes().position(|byte| !is_part(byte)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn media_types_are_read_as_go_reads_them() {
        for good in ["application/json", "a/b;", "a/b; c=d", "a/b;c=\"d;\\\" e\" ; f=g", "text"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (wrong, words) in [
            (";;", "mime: no media type"),
            ("a b", "mime: expected slash after first token"),
            ("a/", "mime: expected token after slash"),
            ("a/b/c", "mime: unexpected content after media subtype"),
            ("foo;;;bar", "mime: invalid media parameter"),
            ("a/b; c", "mime: invalid media parameter"),
            ("a/b; c=\"d", "mime: invalid media parameter"),
            ("a/b; c=d; C=e", "mime: duplicate parameter name"),
        ] {
            assert_eq!(check(wrong), Err(words), "{wrong}");
        }
    }
}
