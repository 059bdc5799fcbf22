//! The terminal of a container: opened in its own devpts, handed to the parent, laid over /dev/console.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use dhow_oci::runtime::Process;
use dhow_sys::path;
use dhow_sys::terminal::{self, Terminal};
use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;

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
    let console = place(root)?;
    let tree = clone_handle(opened.slave.as_fd(), false).doing(|| "copy the terminal to /dev/console")?;
    cover(console.as_fd(), &tree).doing(|| "lay the terminal over /dev/console")?;
    hand_over(&opened, process, talk)
}

/// The entry /dev/console itself: as a link, an image would have the terminal laid over another file,
/// such as one that is to be hidden (CVE-2025-52565).
fn place(root: BorrowedFd<'_>) -> Result<OwnedFd> {
    let what = || "make /dev/console";
    let (dev, name) =
        path::parent_and_name(root, Path::new("/dev/console"), Mode::from_raw_mode(0o755)).doing(what)?;
    match rustix::fs::mknodat(&dev, &name, FileType::RegularFile, Mode::from_raw_mode(0o600), 0) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error).doing(what),
    }
    let entry = path::handle_of_entry(&dev, &name).doing(what)?;
    let stat = rustix::fs::statat(&entry, "", AtFlags::EMPTY_PATH).doing(what)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile | FileType::CharacterDevice => Ok(entry),
        _ => Err(Error::configuration("/dev/console is neither a plain file nor a device")),
    }
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
