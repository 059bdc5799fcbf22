//! The conversation of the parent and the container's process.
//!
//! ```text
//!   parent                                   child
//!     │  (ids mapped, limits raised)           │ enters its cgroup
//!     │ ── Go ───────────────────────────────▶ │ namespaces, mounts
//!     │ ◀───────────────────────────── Hooks ── │ only when there are prestart or createRuntime hooks
//!     │ ── Go ───────────────────────────────▶ │ … devices, pivot, identity
//!     │ ◀───────────── Terminal (+ master) ──── │ only when it has a terminal
//!     │ ◀─────────────────────────── Created ── │ waits for its gate
//!     │ ── Go (Gate::Parent only) ───────────▶ │ executes: its end of the channel closes
//!     │ ◀──────────── Listener (+ descriptor) ── │ only when its filter asks a listener
//!     │ ◀───────────────────── end of stream ── │
//! ```
//! Instead of any of its words the child may say `Failed`, and ends.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use dhow_sys::channel;

use super::error::{Context as _, Error, Result, Stage};

/// The longest packet: an error's words.
const LONGEST: usize = 4096;

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    /// Go on.
    Go,
    /// The namespaces are there: run the hooks of the runtime's side.
    Hooks,
    /// The terminal's master side comes along.
    Terminal,
    /// The descriptor of the filter's notifications comes along.
    Listener,
    /// Everything is there but the program.
    Created,
    /// It did not work.
    Failed(Error),
    /// The other side closed its end: it executed the program, or died.
    End,
}

/// One end of the channel.
#[derive(Debug)]
pub(crate) struct Talk(pub(crate) OwnedFd);

impl Talk {
    /// Says a word, with a descriptor along.
    pub(crate) fn say(&self, word: &Word, descriptor: Option<BorrowedFd<'_>>) -> Result<()> {
        let bytes = match word {
            Word::Go => b"g".to_vec(),
            Word::Hooks => b"h".to_vec(),
            Word::Terminal => b"t".to_vec(),
            Word::Listener => b"l".to_vec(),
            Word::Created => b"c".to_vec(),
            Word::Failed(error) => {
                let mut error = error.clone();
                error.what.truncate(error.what.floor_char_boundary(LONGEST / 2));
                [b"f".to_vec(), serde_json::to_vec(&error).unwrap_or_default()].concat()
            }
            Word::End => return Ok(()),
        };
        channel::send(self.0.as_fd(), &bytes, descriptor.as_slice()).doing(|| "talk to the other process")
    }

    /// Listens for the next word.
    pub(crate) fn listen(&self) -> Result<(Word, Vec<OwnedFd>)> {
        let mut buffer = [0; LONGEST];
        let (length, descriptors) = match channel::receive(self.0.as_fd(), &mut buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => (0, Vec::new()),
            received => received.doing(|| "listen to the other process")?,
        };
        let word = match buffer[..length].split_first() {
            None => Word::End,
            Some((b'g', _)) => Word::Go,
            Some((b'h', _)) => Word::Hooks,
            Some((b't', _)) => Word::Terminal,
            Some((b'l', _)) => Word::Listener,
            Some((b'c', _)) => Word::Created,
            Some((_, error)) => Word::Failed(serde_json::from_slice(error).unwrap_or_else(|_| unreadable())),
        };
        Ok((word, descriptors))
    }

    /// Waits until the other side says to go on.
    pub(crate) fn wait_for_go(&self) -> Result<()> {
        match self.listen()? {
            (Word::Go, _) => Ok(()),
            _ => Err(Error::at(Stage::Lost, "the process that makes the container has gone")),
        }
    }
}

fn unreadable() -> Error {
    Error::at(Stage::Setup, "the container's process failed, and what it said cannot be read")
}
