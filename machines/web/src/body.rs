//! What comes behind the head of an answer, as a blocking reader.

use std::io::{self, Read};
use std::pin::pin;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use dhow_model::ports::Gone;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::words::Failure;

/// How often one looks whether anybody still waits.
const LOOK: Duration = Duration::from_millis(250);

/// Waits for `work` as long as anybody waits for it.
pub(crate) fn until_gone<T>(
    runtime: &Handle,
    gone: &Gone,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    runtime.block_on(async {
        let mut work = pin!(work);
        loop {
            match tokio::time::timeout(LOOK, &mut work).await {
                Ok(done) => return done,
                Err(_) if gone() => return Err(Failure::gone()),
                Err(_) => {}
            }
        }
    })
}

/// The task that moves the bytes of a connection; it ends with this.
pub(crate) struct Connection(JoinHandle<hyper::Result<()>>);

impl Connection {
    pub(crate) const fn new(task: JoinHandle<hyper::Result<()>>) -> Self {
        Self(task)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The bytes of an answer.
pub(crate) struct Body {
    incoming: Incoming,
    current: Bytes,
    runtime: Handle,
    patience: Duration,
    gone: Gone,
    _connection: Connection,
}

impl Body {
    /// Of which each piece comes within `patience`.
    pub(crate) const fn new(
        incoming: Incoming,
        connection: Connection,
        runtime: Handle,
        patience: Duration,
        gone: Gone,
    ) -> Self {
        Self { incoming, current: Bytes::new(), runtime, patience, gone, _connection: connection }
    }

    /// How many bytes there will be, where that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        self.incoming.size_hint().exact()
    }

    /// The beginning of it, at most `limit` bytes.
    pub(crate) fn up_to(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.take(limit as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn next(&mut self) -> io::Result<Option<Bytes>> {
        let (incoming, patience) = (&mut self.incoming, self.patience);
        let piece = async {
            let frame = tokio::time::timeout(patience, incoming.frame()).await;
            Ok(frame.map_err(|_| slow(patience)))
        };
        let piece = until_gone(&self.runtime, &self.gone, piece);
        let Some(frame) = piece.map_err(|_| io::Error::other("nobody waits for it any more"))?? else {
            return Ok(None);
        };
        let frame = frame.map_err(|_| io::Error::new(io::ErrorKind::UnexpectedEof, "unexpected EOF"))?;
        Ok(Some(frame.into_data().unwrap_or_default()))
    }
}

fn slow(patience: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("nothing came from the server within {patience:?}"))
}

impl Read for Body {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            let Some(piece) = self.next()? else { return Ok(0) };
            self.current = piece;
        }
        let count = self.current.len().min(out.len());
        self.current.copy_to_slice(&mut out[..count]);
        Ok(count)
    }
}
