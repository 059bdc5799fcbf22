//! What carries a connection, asked when it breaks: it knows more than "closed".

use std::io;
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};

use super::Error;

/// What is between this end of a stream and the engine.
#[derive(Debug)]
pub(crate) enum Carrier {
    /// The kernel alone.
    Kernel,
    /// A thread that speaks TLS, and what it complains of.
    Tls(Complaint),
    /// A program, and how it was called.
    Program(Child, String),
}

/// Why a thread gave up.
pub(crate) type Complaint = Arc<Mutex<Option<io::Error>>>;

impl Carrier {
    /// Why the stream ended without an answer, if it is known.
    pub(crate) fn complaint(self) -> Option<Error> {
        match self {
            Self::Kernel => None,
            Self::Tls(complaint) => {
                let source = complaint.lock().unwrap_or_else(PoisonError::into_inner).take()?;
                Some(Error::Transport { context: "speaking TLS", source })
            }
            Self::Program(mut child, called) => {
                let status = child.wait().ok().filter(|status| !status.success())?;
                Some(Error::Host(format!(
                    "error during connect: command [{called}] has exited with {status}, make sure the URL is \
                     valid, and that dhow or docker is installed on the remote host"
                )))
            }
        }
    }
}
