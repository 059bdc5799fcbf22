//! The end of the server, and of a client's interest, told to everything that would go on for ever.

use tokio::sync::watch;

/// Tells when the server ends, and whether the client of a request has shut its side. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct End {
    server: watch::Receiver<bool>,
    client: Option<watch::Receiver<bool>>,
}

/// Ends what waits for the other half of the pair.
#[derive(Debug)]
pub(crate) struct Ender(watch::Sender<bool>);

/// A pair of both.
pub(crate) fn channel() -> (Ender, End) {
    let (sender, receiver) = watch::channel(false);
    (Ender(sender), End { server: receiver, client: None })
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
        *self.server.borrow() || self.server.has_changed().is_err()
    }

    /// Waits for it.
    pub(crate) async fn reached(self) {
        told(self.server).await;
    }

    /// The same for a request of a client that is about to tell by `shut` that it has shut its side.
    pub(crate) fn or(&self, shut: &Self) -> Self {
        Self { server: self.server.clone(), client: Some(shut.server.clone()) }
    }

    /// The same for a request that is answered whatever the client does.
    pub(crate) fn of_server(self) -> Self {
        Self { client: None, ..self }
    }

    /// Waits for it, or until the client has shut its side: to Go's servers it is gone then, and what its program was
    /// started by (`ssh … docker system dial-stdio`) may be.
    pub(crate) async fn reached_or_shut(self) {
        let Some(client) = self.client else { return told(self.server).await };
        tokio::select! {
            () = told(self.server) => {}
            () = told(client) => {}
        }
    }
}

async fn told(mut end: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is the end too.
    drop(end.wait_for(|ended| *ended).await);
}
