//! A connection that stopped being HTTP: the two-way stream of attach and exec.

use std::io::{self, BufReader, Read};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use super::{Error, Response};

/// The raw stream after an upgrade. Reading gives what the container writes; [`Hijacked::writer`]
/// is the way in.
#[derive(Debug)]
pub struct Hijacked {
    reader: Option<BufReader<UnixStream>>,
}

impl Hijacked {
    pub(crate) fn new(response: Response) -> Hijacked {
        Hijacked { reader: response.into_body().into_reader() }
    }

    /// A second handle of the connection, to write to from another thread.
    pub fn writer(&self) -> Result<Writer, Error> {
        let Some(reader) = &self.reader else {
            return Err(Error::stale());
        };
        let stream = reader.get_ref().try_clone().map_err(Error::transport("taking over the connection"))?;
        Ok(Writer { stream })
    }
}

impl Read for Hijacked {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match &mut self.reader {
            Some(reader) => reader.read(out),
            None => Ok(0),
        }
    }
}

/// The way into a hijacked stream.
#[derive(Debug)]
pub struct Writer {
    stream: UnixStream,
}

impl Writer {
    /// Says that no more input comes; output still does.
    pub fn close(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Ends the whole stream; whoever reads from it reads its end.
    pub fn end(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Both)
    }
}

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
