//! The terminal of a container: opened in its own devpts, handed to the parent, laid over /dev/console.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use dhow_oci::runtime::Process;
use dhow_sys::path;
use dhow_sys::terminal::{self, Terminal};
use rustix::fs::Mode;

use super::super::Stdio;
use super::super::error::{Context as _, Error, Result};
use super::super::sync::{Talk, Word};
use super::mounts::{clone_handle, cover};

/// `DEVPTS_SUPER_MAGIC`.
const DEVPTS: i64 = 0x1cd1;

/// Opens the terminal and says so to the parent, with its master side along.
pub(super) fn open(root: BorrowedFd<'_>, process: Option<&Process>, talk: &Talk) -> Result<Stdio> {
    let devpts = path::handle(root, Path::new("/dev/pts")).doing(|| "open /dev/pts for the terminal")?;
    if rustix::fs::fstatfs(&devpts).doing(|| "look at /dev/pts")?.f_type != DEVPTS {
        return Err(Error::configuration("a terminal needs a devpts mounted at /dev/pts"));
    }
    let opened = terminal::open(&devpts).doing(|| "open a terminal")?;
    let console = path::make_file(root, Path::new("/dev/console"), Mode::from_raw_mode(0o600))
        .doing(|| "make /dev/console")?;
    let tree = clone_handle(opened.slave.as_fd(), false).doing(|| "copy the terminal to /dev/console")?;
    cover(console.as_fd(), &tree).doing(|| "lay the terminal over /dev/console")?;
    hand_over(&opened, process, talk)
}

/// Gives the terminal its size and its user, and its master side to the parent.
pub(in super::super) fn hand_over(
    opened: &Terminal,
    process: Option<&Process>,
    talk: &Talk,
) -> Result<Stdio> {
    if let Some(size) = process.and_then(|process| process.console_size) {
        let number = |value: u64| u16::try_from(value).unwrap_or(u16::MAX);
        terminal::resize(&opened.master, number(size.height), number(size.width))
            .doing(|| "size the terminal")?;
    }
    if let Some(user) = process.map(|process| &process.user).filter(|user| user.uid != 0) {
        // Programs of that user open their terminal again by its name.
        let uid = rustix::fs::Uid::from_raw(user.uid);
        rustix::fs::fchown(&opened.slave, Some(uid), None).doing(|| "give the terminal to its user")?;
    }
    talk.say(&Word::Terminal, Some(opened.master.as_fd()))?;
    let copy = || opened.slave.try_clone().doing(|| "copy the terminal");
    Ok(Stdio::Files([copy()?, copy()?, copy()?]))
}
