//! The processes of a cgroup: listed, and all of them killed.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use dhow_model::error::{Error, Kind, Result};
use rustix::fs::{Dir, FileType};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use super::files::{failure, open_directory, read_value, write_value};
use super::{Cgroup, Controller, Directory, Version};

/// How long processes that were killed may take to go.
const PATIENCE: Duration = Duration::from_secs(10);

/// A tree of cgroups is not followed below this depth.
pub(super) const DEEPEST: usize = 64;

impl Cgroup {
    /// The processes in it and in cgroups below it, by the ids of our process namespace.
    ///
    /// # Errors
    /// When the kernel's lists cannot be read.
    pub fn processes(&self) -> Result<Vec<Pid>> {
        let Some(directory) = self.listing() else { return Ok(Vec::new()) };
        let mut found = BTreeSet::new();
        collect(directory.fd(), DEEPEST, &mut found).map_err(|error| {
            failure(format!("cannot list the cgroup {}", directory.path.display()), error)
        })?;
        Ok(found.into_iter().filter_map(Pid::from_raw).collect())
    }

    /// Sends a signal to every process; for [`Signal::KILL`] see [`kill_all`](Self::kill_all).
    ///
    /// # Errors
    /// When the list cannot be read; not for a process that has gone meanwhile.
    pub fn signal_all(&self, signal: Signal) -> Result<()> {
        for process in self.processes()? {
            match kill_process(process, signal) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => return Err(failure(format!("cannot signal process {process}"), error)),
            }
        }
        Ok(())
    }

    /// Kills every process, those too that are born meanwhile, and thaws them where they could not die
    /// else. Does not wait for them to be gone.
    ///
    /// # Errors
    /// When processes keep being born faster than they are killed, or the kernel refuses.
    pub fn kill_all(&self) -> Result<()> {
        // One write, for the whole tree, against which a fork bomb can do nothing (5.14 and later; also
        // in the version 2 part of a hybrid).
        let is_done = self.unified().is_some_and(|each| write_value(each.fd(), "cgroup.kill", "1").is_ok());
        if self.version == Version::V2 && is_done {
            return Ok(());
        }
        if is_done {
            // Somebody may have been put into the old hierarchies only.
            self.signal_all(Signal::KILL)?;
            return if self.is_frozen() { self.thaw() } else { Ok(()) };
        }
        self.kill_one_by_one()
    }

    pub(super) fn kill_one_by_one(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        // Frozen processes cannot fork; a killed process of version 1 dies when it is thawed.
        let is_frozen = self.freeze().is_ok();
        let killed = self.signal_all(Signal::KILL);
        if is_frozen {
            self.thaw()?;
            return killed;
        }
        killed?;
        while !self.processes()?.is_empty() {
            if Instant::now() > deadline {
                return Err(Error::new(Kind::Internal, "processes of the container keep being born"));
            }
            self.signal_all(Signal::KILL)?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// The hierarchy in which lists are the most reliable: a process that left one of them has not
    /// left all.
    fn listing(&self) -> Option<&Directory> {
        let unified = self.unified();
        match self.version {
            Version::V2 => unified,
            Version::V1 => [Controller::Pids, Controller::Freezer, Controller::Devices, Controller::Memory]
                .into_iter()
                .find_map(|controller| self.directory(controller))
                .or(unified)
                .or_else(|| self.directories().first()),
        }
    }
}

fn collect(directory: BorrowedFd<'_>, depth: usize, found: &mut BTreeSet<i32>) -> Result<(), Errno> {
    let list = match read_value(directory, "cgroup.procs") {
        // A threaded cgroup lists threads only.
        Err(Errno::OPNOTSUPP) => read_value(directory, "cgroup.threads"),
        // Removed meanwhile.
        Err(Errno::NODEV | Errno::NOENT) => return Ok(()),
        list => list,
    }?;
    found.extend(list.lines().filter_map(|line| line.trim().parse::<i32>().ok()).filter(|pid| *pid > 0));
    if depth == 0 {
        return Ok(());
    }
    for name in children(directory)? {
        match open_directory(directory, &name) {
            Ok(child) => collect(child.as_fd(), depth - 1, found)?,
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The names of the cgroups directly below one.
pub(super) fn children(directory: impl AsFd) -> Result<Vec<String>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = match entry {
            Err(Errno::NOENT) => break,
            entry => entry?,
        };
        let name = entry.file_name().to_string_lossy();
        if entry.file_type() == FileType::Directory && name != "." && name != ".." {
            names.push(name.into_owned());
        }
    }
    Ok(names)
}
