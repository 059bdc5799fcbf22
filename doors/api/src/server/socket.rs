//! The ways in: unix sockets, TCP, and TCP with TLS, as one listener and one stream.
//!
//! A TLS handshake is done by the task of its connection, never by the accept loop; there is a bound to
//! its time and to how many are under way, because who shakes hands has not shown yet who it is. Where there
//! are too many, the oldest makes room: whoever can shake hands does so at once, and is not kept out by those
//! who only hold their hand out.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::barrier::Barrier;

/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Handshakes under way at once.
const MOST_HANDSHAKES: usize = 128;
/// The content type of a TLS record with which every conversation begins (RFC 8446, section 5.1).
const HANDSHAKE_RECORD: u8 = 22;
/// What Go's server says to a client that speaks plain HTTP to it.
const NO_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// What is read of a request that is refused.
const MOST_UNREAD: usize = 64 << 10;

static HANDSHAKES: Mutex<VecDeque<Arc<Notify>>> = Mutex::new(VecDeque::new());

/// A socket that listens.
#[derive(Debug)]
pub enum Listener {
    /// Whoever may open the socket may do everything.
    Unix(UnixListener),
    /// TCP: with TLS where there is a configuration, which says whether clients need a certificate.
    Tcp(TcpListener, Option<Arc<rustls::ServerConfig>>),
}

/// A connection.
#[derive(Debug)]
pub enum Socket {
    /// From this machine.
    Unix(UnixStream),
    /// Anybody's.
    Tcp(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection that was accepted, and may still have to shake hands.
pub(crate) enum Accepted {
    Ready(Socket),
    Handshake(TcpStream, TlsAcceptor),
}

impl Listener {
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Accepted::Ready(Socket::Unix(stream)))
            }
            Self::Tcp(listener, tls) => {
                let (stream, _) = listener.accept().await?;
                // An answer is written in pieces, and each is wanted at once.
                stream.set_nodelay(true)?;
                Ok(match tls {
                    None => Accepted::Ready(Socket::Tcp(stream)),
                    Some(tls) => Accepted::Handshake(stream, TlsAcceptor::from(Arc::clone(tls))),
                })
            }
        }
    }
}

impl Accepted {
    /// The connection, ready for HTTP.
    ///
    /// # Errors
    /// When the client shows no good certificate, is too slow, or is one of too many.
    pub(crate) async fn ready(self) -> io::Result<Socket> {
        let (stream, acceptor) = match self {
            Self::Ready(socket) => return Ok(socket),
            Self::Handshake(stream, acceptor) => (stream, acceptor),
        };
        let place = Place::take();
        tokio::select! {
            shaken = handshake(stream, acceptor) => shaken,
            () = place.0.notified() => Err(io::Error::other("too many handshakes at once")),
            () = tokio::time::sleep(PATIENCE) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// A place among the handshakes under way, given back with the value.
struct Place(Arc<Notify>);

impl Place {
    fn take() -> Self {
        let own = Arc::new(Notify::new());
        let mut all = HANDSHAKES.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_HANDSHAKES
            && let Some(oldest) = all.pop_front()
        {
            oldest.notify_one();
        }
        all.push_back(Arc::clone(&own));
        Self(own)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = HANDSHAKES.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| !Arc::ptr_eq(other, &self.0));
    }
}

async fn handshake(mut stream: TcpStream, acceptor: TlsAcceptor) -> io::Result<Socket> {
    let mut first = [HANDSHAKE_RECORD];
    stream.peek(&mut first).await?;
    if first[0].is_ascii_uppercase() {
        refuse(&mut stream).await?;
        return Err(io::Error::other("the client speaks no TLS"));
    }
    let stream = acceptor.accept(stream).await?;
    Ok(Socket::Tls(Box::new(stream)))
}

/// What the client has sent is read first: a connection that is closed over unread bytes is reset, and the
/// answer is lost with it.
async fn refuse(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(NO_TLS).await?;
    stream.shutdown().await?;
    let mut rest = [0; 1024];
    for _ in 0..MOST_UNREAD / rest.len() {
        if stream.read(&mut rest).await? == 0 {
            break;
        }
    }
    Ok(())
}

impl Socket {
    /// Whether it comes from outside of what file permissions protect.
    pub(crate) const fn is_remote(&self) -> bool {
        !matches!(self, Self::Unix(_))
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
            Self::Tls(stream) => stream.get_ref().0.as_fd(),
        }
    }
}

/// The same call on whichever it is.
macro_rules! each {
    ($socket:expr, $stream:ident => $call:expr) => {
        match $socket.get_mut() {
            Socket::Unix($stream) => $call,
            Socket::Tcp($stream) => $call,
            Socket::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(context, out))
    }
}

impl Barrier for Socket {
    fn poll_write_last(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Unix(stream) => stream.poll_write_last(context, bytes),
            _ => Pin::new(self).poll_write(context, bytes),
        }
    }

    fn handle(&self) -> io::Result<OwnedFd> {
        self.as_fd().try_clone_to_owned()
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(context, slices))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(context))
    }
}
