//! The body of an answer: counted, chunked, or until the connection ends (RFC 9112, section 6).

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::net::UnixStream;

use super::Idle;
use super::connection::Connection;

/// A longer chunk-size line than this is not HTTP.
const CHUNK_LINE: usize = 4096;

/// The body of an answer. When it was read to its end, the connection is kept for the next request.
#[derive(Debug)]
pub struct Body {
    connection: Option<Connection>,
    framing: Framing,
    /// Where the connection goes afterwards; nowhere if the engine said that it closes it.
    idle: Option<Idle>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes are still to come.
    Counted(u64),
    /// So many bytes of the present chunk are still to come; `None` before a chunk's size line.
    Chunked(Option<u64>),
    /// Until the engine closes.
    UntilEnd,
}

impl Body {
    pub(crate) fn new(connection: Connection, framing: Framing, idle: Option<Idle>) -> Body {
        let mut body = Body { connection: Some(connection), framing, idle };
        if framing == Framing::Counted(0) {
            body.finish();
        }
        body
    }

    /// The raw connection, for a stream that stops being HTTP.
    pub(crate) fn into_reader(mut self) -> Option<BufReader<UnixStream>> {
        self.connection.take().map(Connection::into_reader)
    }

    fn finish(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        if self.framing != Framing::UntilEnd
            && let Some(Ok(mut idle)) = self.idle.as_ref().map(|idle| idle.lock())
        {
            idle.push(connection);
        }
    }

    fn read_counted(&mut self, out: &mut [u8], left: u64) -> io::Result<usize> {
        let Some(connection) = &mut self.connection else {
            return Ok(0);
        };
        let limit = usize::try_from(left).unwrap_or(usize::MAX).min(out.len());
        let count = connection.reader().read(&mut out[..limit])?;
        if count == 0 && limit > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(count)
    }

    fn next_chunk(&mut self) -> io::Result<u64> {
        let Some(connection) = &mut self.connection else {
            return Ok(0);
        };
        let line = read_line(connection.reader(), CHUNK_LINE)?;
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let size = std::str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
        size.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a chunk without a size"))
    }

    /// After the last chunk: trailers, of which the API has none, up to the empty line.
    fn skip_trailers(&mut self) -> io::Result<()> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        while !read_line(connection.reader(), CHUNK_LINE)?.is_empty() {}
        Ok(())
    }

    fn read_chunked(&mut self, out: &mut [u8], left: Option<u64>) -> io::Result<usize> {
        let size = match left {
            Some(size) => size,
            None => self.next_chunk()?,
        };
        if size == 0 {
            self.skip_trailers()?;
            self.framing = Framing::Counted(0);
            self.finish();
            return Ok(0);
        }
        let count = self.read_counted(out, size)?;
        let rest = size - count as u64;
        if rest > 0 {
            self.framing = Framing::Chunked(Some(rest));
        } else {
            self.framing = Framing::Chunked(None);
            if let Some(connection) = &mut self.connection {
                read_line(connection.reader(), CHUNK_LINE)?;
            }
        }
        Ok(count)
    }
}

impl Read for Body {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() || self.connection.is_none() {
            return Ok(0);
        }
        match self.framing {
            Framing::Counted(left) => {
                let count = self.read_counted(out, left)?;
                self.framing = Framing::Counted(left - count as u64);
                if self.framing == Framing::Counted(0) {
                    self.finish();
                }
                Ok(count)
            }
            Framing::Chunked(left) => self.read_chunked(out, left),
            Framing::UntilEnd => match &mut self.connection {
                Some(connection) => connection.reader().read(out),
                None => Ok(0),
            },
        }
    }
}

/// Reads a line without its end; longer than `limit` is an error.
pub(crate) fn read_line(reader: &mut impl BufRead, limit: usize) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    reader.by_ref().take(limit as u64).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(line)
}
