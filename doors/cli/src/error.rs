//! How a command fails: what is said on standard error, and the exit status.

use std::io;

use dhow_api::client;

/// The result of a command.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// A command's failure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The engine refused, or could not be reached.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// What went wrong here, in words.
    #[error("{0}")]
    Said(String),
    /// Nothing more to say: the status is the container's own, or everything was said before.
    #[error("exit status {0}")]
    Exit(u8),
    /// Words with a status of their own.
    #[error("{words}")]
    Status { code: u8, words: String },
    /// A local file, socket or terminal failed.
    #[error("{context}: {source}")]
    Io { context: String, source: io::Error },
}

impl Error {
    pub(crate) fn said(words: impl Into<String>) -> Error {
        Error::Said(words.into())
    }

    /// A wrong command line or a refusal before anything ran: status 125.
    pub(crate) fn refused(words: impl Into<String>) -> Error {
        Error::Status { code: 125, words: words.into() }
    }

    pub(crate) fn io(context: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let context = context.into();
        move |source| Error::Io { context, source }
    }

    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Error::Client(error) if error.is_not_found())
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Error::Exit(code) | Error::Status { code, .. } => *code,
            _ => 1,
        }
    }

    /// What to print, if anything.
    pub(crate) fn words(&self) -> Option<String> {
        match self {
            Error::Exit(_) => None,
            // A reader that went away (`dhow images | head -1`) is not worth a word.
            Error::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => None,
            other => Some(other.to_string()),
        }
    }
}

/// Several failures of one command, one a line; nothing if there are none.
pub(crate) fn join(failures: Vec<Error>) -> Result<()> {
    if failures.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = failures.iter().filter_map(Error::words).collect();
    Err(Error::Said(lines.join("\n")))
}
