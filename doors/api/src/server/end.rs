//! The end of the server, told to everything that would go on for ever.

use tokio::sync::watch;

/// Tells when the server ends. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct End(watch::Receiver<bool>);

/// Ends the server.
#[derive(Debug)]
pub(crate) struct Ender(watch::Sender<bool>);

/// A pair of both.
pub(crate) fn channel() -> (Ender, End) {
    let (sender, receiver) = watch::channel(false);
    (Ender(sender), End(receiver))
}

impl Ender {
    /// Tells everybody.
    pub(crate) fn end(&self) {
        self.0.send_replace(true);
    }
}

impl End {
    /// Whether it has come.
    pub(crate) fn has_come(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Waits for it.
    pub(crate) async fn reached(mut self) {
        // An error means that the sender is gone, which is the end too.
        drop(self.0.wait_for(|ended| *ended).await);
    }
}
