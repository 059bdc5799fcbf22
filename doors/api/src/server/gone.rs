//! Whether the client of a request that is under way is gone.
//!
//! A client may shut its writing side behind its request and wait for the answer: that is no end. The HTTP library
//! can tell neither from the other, and so it is told to read nothing while a request is under way (`half_close`).
//! The kernel can, on unix sockets: it says EPOLLHUP when the other end is closed, and EPOLLRDHUP when only its writing
//! side is (epoll_ctl(2)). The former ends any request, the latter such as would go on for ever.
//!
//! Most requests are answered at once: nobody is looked after before [`SOON`].

use std::future::Future as _;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Sleep;

/// From when on a client is looked after.
const SOON: Duration = Duration::from_secs(1);

/// What the kernel says of the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// Its writing side is shut; it may read on.
    Shut,
    /// It is closed.
    Closed,
}

/// A watch over one connection.
#[derive(Debug, Default)]
pub(crate) enum Gone {
    /// Nothing is under way yet.
    #[default]
    NotWatched,
    /// It is not worth it yet.
    Soon(Pin<Box<Sleep>>),
    /// The kernel says when; of a side that is shut it was told already, or not.
    Watched(AsyncFd<OwnedFd>, bool),
    /// There is nothing that could be watched.
    Never,
}

impl Gone {
    /// Ready when the other end of the stream is closed, and once when it is shut; `handle` is a further descriptor of
    /// the stream.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        handle: impl Fn() -> io::Result<OwnedFd>,
    ) -> Poll<Sign> {
        loop {
            *self = match self {
                Self::NotWatched => Self::Soon(Box::pin(tokio::time::sleep(SOON))),
                Self::Soon(sleep) => {
                    ready!(sleep.as_mut().poll(context));
                    let watched = handle().and_then(watch);
                    watched.map_or(Self::Never, |handle| Self::Watched(handle, false))
                }
                Self::Watched(handle, told_shut) => {
                    let Ok(mut told) = ready!(handle.poll_read_ready(context)) else { return Poll::Pending };
                    match sign(handle.get_ref()) {
                        Some(Sign::Shut) if std::mem::replace(told_shut, true) => {}
                        Some(sign) => return Poll::Ready(sign),
                        None => {}
                    }
                    told.clear_ready();
                    continue;
                }
                Self::Never => return Poll::Pending,
            };
        }
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe for the sake of descriptors that are not owned; this one is"
)]
fn watch(handle: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(handle, Interest::READABLE)
}

fn sign(handle: &OwnedFd) -> Option<Sign> {
    let mut polled = [PollFd::new(handle, PollFlags::RDHUP)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut polled, Some(&now)).ok()?;
    let said = polled[0].revents();
    let of = |flag, sign| said.contains(flag).then_some(sign);
    of(PollFlags::HUP, Sign::Closed).or(of(PollFlags::RDHUP, Sign::Shut))
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[tokio::test]
    async fn a_client_that_shuts_one_side_is_told_from_one_that_leaves() {
        let (here, there) = UnixStream::pair().unwrap();
        let mut gone = Gone::Soon(Box::pin(tokio::time::sleep(Duration::from_millis(1))));
        let handle = || Ok(here.try_clone()?.into());
        there.shutdown(Shutdown::Write).unwrap();
        let mut next = async || poll_fn(|context| gone.poll(context, handle)).await;
        assert_eq!(next().await, Sign::Shut);
        let again = tokio::time::timeout(Duration::from_millis(50), next()).await;
        assert!(again.is_err(), "it is told once");
        drop(there);
        assert_eq!(next().await, Sign::Closed);
    }
}
