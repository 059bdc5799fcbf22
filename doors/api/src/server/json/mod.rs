//! Bodies in JSON, read as Go's decoder reads them (`encoding/json`), which clients were written against: upper and
//! lower case of names do not matter, `null` says nothing, and what is wrong is told in its words.
//!
//! [`document`] reads the text; what is no JSON is told by `scan`. [`read`] makes a type of it ([`Place`] says what Go
//! calls it); what is of another type is told by `reader`, with the names that `go_type` gives.

mod go_type;
mod reader;
mod scan;

use dhow_model::{Error, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;

use reader::{Reader, Spot};

/// What Go calls what is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// The structure whose members are read: `container.CreateRequest`.
    pub(crate) structure: &'static str,
    /// The members by which one comes there.
    pub(crate) path: &'static [&'static str],
}

impl Place {
    /// The structure without its package.
    fn name(&self) -> &'static str {
        self.structure.rsplit('.').next().unwrap_or(self.structure)
    }

    /// A whole body.
    pub(crate) const fn body(structure: &'static str) -> Self {
        Self { structure, path: &[] }
    }
}

/// Reads one JSON text; nothing may follow it.
///
/// # Errors
/// Invalid argument, in Docker's words.
pub(crate) fn document(bytes: &[u8]) -> Result<Value> {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    let value = match values.next() {
        None => return Err(Error::invalid("invalid JSON: got EOF while reading request body")),
        Some(value) => value.map_err(|error| invalid(&syntax(bytes, &error)))?,
    };
    let rest = bytes.get(values.byte_offset()..).unwrap_or_default();
    // Go looks no further than that nothing else begins.
    match rest.trim_ascii().first() {
        None | Some(b']' | b'}') => Ok(value),
        Some(_) => Err(Error::invalid("unexpected content after JSON")),
    }
}

/// Makes a value of a type.
///
/// # Errors
/// Invalid argument, in Docker's words, for what is of another type.
pub(crate) fn read<T: DeserializeOwned>(place: Place, value: Value) -> Result<T> {
    let spot = Spot::Body(place);
    T::deserialize(Reader::new(value, &spot)).map_err(|error| invalid(&error.to_string()))
}

fn syntax(bytes: &[u8], error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected EOF".into();
    }
    scan::fault(bytes).unwrap_or_else(|| error.to_string())
}

fn invalid(words: &str) -> Error {
    Error::invalid(format!("invalid JSON: {words}"))
}

#[cfg(test)]
mod tests;
