//! Connections that stop being HTTP: attach and exec.
//!
//! ```text
//!   Upgrade: tcp       101 UPGRADED, then raw bytes both ways       (every client of today)
//!   (none)             200 OK, then raw bytes both ways             (see `wire`)
//!   (none, reused      200, the request's body is standard input and the answer's body the output
//!    connection, h2c)
//! ```

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade;
use tokio::io::{AsyncReadExt, AsyncWriteExt, WriteHalf};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use super::answer::{self, Response};
use super::body::Body;
use super::detach::DetachKeys;
use super::end::End;
use super::framing::Framing;
use super::socket::Socket;
use super::stream;
use super::wire::{self, Wire};

/// Bytes moved at once.
const BUFFER: usize = 32 * 1024;
/// How often a silent process' client is looked after.
const LOOK: Duration = Duration::from_secs(5);
/// How long a client may go on sending that was told the end.
const FAREWELL: Duration = Duration::from_secs(10);

/// The client's side of a connection that is about to be hijacked.
pub(crate) struct Client {
    upgrade: Option<OnUpgrade>,
    bare: bool,
    body: Option<Body>,
    keys: Option<DetachKeys>,
    framing: Framing,
    end: End,
}

impl Client {
    /// Of a request: its upgrade if it asked for one, else its body is what the client writes.
    pub(crate) fn new(headers: &HeaderMap, upgrade: Option<OnUpgrade>, body: Option<Body>, end: End) -> Self {
        let bare = headers.get(UPGRADE).is_some_and(|value| value == wire::BARE);
        Self { upgrade, bare, body, keys: None, framing: Framing::Same, end }
    }

    /// The same, of a client at a terminal: these keys detach it.
    pub(crate) fn detached_by(self, keys: DetachKeys) -> Self {
        Self { keys: Some(keys), ..self }
    }

    /// The same, of a client that reads another form than the process writes.
    pub(crate) fn framed(self, framing: Framing) -> Self {
        Self { framing, ..self }
    }

    /// Joins the client with `process`, after it was sent `first`.
    ///
    /// What the client writes goes to the process until the client shuts its side; what the process
    /// writes goes to the client until the process ends it, and then the connection is closed.
    pub(crate) fn join(
        self,
        media_type: &'static str,
        first: Bytes,
        process: Option<UnixStream>,
    ) -> Response {
        match self.upgrade {
            Some(upgrade) => {
                let process = process.map(|process| (process, self.keys, self.framing));
                tokio::spawn(upgraded(upgrade, first, process, self.end));
                switching(media_type, self.bare)
            }
            None => ordinary(
                media_type,
                first,
                process.map(|process| (process, self.framing)),
                self.body,
                self.end,
            ),
        }
    }
}

fn switching(media_type: &'static str, bare: bool) -> Response {
    let mut response = answer::empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    if !bare {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
        response.extensions_mut().insert(hyper::ext::ReasonPhrase::from_static(b"UPGRADED"));
    }
    response
}

async fn upgraded(
    upgrade: OnUpgrade,
    first: Bytes,
    process: Option<(UnixStream, Option<DetachKeys>, Framing)>,
    end: End,
) {
    let talk = async {
        let (mut reader, mut writer) = taken_over(upgrade).await?;
        writer.write_all(&first).await?;
        if let Some((process, keys, framing)) = process {
            let (output, input) = process.into_split();
            let input_ended = Notify::new();
            tokio::select! {
                done = copy_output(output, framing, &mut writer, &input_ended) => done?,
                () = copy_input(&mut reader, input, keys, &input_ended) => {}
            }
        }
        writer.shutdown().await?;
        let _ = tokio::time::timeout(FAREWELL, drain(&mut reader)).await;
        Ok(())
    };
    let result: io::Result<()> = tokio::select! {
        result = talk => result,
        () = end.reached() => Ok(()),
    };
    if let Err(error) = result {
        tracing::debug!("hijacked connection: {error}");
    }
}

/// The connection itself: what the client has sent already comes first, and what is written waits until
/// the client has read the head.
pub(super) async fn taken_over(
    upgrade: OnUpgrade,
) -> io::Result<(impl AsyncReadExt + Unpin, WriteHalf<Wire<Socket>>)> {
    let upgraded = upgrade.await.map_err(io::Error::other)?;
    let parts = upgrade::downcast::<TokioIo<Wire<Socket>>>(upgraded);
    let parts = parts.map_err(|_| io::Error::other("this connection cannot be taken over"))?;
    let mut wire = parts.io.into_inner();
    wire.hold();
    let (reader, writer) = tokio::io::split(wire);
    Ok((io::Cursor::new(parts.read_buf).chain(reader), writer))
}

/// Reads what is for nobody. A socket that is closed with unread bytes resets the connection, and takes from the client
/// what it has not read yet: the end of the output.
async fn drain(client: &mut (impl AsyncReadExt + Unpin)) {
    let mut buffer = vec![0; BUFFER];
    while let Ok(1..) = client.read(&mut buffer).await {}
}

/// The client's bytes to the process; its end is passed on as the end of standard input. Ready only
/// when the client detached.
async fn copy_input(
    client: &mut (impl AsyncReadExt + Unpin),
    mut input: OwnedWriteHalf,
    mut keys: Option<DetachKeys>,
    ended: &Notify,
) {
    let mut buffer = vec![0; BUFFER];
    // A process that reads no more leaves output to be sent, and a client that can still detach; so does a
    // client that went in the middle, but for the latter.
    while let Ok(count @ 1..) = client.read(&mut buffer).await {
        let typed = &buffer[..count];
        let _ = match keys.as_mut().map(|keys| keys.feed(typed)) {
            None => input.write_all(typed).await,
            Some(Some(passed)) => input.write_all(&passed).await,
            Some(None) => return,
        };
    }
    drop(input.shutdown().await);
    ended.notify_one();
    std::future::pending().await
}

async fn copy_output(
    mut output: OwnedReadHalf,
    mut framing: Framing,
    client: &mut (impl AsyncWriteExt + Unpin),
    input_ended: &Notify,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let count = tokio::select! {
            count = output.read(&mut buffer) => ended_by_reset(count)?,
            () = async { tokio::select! { _ = look.tick() => {}, () = input_ended.notified() => {} } } => {
                // The end of input is no sign that the client is gone: it may have shut one side only.
                // Writing nothing fails when nobody is there to read.
                let _ = client.write(&[]).await?;
                continue;
            }
        };
        if count == 0 {
            return Ok(());
        }
        client.write_all(&framing.pass(&buffer[..count])).await?;
        client.flush().await?;
    }
}

/// A process that ended before it had read its input has ended no otherwise than another one.
fn ended_by_reset(count: io::Result<usize>) -> io::Result<usize> {
    match count {
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(0),
        other => other,
    }
}

fn ordinary(
    media_type: &'static str,
    first: Bytes,
    process: Option<(UnixStream, Framing)>,
    body: Option<Body>,
    end: End,
) -> Response {
    let output = process.map(|(process, framing)| {
        let (output, input) = process.into_split();
        tokio::spawn(copy_body(body, input));
        (output, framing)
    });
    let output = futures_util::stream::unfold(output, |output| async move {
        let (mut output, mut framing) = output?;
        let mut buffer = vec![0; BUFFER];
        let count = output.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        let bytes = Bytes::from(framing.pass(&buffer[..count]).into_owned());
        Some((bytes, Some((output, framing))))
    });
    let first = Some(first).filter(|bytes| !bytes.is_empty());
    stream::endless(media_type, futures_util::stream::iter(first).chain(output), end)
}

async fn copy_body(body: Option<Body>, mut input: OwnedWriteHalf) -> io::Result<()> {
    let mut body = body;
    while let Some(body) = &mut body {
        let Some(piece) = body.next().await else { break };
        let data = piece.map_err(io::Error::other)?;
        input.write_all(&data).await?;
    }
    input.shutdown().await
}
