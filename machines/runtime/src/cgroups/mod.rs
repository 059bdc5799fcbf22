//! The cgroup of a container, in version 1, hybrid and version 2, by writing files (`cgroupfs`).
//!
//! ```text
//! let layout = Layout::detect()?;                         // once: what is mounted, held open
//! let path = CgroupPath::parse("/docker/<id>")?;          // linux.cgroupsPath
//! let cgroup = Cgroup::create(&layout, &path)?;           // in every hierarchy
//! let applied = cgroup.apply(&resources)?;                // all limits, and the device policy
//! clone3(CLONE_INTO_CGROUP, cgroup.birth_directory())     // version 2: born inside
//! cgroup.attach(pid)?;                                    // version 1 and hybrid: moved inside
//! …  update, freeze, thaw, processes, kill_all, stats, oom_kills, oom_watch  …
//! cgroup.delete()?;
//! ```
//! Later, and in another process, [`Cgroup::open`] finds it again by the same path.
//!
//! In reading order: [`controller`] has the names, [`layout`] finds what is mounted, [`path`] says
//! where a container's cgroup is in it; [`plan`] and [`devices`] turn limits into lists of writes (pure);
//! [`apply`] carries them out; [`create`], [`processes`], [`freezer`], [`oom`], [`stats`] and [`delete`]
//! are what is done with a cgroup.
//!
//! What cannot be had (a hierarchy that is read-only or not mounted) is in [`Cgroup::missing`], to be
//! told once; a limit that needs it is an error that names it.

pub mod apply;
pub mod controller;
pub mod create;
pub mod delete;
pub mod devices;
pub mod freezer;
pub mod layout;
pub mod oom;
pub mod path;
pub mod plan;
pub mod processes;
pub mod stats;

mod files;

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

pub use apply::{Applied, DeviceRules};
pub use controller::Controller;
pub use layout::{Layout, Version};
pub use path::CgroupPath;

/// A container's cgroup: a directory in each hierarchy, held open.
#[derive(Debug)]
pub struct Cgroup {
    version: Version,
    directories: Vec<Directory>,
    missing: Vec<Missing>,
}

/// The cgroup in one hierarchy.
#[derive(Debug)]
pub struct Directory {
    /// Of this version.
    pub version: Version,
    /// Version 1: the hierarchy's controllers. Version 2: empty.
    pub controllers: Vec<Controller>,
    /// `name=` of a hierarchy without controllers.
    pub name: Option<String>,
    /// Where it is.
    pub path: PathBuf,
    /// Whether it was made here, just now.
    pub is_new: bool,
    fd: OwnedFd,
    /// For removing it: the hierarchy's root, and the way from there.
    root: Arc<OwnedFd>,
    relative: String,
}

/// A hierarchy that could not be used.
#[derive(Debug)]
pub struct Missing {
    /// Its controllers; empty for version 2 and for one that has a name only.
    pub controllers: Vec<Controller>,
    /// Where it would have been.
    pub path: PathBuf,
    /// Why not.
    pub reason: std::io::Error,
}

impl Cgroup {
    /// By which version limits are set.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Its directory in each hierarchy.
    #[must_use]
    pub fn directories(&self) -> &[Directory] {
        &self.directories
    }

    /// What could not be had, in words for the user: one line for each reason.
    pub fn missing(&self) -> impl Iterator<Item = String> + use<> {
        let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
        for missing in &self.missing {
            let reason = missing.reason.to_string();
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, names)) => names.push(missing.names()),
                None => reasons.push((reason, vec![missing.names()])),
            }
        }
        reasons.into_iter().map(|(reason, names)| format!("no cgroup of {}: {reason}", names.join(", ")))
    }

    /// The directory into which `clone3` can put a new process (`CLONE_INTO_CGROUP`): version 2, and
    /// the version 2 part of a hybrid.
    #[must_use]
    pub fn birth_directory(&self) -> Option<BorrowedFd<'_>> {
        self.unified().map(Directory::fd)
    }

    fn unified(&self) -> Option<&Directory> {
        self.directories.iter().find(|directory| directory.version == Version::V2)
    }

    /// The directory in which the files of a controller are.
    fn directory(&self, controller: Controller) -> Option<&Directory> {
        match self.version {
            Version::V2 => self.unified(),
            Version::V1 => self.directories.iter().find(|each| each.controllers.contains(&controller)),
        }
    }
}

impl Directory {
    /// The open directory.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Missing {
    /// What the hierarchy is called.
    fn names(&self) -> String {
        let names: Vec<&str> = self.controllers.iter().map(|each| each.v1_name()).collect();
        if names.is_empty() { self.path.display().to_string() } else { names.join(",") }
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.controllers.iter().map(|each| each.v1_name()).collect();
        let names = if names.is_empty() { String::new() } else { format!(" {}", names.join(",")) };
        write!(f, "no{names} cgroup at {}: {}", self.path.display(), self.reason)
    }
}

#[cfg(test)]
mod tests;
