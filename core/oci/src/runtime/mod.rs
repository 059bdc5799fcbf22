//! The configuration of a bundle and the state of a container (OCI runtime specification 1.2).
//!
//! [`Spec`] is `config.json`; [`linux`] has its Linux part, [`seccomp`] the filter. Unknown members
//! are ignored, as the specification's section "Extensibility" asks; a member whose value has the
//! wrong type is an error that names it.

pub mod features;
pub mod linux;
pub mod process;
pub mod resources;
pub mod seccomp;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use linux::{Device, IdMapping, IntelRdt, Linux, Namespace, NamespaceKind, Personality, TimeOffset};
pub use process::{Capabilities, ConsoleSize, ExecCpuAffinity, IoPriority, Process, Rlimit, Scheduler, User};
pub use resources::{
    BlockIo, Cpu, DeviceRule, HugepageLimit, InterfacePriority, Memory, Network, Pids, Rdma, Resources,
    ThrottleDevice, WeightDevice,
};
pub use seccomp::{Seccomp, SeccompArgument, SeccompRule};

/// The version of the specification that these types follow.
pub const VERSION: &str = "1.2.1";

/// `config.json` of a bundle.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// The version of the specification that the configuration follows.
    pub oci_version: String,
    /// What runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// The root file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<Root>,
    /// The host name; needs a UTS namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// The NIS domain name; needs a UTS namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domainname: String,
    /// What is mounted on top of the root file system, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Programs that are run at points of the life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Hooks>,
    /// Free pairs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The Linux part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linux: Option<Linux>,
}

/// The root file system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Root {
    /// Absolute, or relative to the bundle.
    pub path: PathBuf,
    /// Mounted read-only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub readonly: bool,
}

/// One mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Mount {
    /// In the container; absolute.
    pub destination: PathBuf,
    /// The file system's type; `bind` or nothing for a bind.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// A device's name, or a path of the host.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// As mount(8) has them, and those of the specification (`rro`, `idmap`, `tmpcopyup`, …).
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Maps owners as seen through the mount.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub uid_mappings: Vec<IdMapping>,
    /// Maps groups as seen through the mount.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub gid_mappings: Vec<IdMapping>,
}

/// Programs that are run at points of a container's life.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Hooks {
    /// Deprecated: after create, before the root is pivoted; in the runtime's namespaces.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub prestart: Vec<Hook>,
    /// As `prestart`.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub create_runtime: Vec<Hook>,
    /// In the container's namespaces, before the root is pivoted.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub create_container: Vec<Hook>,
    /// In the container's namespaces, right before the process is executed.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub start_container: Vec<Hook>,
    /// After the process was executed; in the runtime's namespaces.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub poststart: Vec<Hook>,
    /// After the container was deleted; in the runtime's namespaces.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub poststop: Vec<Hook>,
}

/// One program; it reads the container's state on its standard input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hook {
    /// Absolute.
    pub path: PathBuf,
    /// With the program's name first, as execve(2) takes them.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Its whole environment.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Seconds after which it is killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
}

/// What `state` answers and hooks read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The version of the specification.
    pub oci_version: String,
    /// The container.
    pub id: String,
    /// `creating`, `created`, `running`, `paused`, `stopped`.
    pub status: String,
    /// Of the first process, in the runtime's pid namespace; 0 when it has ended.
    #[serde(default)]
    pub pid: i32,
    /// Absolute.
    pub bundle: PathBuf,
    /// The configuration's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Go writes an empty list as null.
pub(crate) fn null_as_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
