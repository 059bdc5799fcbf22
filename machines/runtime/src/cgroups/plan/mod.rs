//! Resources as a list of writes: pure, so that it can be compared as text.
//!
//! [`v1`] and [`v2`] make the list; [`super::apply`] carries it out.

pub mod v1;
pub mod v2;

use std::fmt;

use dhow_model::error::{Error, Result};

use super::controller::Controller;

/// Everything that is to be written, in order, and what cannot be had.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The writes.
    pub writes: Vec<Write>,
    /// What was asked for and means nothing here, in words for the user.
    pub notes: Vec<String>,
}

/// A value for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Whose file it is.
    pub controller: Controller,
    /// File and value; where the file is not there, the next one.
    pub choices: Vec<(String, String)>,
    /// When none of the files is there.
    pub if_missing: IfMissing,
}

/// What becomes of a write whose file is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMissing {
    /// An error: it was asked for.
    Fail,
    /// It is so already, or was only a wish.
    Skip,
}

impl Plan {
    fn write(&mut self, controller: Controller, file: impl Into<String>, value: impl ToString) -> &mut Write {
        self.writes.push(Write {
            controller,
            choices: vec![(file.into(), value.to_string())],
            if_missing: IfMissing::Fail,
        });
        let last = self.writes.len() - 1;
        &mut self.writes[last]
    }

    fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

impl Write {
    fn or(&mut self, file: impl Into<String>, value: impl ToString) -> &mut Self {
        self.choices.push((file.into(), value.to_string()));
        self
    }

    fn if_there(&mut self) {
        self.if_missing = IfMissing::Skip;
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (file, value)) in self.choices.iter().enumerate() {
            write!(f, "{}{file} = {value}", if at == 0 { "" } else { " | " })?;
        }
        f.write_str(if self.if_missing == IfMissing::Skip { " (if there)" } else { "" })
    }
}

/// A number that is there and not 0, which means "leave it" in the specification's own programs.
fn set<T: PartialEq + Default>(number: Option<T>) -> Option<T> {
    number.filter(|number| *number != T::default())
}

/// A part of a file name that the configuration gives (`2MB`).
fn name_part(text: &str) -> Result<&str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.is_empty() || text.len() > 64 || !text.chars().all(is_plain) {
        return Err(Error::invalid(format!("invalid name {text:?} in the limits")));
    }
    Ok(text)
}

/// A list of numbers, `0-3,7`: the kernel says whether they exist.
fn number_list(text: &str) -> Result<&str> {
    let is_plain = |c: char| c.is_ascii_digit() || matches!(c, ',' | '-' | ' ');
    if text.len() > 4096 || !text.chars().all(is_plain) {
        return Err(Error::invalid(format!("invalid list of processors or memory nodes {text:?}")));
    }
    Ok(text)
}

/// The name of a device or an interface, which stands at the front of a line.
fn line_name(text: &str) -> Result<&str> {
    if text.is_empty() || text.len() > 256 || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(Error::invalid(format!("invalid name {text:?} in the limits")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
