//! Keeps what follows the head of a hijack back until the client has read the head.
//!
//! Clients that read a head through a buffer and then talk to the plain socket lose what came in the
//! same read (docker-py does). Docker's programs take so long to start that nothing ever does; ours may
//! have written and ended before its client looks.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

/// How many written bytes of a stream its other end has not read.
pub type Unread<S> = fn(&S) -> usize;

/// A client that is awake reads within this time: shorter than any timer.
const SOON: Duration = Duration::from_micros(300);
/// How often a slower one is looked after.
const LOOK: Duration = Duration::from_millis(1);
/// What a client that does not read loses is its own loss.
const PATIENCE: Duration = Duration::from_secs(2);

/// A wait that has begun.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    begun: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Hold {
    /// Begins with the first poll: that is when there is something to be kept back.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Ready when all was read, or patience is at its end.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>, unread: impl Fn() -> usize) -> Poll<()> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.as_mut().poll(context));
            }
            let waited = self.begun.get_or_insert_with(Instant::now).elapsed();
            if unread() == 0 || waited > PATIENCE {
                return Poll::Ready(());
            }
            if waited < SOON {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.sleep = Some(Box::pin(tokio::time::sleep(LOOK)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn what_was_not_read_is_looked_after_again_and_again() {
        let looks = Cell::new(0);
        let unread = || {
            looks.set(looks.get() + 1);
            usize::from(looks.get() < 1000)
        };
        let mut hold = Hold::new();
        poll_fn(|context| hold.poll(context, unread)).await;
        assert!(looks.get() == 1000 || hold.begun.unwrap().elapsed() > PATIENCE);
    }
}
