//! Containers as they are known between one command and the next.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use dhow_model::{Error, Kind, Result};
use dhow_oci::runtime::Spec;
use rustix::process::{Pid, PidfdFlags};
use serde::{Deserialize, Serialize};

use super::gate;
use crate::cgroups::{Cgroup, CgroupPath, Layout};

const STATE: &str = "state.json";
const PROCESS: &str = "process";
/// A configuration that is longer was not made for a container.
const LONGEST: u64 = 16 << 20;

/// What is known of a container, written before it is made; only its process comes later, to a file of its own.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    pub(super) id: String,
    /// 0 while it is made.
    #[serde(skip)]
    pub(super) pid: i32,
    /// When the process began, in ticks since boot: tells it from a later one of the same number.
    #[serde(skip)]
    pub(super) began: u64,
    pub(super) bundle: PathBuf,
    pub(super) rootfs: PathBuf,
    pub(super) created: String,
    pub(super) cgroup: String,
    pub(super) owner: u32,
    /// The configuration as it was at create: later changes of the file mean nothing.
    pub(super) spec: Spec,
}

/// A container and its directory.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) directory: PathBuf,
    pub(super) record: Record,
}

/// OCI runtime specification, "State"; `paused` is runc's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Creating,
    Created,
    Running,
    Paused,
    Stopped,
}

impl Status {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

impl Container {
    /// Claims the id: makes its directory, and the record in it.
    pub(super) fn claim(root: &Path, record: Record) -> Result<Self> {
        check_id(&record.id)?;
        let directory = root.join(&record.id);
        let mut builder = DirBuilder::new();
        builder.mode(0o700);
        let made = builder.create(&directory).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                DirBuilder::new().mode(0o711).recursive(true).create(root)?;
                builder.create(&directory)
            }
            _ => Err(error),
        });
        match made {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Error::conflict("container with given ID already exists"));
            }
            Err(error) => {
                return Err(Error::internal(format!("cannot make {}", directory.display())).because(error));
            }
        }
        let container = Self { directory, record };
        let text = serde_json::to_vec(&container.record).map_err(|error| container.unsaved(error.into()))?;
        container.save(STATE, &text)?;
        Ok(container)
    }

    /// Finds a container by its id.
    pub(super) fn load(root: &Path, id: &str) -> Result<Self> {
        check_id(id)?;
        let directory = root.join(id);
        let text = match read(&directory.join(STATE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::not_found("container does not exist"));
            }
            Err(error) => {
                return Err(Error::internal(format!("cannot read the state of {id}")).because(error));
            }
        };
        let mut record: Record = serde_json::from_slice(&text).map_err(|error| {
            Error::new(Kind::Corrupt, format!("the state of {id} is damaged")).because(error)
        })?;
        (record.pid, record.began) = process_of(&directory);
        Ok(Self { directory, record })
    }

    /// Notes the process that was made.
    ///
    /// Not in the record: a file that replaces another one is written to the disk at once (ext4), and
    /// whoever deletes it soon waits milliseconds for that.
    pub(super) fn set_process(&mut self, pid: i32) -> Result<()> {
        self.record.pid = pid;
        self.record.began = beginning(pid)
            .ok_or_else(|| Error::internal("the container's process ended before it was created"))?;
        self.save(PROCESS, format!("{pid} {}", self.record.began).as_bytes())
    }

    fn save(&self, file: &str, text: &[u8]) -> Result<()> {
        write_whole(&self.directory.join(file), text).map_err(|error| self.unsaved(error))
    }

    fn unsaved(&self, error: io::Error) -> Error {
        Error::internal(format!("cannot write the state of {}", self.record.id)).because(error)
    }

    pub(super) fn gate(&self) -> PathBuf {
        self.directory.join(gate::NAME)
    }

    /// How it is; a paused one shows as running.
    pub(super) fn status(&self) -> Status {
        if self.record.pid == 0 {
            Status::Creating
        } else if !self.is_alive() {
            Status::Stopped
        } else if gate::is_closed(&self.directory) {
            Status::Created
        } else {
            Status::Running
        }
    }

    /// The same, with a look at the freezer.
    pub(super) fn full_status(&self) -> Status {
        match self.status() {
            Status::Running if self.cgroup().is_ok_and(|cgroup| cgroup.is_frozen()) => Status::Paused,
            status => status,
        }
    }

    /// Whether its first process is there, and not as a zombie.
    pub(super) fn is_alive(&self) -> bool {
        is_alive(self.record.pid, self.record.began)
    }

    /// A handle on its first process, made sure to be it.
    pub(super) fn process(&self) -> Result<OwnedFd> {
        let gone = || Error::conflict("container not running");
        let pid = Pid::from_raw(self.record.pid).ok_or_else(gone)?;
        let handle = rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(|_| gone())?;
        if self.is_alive() { Ok(handle) } else { Err(gone()) }
    }

    /// Its cgroup.
    pub(super) fn cgroup(&self) -> Result<Cgroup> {
        Cgroup::open(&Layout::detect()?, &CgroupPath::parse(&self.record.cgroup)?)
    }

    /// Forgets it.
    pub(super) fn forget(&self) -> Result<()> {
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::internal(format!("cannot remove {}", self.directory.display())).because(error))
            }
            _ => Ok(()),
        }
    }
}

/// The process that was noted, and when it began; nothing while the container is made.
fn process_of(directory: &Path) -> (i32, u64) {
    let text = fs::read_to_string(directory.join(PROCESS)).unwrap_or_default();
    let numbers =
        text.split_once(' ').and_then(|(pid, began)| Some((pid.parse().ok()?, began.parse().ok()?)));
    numbers.unwrap_or_default()
}

/// When a process began, in ticks since boot; nothing when it has ended (a zombie has).
fn beginning(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may have anything in it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") { None } else { fields.nth(18)?.parse().ok() }
}

fn is_alive(pid: i32, began: u64) -> bool {
    beginning(pid) == Some(began)
}

/// Ids are names of directories and of cgroups.
fn check_id(id: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-' | '.');
    if id.is_empty() || id.len() > 1024 || !id.chars().all(plain) || id == "." || id == ".." {
        return Err(Error::invalid(format!("invalid container ID format: {id:?}")));
    }
    Ok(())
}

/// Reads a file of ours or a configuration, bounded.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file is too long"));
    }
    Ok(text)
}

/// Writes a file so that nobody ever reads half of it.
pub(super) fn write_whole(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o644).open(&beside)?;
    file.write_all(text)?;
    fs::rename(beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_names_and_nothing_else() {
        for good in ["a", "web-1", "A.b_c+d", "...x"] {
            assert!(check_id(good).is_ok(), "{good}");
        }
        for wrong in ["", ".", "..", "a/b", "../x", "a b", "a\n", "ä"] {
            assert!(check_id(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_process_is_told_from_a_later_one_of_the_same_number() {
        let own = i32::try_from(std::process::id()).unwrap();
        let began = beginning(own).unwrap();
        assert!(is_alive(own, began));
        assert!(!is_alive(own, began + 1));
    }
}
