//! Bodies of requests: JSON, bounded and checked as Docker checks it, and streams for blocking readers.

use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use dhow_model::{Error, Kind, Result};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::json::{self, Place};
use super::media_type;

/// The most that a JSON body may have; a container's settings are some kilobytes.
const JSON_LIMIT: usize = 4 * 1024 * 1024;
/// What all JSON bodies that are being read may have together.
const MOST_HELD: usize = 32 * 1024 * 1024;
/// How long the next piece of a JSON body may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most that is read of a body that nobody wants, and for how long.
const LARGEST_DRAIN: usize = 64 * 1024 * 1024;
const LONGEST_DRAIN: Duration = Duration::from_secs(5);

/// Reads a JSON body, which Go calls a `structure`; nothing when there is none.
///
/// # Errors
/// Invalid argument, in Docker's words.
pub(crate) async fn json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: &mut Body,
    structure: &'static str,
) -> Result<Option<T>> {
    check_content_type(headers)?;
    if !has_body(headers) {
        return Ok(None);
    }
    let bytes = collect(body, JSON_LIMIT).await?;
    let value = json::document(&bytes)?;
    // Go reads null as nothing: docker's `commit` sends it.
    if value.is_null() {
        return Ok(None);
    }
    json::read(Place::body(structure), value).map(Some)
}

/// Docker's check: no type is fine without a body, everything else must be `application/json`.
fn check_content_type(headers: &HeaderMap) -> Result<()> {
    let value = headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        if has_body(headers) {
            return Err(Error::invalid("malformed Content-Type header (): mime: no media type"));
        }
        return Ok(());
    };
    if let Err(why) = media_type::check(&value) {
        return Err(Error::invalid(format!("malformed Content-Type header ({value}): {why}")));
    }
    let media_type = value.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Error::invalid(format!("unsupported Content-Type header ({value}): must be 'application/json'")))
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH);
    headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|value| value.as_bytes() != b"0")
}

async fn collect(body: &mut Body, limit: usize) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    let mut held = Held(0);
    loop {
        let Ok(piece) = tokio::time::timeout(PATIENCE, body.next()).await else {
            return Err(Error::invalid(format!("no more of the request's body came within {PATIENCE:?}")));
        };
        let Some(piece) = piece else { return Ok(bytes.freeze()) };
        let data = piece.map_err(|error| Error::invalid("reading the request's body").because(error))?;
        if bytes.len() + data.len() > limit {
            return Err(Error::invalid(format!("the request's body is larger than {limit} bytes")));
        }
        held.add(data.len())?;
        bytes.extend_from_slice(&data);
    }
}

/// Bytes that bodies take while they are read: many at once must not take all memory.
struct Held(usize);

static ALL_HELD: AtomicUsize = AtomicUsize::new(0);

impl Held {
    fn add(&mut self, count: usize) -> Result<()> {
        self.0 += count;
        if ALL_HELD.fetch_add(count, Ordering::Relaxed) + count > MOST_HELD {
            return Err(Error::new(Kind::Unavailable, "too many large requests at once"));
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        ALL_HELD.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// The body of a request. What its handler leaves unread is read and thrown away, within bounds: a
/// connection that is closed while the client still writes loses the answer on its way.
#[derive(Debug)]
pub(crate) struct Body {
    incoming: Option<Incoming>,
    runtime: Handle,
}

impl Body {
    /// Of a request; to be called on the runtime that serves the connection.
    pub(crate) fn new(incoming: Incoming) -> Self {
        Self { incoming: Some(incoming), runtime: Handle::current() }
    }

    /// The next piece; nothing at the end.
    pub(crate) async fn next(&mut self) -> Option<std::result::Result<Bytes, hyper::Error>> {
        let frame = self.incoming.as_mut()?.frame().await?;
        Some(frame.map(|frame| frame.into_data().unwrap_or_default()))
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let unread = self.incoming.take().filter(|incoming| !incoming.is_end_stream());
        if let Some(unread) = unread {
            self.runtime.spawn(tokio::time::timeout(LONGEST_DRAIN, drain(unread)));
        }
    }
}

async fn drain(mut incoming: Incoming) {
    let mut left = LARGEST_DRAIN;
    while let Some(Ok(frame)) = incoming.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// Pieces of a body that are read before they are asked for: on a busy machine each hand-over from thread
/// to thread takes its time.
const READ_AHEAD: usize = 4;

/// A body as a blocking reader, for a verb that runs on a thread of its own.
///
/// A client that goes away makes the next read fail, and so the verb undoes what it began.
#[derive(Debug)]
pub(crate) struct BlockingBody {
    pieces: mpsc::Receiver<std::result::Result<Bytes, hyper::Error>>,
    current: Bytes,
}

impl BlockingBody {
    /// Reads `body`, from now on.
    pub(crate) fn new(mut body: Body) -> Self {
        let (sender, pieces) = mpsc::channel(READ_AHEAD);
        let runtime = body.runtime.clone();
        runtime.spawn(async move {
            let mut crumbs = 0;
            while let Some(piece) = body.next().await {
                crumbs = if piece.as_ref().is_ok_and(|piece| piece.len() < CRUMB) { crumbs + 1 } else { 0 };
                let (piece, failure) = match piece {
                    Ok(piece) if crumbs > MOST_CRUMBS => gathered(&mut body, piece).await,
                    piece => (piece, None),
                };
                let failed = piece.is_err() || failure.is_some();
                // Nobody reads any more: the body is drained when it is dropped.
                let sent = sender.send(piece).await.is_ok();
                if let Some(failure) = failure.filter(|_| sent) {
                    drop(sender.send(Err(failure)).await);
                }
                if !sent || failed {
                    return;
                }
            }
        });
        Self { pieces, current: Bytes::new() }
    }
}

/// A smaller piece is a crumb, and after so many of them in a row they are gathered: docker's command line
/// sends a tar by its headers, contents and paddings, and three hand-overs a file cost more than the file.
const CRUMB: usize = 16 * 1024;
const MOST_CRUMBS: usize = 16;
/// How long crumbs are left to come, and how many of their bytes make one piece.
const GATHERING: Duration = Duration::from_millis(1);
const LARGEST_GATHERED: usize = 256 * 1024;

/// A piece with what came behind it meanwhile, and what then went wrong.
async fn gathered(
    body: &mut Body,
    first: Bytes,
) -> (std::result::Result<Bytes, hyper::Error>, Option<hyper::Error>) {
    let end = tokio::time::Instant::now() + GATHERING;
    let mut all = BytesMut::from(first);
    while all.len() < LARGEST_GATHERED {
        match tokio::time::timeout_at(end, body.next()).await {
            Ok(Some(Ok(piece))) => all.extend_from_slice(&piece),
            Ok(Some(Err(failure))) => return (Ok(all.freeze()), Some(failure)),
            Ok(None) | Err(_) => break,
        }
    }
    (Ok(all.freeze()), None)
}

impl Read for BlockingBody {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            let Some(piece) = self.pieces.blocking_recv() else { return Ok(0) };
            self.current = piece.map_err(|error| io::Error::new(io::ErrorKind::UnexpectedEof, error))?;
        }
        let count = self.current.len().min(out.len());
        self.current.copy_to_slice(&mut out[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(http::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn large_bodies_at_once_are_bounded_and_give_their_room_back() {
        let mut first = Held(0);
        first.add(MOST_HELD).unwrap();
        assert_eq!(Held(0).add(1).unwrap_err().kind(), Kind::Unavailable);
        drop(first);
        Held(0).add(1).unwrap();
    }

    #[test]
    fn content_types_are_checked_as_docker_checks_them() {
        for (content_type, words) in [
            ("application/json", ""),
            ("application/json; charset=utf-8", ""),
            ("text/plain", "unsupported Content-Type header (text/plain): must be 'application/json'"),
            ("APPLICATION/JSON;", ""),
            (
                "application/json; charset",
                "malformed Content-Type header (application/json; charset): mime: invalid media parameter",
            ),
            (
                "application/json/x",
                "malformed Content-Type header (application/json/x): mime: unexpected content after media subtype",
            ),
        ] {
            let check = check_content_type(&headers(&[(CONTENT_TYPE, content_type), (CONTENT_LENGTH, "2")]));
            assert_eq!(check.map_err(|e| e.to_string()).err().unwrap_or_default(), words);
        }
        assert!(check_content_type(&headers(&[(CONTENT_LENGTH, "0")])).is_ok());
        assert!(check_content_type(&headers(&[(CONTENT_LENGTH, "2")])).is_err());
        assert!(check_content_type(&headers(&[(TRANSFER_ENCODING, "chunked")])).is_err());
    }
}
