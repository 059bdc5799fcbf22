//! Threads of streams, beside the pool that verbs run on.
//!
//! A log that is followed, an archive that is sent or taken: each lasts as long as its client likes, and
//! a client may read or write slowly or never. Had they threads of the pool, some hundred such clients
//! would leave none for the verbs of all others, nor for the ends of containers. So each has one of its
//! own, and there is a bound to those.

use std::time::Duration;

use dhow_model::{Error, Kind, Result};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

/// Streams at once.
const MOST: usize = 2048;
/// Bytes of a thread's stack.
const STACK: usize = 512 << 10;
/// How often one looks whether all have ended.
const LOOK: Duration = Duration::from_millis(5);

static ROOM: Semaphore = Semaphore::const_new(MOST);

/// Runs `work` on a thread of its own. To be called on the runtime, which `work` may use.
///
/// # Errors
/// Unavailable when there are too many already.
pub(crate) fn spawn(work: impl FnOnce() + Send + 'static) -> Result<()> {
    let unavailable = |words: String| Error::new(Kind::Unavailable, words);
    let room = ROOM.try_acquire().map_err(|_| unavailable(format!("{MOST} streams are open already")))?;
    let thread = std::thread::Builder::new().name("stream".into()).stack_size(STACK);
    let runtime = Handle::current();
    let spawned = thread.spawn(move || {
        let _entered = runtime.enter();
        work();
        drop(room);
    });
    spawned.map(drop).map_err(|error| unavailable("no thread for one more stream".into()).because(error))
}

/// Runs a verb on a thread of its own, and waits for what it gives.
///
/// # Errors
/// The verb's, or as [`spawn`].
pub(crate) async fn run<T: Send + 'static>(verb: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let (sender, receiver) = oneshot::channel();
    // Nobody waits any more when the client is gone; the verb runs to its end all the same.
    spawn(move || drop(sender.send(verb())))?;
    receiver.await.map_err(|error| Error::internal("the operation was broken off").because(error))?
}

/// Waits until no such thread is left.
pub(crate) async fn all_ended() {
    while ROOM.available_permits() < MOST {
        tokio::time::sleep(LOOK).await;
    }
}
