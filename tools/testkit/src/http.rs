//! A plain HTTP/1.1 client of one connection over a unix socket, kept open between requests.
//!
//! It is a second opinion beside our own client, and cheap enough to measure the engine with.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// One connection.
pub struct Connection {
    stream: BufReader<UnixStream>,
}

/// What the engine answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The lines of the head, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The body as JSON; null when it is empty.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Result<Value> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).with_context(|| String::from_utf8_lossy(&self.body).into_owned())
    }

    /// A line of the head.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// JSON documents of a stream; it ends when the engine ends it.
pub struct Lines {
    connection: Connection,
    waiting: Vec<u8>,
}

impl Lines {
    /// How long to wait for the next one.
    ///
    /// # Errors
    /// When it cannot be set.
    pub fn patience(&self, patience: Duration) -> Result<()> {
        Ok(self.connection.stream.get_ref().set_read_timeout(Some(patience))?)
    }

    fn next_line(&mut self) -> Result<Option<Value>> {
        loop {
            if let Some(end) = self.waiting.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.waiting.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            if !self.connection.read_chunk(&mut self.waiting)? {
                return Ok(None);
            }
        }
    }
}

impl Iterator for Lines {
    type Item = Result<Value>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_line().transpose()
    }
}

impl Connection {
    /// Connects to a socket.
    ///
    /// # Errors
    /// When nothing listens.
    pub fn open(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).with_context(|| format!("connect {}", socket.display()))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends a request with a JSON body (none for null) and reads the whole answer.
    ///
    /// # Errors
    /// When the connection breaks or the answer is no HTTP.
    pub fn request(&mut self, method: &str, path: &str, body: &Value) -> Result<Response> {
        let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body)? };
        self.request_bytes(method, path, "application/json", &body)
    }

    /// The same with a body of any type.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub fn request_bytes(&mut self, method: &str, path: &str, kind: &str, body: &[u8]) -> Result<Response> {
        let length = body.len();
        let mut message =
            format!("{method} {path} HTTP/1.1\r\nHost: dhow\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n")
                .into_bytes();
        message.extend_from_slice(body);
        self.stream.get_mut().write_all(&message)?;
        self.read_response(method == "HEAD")
    }

    /// Asks for a stream of lines, each a JSON document, and reads them one after the other.
    ///
    /// # Errors
    /// When the connection breaks, or the answer is not 200.
    pub fn follow(mut self, path: &str) -> Result<Lines> {
        write!(self.stream.get_mut(), "GET {path} HTTP/1.1\r\nHost: dhow\r\n\r\n")?;
        let status_line = self.line()?;
        if !status_line.contains(" 200 ") {
            bail!("{path}: {status_line}");
        }
        while !self.line()?.is_empty() {}
        Ok(Lines { connection: self, waiting: Vec::new() })
    }

    fn read_response(&mut self, head_only: bool) -> Result<Response> {
        let status_line = self.line()?;
        let status = status_line.split(' ').nth(1).and_then(|s| s.parse().ok());
        let status = status.with_context(|| format!("no status line: {status_line:?}"))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut response = Response { status, headers, body: Vec::new() };
        if !head_only && !matches!(status, 204 | 304) {
            response.body = self.read_body(&response)?;
        }
        Ok(response)
    }

    fn read_body(&mut self, response: &Response) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        if let Some(length) = response.header("content-length") {
            body.resize(length.parse()?, 0);
            self.stream.read_exact(&mut body)?;
        } else if response.header("transfer-encoding") == Some("chunked") {
            while self.read_chunk(&mut body)? {}
        } else {
            self.stream.read_to_end(&mut body)?;
        }
        Ok(body)
    }

    fn read_chunk(&mut self, body: &mut Vec<u8>) -> Result<bool> {
        let length = usize::from_str_radix(self.line()?.trim(), 16)?;
        let start = body.len();
        body.resize(start + length, 0);
        self.stream.read_exact(&mut body[start..])?;
        self.line()?;
        Ok(length > 0)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            bail!("the connection was closed");
        }
        Ok(line.trim_end().to_owned())
    }
}

/// Text as it stands in a query.
#[must_use]
pub fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
