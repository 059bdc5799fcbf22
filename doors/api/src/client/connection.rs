//! One connection, and one exchange on it: write the request, read the head of the answer.

use std::io::{self, BufRead, BufReader, IoSlice, Read, Write};
use std::os::unix::net::UnixStream;

use serde::de::DeserializeOwned;

use super::body::{Framing, read_line};
use super::carrier::Carrier;
use super::{Body, Endpoint, Error, Idle, Payload, Request};

/// More header than this is not an answer of ours.
const HEAD_LIMIT: usize = 64 * 1024;
const MAX_HEADERS: usize = 64;
/// An error message longer than this is cut.
const ERROR_LIMIT: u64 = 1024 * 1024;

/// A connection to the engine.
#[derive(Debug)]
pub(crate) struct Connection {
    reader: BufReader<UnixStream>,
    carrier: Carrier,
}

/// The head of an answer, and its body yet to be read.
#[derive(Debug)]
pub struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Body,
}

impl Connection {
    pub(crate) fn open(endpoint: &Endpoint) -> Result<Connection, Error> {
        let (stream, carrier) = endpoint.open()?;
        Ok(Connection { reader: BufReader::with_capacity(32 * 1024, stream), carrier })
    }

    pub(crate) fn reader(&mut self) -> &mut BufReader<UnixStream> {
        &mut self.reader
    }

    pub(crate) fn into_reader(self) -> BufReader<UnixStream> {
        self.reader
    }

    /// Sends the request; what comes back is read by [`Pending::answer`].
    pub(crate) fn begin(mut self, prefix: &str, request: &mut Request<'_>) -> Pending {
        let written = write_request(self.reader.get_mut(), prefix, request);
        Pending { connection: self, written, head_only: request.method == "HEAD" }
    }

    fn read_head(&mut self) -> Result<Head, Error> {
        let closed = self.reader.fill_buf().map(<[u8]>::is_empty);
        if closed.map_err(Error::transport("waiting for the engine's answer")).unwrap_or(true) {
            return Err(Error::Stale);
        }
        let mut text = Vec::with_capacity(512);
        loop {
            let line = read_line(&mut self.reader, HEAD_LIMIT)
                .map_err(Error::transport("reading the engine's answer"))?;
            text.extend_from_slice(&line);
            text.extend_from_slice(b"\r\n");
            if line.is_empty() {
                break;
            }
            if text.len() > HEAD_LIMIT {
                return Err(Error::Protocol("an endless header".to_owned()));
            }
        }
        Head::parse(&text)
    }
}

/// A request that was sent and whose answer was not read yet.
#[derive(Debug)]
pub(crate) struct Pending {
    connection: Connection,
    written: io::Result<()>,
    head_only: bool,
}

impl Pending {
    /// Reads the head of the answer. [`Error::Stale`] when the connection was closed before one byte
    /// came back.
    pub(crate) fn answer(mut self, idle: &Idle) -> Result<Response, Error> {
        // A failed write is not the end: an engine that refuses an upload answers first and then
        // closes, and its answer says more than "broken pipe".
        let head = match self.connection.read_head() {
            Ok(head) => head,
            Err(Error::Stale) => {
                let complaint = self.connection.carrier.complaint();
                let written = self.written.err().map_or(Error::Stale, stale_write);
                return Err(complaint.unwrap_or(written));
            }
            Err(error) => return Err(error),
        };
        let closes = head.get("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let kept = (!closes).then(|| idle.clone());
        let body = Body::new(self.connection, head.framing(self.head_only), kept);
        Ok(Response { status: head.status, headers: head.headers, body })
    }
}

fn stale_write(source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Error::Stale,
        _ => Error::Transport { context: "sending the request", source },
    }
}

fn write_request(stream: &mut UnixStream, prefix: &str, request: &mut Request<'_>) -> io::Result<()> {
    let mut head = Vec::with_capacity(512);
    let Request { method, path, query, .. } = request;
    write!(head, "{method} {prefix}{path}{} HTTP/1.1\r\n", query.as_str())?;
    write!(head, "Host: api.moby.localhost\r\nUser-Agent: dhow/{}\r\n", env!("CARGO_PKG_VERSION"))?;
    for (name, value) in &request.headers {
        write!(head, "{name}: {value}\r\n")?;
    }
    if request.upgrade {
        head.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: tcp\r\n");
    }
    match &mut request.payload {
        Payload::Empty if matches!(request.method, "GET" | "HEAD" | "DELETE") => {
            head.extend_from_slice(b"\r\n");
            stream.write_all(&head)
        }
        Payload::Empty => {
            head.extend_from_slice(b"Content-Length: 0\r\n\r\n");
            stream.write_all(&head)
        }
        Payload::Json(document) => {
            write!(head, "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", document.len())?;
            head.extend_from_slice(document);
            stream.write_all(&head)
        }
        Payload::Stream(reader) => {
            head.extend_from_slice(b"Content-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n");
            stream.write_all(&head)?;
            write_chunks(stream, *reader)
        }
    }
}

fn write_chunks(stream: &mut UnixStream, reader: &mut dyn Read) -> io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let size = format!("{count:x}\r\n");
        let mut parts =
            [IoSlice::new(size.as_bytes()), IoSlice::new(&buffer[..count]), IoSlice::new(b"\r\n")];
        write_all_parts(stream, &mut parts)?;
        if count == 0 {
            return Ok(());
        }
    }
}

fn write_all_parts(stream: &mut UnixStream, mut parts: &mut [IoSlice<'_>]) -> io::Result<()> {
    while parts.iter().any(|part| !part.is_empty()) {
        let count = stream.write_vectored(parts)?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut parts, count);
    }
    Ok(())
}

struct Head {
    status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    fn parse(text: &[u8]) -> Result<Head, Error> {
        let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parser = httparse::Response::new(&mut slots);
        let parsed = parser.parse(text).map_err(|error| Error::Protocol(error.to_string()))?;
        let Some(status) = parser.code.filter(|_| parsed.is_complete()) else {
            return Err(Error::Protocol("half a header".to_owned()));
        };
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers =
            parser.headers.iter().map(|header| (header.name.to_ascii_lowercase(), text(header.value)));
        Ok(Head { status, headers: headers.collect() })
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn framing(&self, head_only: bool) -> Framing {
        if head_only || matches!(self.status, 204 | 304) {
            return Framing::Counted(0);
        }
        if self.get("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            return Framing::Chunked(None);
        }
        match self.get("content-length").and_then(|length| length.trim().parse().ok()) {
            Some(length) if self.status != 101 => Framing::Counted(length),
            _ => Framing::UntilEnd,
        }
    }
}

impl Response {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// A header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body, to be read as it comes.
    pub fn into_body(self) -> Body {
        self.body
    }

    /// The whole body.
    pub fn bytes(mut self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.body.read_to_end(&mut bytes).map_err(Error::transport("reading the engine's answer"))?;
        Ok(bytes)
    }

    /// The whole body as a value.
    pub fn json<T: DeserializeOwned>(self) -> Result<T, Error> {
        let bytes = self.bytes()?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Protocol(error.to_string()))
    }

    pub(crate) fn into_result(mut self) -> Result<Response, Error> {
        if self.status < 400 {
            return Ok(self);
        }
        let mut bytes = Vec::new();
        let _ = (&mut self.body).take(ERROR_LIMIT).read_to_end(&mut bytes);
        Err(Error::Api { status: self.status, message: error_message(self.status, &bytes) })
    }
}

/// The engine's words: `{"message": …}`, or the plain text of something that stands before it.
fn error_message(status: u16, bytes: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Message {
        message: String,
    }
    match serde_json::from_slice::<Message>(bytes) {
        Ok(Message { message }) => message.trim().to_owned(),
        Err(_) if bytes.trim_ascii().is_empty() => format!("the engine answered with status {status}"),
        Err(_) => String::from_utf8_lossy(bytes).trim().to_owned(),
    }
}
