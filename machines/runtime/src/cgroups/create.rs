//! Makes a cgroup in every hierarchy, finds it again, and puts processes into it.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;

use dhow_model::error::{Error, Result};
use rustix::fs::{Mode, OFlags, mkdirat};
use rustix::io::Errno;
use rustix::process::Pid;

use super::files::{failure, open, open_directory, read_value, write_value};
use super::layout::{Hierarchy, Layout, Version};
use super::{Cgroup, CgroupPath, Controller, Directory, Missing};

/// The rights of the directory.
const MODE: u32 = 0o755;

impl Cgroup {
    /// Makes the cgroup, and what is above it, in every hierarchy; one that is there already is taken.
    ///
    /// # Errors
    /// When there is no room or memory for it; not when a hierarchy is read-only or closed to us, which
    /// is told in [`missing`](Self::missing).
    pub fn create(layout: &Layout, path: &CgroupPath) -> Result<Self> {
        let version = layout.version();
        Self::gather(layout, path, |hierarchy, relative| {
            let root = hierarchy.root();
            let is_new = make(root, relative)?;
            let fd = open_directory(root, relative)?;
            if version == Version::V2 {
                enable_controllers(root, relative, fd.as_fd());
            } else if hierarchy.mount.has_processors() && !has_processors(fd.as_fd())? {
                fill_cpuset(root, relative, true)?;
            }
            Ok((fd, is_new))
        })
    }

    /// Finds a cgroup that was made before; hierarchies in which it is not are passed over.
    ///
    /// # Errors
    /// When descriptors run out.
    pub fn open(layout: &Layout, path: &CgroupPath) -> Result<Self> {
        Self::gather(layout, path, |hierarchy, relative| {
            Ok((open_directory(hierarchy.root(), relative)?, false))
        })
    }

    /// Whether nobody had made it before, in any hierarchy.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.directories.iter().all(|directory| directory.is_new)
    }

    /// Whether the cgroup is in any hierarchy.
    #[must_use]
    pub fn exists(&self) -> bool {
        !self.directories.is_empty()
    }

    fn gather(
        layout: &Layout,
        path: &CgroupPath,
        enter: impl Fn(&Hierarchy, &str) -> Result<(std::os::fd::OwnedFd, bool), Errno>,
    ) -> Result<Self> {
        let mut cgroup = Self { version: layout.version(), directories: Vec::new(), missing: Vec::new() };
        for hierarchy in &layout.hierarchies {
            let mount = &hierarchy.mount;
            let relative = path.within(mount);
            let place = mount.mount_point.join(&relative);
            match enter(hierarchy, &relative) {
                Ok((fd, is_new)) => cgroup.directories.push(Directory {
                    version: mount.version,
                    controllers: mount.controllers.clone(),
                    name: mount.name.clone(),
                    path: place,
                    is_new,
                    fd,
                    root: Arc::clone(&hierarchy.root),
                    relative,
                }),
                Err(reason) if is_of_the_machine(reason) => cgroup.missing.push(Missing {
                    controllers: mount.controllers.clone(),
                    path: place,
                    reason: reason.into(),
                }),
                Err(reason) => {
                    cgroup.directories.retain(|directory| directory.is_new);
                    let _ = cgroup.delete();
                    return Err(failure(
                        format!("cannot make or open the cgroup {}", place.display()),
                        reason,
                    ));
                }
            }
        }
        Ok(cgroup)
    }

    /// Moves a process into the cgroup, in every hierarchy.
    ///
    /// # Errors
    /// When the kernel refuses it in one of them.
    pub fn attach(&self, process: Pid) -> Result<()> {
        self.directories.iter().try_for_each(|directory| directory.attach(process))
    }

    /// Moves this process, which has one thread and was born in
    /// [`birth_directory`](Self::birth_directory), into the other hierarchies: nothing to do in
    /// version 2.
    ///
    /// By `tasks`, not by `cgroup.procs` and from outside: for a thread that moves itself the kernel
    /// (5.18) takes no lock that it would have to wait 10 to 20 ms for all processors for.
    ///
    /// # Errors
    /// When the kernel refuses it in one of them.
    pub fn enter_born(&self) -> Result<()> {
        for directory in self.directories.iter().filter(|directory| directory.version == Version::V1) {
            write_value(directory.fd(), "tasks", "0").map_err(|error| {
                failure(format!("cannot enter the cgroup {}", directory.path.display()), error)
            })?;
        }
        Ok(())
    }
}

impl Directory {
    fn attach(&self, process: Pid) -> Result<()> {
        let text = process.to_string();
        let mut result = write_value(self.fd(), "cgroup.procs", &text);
        // Version 1 refuses a process that is not ready yet (TASK_NEW) for a moment.
        for _ in 0..5 {
            if result != Err(Errno::INVAL) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
            result = write_value(self.fd(), "cgroup.procs", &text);
        }
        if result == Err(Errno::OPNOTSUPP) && self.become_threaded() {
            result = write_value(self.fd(), "cgroup.procs", &text);
        }
        result.map_err(|error| {
            let what = format!("cannot move process {text} into the cgroup {}", self.path.display());
            failure(what, error)
        })
    }

    /// Below a cgroup that has processes itself, a child is usable in threaded mode only.
    fn become_threaded(&self) -> bool {
        read_value(self.fd(), "cgroup.type").is_ok_and(|kind| kind.trim() == "domain invalid")
            && write_value(self.fd(), "cgroup.type", "threaded").is_ok()
    }
}

/// Whether this machine does not let us, rather than that something went wrong.
fn is_of_the_machine(reason: Errno) -> bool {
    matches!(reason, Errno::ROFS | Errno::ACCESS | Errno::PERM | Errno::NOENT | Errno::NODEV)
}

/// Makes a directory with all above it; tells whether it is new.
fn make(root: BorrowedFd<'_>, path: &str) -> Result<bool, Errno> {
    match mkdirat(root, path, Mode::from_raw_mode(MODE)) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(Errno::NOENT) => {
            let (above, _) = path.rsplit_once('/').ok_or(Errno::NOENT)?;
            make(root, above)?;
            match mkdirat(root, path, Mode::from_raw_mode(MODE)) {
                Ok(()) => Ok(true),
                // Another one was quicker.
                Err(Errno::EXIST) => Ok(false),
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

/// Version 2: gives the cgroup every controller that the hierarchy's root has. Not in a hybrid, where
/// version 1 sets the limits and what is left to version 2 is not ours to turn on.
///
/// A controller reaches a cgroup when all above it pass it on. What cannot be passed on (a cgroup above
/// that has processes, or is delegated without it) shows when a limit needs it.
fn enable_controllers(root: BorrowedFd<'_>, path: &str, leaf: BorrowedFd<'_>) {
    let Ok(wanted) = read_value(root, "cgroup.controllers") else { return };
    let had = read_value(leaf, "cgroup.controllers").unwrap_or_default();
    let has = |name: &str| had.split_whitespace().any(|each| each == name);
    let lacking: Vec<&str> = wanted.split_whitespace().filter(|name| !has(name)).collect();
    if lacking.is_empty() {
        return;
    }
    enable_in(root, &lacking);
    for (at, _) in path.match_indices('/') {
        if let Ok(above) = open_directory(root, &path[..at]) {
            enable_in(above.as_fd(), &lacking);
        }
    }
}

/// All at once, or else each that can be.
fn enable_in(directory: BorrowedFd<'_>, names: &[&str]) {
    let line = |names: &[&str]| names.iter().map(|name| format!("+{name}")).collect::<Vec<_>>().join(" ");
    match write_value(directory, "cgroup.subtree_control", &line(names)) {
        // It has processes. Those controllers that it could pass on nevertheless would make every cgroup
        // below it one that takes no process.
        Ok(()) | Err(Errno::BUSY) => {}
        Err(_) => {
            for name in names {
                let _ = write_value(directory, "cgroup.subtree_control", &line(&[name]));
            }
        }
    }
}

/// Version 1: a cpuset without processors and memory takes no process. Copies them from above, from
/// the top down.
fn fill_cpuset(root: BorrowedFd<'_>, path: &str, is_leaf: bool) -> Result<(), Errno> {
    let leaf = open_directory(root, path)?;
    if has_processors(leaf.as_fd())? {
        return Ok(());
    }
    let above = match path.rsplit_once('/') {
        Some((above, _)) => {
            fill_cpuset(root, above, false)?;
            open_directory(root, above)?
        }
        None => open_directory(root, ".")?,
    };
    for ((file, own), (_, from)) in cpuset_files(leaf.as_fd())?.iter().zip(cpuset_files(above.as_fd())?) {
        if own.trim().is_empty() {
            write_value(&leaf, file, from.trim())?;
        }
    }
    if !is_leaf {
        // Containers made below this one then have the right ones from birth.
        let _ = write_value(&leaf, "cgroup.clone_children", "1");
    }
    Ok(())
}

/// Whether a cpuset has processors and memory.
fn has_processors(directory: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(cpuset_files(directory)?.iter().all(|(_, value)| !value.trim().is_empty()))
}

/// `cpuset.cpus` and `cpuset.mems`, which are without prefix where so mounted (Android).
fn cpuset_files(directory: BorrowedFd<'_>) -> Result<[(&'static str, String); 2], Errno> {
    match read_value(directory, "cpuset.cpus") {
        Ok(cpus) => Ok([("cpuset.cpus", cpus), ("cpuset.mems", read_value(directory, "cpuset.mems")?)]),
        Err(Errno::NOENT) => {
            Ok([("cpus", read_value(directory, "cpus")?), ("mems", read_value(directory, "mems")?)])
        }
        Err(error) => Err(error),
    }
}

impl Cgroup {
    /// Opens a file of a controller.
    pub(super) fn open_file(
        &self,
        controller: Controller,
        file: &str,
        mode: OFlags,
    ) -> Result<std::os::fd::OwnedFd> {
        let directory = self.need(controller)?;
        open(directory.fd(), file, mode).map_err(|error| {
            failure(format!("cannot open {} of the cgroup {}", file, directory.path.display()), error)
        })
    }

    /// The directory of a controller, or an error that says why there is none.
    pub(super) fn need(&self, controller: Controller) -> Result<&Directory> {
        self.directory(controller).ok_or_else(|| {
            let missing = self
                .missing
                .iter()
                .find(|each| each.controllers.contains(&controller) || self.version == Version::V2);
            let reason = missing.map_or_else(|| "it is not mounted".to_owned(), Missing::to_string);
            Error::new(
                dhow_model::error::Kind::Unavailable,
                format!("the cgroup controller {controller} cannot be used: {reason}"),
            )
        })
    }
}
