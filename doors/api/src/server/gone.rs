//! Whether the client of a request that is under way is gone.
//!
//! A client may shut its writing side behind its request and wait for the answer: that is no end. The HTTP library
//! can tell neither from the other, and so it is told to read nothing while a request is under way (`half_close`).
//! The kernel can, on unix sockets: it says EPOLLHUP when the other end is closed, and EPOLLRDHUP, which is not asked
//! for here, when only its writing side is (epoll_ctl(2)).
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

/// A watch over one connection.
#[derive(Debug, Default)]
pub(crate) enum Gone {
    /// Nothing is under way yet.
    #[default]
    NotWatched,
    /// It is not worth it yet.
    Soon(Pin<Box<Sleep>>),
    /// The kernel says when.
    Watched(AsyncFd<OwnedFd>),
    /// There is nothing that could be watched.
    Never,
}

impl Gone {
    /// Ready when the other end of the stream is closed; `handle` is a further descriptor of it.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        handle: impl Fn() -> io::Result<OwnedFd>,
    ) -> Poll<()> {
        loop {
            *self = match self {
                Self::NotWatched => Self::Soon(Box::pin(tokio::time::sleep(SOON))),
                Self::Soon(sleep) => {
                    ready!(sleep.as_mut().poll(context));
                    // Of what is asked for nothing ever comes; what is always told does.
                    let watched = handle().and_then(watch);
                    watched.map_or(Self::Never, Self::Watched)
                }
                Self::Watched(handle) => {
                    let Ok(mut told) = ready!(handle.poll_read_ready(context)) else { return Poll::Pending };
                    if has_hung_up(handle.get_ref()) {
                        return Poll::Ready(());
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
    AsyncFd::with_interest(handle, Interest::PRIORITY)
}

fn has_hung_up(handle: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(handle, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut polled, Some(&now)).is_ok_and(|_| polled[0].revents().contains(PollFlags::HUP))
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[tokio::test]
    async fn a_client_that_shuts_one_side_is_not_gone_and_one_that_leaves_is() {
        let (here, there) = UnixStream::pair().unwrap();
        let mut gone = Gone::Soon(Box::pin(tokio::time::sleep(Duration::from_millis(1))));
        let handle = || Ok(here.try_clone()?.into());
        there.shutdown(Shutdown::Write).unwrap();
        let watch = poll_fn(|context| gone.poll(context, handle));
        assert!(tokio::time::timeout(Duration::from_millis(50), watch).await.is_err());
        drop(there);
        let watch = poll_fn(|context| gone.poll(context, handle));
        tokio::time::timeout(Duration::from_secs(20), watch).await.unwrap();
    }
}
