//! A question before something that cannot be taken back.

use std::io::{self, BufRead as _, Write as _};

use crate::error::{Error, Result};

/// Asks; anything but `y` is no.
pub(crate) fn confirm(warning: &str) -> Result<bool> {
    let mut out = io::stdout().lock();
    let asked = write!(out, "WARNING! {warning}\nAre you sure you want to continue? [y/N] ");
    asked.and_then(|()| out.flush()).map_err(Error::io("write standard output"))?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(Error::io("read the answer"))?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}
