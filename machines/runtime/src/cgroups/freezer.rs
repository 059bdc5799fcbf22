//! Stops all processes of a cgroup where they are, and lets them go on.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use dhow_model::error::{Error, Kind, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::files::{failure, open, read_value, value_of, write_all, write_value};
use super::{Cgroup, Controller, Directory, Version};

/// How long processes may take to stop: one may be in the middle of a write to a slow disk.
const PATIENCE: Duration = Duration::from_secs(10);

impl Cgroup {
    /// Freezes it; returns when every process stands still.
    ///
    /// # Errors
    /// When there is no freezer, or processes do not come to a stop; then they go on.
    pub fn freeze(&self) -> Result<()> {
        let directory = self.freezer()?;
        let result = match directory.version {
            Version::V1 => freeze_v1(directory),
            Version::V2 => freeze_v2(directory),
        };
        let result = result.map_err(|error| failure(place("freeze", directory), error));
        match result {
            Ok(true) => Ok(()),
            failed => {
                // A cgroup that is half frozen is a trap for everybody who waits for it.
                let _ = self.thaw();
                failed?;
                let what = format!("{}: its processes do not come to a stop", place("freeze", directory));
                Err(Error::new(Kind::Internal, what))
            }
        }
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When there is no freezer or the kernel refuses.
    pub fn thaw(&self) -> Result<()> {
        let (file, word) = self.thawing_file()?;
        let directory = self.freezer()?;
        write_all(&file, word).map_err(|error| failure(place("thaw", directory), error))
    }

    /// The file that thaws it, open to be written, and the word for it.
    ///
    /// # Errors
    /// As [`thaw`](Self::thaw).
    pub fn thawing_file(&self) -> Result<(OwnedFd, &'static str)> {
        let directory = self.freezer()?;
        let (file, word) = match directory.version {
            Version::V1 => ("freezer.state", "THAWED"),
            Version::V2 => ("cgroup.freeze", "0"),
        };
        let opened = open(directory.fd(), file, OFlags::WRONLY);
        opened.map(|file| (file, word)).map_err(|error| failure(place("thaw", directory), error))
    }

    /// Whether it was frozen, itself and not with a cgroup above it.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        let Ok(directory) = self.freezer() else { return false };
        let file = match directory.version {
            Version::V1 => "freezer.self_freezing",
            Version::V2 => "cgroup.freeze",
        };
        read_value(directory.fd(), file).is_ok_and(|value| value.trim() == "1")
    }

    fn freezer(&self) -> Result<&Directory> {
        match (self.directory(Controller::Freezer), self.unified()) {
            (Some(directory), _) => Ok(directory),
            // A hybrid without the old freezer.
            (None, Some(unified)) => Ok(unified),
            (None, None) => self.need(Controller::Freezer),
        }
    }
}

fn place(verb: &str, directory: &Directory) -> String {
    format!("cannot {verb} the cgroup {}", directory.path.display())
}

/// A process that is born while its cgroup freezes may escape it in version 1, and the state stays
/// `FREEZING`: writing it again catches those too.
fn freeze_v1(directory: &Directory) -> Result<bool, Errno> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_micros(10);
    while Instant::now() < deadline {
        write_value(directory.fd(), "freezer.state", "FROZEN")?;
        if read_value(directory.fd(), "freezer.state")?.trim() == "FROZEN" {
            return Ok(true);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
    Ok(false)
}

/// The kernel tells in `cgroup.events` when the last process stands still.
fn freeze_v2(directory: &Directory) -> Result<bool, Errno> {
    let deadline = Instant::now() + PATIENCE;
    write_value(directory.fd(), "cgroup.freeze", "1")?;
    let events = open(directory.fd(), "cgroup.events", OFlags::RDONLY)?;
    loop {
        // Reading anew through the same file is what clears the poll.
        let mut buffer = [0; 256];
        let length = rustix::io::pread(&events, &mut buffer, 0)?;
        let text = String::from_utf8_lossy(&buffer[..length]);
        if value_of(&text, "frozen") == Some(1) {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let mut polled = [PollFd::new(&events, PollFlags::PRI)];
        let timeout = Timespec::try_from(left).map_err(|_| Errno::INVAL)?;
        match poll(&mut polled, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}
