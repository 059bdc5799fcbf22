//! Namespaces that are made, joined by path, or left as they are.

use std::path::PathBuf;

use dhow_oci::runtime::{IdMapping, Linux, NamespaceKind, Spec, TimeOffset};

use super::super::error::{Error, Result};

/// What becomes of each kind of namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespacePlan {
    /// Those that are made.
    pub new: Vec<NamespaceKind>,
    /// Those that are joined, with their paths.
    pub joined: Vec<(NamespaceKind, PathBuf)>,
    /// Users of a new user namespace.
    pub uid_mappings: Vec<IdMapping>,
    /// Groups of a new user namespace.
    pub gid_mappings: Vec<IdMapping>,
    /// Offsets of a new time namespace, as /proc/PID/timens_offsets takes them.
    pub time_offsets: String,
    /// The host name.
    pub hostname: String,
    /// The NIS domain name.
    pub domainname: String,
}

impl NamespacePlan {
    /// Whether a namespace of this kind is made.
    #[must_use]
    pub fn is_new(&self, kind: NamespaceKind) -> bool {
        self.new.contains(&kind)
    }

    /// Whether it is not the runtime's own: made, or joined by path.
    #[must_use]
    pub fn is_private(&self, kind: NamespaceKind) -> bool {
        self.is_new(kind) || self.joined.iter().any(|(joined, _)| *joined == kind)
    }

    /// Whether mounts are its own.
    #[must_use]
    pub fn has_mount_namespace(&self) -> bool {
        self.is_private(NamespaceKind::Mount)
    }

    /// The `CLONE_NEW*` flags of those that clone3(2) makes.
    ///
    /// A cgroup namespace shows as its root the group that its maker is in (also with
    /// `CLONE_INTO_CGROUP`, where that is the parent), so the process makes it later, by itself. A time
    /// namespace is made by the parent, for its children.
    #[must_use]
    pub fn clone_flags(&self) -> u64 {
        let at_clone = |kind: &&NamespaceKind| !matches!(kind, NamespaceKind::Cgroup | NamespaceKind::Time);
        self.new.iter().filter(at_clone).map(|kind| flag(*kind)).fold(0, |all, one| all | one)
    }
}

/// Works out the namespaces of a configuration.
pub(super) fn plan(spec: &Spec, linux: &Linux) -> Result<NamespacePlan> {
    let mut plan = NamespacePlan {
        hostname: spec.hostname.clone(),
        domainname: spec.domainname.clone(),
        uid_mappings: linux.uid_mappings.clone(),
        gid_mappings: linux.gid_mappings.clone(),
        time_offsets: linux.time_offsets.iter().map(offset).collect(),
        ..NamespacePlan::default()
    };
    for namespace in &linux.namespaces {
        if plan.is_private(namespace.kind) {
            return Err(Error::configuration(format!(
                "malformed spec file: duplicated ns {:?}",
                namespace.kind
            )));
        }
        match namespace.path.clone().filter(|path| !path.as_os_str().is_empty()) {
            Some(path) if !path.is_absolute() => {
                return Err(Error::configuration(format!(
                    "namespace path {} is not absolute",
                    path.display()
                )));
            }
            Some(path) => plan.joined.push((namespace.kind, path)),
            None => plan.new.push(namespace.kind),
        }
    }
    check(&plan)?;
    Ok(plan)
}

fn check(plan: &NamespacePlan) -> Result<()> {
    let needs = |condition: bool, kind: NamespaceKind, what: &str| {
        if condition && !plan.is_private(kind) {
            return Err(Error::configuration(format!(
                "unable to set {what} without a private {kind:?} namespace"
            )));
        }
        Ok(())
    };
    needs(!plan.hostname.is_empty(), NamespaceKind::Uts, "hostname")?;
    needs(!plan.domainname.is_empty(), NamespaceKind::Uts, "domainname")?;
    needs(!plan.time_offsets.is_empty(), NamespaceKind::Time, "timeOffsets")?;
    let maps = !plan.uid_mappings.is_empty() || !plan.gid_mappings.is_empty();
    needs(maps, NamespaceKind::User, "id mappings")?;
    if plan.is_new(NamespaceKind::User) && (plan.uid_mappings.is_empty() || plan.gid_mappings.is_empty()) {
        return Err(Error::configuration("a new user namespace needs uidMappings and gidMappings"));
    }
    Ok(())
}

fn offset((clock, offset): (&String, &TimeOffset)) -> String {
    format!("{clock} {} {}\n", offset.secs, offset.nanosecs)
}

/// The `CLONE_NEW*` flag of a kind.
#[must_use]
pub fn flag(kind: NamespaceKind) -> u64 {
    let flag = match kind {
        NamespaceKind::Pid => libc::CLONE_NEWPID,
        NamespaceKind::Network => libc::CLONE_NEWNET,
        NamespaceKind::Mount => libc::CLONE_NEWNS,
        NamespaceKind::Ipc => libc::CLONE_NEWIPC,
        NamespaceKind::Uts => libc::CLONE_NEWUTS,
        NamespaceKind::User => libc::CLONE_NEWUSER,
        NamespaceKind::Cgroup => libc::CLONE_NEWCGROUP,
        NamespaceKind::Time => 0x80,
    };
    u64::from(flag.unsigned_abs())
}

/// The name of a kind's file in /proc/PID/ns.
#[must_use]
pub const fn file(kind: NamespaceKind) -> &'static str {
    match kind {
        NamespaceKind::Pid => "pid",
        NamespaceKind::Network => "net",
        NamespaceKind::Mount => "mnt",
        NamespaceKind::Ipc => "ipc",
        NamespaceKind::Uts => "uts",
        NamespaceKind::User => "user",
        NamespaceKind::Cgroup => "cgroup",
        NamespaceKind::Time => "time",
    }
}

/// Which namespace a kernel parameter belongs to; nothing when it is the whole machine's.
pub(super) fn owner_of_sysctl(path: &str) -> Option<NamespaceKind> {
    const IPC: [&str; 9] =
        ["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced", "auto_msgmni"];
    let kernel = path.strip_prefix("kernel/");
    if path.starts_with("net/") {
        Some(NamespaceKind::Network)
    } else if path.starts_with("fs/mqueue/") || kernel.is_some_and(|name| IPC.contains(&name)) {
        Some(NamespaceKind::Ipc)
    } else if kernel.is_some_and(|name| name == "domainname" || name == "hostname") {
        Some(NamespaceKind::Uts)
    } else if path.starts_with("user/") {
        Some(NamespaceKind::User)
    } else {
        None
    }
}
