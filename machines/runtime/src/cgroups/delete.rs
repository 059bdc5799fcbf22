//! Removes a cgroup from every hierarchy.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use dhow_model::error::{Error, Kind, Result};
use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;

use super::files::{open_directory, write_value};
use super::processes::{DEEPEST, children};
use super::{Cgroup, CgroupPath, Controller, Layout, Version};

/// Tries while its last processes are going; the pauses double, so that all of them are two seconds.
const TRIES: u32 = 12;

impl Cgroup {
    /// Removes a cgroup in which nothing is left, by its path alone. Answers whether it is gone: else it has
    /// to be opened, and what is in it killed.
    #[must_use]
    pub fn delete_empty(layout: &Layout, path: &CgroupPath) -> bool {
        layout.hierarchies.iter().all(|hierarchy| {
            let (root, relative) = (hierarchy.root(), path.within(&hierarchy.mount));
            if hierarchy.mount.has_processors()
                && let Ok(directory) = open_directory(root, &relative)
            {
                give_processors_back(directory.as_fd());
            }
            matches!(unlinkat(root, &relative, AtFlags::REMOVEDIR), Ok(()) | Err(Errno::NOENT))
        })
    }

    /// Removes it with the cgroups below it. One that is gone already is no error.
    ///
    /// # Errors
    /// When processes are left in it; the rest is removed all the same, and the error names what is left.
    pub fn delete(&self) -> Result<()> {
        let mut left = Vec::new();
        for directory in self.directories() {
            if directory.version == Version::V1 && directory.controllers.contains(&Controller::Cpuset) {
                give_processors_back(directory.fd());
            }
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

/// Takes the processors from a cpuset of version 1 that is to go.
///
/// When one goes that has some, the kernel makes its scheduling domains anew: 0.4 ms of a worker, with the lock
/// that all cpusets share. It refuses to take them while there are processes, and then nothing is lost.
fn give_processors_back(directory: BorrowedFd<'_>) {
    let _ = write_value(directory, "cpuset.cpus", "\n");
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
