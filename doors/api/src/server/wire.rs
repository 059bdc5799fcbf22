//! The socket below HTTP, which makes one thing possible that the HTTP library does not know: a
//! hijack without `Upgrade`.
//!
//! Docker answers `POST /containers/{id}/attach` of an old client (`curl`, a plain socket) with a bare
//! `200 OK`, and from there on the connection is raw bytes in both directions. The library upgrades
//! only what asked for it, and only with 101. So the first request of a connection is looked at: if it
//! is one of the two hijacked operations without `Upgrade`, the header is added to what the library
//! reads, and the status line of a 101 is written as Docker's 200.
//!
//! What scripts write into the first line although it should be escaped is escaped.
//!
//! Only the first request: behind it, a body could look like a request. Later ones are answered as
//! ordinary HTTP, with the request's body as standard input.
//!
//! A head must come within [`PATIENCE`]: a client that sends it byte by byte would hold its connection
//! for ever. A local client that has not begun is left in peace, one from elsewhere is not.
//!
//! Who shuts the writing side behind a request is answered. A local client is looked after ([`Gone`]); from elsewhere
//! the end is told [`LINGER`] late, and what is answered by then arrives.
//!
//! What follows the head of a hijack is kept back until the client has read the head; see [`Hold`] and [`Barrier`].

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::barrier::Barrier;
use super::end::Ender;
use super::gone::{Gone, Sign};
use super::hold::{Hold, Unread};

/// The header by which a handler knows such a request: its value is the `Upgrade` protocol.
pub(crate) const BARE: &str = "dhow-bare";
const ADDED: &[u8] = b"Upgrade: dhow-bare\r\nConnection: Upgrade\r\n";
const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n";
/// How the head of any hijack begins.
const HIJACKED: &[u8] = b"HTTP/1.1 101 ";
const PLAIN: &[u8] = b"HTTP/1.1 200 OK\r\n";
/// A head that is longer than this is left as it is.
const HEAD_LIMIT: usize = 16 * 1024;
/// How long the first head may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a request goes on whose client, elsewhere, may be gone.
const LINGER: Duration = Duration::from_secs(5);

/// A stream whose first request may be a bare hijack.
pub(crate) struct Wire<S> {
    stream: S,
    reading: Reading,
    /// The first answer may be a 101 to be written as 200.
    bare: bool,
    /// Of a rewritten status line, still to be written.
    unwritten: &'static [u8],
    unread: Unread<S>,
    /// The head of a hijack is being written.
    head: bool,
    hold: Option<Hold>,
    /// The clock runs before the first byte, too.
    remote: bool,
    patience: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    gone: Gone,
    /// Told when a client that is here has shut its side.
    shut: Option<Ender>,
    /// Told late: the end of a request from elsewhere.
    end: Option<Pin<Box<Sleep>>>,
    taken_over: bool,
}

enum Reading {
    /// Gathers the first head.
    Head(BytesMut),
    /// Hands out what was gathered.
    Replay(Bytes),
    /// Stands aside.
    Through,
}

impl<S> Wire<S> {
    /// Wraps a connection that has just been accepted.
    pub(crate) fn new(stream: S, unread: Unread<S>, remote: bool) -> Self {
        let reading = Reading::Head(BytesMut::new());
        Self {
            stream,
            reading,
            bare: false,
            unwritten: &[],
            unread,
            head: false,
            hold: None,
            remote,
            patience: PATIENCE,
            deadline: None,
            gone: Gone::default(),
            shut: None,
            end: None,
            taken_over: false,
        }
    }

    /// The same, which tells that the client has shut its side.
    pub(crate) fn telling(self, shut: Ender) -> Self {
        Self { shut: Some(shut), ..self }
    }

    /// The stream is the hijacker's from here on: writes nothing more until the other end has read what was written.
    pub(crate) fn hold(&mut self) {
        self.taken_over = true;
        self.head = false;
        self.hold = Some(Hold::new());
    }
}

/// What to do with the first bytes of a connection.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    /// More is needed to know.
    More,
    /// They are handed on as they are.
    Ordinary,
    /// A bare hijack, whose first line ends here.
    Bare(usize),
}

fn look(head: &[u8]) -> Look {
    if head.len() > HEAD_LIMIT {
        return Look::Ordinary;
    }
    let Some(line) = position(head, b"\r\n") else { return Look::More };
    if !head.starts_with(b"POST ") || !is_hijacked(&head[..line]) {
        return Look::Ordinary;
    }
    let Some(end) = position(head, b"\r\n\r\n") else { return Look::More };
    let upgrades = head[line..end].to_ascii_lowercase();
    if position(&upgrades, b"\r\nupgrade:").is_some() { Look::Ordinary } else { Look::Bare(line + 2) }
}

/// `POST [/vN]/containers/ID/attach[?…] HTTP/1.1`, `POST [/vN]/exec/ID/start HTTP/1.1`.
fn is_hijacked(line: &[u8]) -> bool {
    let mut words = line.split(|b| *b == b' ').skip(1);
    let (Some(target), Some(b"HTTP/1.1")) = (words.next(), words.next()) else { return false };
    let path = target.split(|b| *b == b'?').next().unwrap_or_default();
    let mut parts = path.rsplit(|b| *b == b'/');
    let (last, _, first) = (parts.next(), parts.next(), parts.next());
    matches!((first, last), (Some(b"containers"), Some(b"attach")) | (Some(b"exec"), Some(b"start")))
}

/// Escapes in the first line what the HTTP library refuses and Go's reads: scripts write filters as bare
/// JSON, `?filters={"name":["web"]}`.
fn escape(head: &mut BytesMut) {
    let line = position(head, b"\r\n").unwrap_or_default();
    if !head[..line].iter().any(|byte| b"\"<>".contains(byte)) {
        return;
    }
    let rest = head.split_off(line);
    for byte in std::mem::take(head) {
        match byte {
            b'"' => head.extend_from_slice(b"%22"),
            b'<' => head.extend_from_slice(b"%3C"),
            b'>' => head.extend_from_slice(b"%3E"),
            other => head.extend_from_slice(&[other]),
        }
    }
    head.extend_from_slice(&rest);
}

fn position(text: &[u8], sought: &[u8]) -> Option<usize> {
    text.windows(sought.len()).position(|window| window == sought)
}

impl<S: AsyncRead + Unpin> Wire<S> {
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Reading::Head(head) = &mut self.reading {
            let mut space = [0; 4096];
            let mut buffer = ReadBuf::new(&mut space);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(read) => read?,
                Poll::Pending if head.is_empty() && !self.remote => return Poll::Pending,
                Poll::Pending => {
                    let sleep = || Box::pin(tokio::time::sleep(self.patience));
                    let deadline = self.deadline.get_or_insert_with(sleep);
                    ready!(deadline.as_mut().poll(context));
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
            head.extend_from_slice(buffer.filled());
            let ended = buffer.filled().is_empty();
            match look(head) {
                Look::More if !ended => continue,
                Look::Bare(line) => {
                    let rest = head.split_off(line);
                    head.extend_from_slice(ADDED);
                    head.extend_from_slice(&rest);
                    self.bare = true;
                }
                Look::More | Look::Ordinary => {}
            }
            escape(head);
            let replay = std::mem::take(head).freeze();
            self.deadline = None;
            self.reading = Reading::Replay(replay);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S> Wire<S> {
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.taken_over {
            return Poll::Ready(());
        }
        self.end.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER))).as_mut().poll(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_head(context))?;
        if let Reading::Replay(bytes) = &mut self.reading {
            let count = bytes.len().min(out.remaining());
            out.put_slice(&bytes[..count]);
            bytes.advance(count);
            if bytes.is_empty() {
                self.reading = Reading::Through;
            }
            return Poll::Ready(Ok(()));
        }
        if self.end.is_none() {
            let before = out.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(context, out))?;
            if out.filled().len() > before || !self.remote {
                return Poll::Ready(Ok(()));
            }
        }
        self.poll_end(context).map(Ok)
    }
}

impl<S: Barrier> Wire<S> {
    /// Writes what is left of a status line that replaces the library's.
    fn poll_status_line(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unwritten.is_empty() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(context, self.unwritten))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unwritten = &self.unwritten[count..];
        }
        Poll::Ready(Ok(()))
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Self { gone, stream, taken_over, shut, .. } = self;
        while !*taken_over && ready!(gone.poll(context, || stream.handle())) == Sign::Shut {
            shut.iter().for_each(Ender::end);
        }
        if *taken_over { Poll::Pending } else { Poll::Ready(()) }
    }

    fn poll_hold(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(hold) = &mut self.hold {
            ready!(hold.poll(context, || (self.unread)(&self.stream)));
            self.hold = None;
        }
        Poll::Ready(())
    }
}

impl<S: Barrier> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if std::mem::take(&mut self.bare) && bytes.starts_with(SWITCHING) {
            self.unwritten = PLAIN;
            self.head = true;
            // The library counts its own line as written; ours goes out before anything else.
            return Poll::Ready(Ok(SWITCHING.len()));
        }
        self.head |= bytes.starts_with(HIJACKED);
        ready!(self.poll_status_line(context))?;
        ready!(self.poll_hold(context));
        if self.head {
            return self.stream.poll_write_last(context, bytes);
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_status_line(context))?;
        if self.poll_gone(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_status_line(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    impl Barrier for tokio::io::DuplexStream {
        fn poll_write_last(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(self).poll_write(context, bytes)
        }

        fn handle(&self) -> io::Result<std::os::fd::OwnedFd> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    #[test]
    fn only_a_hijack_without_upgrade_is_bare() {
        let bare = b"POST /v1.24/containers/x/attach?stream=1 HTTP/1.1\r\nHost: d\r\n\r\n";
        assert_eq!(look(bare), Look::Bare(51));
        assert_eq!(look(b"POST /exec/x/start HTTP/1.1\r\n\r\n"), Look::Bare(29));
        for ordinary in [
            "POST /containers/x/attach HTTP/1.1\r\nUpgrade: tcp\r\n\r\n",
            "POST /containers/x/attach HTTP/1.1\r\nHost: d\r\nUPGRADE: tcp\r\n\r\n",
            "POST /containers/x/start HTTP/1.1\r\n\r\n",
            "GET /containers/x/attach HTTP/1.1\r\n\r\n",
            "POST /containers/x/attach HTTP/1.0\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\n",
        ] {
            assert_eq!(look(ordinary.as_bytes()), Look::Ordinary, "{ordinary}");
        }
        for unknown in ["", "PO", "POST /exec/x/start HTT", "POST /exec/x/start HTTP/1.1\r\nHost"] {
            assert_eq!(look(unknown.as_bytes()), Look::More, "{unknown}");
        }
    }

    #[test]
    fn quotes_in_the_first_line_are_escaped_and_nothing_else() {
        let mut head = BytesMut::from(&b"GET /a?f={\"b\":1} HTTP/1.1\r\nX: \"<>\"\r\n\r\n"[..]);
        escape(&mut head);
        assert_eq!(head, &b"GET /a?f={%22b%22:1} HTTP/1.1\r\nX: \"<>\"\r\n\r\n"[..]);
    }

    #[tokio::test]
    async fn a_head_that_drips_is_given_up_and_a_silent_local_client_is_not() {
        for (sent, remote, fails) in [("GET / HT", false, true), ("", true, true), ("", false, false)] {
            let (mut client, server) = tokio::io::duplex(64);
            client.write_all(sent.as_bytes()).await.unwrap();
            let mut wire = Wire::new(server, |_| 0, remote);
            wire.patience = Duration::from_millis(1);
            let read = tokio::time::timeout(Duration::from_millis(100), wire.read_u8()).await;
            assert_eq!(read.is_ok_and(|read| read.is_err()), fails, "{sent:?} {remote}");
        }
    }

    #[tokio::test]
    async fn a_bare_hijack_gets_its_header_and_dockers_status_line() {
        let (mut client, server) = tokio::io::duplex(7);
        let mut wire = Wire::new(server, |_| 0, false);
        let server = tokio::spawn(async move {
            let mut text = vec![0; 72];
            wire.read_exact(&mut text).await.unwrap();
            wire.write_all(b"HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\nraw").await.unwrap();
            String::from_utf8(text).unwrap()
        });
        client.write_all(b"POST /exec/x/start HTTP/1.1\r\n\r\n").await.unwrap();
        let mut answer = vec![0; 28];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nraw");
        let read = server.await.unwrap();
        assert_eq!(read, "POST /exec/x/start HTTP/1.1\r\nUpgrade: dhow-bare\r\nConnection: Upgrade\r\n\r\n");
    }
}
