//! Learns from the kernel that it killed a process of a cgroup for memory.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};

use crate::cgroups::oom::OomWatch;
use crate::cgroups::{Cgroup, Controller, Version};

/// The watch over the memory of one cgroup. It holds two files of it, not its directories.
#[derive(Debug)]
pub struct OutOfMemory {
    /// Ready when something happened; none when there is no limit of its own to run into.
    watch: Option<OomWatch>,
    /// The file with the count of kills.
    counter: OwnedFd,
    /// Kills before we looked, in a cgroup that was there already.
    first: u64,
    /// Kills that were told.
    told: u64,
    /// Version 1 tells of the want before the kill is counted.
    early: bool,
}

impl OutOfMemory {
    /// Watches a cgroup; none when it has no memory controller.
    #[must_use]
    pub fn watch(cgroup: &Cgroup, limited: bool) -> Option<Self> {
        let early = cgroup.version() == Version::V1;
        let holds = |controllers: &[Controller]| !early || controllers.contains(&Controller::Memory);
        let directory = cgroup.directories().iter().find(|d| holds(&d.controllers))?;
        let name = if early { "memory.oom_control" } else { "memory.events" };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let counter = openat(directory.fd(), name, flags, Mode::empty()).ok()?;
        let watch = if limited { cgroup.oom_watch().ok() } else { None };
        let first = kills(&counter);
        Some(Self { watch, counter, first, told: first, early })
    }

    /// What is ready when something happened.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(|watch| watch.as_fd())
    }

    /// After [`descriptor`](Self::descriptor) was ready: whether a process was killed since.
    pub fn has_killed(&mut self) -> bool {
        if let Some(watch) = &self.watch {
            watch.clear();
        }
        let now = kills(&self.counter);
        let counted = now > self.told;
        self.told = self.told.max(now);
        counted || self.early
    }

    /// Whether the kernel killed a process of it, read from the kernel now: a message may have been
    /// missed, the count is not.
    #[must_use]
    pub fn has_ever_killed(&self) -> bool {
        kills(&self.counter) > self.first
    }
}

/// The line `oom_kill N`; 0 when the kernel has none (before 4.13).
fn kills(counter: &OwnedFd) -> u64 {
    let mut text = [0; 512];
    let length = rustix::io::pread(counter, &mut text, 0).unwrap_or(0);
    let text = String::from_utf8_lossy(&text[..length]);
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill "))
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}
