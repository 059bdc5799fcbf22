//! What can go wrong between a client and the engine. The words are those that scripts match on.

use std::io;

/// A request that got no good answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody listens at the address.
    #[error("Cannot connect to the Docker daemon at {host}. Is the docker daemon running?")]
    NotListening {
        /// The address as written.
        host: String,
        /// Why the connection failed.
        source: io::Error,
    },
    /// The socket exists, but its mode keeps this user out.
    #[error("permission denied while trying to connect to the Docker daemon socket at {host}")]
    Forbidden {
        /// The address as written.
        host: String,
        /// Why the connection failed.
        source: io::Error,
    },
    /// The engine answered with an error.
    #[error("Error response from daemon: {message}")]
    Api {
        /// The HTTP status, 400 to 599.
        status: u16,
        /// The engine's own words.
        message: String,
    },
    /// The address cannot be used.
    #[error("{0}")]
    Host(String),
    /// The connection broke.
    #[error("error during connect: {context}: {source}")]
    Transport {
        /// What was being done.
        context: &'static str,
        /// How it broke.
        source: io::Error,
    },
    /// What came back is not HTTP, or not what the API promises.
    #[error("unexpected answer from the engine: {0}")]
    Protocol(String),
    /// A reused connection was closed before it answered. Never leaves the client.
    #[error("the connection was closed")]
    Stale,
}

impl Error {
    /// Whether the engine said that the object does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::Api { status: 404, .. })
    }

    /// Whether the engine does not know the API version that was asked for.
    pub(crate) fn is_too_new(&self) -> bool {
        matches!(self, Error::Api { status: 400, message } if message.contains("is too new. Maximum supported"))
    }

    /// Whether no engine could be reached at all.
    pub fn is_not_listening(&self) -> bool {
        matches!(self, Error::NotListening { .. })
    }

    pub(crate) fn transport(context: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Transport { context, source }
    }

    pub(crate) fn stale() -> Error {
        let source = io::Error::from(io::ErrorKind::UnexpectedEof);
        Error::Transport { context: "the engine closed the connection without an answer", source }
    }
}
