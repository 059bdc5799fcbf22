//! What can be wrong with a tar, or go wrong while one is read, written, unpacked or made.

use std::fmt;
use std::io;

use dhow_model::Kind;

/// A failure that names the entry and what is wrong with it.
#[derive(Debug)]
pub struct Error {
    fault: Fault,
    entry: Option<String>,
    what: String,
    source: Option<io::Error>,
}

/// What the functions of `tar` and `layer` answer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The bytes are no tar, or contradict themselves.
    Format,
    /// A bound of [`Limits`](super::Limits) was passed.
    Limit,
    /// The tar is well formed and asks for what is not done: a link out of the root, a device nobody knows.
    Refused,
    /// The bytes could not be read, decompressed or written.
    Stream,
    /// The kernel refused an operation on the tree.
    System,
}

impl Error {
    pub(crate) fn format(what: impl Into<String>) -> Self {
        Self::new(Fault::Format, what)
    }

    pub(crate) fn limit(what: impl Into<String>) -> Self {
        Self::new(Fault::Limit, what)
    }

    pub(crate) fn refused(what: impl Into<String>) -> Self {
        Self::new(Fault::Refused, what)
    }

    pub(crate) fn stream(what: impl Into<String>, source: io::Error) -> Self {
        Self { source: Some(source), ..Self::new(Fault::Stream, what) }
    }

    pub(crate) fn system(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self { source: Some(source.into()), ..Self::new(Fault::System, what) }
    }

    /// What the kernel would refuse if it were asked.
    pub(crate) fn mounted(what: impl Into<String>) -> Self {
        Self::new(Fault::System, what)
    }

    fn new(fault: Fault, what: impl Into<String>) -> Self {
        Self { fault, entry: None, what: what.into(), source: None }
    }

    /// Names the entry, unless an inner caller has done so.
    #[must_use]
    pub(crate) fn at(mut self, entry: &[u8]) -> Self {
        if self.entry.is_none() {
            self.entry = Some(shown(entry));
        }
        self
    }

    /// What kind of failure it is.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        self.fault
    }

    /// The entry's path, escaped and shortened for people.
    #[must_use]
    pub fn entry(&self) -> Option<&str> {
        self.entry.as_deref()
    }

    /// The kind as the rest of the engine tells failures apart.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self.fault {
            // Docker finds out while it unpacks, and takes it for a failure of its own.
            Fault::Format | Fault::Refused => Kind::Corrupt,
            Fault::Limit => Kind::InvalidArgument,
            Fault::Stream | Fault::System => Kind::Internal,
        }
    }
}

/// A name as an error repeats it: quoted, escaped, and bounded, for it may be megabytes of a hostile file.
pub(crate) fn shown(name: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(name).chars().take(256).collect();
    format!("{text:?}")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.entry {
            Some(entry) => write!(f, "entry {entry}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|s| s as &(dyn std::error::Error + 'static))
    }
}

impl From<Error> for dhow_model::Error {
    fn from(error: Error) -> Self {
        let plain = Self::new(error.kind(), error.to_string());
        match error.source {
            Some(source) => plain.because(source),
            None => plain,
        }
    }
}

/// A decoder below another `Read` carries its failure as an [`io::Error`]; this is the way in.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

impl From<io::Error> for Error {
    /// The way out again: a failure that is one of ours stays what it was.
    fn from(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(ours) => ours,
            Err(other) => Self::stream("the archive cannot be read", other),
        }
    }
}
