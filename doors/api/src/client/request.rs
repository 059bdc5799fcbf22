//! One request: method, path, query, headers and what is sent with it.

use std::fmt::Write as _;
use std::io::Read;

use serde::Serialize;

use super::Error;

/// A request to the engine.
#[derive(Debug)]
pub struct Request<'a> {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) query: Query,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) payload: Payload<'a>,
    pub(crate) upgrade: bool,
}

/// What is sent with a request.
pub enum Payload<'a> {
    /// Nothing.
    Empty,
    /// A JSON document.
    Json(Vec<u8>),
    /// Bytes of unknown length, sent in chunks as they are read.
    Stream(&'a mut dyn Read),
}

impl std::fmt::Debug for Payload<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Payload::Empty => out.write_str("Empty"),
            Payload::Json(bytes) => write!(out, "Json({} bytes)", bytes.len()),
            Payload::Stream(_) => out.write_str("Stream"),
        }
    }
}

impl<'a> Request<'a> {
    /// A request to the path made of these segments, each of them quoted: `["containers", id, "json"]`.
    pub fn new(method: &'static str, segments: &[&str]) -> Request<'a> {
        let mut path = String::with_capacity(64);
        for segment in segments {
            path.push('/');
            quote_into(&mut path, segment, PATH_SAFE);
        }
        Request {
            method,
            path,
            query: Query::default(),
            headers: Vec::new(),
            payload: Payload::Empty,
            upgrade: false,
        }
    }

    /// A GET request.
    pub fn get(segments: &[&str]) -> Request<'a> {
        Request::new("GET", segments)
    }

    /// A POST request.
    pub fn post(segments: &[&str]) -> Request<'a> {
        Request::new("POST", segments)
    }

    /// A DELETE request.
    pub fn delete(segments: &[&str]) -> Request<'a> {
        Request::new("DELETE", segments)
    }

    /// Adds one query parameter.
    #[must_use]
    pub fn query(mut self, key: &str, value: &str) -> Request<'a> {
        self.query.push(key, value);
        self
    }

    /// Adds a query parameter if there is something to say.
    #[must_use]
    pub fn query_some(self, key: &str, value: Option<&str>) -> Request<'a> {
        match value {
            Some(value) => self.query(key, value),
            None => self,
        }
    }

    /// Adds `key=1` if it is so.
    #[must_use]
    pub fn query_flag(self, key: &str, set: bool) -> Request<'a> {
        if set { self.query(key, "1") } else { self }
    }

    /// Adds one header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Request<'a> {
        self.headers.push((name, value.into()));
        self
    }

    /// Sends a JSON document with it.
    pub fn json<T: Serialize + ?Sized>(mut self, document: &T) -> Result<Request<'a>, Error> {
        let bytes = serde_json::to_vec(document).map_err(|error| Error::Protocol(error.to_string()))?;
        self.payload = Payload::Json(bytes);
        Ok(self)
    }

    /// Streams a tar archive (or any bytes) with it.
    #[must_use]
    pub fn stream(mut self, reader: &'a mut dyn Read) -> Request<'a> {
        self.payload = Payload::Stream(reader);
        self
    }

    /// Asks that the connection become a raw stream.
    #[must_use]
    pub fn upgrade(mut self) -> Request<'a> {
        self.upgrade = true;
        self
    }

    /// A stream cannot be read twice; everything else was not acted on when the engine closed the
    /// connection before it read a byte.
    pub(crate) fn is_repeatable(&self) -> bool {
        !matches!(self.payload, Payload::Stream(_))
    }
}

/// A query string, quoted as it is built.
#[derive(Clone, Debug, Default)]
pub struct Query(String);

impl Query {
    /// Adds one parameter.
    pub fn push(&mut self, key: &str, value: &str) {
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        quote_into(&mut self.0, key, QUERY_SAFE);
        self.0.push('=');
        quote_into(&mut self.0, value, QUERY_SAFE);
    }

    /// The query with its question mark, or nothing.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const QUERY_SAFE: &[u8] = b"-_.~";
/// Image names carry slashes, colons and at-signs, and routes expect them unquoted.
const PATH_SAFE: &[u8] = b"-_.~/:@+";

fn quote_into(out: &mut String, text: &str, safe: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || safe.contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_and_queries_are_quoted() {
        let request = Request::get(&["images", "a/b:c", "json"]).query("filters", r#"{"a":["b c"]}"#);
        assert_eq!(request.path, "/images/a/b:c/json");
        assert_eq!(request.query.as_str(), "?filters=%7B%22a%22%3A%5B%22b%20c%22%5D%7D");
        assert_eq!(Request::get(&["containers", "a?b#c%", "json"]).path, "/containers/a%3Fb%23c%25/json");
    }
}
