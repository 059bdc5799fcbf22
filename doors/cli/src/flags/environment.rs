//! Variables of the environment and labels, from flags and from files.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// A larger file than this is no list of variables.
const FILE_LIMIT: u64 = 16 * 1024 * 1024;

/// Says what is wrong with one variable.
pub(crate) fn check(value: &str) -> Result<(), String> {
    if value.is_empty() || value.starts_with('=') {
        return Err(format!("invalid environment variable: {value}"));
    }
    Ok(())
}

/// The variables from files, then those from flags. A name without a value takes the value that it
/// has here; one that has none here is passed on bare, which removes the image's.
pub(crate) fn variables(files: &[String], flags: &[String]) -> Result<Vec<String>> {
    let mut variables = Vec::new();
    for file in files {
        variables.extend(read(file, true)?);
    }
    variables.extend(last_of_each(flags).map(|flag| from_here(flag).unwrap_or_else(|| flag.clone())));
    Ok(variables)
}

/// A variable that is given twice has its last value.
fn last_of_each(flags: &[String]) -> impl Iterator<Item = &String> {
    let name = |flag: &'_ String| flag.split('=').next().unwrap_or_default().to_owned();
    let is_last =
        move |index: usize, flag: &String| flags[index + 1..].iter().all(|later| name(later) != name(flag));
    flags.iter().enumerate().filter(move |(index, flag)| is_last(*index, flag)).map(|(_, flag)| flag)
}

fn from_here(name: &str) -> Option<String> {
    if name.contains('=') {
        return None;
    }
    std::env::var(name).ok().map(|value| format!("{name}={value}"))
}

/// The labels from files, then those from flags.
pub(crate) fn labels(files: &[String], flags: &[String]) -> Result<BTreeMap<String, String>> {
    let mut lines = Vec::new();
    for file in files {
        lines.extend(read(file, false)?);
    }
    lines.extend(flags.iter().cloned());
    Ok(pairs(&lines))
}

/// `key=value` lines as a map; a key alone has an empty value.
pub(crate) fn pairs(lines: &[String]) -> BTreeMap<String, String> {
    let pair = |line: &String| match line.split_once('=') {
        Some((key, value)) => (key.to_owned(), value.to_owned()),
        None => (line.clone(), String::new()),
    };
    lines.iter().map(pair).collect()
}

fn read(file: &str, is_environment: bool) -> Result<Vec<String>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).and_then(|open| open.take(FILE_LIMIT).read_to_end(&mut bytes));
    opened.map_err(|error| Error::refused(format!("open {file}: {}", crate::go_words(&error))))?;
    lines(&bytes, is_environment).map_err(|why| Error::refused(format!("invalid env file ({file}): {why}")))
}

fn lines(bytes: &[u8], is_environment: bool) -> Result<Vec<String>, String> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut variables = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = std::str::from_utf8(line)
            .map_err(|_| format!("invalid utf8 bytes at line {}: {line:?}", index + 1))?
            .trim_start();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let key = text.split('=').next().unwrap_or_default();
        if key.is_empty() {
            return Err(format!("no variable name on line '{text}'"));
        }
        if key.contains([' ', '\t']) {
            return Err(format!("variable '{key}' contains whitespaces"));
        }
        if text.contains('=') {
            variables.push(text.to_owned());
        } else if is_environment {
            variables.extend(from_here(text));
        }
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_variables_is_read_line_by_line() {
        let text = "\u{feff}A=1\r\n  # not this\n\n  B=two words \nPATH\nNOT_SET_ANYWHERE_HERE\n";
        let read = lines(text.as_bytes(), true).unwrap();
        assert_eq!(read[..2], ["A=1", "B=two words "]);
        assert!(read[2].starts_with("PATH=") && read.len() == 3);
        assert_eq!(lines(b"a b=1", true).unwrap_err(), "variable 'a b' contains whitespaces");
        assert_eq!(lines(b"=1", true).unwrap_err(), "no variable name on line '=1'");
        assert!(lines(b"a=\xff", true).unwrap_err().starts_with("invalid utf8 bytes at line 1"));
    }
}
