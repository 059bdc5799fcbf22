//! What can go wrong in the store: the model's errors, with what was done to which file.

use std::fmt::Display;
use std::io;
use std::path::Path;

pub use dhow_model::{Error, Kind, Result};

/// Puts a sentence in front of a failure of the machine: what was done, to what.
pub(crate) trait Context<T> {
    /// The failure as an internal one that says `what`.
    fn context<D: Display>(self, what: impl FnOnce() -> D) -> Result<T>;

    /// The same for an operation on one file.
    fn on(self, verb: &str, path: &Path) -> Result<T>;
}

impl<T, E: Into<Cause>> Context<T> for std::result::Result<T, E> {
    fn context<D: Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| error.into().told(what().to_string()))
    }

    fn on(self, verb: &str, path: &Path) -> Result<T> {
        self.context(|| format!("cannot {verb} {}", path.display()))
    }
}

/// A failure of a library below us.
#[derive(Debug)]
pub(crate) enum Cause {
    Io(io::Error),
    Sql(rusqlite::Error),
    Json(serde_json::Error),
}

impl Cause {
    fn told(self, what: String) -> Error {
        match self {
            Self::Io(error) => match error.downcast::<crate::tar::Error>() {
                // A decoder below a `Read` carried a failure that names the entry: that says more.
                Ok(tar) => tar.into(),
                Err(error) => Error::internal(what).because(error),
            },
            Self::Sql(error) => Error::new(kind_of(&error), what).because(error),
            Self::Json(error) => Error::new(Kind::Corrupt, what).because(error),
        }
    }
}

/// What is stored is damaged, or the machine failed us.
fn kind_of(error: &rusqlite::Error) -> Kind {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => Kind::Corrupt,
        _ => Kind::Internal,
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<rustix::io::Errno> for Cause {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}

impl From<rusqlite::Error> for Cause {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<serde_json::Error> for Cause {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}
