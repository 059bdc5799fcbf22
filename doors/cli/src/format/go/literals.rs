//! Texts and numbers as they are written in a template, and what Go's `strconv` makes of them.

/// A number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
    /// One without a sign that Go has, and no `int` can be.
    TooGreat,
}

/// Reads a number or a character constant.
///
/// # Errors
/// As Go says it.
pub(super) fn number(text: &str) -> Result<Number, String> {
    if text.starts_with('\'') {
        return character(text);
    }
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.strip_prefix(['+', '-']) {
        Some(digits) => (&plain[..1], digits),
        None => ("", plain.as_str()),
    };
    let lower = digits.to_ascii_lowercase();
    let whole = |digits: &str, base| i64::from_str_radix(&format!("{sign}{digits}"), base).ok();
    let integer = match lower.get(..2) {
        Some("0x") => whole(&lower[2..], 16),
        Some("0o") => whole(&lower[2..], 8),
        Some("0b") => whole(&lower[2..], 2),
        _ if lower.len() > 1 && lower.starts_with('0') && !lower.contains(['.', 'e']) => {
            whole(&lower[1..], 8)
        }
        _ => whole(&lower, 10),
    };
    if let Some(integer) = integer {
        return Ok(Number::Int(integer));
    }
    if unsigned(sign, &lower) {
        return Ok(Number::TooGreat);
    }
    let is_decimal = digits.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    match plain.parse::<f64>() {
        Ok(float) if is_decimal && text.contains(['.', 'e', 'E']) => Ok(Number::Float(float)),
        Ok(_) if is_decimal && !digits.starts_with('0') => Err(format!("integer overflow: {text:?}")),
        _ => Err(format!("illegal number syntax: {text:?}")),
    }
}

/// Whether it is a whole number that 64 bits without a sign can hold.
fn unsigned(sign: &str, digits: &str) -> bool {
    let read = |digits: &str, base| sign.is_empty() && u64::from_str_radix(digits, base).is_ok();
    match digits.get(..2) {
        Some("0x") => read(&digits[2..], 16),
        Some("0o") => read(&digits[2..], 8),
        Some("0b") => read(&digits[2..], 2),
        _ => read(digits, 10),
    }
}

fn character(text: &str) -> Result<Number, String> {
    let inner = text.get(1..text.len() - 1).unwrap_or_default();
    let (letter, rest) = unescaped(inner, '\'').ok_or("invalid syntax")?;
    if !rest.is_empty() {
        return Err(format!("malformed character constant: {text}"));
    }
    Ok(Number::Int(i64::from(u32::from(letter))))
}

/// What a quoted text means; nothing where an escape is none.
pub(super) fn unquoted(text: &str) -> Option<String> {
    if let Some(raw) = text.strip_prefix('`') {
        return Some(raw.strip_suffix('`')?.replace('\r', ""));
    }
    let mut rest = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut meant = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        match byte(rest) {
            Some((byte, tail)) => {
                meant.push(byte);
                rest = tail;
            }
            None => {
                let (letter, tail) = unescaped(rest, '"')?;
                meant.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                rest = tail;
            }
        }
    }
    // Texts here are of characters: bytes that are none are lost, as on every terminal.
    Some(String::from_utf8_lossy(&meant).into_owned())
}

/// `\xff` and `\377` are bytes, which only together may be a character.
fn byte(text: &str) -> Option<(u8, &str)> {
    let rest = text.strip_prefix('\\')?;
    let (digits, base, tail) = match rest.as_bytes().first()? {
        b'x' => (rest.get(1..3)?, 16, rest.get(3..)?),
        b'0'..=b'7' => (rest.get(..3)?, 8, rest.get(3..)?),
        _ => return None,
    };
    Some((u8::from_str_radix(digits, base).ok()?, tail))
}

/// The first character of a quoted text, and what follows it.
fn unescaped(text: &str, quote: char) -> Option<(char, &str)> {
    let mut letters = text.chars();
    let first = letters.next()?;
    if first != '\\' {
        return Some((first, letters.as_str())).filter(|_| first != quote);
    }
    let kind = letters.next()?;
    let plain = match kind {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' => '\\',
        _ if kind == quote => quote,
        'x' => return coded(letters.as_str(), 2, 16),
        'u' => return coded(letters.as_str(), 4, 16),
        'U' => return coded(letters.as_str(), 8, 16),
        '0'..='7' => return coded(&text[1..], 3, 8).filter(|(letter, _)| u32::from(*letter) < 256),
        _ => return None,
    };
    Some((plain, letters.as_str()))
}

fn coded(text: &str, length: usize, base: u32) -> Option<(char, &str)> {
    let digits =
        text.get(..length).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_alphanumeric()))?;
    let letter = char::from_u32(u32::from_str_radix(digits, base).ok()?)?;
    Some((letter, &text[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_numbers_are_read_as_go_reads_them() {
        for (text, meant) in [
            ("\"a\\tb\\\"\\x41\\u00e9\\101\"", Some("a\tb\"A\u{e9}A")),
            ("`a\\n`", Some("a\\n")),
            ("\"\\xc3\\xa9\\303\\251\"", Some("\u{e9}\u{e9}")),
            ("\"\\xff\"", Some("\u{fffd}")),
            ("\"\\400\"", None),
            ("\"\\q\"", None),
            ("\"\\x4\"", None),
        ] {
            assert_eq!(unquoted(text).as_deref(), meant, "{text}");
        }
        for (text, expected) in [
            ("1_000", Ok(Number::Int(1000))),
            ("-0x1F", Ok(Number::Int(-31))),
            ("010", Ok(Number::Int(8))),
            ("0b11", Ok(Number::Int(3))),
            ("1.5e1", Ok(Number::Float(15.0))),
            (".5", Ok(Number::Float(0.5))),
            ("'a'", Ok(Number::Int(97))),
            ("'\\n'", Ok(Number::Int(10))),
            ("9223372036854775808", Ok(Number::TooGreat)),
            ("0xFFFFFFFFFFFFFFFF", Ok(Number::TooGreat)),
            ("''", Err("invalid syntax")),
            ("'ab'", Err("malformed character constant: 'ab'")),
            ("-", Err("illegal number syntax: \"-\"")),
            ("0x", Err("illegal number syntax: \"0x\"")),
            ("1e", Err("illegal number syntax: \"1e\"")),
            ("99999999999999999999", Err("integer overflow: \"99999999999999999999\"")),
        ] {
            assert_eq!(number(text), expected.map_err(str::to_owned), "{text}");
        }
    }
}
