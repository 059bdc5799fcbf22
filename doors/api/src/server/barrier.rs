//! Keeps what follows the head of a hijack out of the read that takes the head.
//!
//! [`Hold`](super::hold::Hold) waits until the client has taken the head out of the socket; but its call may still be
//! under way then, and go on with what is there next. On a unix socket no read goes beyond a message that carries a
//! descriptor (unix(7), "ancillary data forms a kind of barrier"). A reader that does not ask for descriptors is given none.
//!
//! Both are needed: who waits for edges (epoll(7)) takes a short read for the last one, and would never ask for what had
//! been there behind the barrier before.

use std::fs::File;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use tokio::io::{AsyncWrite, Interest};
use tokio::net::UnixStream;

static NOTHING: OnceLock<File> = OnceLock::new();

/// A stream that can end a read of its other end.
pub(crate) trait Barrier: AsyncWrite + Unpin {
    /// Writes; what is written later comes in another read, where the kind of stream makes that possible.
    fn poll_write_last(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// A further descriptor of it, by which the kernel tells when its other end is closed.
    fn handle(&self) -> io::Result<OwnedFd>;
}

impl Barrier for UnixStream {
    fn poll_write_last(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_write_ready(context))?;
            match self.try_io(Interest::WRITABLE, || send(&*self, bytes)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    fn handle(&self) -> io::Result<OwnedFd> {
        self.as_fd().try_clone_to_owned()
    }
}

fn send(stream: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    let nothing = match NOTHING.get() {
        Some(nothing) => nothing,
        None => {
            let nothing = File::open("/dev/null")?;
            NOTHING.get_or_init(|| nothing)
        }
    };
    let descriptors = [nothing.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    Ok(rustix::net::sendmsg(stream, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Read as _;

    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn what_comes_after_the_barrier_is_read_apart() {
        let (mut here, there) = UnixStream::pair().unwrap();
        let mut there = there.into_std().unwrap();
        here.write_all(b"status ").await.unwrap();
        poll_fn(|context| here.poll_write_last(context, b"head")).await.unwrap();
        here.write_all(b"body").await.unwrap();
        let mut buffer = [0; 64];
        let count = there.read(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"status head");
        let count = there.read(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"body");
    }
}
