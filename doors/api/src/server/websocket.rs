//! Attaching over WebSocket (RFC 6455): what the process writes comes as messages, and what the client sends
//! is its standard input.
//!
//! Nothing tells standard output from standard error here, as in Docker: whoever wants one of them asks for
//! it alone. The client's close is its detaching; the process' end is a close from this side.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use dhow_model::{Error, Result};
use futures_util::{SinkExt, StreamExt};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::upgrade::OnUpgrade;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

use super::answer::{self, Response};
use super::detach::DetachKeys;
use super::end::End;
use super::framing::Framing;
use super::hijack::taken_over;

/// RFC 6455, section 1.3.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// A key is 16 bytes in base64.
const KEY_LENGTH: usize = 24;
/// The only version there is.
const VERSION: &str = "13";
/// The largest message that a client sends.
const LARGEST: usize = 4 << 20;
const BUFFER: usize = 32 * 1024;

/// A request that asks for a WebSocket, and may have one.
pub(crate) struct Handshake {
    accept: HeaderValue,
    protocol: Option<HeaderValue>,
    upgrade: OnUpgrade,
}

impl Handshake {
    /// Checks what the client asks for.
    ///
    /// # Errors
    /// Invalid argument for anything but the opening of a WebSocket.
    pub(crate) fn new(headers: &HeaderMap, upgrade: Option<OnUpgrade>) -> Result<Self> {
        let wrong = |what: &str| Error::invalid(format!("not a WebSocket handshake: {what}"));
        let is = |name, wanted: &str| {
            let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(wanted))
        };
        if !is(UPGRADE, "websocket") || !is(CONNECTION, "upgrade") {
            return Err(wrong("no upgrade to websocket is asked for"));
        }
        if !is(SEC_WEBSOCKET_VERSION, VERSION) {
            return Err(wrong("Sec-WebSocket-Version is not 13"));
        }
        let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| key.len() == KEY_LENGTH);
        let key = key.ok_or_else(|| wrong("no Sec-WebSocket-Key"))?;
        let upgrade = upgrade.ok_or_else(|| wrong("this connection cannot be upgraded"))?;
        let protocol = headers.get(SEC_WEBSOCKET_PROTOCOL).cloned();
        // Which of many is spoken would be this side's choice, and it knows none of them.
        if protocol.as_ref().is_some_and(|value| value.as_bytes().contains(&b',')) {
            return Err(wrong("more than one Sec-WebSocket-Protocol"));
        }
        Ok(Self { accept: accept(key.as_bytes())?, protocol, upgrade })
    }

    /// Joins the client with `process`, after it was sent `first`.
    pub(crate) fn join(self, talk: Talk, first: Bytes, process: Option<UnixStream>, end: End) -> Response {
        let mut response = answer::empty(StatusCode::SWITCHING_PROTOCOLS);
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept);
        headers.extend(self.protocol.map(|protocol| (SEC_WEBSOCKET_PROTOCOL, protocol)));
        tokio::spawn(async move {
            let joined = tokio::select! {
                joined = run(self.upgrade, talk, first, process) => joined,
                () = end.reached() => Ok(()),
            };
            if let Err(error) = joined {
                tracing::debug!("attached by WebSocket: {error}");
            }
        });
        response
    }
}

fn accept(key: &[u8]) -> Result<HeaderValue> {
    let sum = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, MAGIC.as_bytes()].concat());
    let text = STANDARD.encode(sum.as_ref());
    HeaderValue::from_str(&text).map_err(|error| Error::internal("the answer of a handshake").because(error))
}

/// How the messages are to be read and written.
pub(crate) struct Talk {
    /// Older clients expect text.
    pub(crate) text: bool,
    /// What the process writes becomes what the client reads.
    pub(crate) framing: Framing,
    /// Keys that detach, of a client at a terminal.
    pub(crate) keys: Option<DetachKeys>,
}

impl Talk {
    fn message(&self, bytes: Bytes) -> Message {
        match self.text {
            true => Message::text(String::from_utf8_lossy(&bytes).into_owned()),
            false => Message::Binary(bytes),
        }
    }
}

async fn run(
    upgrade: OnUpgrade,
    mut talk: Talk,
    first: Bytes,
    process: Option<UnixStream>,
) -> tungstenite::Result<()> {
    let (reader, writer) = taken_over(upgrade).await?;
    let config = WebSocketConfig::default().read_buffer_size(BUFFER).max_message_size(Some(LARGEST));
    let joined = tokio::io::join(reader, writer);
    let mut socket = WebSocketStream::from_raw_socket(joined, Role::Server, Some(config)).await;
    if !first.is_empty() {
        socket.send(talk.message(first)).await?;
    }
    if let Some(process) = process {
        copy(&mut socket, process, &mut talk).await?;
    }
    // Whoever is gone has no use for a close.
    let _ = socket.close(None).await;
    Ok(())
}

async fn copy<S>(
    socket: &mut WebSocketStream<S>,
    process: UnixStream,
    talk: &mut Talk,
) -> tungstenite::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut output, mut input) = process.into_split();
    let mut buffer = vec![0; BUFFER];
    loop {
        tokio::select! {
            count = output.read(&mut buffer) => {
                let count = count?;
                if count == 0 {
                    return Ok(());
                }
                let bytes = talk.framing.pass(&buffer[..count]).into_owned();
                if !bytes.is_empty() {
                    socket.send(talk.message(bytes.into())).await?;
                }
            }
            message = socket.next() => match message.transpose()? {
                Some(Message::Binary(bytes)) => {
                    if !typed(&bytes, &mut input, &mut talk.keys).await? {
                        return Ok(());
                    }
                }
                Some(Message::Text(text)) => {
                    if !typed(text.as_bytes(), &mut input, &mut talk.keys).await? {
                        return Ok(());
                    }
                }
                // The client's close, or its end without one: it has left, and its input with it.
                Some(Message::Close(_)) | None => {
                    // The answer to a close is written, and then there is nothing more to write.
                    let _ = socket.flush().await;
                    return Ok(input.shutdown().await?);
                }
                // A ping is answered by the library with what is written next, which must not take long.
                Some(_) => socket.flush().await?,
            },
        }
    }
}

/// Passes input on; false when the client typed the keys by which it leaves.
async fn typed(bytes: &[u8], input: &mut OwnedWriteHalf, keys: &mut Option<DetachKeys>) -> io::Result<bool> {
    let written = match keys.as_mut().map(|keys| keys.feed(bytes)) {
        None => input.write_all(bytes).await,
        Some(Some(passed)) => input.write_all(&passed).await,
        Some(None) => return Ok(false),
    };
    // A process that reads no more may still have something to say.
    drop(written);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let header = |(name, value): &(&'static str, &'static str)| {
            (http::HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(header).collect()
    }

    #[test]
    fn the_key_of_the_specification_has_the_answer_of_the_specification() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ==").unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn what_is_no_handshake_is_refused() {
        let good = [
            ("upgrade", "websocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        for (missing, words) in [
            (0, "no upgrade to websocket is asked for"),
            (1, "no upgrade to websocket is asked for"),
            (2, "Sec-WebSocket-Version is not 13"),
            (3, "no Sec-WebSocket-Key"),
            (4, "this connection cannot be upgraded"),
        ] {
            let mut pairs = good.to_vec();
            if missing < pairs.len() {
                pairs.remove(missing);
            }
            let refusal = Handshake::new(&headers(&pairs), None).err().map(|error| error.to_string());
            assert_eq!(refusal, Some(format!("not a WebSocket handshake: {words}")));
        }
    }
}
