//! Namespaces that are joined by path, by the parent on behalf of its child.
//!
//! The parent enters them, makes the child, and goes back. So a child in a new user namespace can be
//! in a network namespace of an older one, which it would not be allowed to enter itself. A mount
//! namespace the child joins itself, a user namespace a helper: there is no way back from them.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use dhow_oci::runtime::NamespaceKind;
use dhow_sys::procfs::Procfs;
use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use super::error::{Context as _, Result};
use super::lack;
use super::plan::NamespacePlan;
use super::plan::namespaces::file;

/// The way back from the namespaces that were entered.
#[derive(Debug)]
pub(super) struct Joined {
    back: Vec<(NamespaceKind, OwnedFd)>,
}

impl Joined {
    /// Enters every namespace that is joined by path and can be left again, and makes a new time
    /// namespace for the children, with its clocks set.
    pub(super) fn enter(plan: &NamespacePlan) -> Result<Self> {
        let mut joined = Self { back: Vec::new() };
        let leavable = |kind: NamespaceKind| !matches!(kind, NamespaceKind::Mount | NamespaceKind::User);
        for (kind, path) in plan.joined.iter().filter(|(kind, _)| leavable(*kind)) {
            joined.remember(*kind)?;
            enter(*kind, path)?;
        }
        if plan.is_new(NamespaceKind::Time) {
            joined.remember(NamespaceKind::Time)?;
            make_time_namespace(&plan.time_offsets)?;
        }
        Ok(joined)
    }

    fn remember(&mut self, kind: NamespaceKind) -> Result<()> {
        let path = Path::new("/proc/self/ns").join(file(kind));
        self.back.push((kind, open(&path)?));
        Ok(())
    }

    /// Goes back.
    pub(super) fn leave(self) -> Result<()> {
        for (kind, fd) in self.back {
            rustix::thread::move_into_link_name_space(fd.as_fd(), Some(kind_of(kind)))
                .doing(|| format!("go back to the runtime's own {kind:?} namespace"))?;
        }
        Ok(())
    }
}

/// Enters the namespace at `path`.
pub(super) fn enter(kind: NamespaceKind, path: &Path) -> Result<()> {
    let fd = open(path)?;
    rustix::thread::move_into_link_name_space(fd.as_fd(), Some(kind_of(kind)))
        .doing(|| format!("join the {kind:?} namespace {}", path.display()))
}

fn open(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .doing(|| format!("open the namespace {}", path.display()))
}

fn make_time_namespace(offsets: &str) -> Result<()> {
    // SAFETY of the design: the caller has one thread, so that nothing else is moved along.
    #[allow(deprecated, reason = "the other form differs in its name only")]
    rustix::thread::unshare(UnshareFlags::NEWTIME)
        .map_err(|error| lack::failure("make a time namespace", &[NamespaceKind::Time], error))?;
    if offsets.is_empty() {
        return Ok(());
    }
    let procfs = Procfs::at_proc().doing(|| "open /proc")?;
    procfs.write("self/timens_offsets", offsets.as_bytes()).doing(|| "set the offsets of clocks")
}

const fn kind_of(kind: NamespaceKind) -> LinkNameSpaceType {
    match kind {
        NamespaceKind::Pid => LinkNameSpaceType::ProcessID,
        NamespaceKind::Network => LinkNameSpaceType::Network,
        NamespaceKind::Mount => LinkNameSpaceType::Mount,
        NamespaceKind::Ipc => LinkNameSpaceType::InterProcessCommunication,
        NamespaceKind::Uts => LinkNameSpaceType::HostNameAndNISDomainName,
        NamespaceKind::User => LinkNameSpaceType::User,
        NamespaceKind::Cgroup => LinkNameSpaceType::ControlGroup,
        NamespaceKind::Time => LinkNameSpaceType::Time,
    }
}
