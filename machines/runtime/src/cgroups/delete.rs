//! Removes a cgroup from every hierarchy.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use dhow_model::error::{Error, Kind, Result};
use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;

use super::Cgroup;
use super::files::open_directory;
use super::processes::{DEEPEST, children};

/// Tries while its last processes are going; the pauses double, so that all of them are two seconds.
const TRIES: u32 = 12;

impl Cgroup {
    /// Removes it with the cgroups below it. One that is gone already is no error.
    ///
    /// # Errors
    /// When processes are left in it; the rest is removed all the same, and the error names what is left.
    pub fn delete(&self) -> Result<()> {
        let mut left = Vec::new();
        for directory in self.directories() {
            if let Err(error) = remove(directory.root.as_fd(), &directory.relative, DEEPEST) {
                left.push(format!("{}: {}", directory.path.display(), std::io::Error::from(error)));
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        Err(Error::new(Kind::Conflict, format!("cannot remove the cgroup: {}", left.join("; "))))
    }
}

fn remove(root: BorrowedFd<'_>, path: &str, depth: usize) -> Result<(), Errno> {
    let mut pause = Duration::from_micros(500);
    for attempt in 0..TRIES {
        match unlinkat(root, path, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::INTR) => continue,
            Err(Errno::BUSY | Errno::NOTEMPTY) if attempt + 1 < TRIES => {}
            Err(error) => return Err(error),
        }
        // Busy for a moment because of processes, or for ever because of cgroups below.
        if depth > 0 {
            remove_children(root, path, depth)?;
        }
        if attempt > 0 {
            std::thread::sleep(pause);
            pause *= 2;
        }
    }
    Err(Errno::BUSY)
}

fn remove_children(root: BorrowedFd<'_>, path: &str, depth: usize) -> Result<(), Errno> {
    let directory = match open_directory(root, path) {
        Err(Errno::NOENT) => return Ok(()),
        directory => directory?,
    };
    for name in children(&directory)? {
        remove(directory.as_fd(), &name, depth - 1)?;
    }
    Ok(())
}
