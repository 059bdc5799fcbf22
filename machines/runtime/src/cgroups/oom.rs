//! Tells when a cgroup runs out of memory.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use dhow_model::error::Result;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::OFlags;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::files::{failure, write_value};
use super::{Cgroup, Controller, Version};

/// A descriptor that becomes readable when something happened; [`Cgroup::oom_kills`] then tells what.
#[derive(Debug)]
pub struct OomWatch {
    fd: OwnedFd,
    /// Version 1: the event lives as long as this file is open.
    _control: Option<OwnedFd>,
}

impl Cgroup {
    /// Watches for want of memory.
    ///
    /// # Errors
    /// When there is no memory controller.
    pub fn oom_watch(&self) -> Result<OomWatch> {
        let directory = self.need(Controller::Memory)?;
        let what = || format!("cannot watch the memory of the cgroup {}", directory.path.display());
        match self.version {
            Version::V1 => {
                let control = self.open_file(Controller::Memory, "memory.oom_control", OFlags::RDONLY)?;
                let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
                    .map_err(|error| failure(what(), error))?;
                let line = format!("{} {}", fd.as_raw_fd(), control.as_raw_fd());
                write_value(directory.fd(), "cgroup.event_control", &line)
                    .map_err(|error| failure(what(), error))?;
                Ok(OomWatch { fd, _control: Some(control) })
            }
            Version::V2 => {
                let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
                    .map_err(|error| failure(what(), error))?;
                inotify::add_watch(&fd, directory.path.join("memory.events"), WatchFlags::MODIFY)
                    .map_err(|error| failure(what(), error))?;
                Ok(OomWatch { fd, _control: None })
            }
        }
    }
}

impl OomWatch {
    /// Takes what was told, so that the descriptor is not readable until the next time.
    pub fn clear(&self) {
        let mut buffer = [0u8; 4096];
        // Nothing there is no error, and nothing else can go wrong.
        let _ = rustix::io::read(&self.fd, &mut buffer);
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
