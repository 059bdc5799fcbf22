//! The runtime: starts one container's process and stays with it.

use std::collections::{BTreeMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Sample;
use super::logs::{LogEntries, LogFileKind, LogOptions, LogQuery};
use crate::container::{Exit, Running};
use crate::{ContainerId, Result};

/// Processes in containers.
///
/// A monitor process holds each container: its standard streams or terminal, its log, its exit. It
/// outlives the engine; the next engine [`adopt`](Self::adopt)s it and finds all that happened
/// meanwhile. Exits are told as [`RuntimeEvent`]s on the channel given when the runtime was made.
pub trait Runtime: Send + Sync {
    /// Makes the isolated space and runs the process; returns when it was executed.
    ///
    /// # Errors
    /// In Docker's words, `failed to create task for container: …`; kind `InvalidArgument` when the
    /// program cannot be executed (then [`Failure::exit_code`](Exit::code) is 126 or 127).
    fn start(&self, plan: StartPlan) -> Result<Running, StartFailure>;

    /// All containers of which an earlier engine left something: [`adopt`](Self::adopt) finds nothing of any
    /// other, and there is nothing of it to [`release`](Self::release).
    fn left(&self) -> Result<HashSet<ContainerId>>;

    /// Finds a container that an earlier engine started.
    fn adopt(&self, id: &ContainerId) -> Result<Adopted>;

    /// Runs one more process in a running container.
    fn exec(&self, plan: ExecPlan) -> Result<Running, StartFailure>;

    /// Whether a container still lives in the run of which this is the first process. What was opened by that
    /// process's number before was the container's then.
    fn lives(&self, id: &ContainerId, pid: i32) -> bool;

    /// Sends a signal to the first process of the target.
    fn signal(&self, target: &Target, signal: i32) -> Result<()>;

    /// Kills every process of the container, whatever its first one does.
    fn kill_all(&self, id: &ContainerId) -> Result<()>;

    /// Freezes it: until it is resumed, and, before [`keep_paused`](Self::keep_paused) was said, not longer than
    /// this engine lives.
    fn pause(&self, id: &ContainerId) -> Result<()>;

    /// Thaws it.
    fn resume(&self, id: &ContainerId) -> Result<()>;

    /// It stays frozen when this engine is gone.
    fn keep_paused(&self, id: &ContainerId) -> Result<()>;

    /// Opens a stream to the target's standard streams.
    ///
    /// What is read is raw bytes where it has a terminal, and else frames of Docker's stream format
    /// (8 bytes of header: stream, three zeros, length big-endian). What is written goes to its
    /// standard input; shutting the writing side down closes that input when it is attached once.
    /// The stream ends when the process has ended and everything it wrote was sent.
    ///
    /// A target that does not run yet can be attached to: the stream then waits for its start, which
    /// is how a client gets the very first byte. It ends without a word when the start fails or the
    /// target is released.
    fn attach(&self, target: &Target, options: AttachOptions) -> Result<OwnedFd>;

    /// Sets the size of the target's terminal.
    fn resize(&self, target: &Target, size: TerminalSize) -> Result<()>;

    /// Changes limits of a running container; what is not given stays. Notes are logged.
    fn update(&self, id: &ContainerId, limits: &dhow_oci::runtime::Resources) -> Result<()>;

    /// The host's ids of all processes of the container.
    fn processes(&self, id: &ContainerId) -> Result<Vec<i32>>;

    /// What the container uses now.
    ///
    /// # Errors
    /// Conflict when it does not run.
    fn sample(&self, id: &ContainerId) -> Result<Sample>;

    /// Reads the log; blocking. With [`LogQuery::follow`] it goes on until the container has ended.
    fn logs(&self, id: &ContainerId, kind: LogFileKind, query: LogQuery) -> Result<LogEntries>;

    /// Empties the log, rotated files and all. What is written meanwhile may be kept or lost.
    fn clear_log(&self, id: &ContainerId, kind: LogFileKind) -> Result<()>;

    /// Bytes on disk of all files of the container's log, of whatever kind.
    fn log_size(&self, id: &ContainerId) -> Result<u64>;

    /// Gives up everything of a container that has ended: cgroup, monitor, socket, exit record.
    /// It is no error when nothing is there.
    fn release(&self, id: &ContainerId) -> Result<()>;
}

/// Everything the runtime needs to start a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StartPlan {
    /// Which.
    pub id: ContainerId,
    /// The OCI configuration, complete: process, mounts, namespaces, limits, seccomp. Its `root` is
    /// given by `rootfs`.
    pub spec: Arc<dhow_oci::runtime::Spec>,
    /// How the root file system is mounted.
    pub rootfs: RootfsPlan,
    /// Mounts that the store has made, by their destination: in the configuration they are binds.
    pub trees: BTreeMap<PathBuf, MountedTree>,
    /// Standard streams.
    pub stdio: StdioPlan,
    /// The log.
    pub log: LogOptions,
    /// The container's own directory on the host, where the log is written.
    pub directory: PathBuf,
    /// A small init of ours is process 1 and reaps (`--init`).
    pub init: bool,
    /// Another program makes the container; nothing is our own runtime.
    pub program: Option<RuntimeProgram>,
    /// Containers whose namespaces it joins, by paths of these processes: it is not started when one has ended.
    pub donors: Vec<Donor>,
}

/// A container, in one run of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Donor {
    /// Which.
    pub id: ContainerId,
    /// Its first process.
    pub pid: i32,
}

/// An OCI runtime other than our own: a program with runc's arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeProgram {
    /// Absolute.
    pub path: PathBuf,
    /// Given to it before all others.
    pub arguments: Vec<String>,
}

/// How a root file system is mounted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum RootfsPlan {
    /// It is there already.
    Directory(PathBuf),
    /// It is mounted, and attached nowhere: the container's init attaches it in its own mount namespace.
    Mounted {
        /// The mount.
        tree: MountedTree,
        /// Its writable layer: a directory that it can be laid over.
        upper: PathBuf,
    },
}

/// A handle on a mount that no process sees; the mount is gone with the last handle, unless it was
/// attached before.
///
/// It is no part of a plan that is written down: descriptors travel beside it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct MountedTree {
    #[serde(skip)]
    handle: Option<Arc<OwnedFd>>,
}

impl MountedTree {
    /// The mount that `tree` is the root of.
    #[must_use]
    pub fn new(tree: OwnedFd) -> Self {
        Self { handle: Some(Arc::new(tree)) }
    }

    /// The handle; none in a plan that was read, until it is given back with [`new`](Self::new).
    #[must_use]
    pub fn handle(&self) -> Option<BorrowedFd<'_>> {
        self.handle.as_deref().map(AsFd::as_fd)
    }
}

impl RootfsPlan {
    /// The mount that belongs to the plan.
    #[must_use]
    pub fn tree(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Directory(_) => None,
            Self::Mounted { tree, .. } => tree.handle(),
        }
    }
}

/// Standard streams of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StdioPlan {
    /// It has a terminal.
    pub terminal: bool,
    /// Standard input stays open (else it is /dev/null).
    pub open_stdin: bool,
    /// Standard input is closed when the first client that attached it shuts its side.
    pub stdin_once: bool,
    /// The terminal's first size.
    pub size: Option<TerminalSize>,
    /// It is killed when the last client that was attached to it is gone.
    #[serde(default)]
    pub dies_with_client: bool,
}

/// Rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
}

/// One more process in a running container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExecPlan {
    /// The container and the exec's own id.
    pub target: Target,
    /// The container's first process.
    pub pid: i32,
    /// The process, complete.
    pub process: Arc<dhow_oci::runtime::Process>,
    /// The container's seccomp profile and other settings that concern a new process.
    pub spec: Arc<dhow_oci::runtime::Spec>,
    /// Standard streams.
    pub stdio: StdioPlan,
    /// What made the container; nothing is our own runtime.
    pub program: Option<RuntimeProgram>,
}

/// A process that the runtime stays with: the container's first, or one of its execs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The container.
    pub id: ContainerId,
    /// The exec, 64 hexadecimal digits; none is the container's first process.
    pub exec: Option<String>,
}

impl Target {
    /// The container's first process.
    #[must_use]
    pub const fn container(id: ContainerId) -> Self {
        Self { id, exec: None }
    }
}

/// What an attached client wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachOptions {
    /// It writes standard input.
    pub stdin: bool,
    /// It reads standard output.
    pub stdout: bool,
    /// It reads standard error.
    pub stderr: bool,
}

/// What became of a container that an earlier engine started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adopted {
    /// It runs; its exit will be told.
    Running(Running),
    /// It ended meanwhile.
    Exited(Exit),
    /// Nothing is known: the machine was started anew.
    Gone,
}

/// A start that failed.
#[derive(Debug)]
pub struct StartFailure {
    /// 126 cannot be executed, 127 not found, 128 everything else.
    pub exit_code: i32,
    /// What happened.
    pub error: crate::Error,
}

/// What the runtime tells of its own accord.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeEvent {
    /// A process has ended, and all its output is written.
    Exited {
        /// Which.
        target: Target,
        /// How.
        exit: Exit,
    },
    /// The kernel killed a process for memory.
    OutOfMemory {
        /// In which container.
        id: ContainerId,
    },
}
