//! What `features` answers: what this runtime can do, without running anything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The document of `features` (OCI runtime specification, "Features Structure").
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Features {
    /// The oldest version of the specification that is understood.
    pub oci_version_min: String,
    /// The newest.
    pub oci_version_max: String,
    /// Hooks that are run.
    pub hooks: Vec<String>,
    /// Mount options that are understood.
    pub mount_options: Vec<String>,
    /// The Linux part.
    pub linux: LinuxFeatures,
    /// Free pairs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The Linux part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LinuxFeatures {
    /// Kinds of namespaces.
    pub namespaces: Vec<String>,
    /// Capabilities that are known.
    pub capabilities: Vec<String>,
    /// Cgroups.
    pub cgroup: CgroupFeatures,
    /// Filters of system calls.
    pub seccomp: SeccompFeatures,
    /// AppArmor.
    pub apparmor: Enabled,
    /// SELinux.
    pub selinux: Enabled,
    /// Intel's resource director.
    pub intel_rdt: Enabled,
    /// Extensions of mounts.
    pub mount_extensions: MountExtensions,
}

/// Cgroups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CgroupFeatures {
    /// Version 1.
    pub v1: bool,
    /// Version 2.
    pub v2: bool,
    /// By systemd.
    pub systemd: bool,
    /// By systemd, as a user.
    pub systemd_user: bool,
    /// The rdma controller.
    pub rdma: bool,
}

/// Filters of system calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SeccompFeatures {
    /// Whether there are any.
    pub enabled: bool,
    /// Actions.
    pub actions: Vec<String>,
    /// Comparisons.
    pub operators: Vec<String>,
    /// Architectures.
    pub archs: Vec<String>,
    /// Flags that the specification knows.
    pub known_flags: Vec<String>,
    /// Flags that are served.
    pub supported_flags: Vec<String>,
}

/// Whether something is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Enabled {
    /// Yes or no.
    pub enabled: bool,
}

/// Extensions of mounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountExtensions {
    /// Mapped ids.
    pub idmap: Enabled,
}
