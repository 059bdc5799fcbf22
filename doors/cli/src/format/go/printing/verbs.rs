//! One value by one verb.

use gotmpl::Value;

use super::super::values;
use super::floats::float;
use super::{Flags, given};
use crate::format::quote::{quoted_as, quoted_rune};

/// Writes a value by a verb.
pub(super) fn write(value: &Value, verb: char, flags: &Flags, out: &mut String) {
    let value = given(value);
    match (verb, value) {
        ('T' | 'v', Value::Nil) => pad("<nil>", flags, out),
        ('T', value) => pad(&truncated(&values::type_in_go(value), flags), flags, out),
        (_, Value::Bool(truth)) if matches!(verb, 't' | 'v') => pad(&truth.to_string(), flags, out),
        (_, Value::Int(number)) => integer(value, i128::from(*number), verb, flags, out),
        (_, Value::Uint(number)) => integer(value, i128::from(*number), verb, flags, out),
        (_, Value::Float(number)) => fraction(value, *number, verb, flags, out),
        (_, Value::String(text)) => string(value, text, verb, flags, out),
        (_, Value::List(items)) if verb != 'p' => list(value, items, verb, flags, out),
        (_, Value::Map(_)) if verb != 'p' => values::write_map(value, out, &Style { verb, flags }),
        _ => misfit(value, verb, flags, out),
    }
}

/// How what is within a map or a struct is written.
pub(crate) struct Style<'a> {
    verb: char,
    flags: &'a Flags,
}

impl Style<'_> {
    pub(crate) fn write(&self, value: &Value, out: &mut String) {
        within(value, self.verb, self.flags, out);
    }

    /// `%#v`: with types, and texts in quotes.
    pub(crate) fn is_source(&self) -> bool {
        self.flags.sharp_v
    }

    /// Whether the names of fields are told.
    pub(crate) fn has_names(&self) -> bool {
        self.flags.sharp_v || self.flags.plus_v
    }

    pub(crate) fn key(&self, key: &str, out: &mut String) {
        string(&Value::from(key), key, self.verb, self.flags, out);
    }
}

/// A value in another: nothing fits every verb there.
fn within(value: &Value, verb: char, flags: &Flags, out: &mut String) {
    match given(value) {
        Value::Nil => out.push_str("<nil>"),
        value => write(value, verb, flags, out),
    }
}

/// `int=1`
pub(super) fn write_with_type(value: &Value, flags: &Flags, out: &mut String) {
    match given(value) {
        Value::Nil => out.push_str("<nil>"),
        value => {
            out.push_str(&values::type_in_go(value));
            out.push('=');
            write(value, 'v', flags, out);
        }
    }
}

/// What is said of a verb that is not of the value's type.
fn misfit(value: &Value, verb: char, flags: &Flags, out: &mut String) {
    out.push_str(&format!("%!{verb}("));
    write_with_type(value, flags, out);
    out.push(')');
}

fn list(of: &Value, items: &[Value], verb: char, flags: &Flags, out: &mut String) {
    let (open, between, close) = if flags.sharp_v { ("{", ", ", "}") } else { ("[", " ", "]") };
    if flags.sharp_v {
        out.push_str(&values::type_in_go(of));
    }
    out.push_str(open);
    for (at, item) in items.iter().enumerate() {
        out.push_str(if at > 0 { between } else { "" });
        within(item, verb, flags, out);
    }
    out.push_str(close);
}

fn string(value: &Value, text: &str, verb: char, flags: &Flags, out: &mut String) {
    match verb {
        'v' if flags.sharp_v => pad(&in_quotes(text, flags), flags, out),
        'v' | 's' => pad(&truncated(text, flags), flags, out),
        'q' => pad(&in_quotes(text, flags), flags, out),
        'x' | 'X' => bytes(text, verb == 'X', flags, out),
        _ => misfit(value, verb, flags, out),
    }
}

fn in_quotes(text: &str, flags: &Flags) -> String {
    let text = truncated(text, flags);
    let is_plain = |character: char| character == '\t' || !(character.is_control() || character == '`');
    if flags.sharp && text.chars().all(is_plain) {
        return format!("`{text}`");
    }
    quoted_as(&text, '"', flags.plus)
}

fn truncated<'a>(text: &'a str, flags: &Flags) -> std::borrow::Cow<'a, str> {
    match flags.precision {
        Some(length) => text.chars().take(length).collect::<String>().into(),
        None => text.into(),
    }
}

fn bytes(text: &str, upper: bool, flags: &Flags, out: &mut String) {
    let bytes = &text.as_bytes()[..flags.precision.unwrap_or(usize::MAX).min(text.len())];
    let prefix = match (flags.sharp && !bytes.is_empty(), upper) {
        (false, _) => "",
        (true, false) => "0x",
        (true, true) => "0X",
    };
    let mut written = prefix.to_owned();
    for (at, byte) in bytes.iter().enumerate() {
        if at > 0 && flags.space {
            written.push(' ');
            written.push_str(prefix);
        }
        written.push_str(&if upper { format!("{byte:02X}") } else { format!("{byte:02x}") });
    }
    pad(&written, flags, out);
}

fn integer(value: &Value, number: i128, verb: char, flags: &Flags, out: &mut String) {
    let letter = || u32::try_from(number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
    let size = number.unsigned_abs();
    let digits = match verb {
        'v' if flags.sharp_v && matches!(value, Value::Uint(_)) => format!("{size:#x}"),
        'd' | 'v' => size.to_string(),
        'b' => format!("{size:b}"),
        'o' | 'O' => format!("{size:o}"),
        'x' => format!("{size:x}"),
        'X' => format!("{size:X}"),
        'c' => return pad(letter().encode_utf8(&mut [0; 4]), flags, out),
        'q' => return pad(&quoted_rune(letter(), flags.plus), flags, out),
        'U' => return pad(&unicode(number, letter(), flags), &Flags { zero: false, ..*flags }, out),
        _ => return misfit(value, verb, flags, out),
    };
    if flags.precision == Some(0) && number == 0 {
        return pad("", &Flags { zero: false, ..*flags }, out);
    }
    let sign = match number {
        ..0 => "-",
        _ if flags.plus => "+",
        _ if flags.space => " ",
        _ => "",
    };
    let zeros = match (flags.precision, flags.width) {
        (Some(precision), _) => precision,
        (None, Some(width)) if flags.zero && !flags.minus => width - sign.len().min(width),
        _ => 0,
    };
    let digits = format!("{digits:0>zeros$}");
    let base = match verb {
        'O' => "0o",
        'b' if flags.sharp => "0b",
        'o' if flags.sharp && !digits.starts_with('0') => "0",
        'x' if flags.sharp => "0x",
        'X' if flags.sharp => "0X",
        _ => "",
    };
    pad(&format!("{sign}{base}{digits}"), &Flags { zero: false, ..*flags }, out);
}

fn unicode(number: i128, letter: char, flags: &Flags) -> String {
    let width = flags.precision.unwrap_or(4).max(4);
    let seen = if flags.sharp && !letter.is_control() { format!(" '{letter}'") } else { String::new() };
    format!("U+{number:0width$X}{seen}")
}

fn fraction(value: &Value, number: f64, verb: char, flags: &Flags, out: &mut String) {
    let written = match verb {
        'v' => float(number, 'g', flags.precision),
        'b' | 'g' | 'G' | 'x' | 'X' | 'e' | 'E' | 'f' | 'F' => float(number, verb, flags.precision),
        _ => return misfit(value, verb, flags, out),
    };
    let (sign, digits) = match written.split_at(1) {
        ("+", digits) if flags.plus => ("+", digits),
        ("+", digits) if flags.space => (" ", digits),
        ("+", digits) => ("", digits),
        other => other,
    };
    let width = flags.width.filter(|_| flags.zero && !flags.minus && number.is_finite()).unwrap_or(0);
    let width = width.saturating_sub(sign.len());
    pad(&format!("{sign}{digits:0>width$}"), &Flags { zero: false, ..*flags }, out);
}

/// Fills up to the width, counted in characters.
fn pad(text: &str, flags: &Flags, out: &mut String) {
    let missing = flags.width.unwrap_or(0).saturating_sub(text.chars().count());
    let filling = if flags.zero && !flags.minus { "0" } else { " " };
    if flags.minus {
        out.push_str(text);
    }
    out.push_str(&filling.repeat(missing));
    if !flags.minus {
        out.push_str(text);
    }
}
