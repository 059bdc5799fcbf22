//! The user's terminal: raw while a container has it, and given back on every way out.

use std::sync::{Mutex, PoisonError};

use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};

use crate::error::{Error, Result};

/// The settings to give back. A global, because signals and other threads end the process too.
static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

/// The terminal is raw while this lives.
pub(crate) struct Raw(());

impl Raw {
    /// Makes the terminal of standard input raw; does nothing where there is none.
    pub(crate) fn enter() -> Result<Option<Raw>> {
        let input = rustix::stdio::stdin();
        if !isatty(input) {
            return Ok(None);
        }
        let context = "set the terminal to raw mode";
        let found = tcgetattr(input).map_err(|error| Error::io(context)(error.into()))?;
        let mut raw = found.clone();
        raw.make_raw();
        SAVED.lock().unwrap_or_else(PoisonError::into_inner).replace(found);
        tcsetattr(input, OptionalActions::Now, &raw).map_err(|error| Error::io(context)(error.into()))?;
        Ok(Some(Raw(())))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back as it was found; a second time does nothing.
pub(crate) fn restore() {
    let saved = SAVED.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(saved) = saved {
        // Nothing can be done about a terminal that went away.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &saved);
    }
}

/// Rows and columns of the terminal at standard output; zeros where there is none.
pub(crate) fn size() -> [u16; 2] {
    match tcgetwinsize(rustix::stdio::stdout()) {
        Ok(size) => [size.ws_row, size.ws_col],
        Err(_) => [0, 0],
    }
}

/// A container with a terminal cannot take its input from something that is none.
pub(crate) fn check_input(attach_stdin: bool, tty: bool) -> Result<()> {
    if attach_stdin && tty && !isatty(rustix::stdio::stdin()) {
        return Err(Error::said("the input device is not a TTY"));
    }
    Ok(())
}

/// Whether standard output is a terminal.
pub(crate) fn is_output() -> bool {
    isatty(rustix::stdio::stdout())
}
