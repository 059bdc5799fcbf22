//! Answers that are streams: what a blocking verb writes, or what an asynchronous one yields.
//!
//! ```text
//!   thread of the verb ── Piece ──▶ bounded channel ──▶ body of the answer ──▶ client
//! ```
//! The head of the answer is sent with the first piece that is no header: a verb that fails before
//! it wrote anything is answered with the status of its error.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use dhow_model::{Error, Result};
use futures_util::{Stream, StreamExt};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, StatusCode};
use http_body_util::{BodyDataStream, BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::mpsc;

use super::answer::{self, Answer, Body, Response};
use super::end::End;
use super::threads;

/// Small writes are gathered up to this.
const BUFFER: usize = 64 * 1024;
/// Pieces that wait for a slow client.
const BACKLOG: usize = 4;

/// What a verb hands to its answer.
enum Piece {
    Header(HeaderName, HeaderValue),
    Begin,
    Data(Bytes),
    Failed(Error),
}

/// The writing end of an answer, for a blocking verb. Writes fail once the client is gone.
pub(crate) struct AnswerWriter {
    head: AnswerHead,
    buffer: BytesMut,
}

/// The head of an answer that is not begun yet.
#[derive(Clone)]
pub(crate) struct AnswerHead(mpsc::Sender<Piece>);

impl AnswerHead {
    /// Adds a header; only before the first byte.
    pub(crate) fn header(&self, name: HeaderName, value: HeaderValue) -> io::Result<()> {
        self.send(Piece::Header(name, value))
    }

    /// Sends the head now, although nothing is written yet.
    pub(crate) fn begin(&self) -> io::Result<()> {
        self.send(Piece::Begin)
    }

    /// Whether nobody waits for the answer any more.
    pub(crate) fn is_forsaken(&self) -> bool {
        self.0.is_closed()
    }

    fn send(&self, piece: Piece) -> io::Result<()> {
        self.0.blocking_send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl AnswerWriter {
    /// Its head.
    pub(crate) fn head(&self) -> AnswerHead {
        self.head.clone()
    }
}

impl Write for AnswerWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let bytes = self.buffer.split().freeze();
        self.head.send(Piece::Data(bytes))
    }
}

/// Answers with what `verb` writes, on a thread of its own; it runs to its end whatever the client does.
///
/// # Errors
/// The verb's, when it failed before it wrote anything; unavailable when there are too many streams.
pub(crate) async fn written<F>(media_type: &'static str, verb: F) -> Answer
where
    F: FnOnce(&mut AnswerWriter) -> Result<()> + Send + 'static,
{
    let (sender, mut pieces) = mpsc::channel(BACKLOG);
    let mut writer = AnswerWriter { head: AnswerHead(sender), buffer: BytesMut::new() };
    threads::spawn(move || {
        let done = verb(&mut writer).and_then(|()| writer.flush().map_err(client_gone));
        if let Err(error) = done {
            // When the client is gone there is nobody to tell.
            drop(writer.head.send(Piece::Failed(error)));
        }
    })?;
    let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static(media_type))];
    let first = loop {
        match pieces.recv().await {
            Some(Piece::Header(name, value)) => headers.push((name, value)),
            Some(Piece::Failed(error)) => return Err(error),
            Some(Piece::Data(bytes)) => break Some(bytes),
            Some(Piece::Begin) | None => break None,
        }
    };
    let mut response = answer::with_body(StatusCode::OK, piped(first, pieces));
    response.headers_mut().extend(headers);
    Ok(response)
}

/// A write to a client that is gone, as a verb's error.
pub(crate) fn client_gone(error: io::Error) -> Error {
    Error::internal("the client is gone").because(error)
}

fn piped(first: Option<Bytes>, pieces: mpsc::Receiver<Piece>) -> Body {
    let rest = futures_util::stream::unfold(pieces, |mut pieces| async move {
        loop {
            let item = match pieces.recv().await? {
                Piece::Data(bytes) => Ok(bytes),
                Piece::Failed(error) => Err(io::Error::other(error)),
                Piece::Header(..) | Piece::Begin => continue,
            };
            return Some((item, pieces));
        }
    });
    body(futures_util::stream::iter(first.map(Ok)).chain(rest))
}

/// A body of what `bytes` yields.
pub(crate) fn body(bytes: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    StreamBody::new(bytes.map(|item| item.map(Frame::data))).boxed_unsync()
}

/// 200 with what `bytes` yields, until it or the server ends, or the client has shut its side.
pub(crate) fn endless(
    media_type: &'static str,
    bytes: impl Stream<Item = Bytes> + Send + 'static,
    end: End,
) -> Response {
    let bytes = bytes.take_until(end.reached_or_shut()).map(Ok);
    let mut response = answer::with_body(StatusCode::OK, body(bytes));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// Ends an answer with the server, and raises `gone` when it has ended or its client is gone: whoever
/// writes it looks there.
pub(crate) fn ending(response: Response, end: End, gone: Arc<AtomicBool>) -> Response {
    let (head, streamed) = response.into_parts();
    let raised = RaiseOnDrop(gone);
    let pieces = BodyDataStream::new(streamed).take_until(end.reached_or_shut());
    let watched = pieces.inspect(move |_| {
        // The closure owns the flag, and goes with the stream.
        let _ = &raised;
    });
    Response::from_parts(head, body(watched))
}

struct RaiseOnDrop(Arc<AtomicBool>);

impl Drop for RaiseOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
