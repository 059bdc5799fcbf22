//! The host: what it is, and the few of its files that the engine's rules are about.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::UserSpace;
use crate::Result;
use crate::container::UserMap;

/// Facts and files of the host.
pub trait Host: Send + Sync {
    /// What the host is; the same during the engine's life.
    fn facts(&self) -> &HostFacts;

    /// Whether a path exists, links followed; and whether it is a directory.
    fn look(&self, path: &Path) -> Result<Option<PathKind>>;

    /// User and group that a path belongs to; links are followed.
    fn owner(&self, path: &Path) -> Result<(u32, u32)>;

    /// The mount that a path is on; links are followed.
    fn mount_of(&self, path: &Path) -> Result<PathMount>;

    /// Makes a directory and those above it, for a bind mount whose source is missing.
    fn make_directory(&self, path: &Path) -> Result<()>;

    /// Reads a small file: at most `limit` bytes; none when it does not exist.
    fn read_file(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>>;

    /// Reads the files of a directory whose names have one of these endings, in the order of their names: at
    /// most `limit` bytes of each; none when it does not exist.
    fn files(&self, directory: &Path, endings: &[&str], limit: u64) -> Result<Vec<(PathBuf, Vec<u8>)>>;

    /// Writes a file made for a container (`hostname`, `hosts`, `resolv.conf`), mode 0644.
    fn write_file(&self, path: &Path, bytes: &[u8]) -> Result<()>;

    /// The device at a path; for a directory all devices below it. None of them where something else is there, and
    /// nothing where nothing is.
    fn devices(&self, path: &Path) -> Result<Option<Vec<DeviceNode>>>;

    /// Runs `ps` of the host with these arguments, for `top`: what it prints.
    fn processes(&self, arguments: &[String]) -> Result<String>;

    /// The program at an absolute path, or of a name in the search path of the engine; none when there is
    /// no such file that can be executed.
    fn program(&self, name: &str) -> Option<PathBuf>;

    /// Makes a user namespace, and with it a network namespace if that is asked for.
    ///
    /// # Errors
    /// The kernel's, which may allow none.
    fn user_space(&self, map: &Arc<UserMap>, network: bool) -> Result<UserSpace>;

    /// The user namespace of a process, with a new network namespace of it if that is asked for; none where it is ours.
    ///
    /// # Errors
    /// When the process is gone.
    fn user_space_of(&self, pid: i32, network: bool) -> Result<Option<UserSpace>>;

    /// What the engine's own process uses now.
    fn own_use(&self) -> OwnUse;

    /// Bytes that are random.
    fn random(&self) -> [u8; 32];
}

/// What a process uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwnUse {
    /// Open descriptors.
    pub descriptors: usize,
    /// Threads.
    pub threads: usize,
    /// Bytes of memory that are its own or that it shares.
    pub memory: u64,
    /// Time on processors.
    pub processor_time: Duration,
}

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    /// A directory.
    Directory,
    /// Something else.
    File,
}

/// The mount that a path is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathMount {
    /// Where it is mounted.
    pub place: PathBuf,
    /// What is mounted in it is passed on to its peers.
    pub shared: bool,
    /// It is passed what is mounted in another.
    pub slave: bool,
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceNode {
    /// On the host.
    pub path: PathBuf,
    /// `c` or `b`.
    pub kind: char,
    /// Its number.
    pub major: u32,
    /// Its number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// What the host is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// Its name.
    pub name: String,
    /// `6.1.0-13-amd64`.
    pub kernel: String,
    /// `Debian GNU/Linux 12 (bookworm)`.
    pub operating_system: String,
    /// `12`.
    pub os_version: String,
    /// `x86_64`.
    pub architecture: String,
    /// Processors.
    pub processors: usize,
    /// Bytes.
    pub memory: u64,
    /// `1` (also hybrid) or `2`.
    pub cgroup_version: u32,
    /// Controllers whose limits can be set: `memory`, `cpu`, `cpuset`, `pids`, `blkio`, …; `blkio.weight`
    /// where its scheduler is there, and `memory.swap` where swap is counted.
    pub controllers: Vec<String>,
    /// Kinds of namespaces that cannot be had: `net`, `cgroup`, …
    pub missing_namespaces: Vec<String>,
    /// Processors that may be used: `0-3,7`.
    pub processors_allowed: String,
    /// Directories in which processors tell how hot they are: all of them, also of those not used here.
    pub thermal: Vec<String>,
    /// Memory nodes that may be used.
    pub memory_nodes_allowed: String,
    /// Packets go from one interface to another (`net.ipv4.ip_forward`).
    pub forwards_packets: bool,
    /// The kernel filters system calls.
    pub seccomp: bool,
    /// AppArmor is on.
    pub apparmor: bool,
    /// SELinux is on.
    pub selinux: bool,
    /// The highest id of a group: few there are in a user namespace.
    pub last_group: u32,
    /// The highest hard limits of processes that can be had, by the names of ulimits; others have no end.
    pub hard_limits: BTreeMap<String, u64>,
    /// The lowest score that a process can be given for the time when memory is short.
    pub least_oom_score: i64,
    /// Bit n: capability n can be handed to containers.
    pub capabilities: u64,
    /// What cannot be had here, each in one sentence.
    pub warnings: Vec<String>,
}

impl HostFacts {
    /// Whether no namespace of a kind (`net`, `cgroup`, …) can be made.
    #[must_use]
    pub fn lacks_namespace(&self, name: &str) -> bool {
        self.missing_namespaces.iter().any(|missing| missing == name)
    }
}
