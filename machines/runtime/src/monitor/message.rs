//! What engine, launcher and monitor say to one another.
//!
//! ```text
//! engine                              launcher                        monitor
//!   │── one byte + descriptor ──────────▶│── fork, with it ─────────────▶│
//!   │◀─ Report::NoMonitor (no fork) ─────│                               │
//!   │                                                                    │
//!   │── Request::Attach + descriptor (clients that wait for the start) ─▶│
//!   │── Request::Plan + the root's mount, then its bytes in packets,
//!   │   then a byte with each further mount, and each pidfd ────────────▶│ makes the container
//!   │◀─ Report::Running + pidfd, or Report::Failed, and that is all ─────│
//!   │                                                                    │
//!   │── Request::Attach + descriptor, Request::Resize ──────────────────▶│ at any time
//!   │── Request::ThawAfterMe + the freezer's file ──────────────────────▶│ thaws when the engine goes
//!   │── Request::NothingToThaw ─────────────────────────────────────────▶│ and then no more
//!   │◀─ Report::OutOfMemory ─────────────────────────────────────────────│ at any time
//!   │◀─ Report::Exited ──────────────────────────────────────────────────│ ends
//!
//! a later engine
//!   │── connects to the monitor's socket ───────────────────────────────▶│
//!   │◀─ Report::Running + pidfd ─────────────────────────────────────────│ and on as above
//! ```
//! The launcher reads no plan and waits for nothing, so that hundreds of starts go on side by side.
//! Both sides are the same binary started by the same user; nothing here comes from a container.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use dhow_model::container::{Exit, Running};
use dhow_model::ports::{
    AttachOptions, ExecPlan, MountedTree, RootfsPlan, StartFailure, StartPlan, TerminalSize,
};
use dhow_model::{Error, Kind};
use serde::{Deserialize, Serialize};

use super::channel::{Channel, LONGEST};
use crate::seccomp::Filter;

/// The longest plan: ten times what a container with a thousand mounts needs.
const LONGEST_PLAN: usize = 16 * 1024 * 1024;

/// From the engine to a monitor.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// A plan of `length` bytes follows; where its root is a mount, the descriptor is that.
    Plan {
        /// Its length.
        length: usize,
    },
    /// A client; the descriptor that comes with it is its stream.
    Attach(AttachOptions),
    /// The size of the terminal.
    Resize(TerminalSize),
    /// The engine is about to freeze the container: should this conversation end first, `word` is written into
    /// the file that comes with it. To be said to monitors only that know it ([`Report::Running`]).
    ThawAfterMe {
        /// What thaws: the versions of the freezer differ.
        word: String,
    },
    /// The container goes on, or is to stay frozen without the engine.
    NothingToThaw,
}

/// From a monitor to the engine.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    /// The process runs; its pidfd comes with it.
    Running {
        /// Its number, and since when.
        running: Running,
        /// What it goes without on this machine, in words for the user; told once.
        notes: Vec<String>,
        /// It knows [`Request::ThawAfterMe`]. Monitors of older engines do not, and hang up on what they do not know.
        #[serde(default)]
        thaws: bool,
    },
    /// It could not be started.
    Failed {
        /// 126, 127 or 128.
        exit_code: i32,
        /// Whose fault it was: the request's, or the machine's.
        invalid: bool,
        /// What happened.
        message: String,
    },
    /// From the launcher: there is no monitor, and why.
    NoMonitor(String),
    /// The kernel killed a process of the container for memory.
    OutOfMemory,
    /// The process has ended and all that it wrote is where it belongs.
    Exited(Exit),
}

/// What a monitor is to do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The run directory of the container: socket and records.
    pub directory: PathBuf,
    /// The filter of system calls, if it is not in the configuration.
    pub filter: Option<Filter>,
    /// What it starts.
    pub task: Task,
    /// Pidfds: of the container that an exec is for, or of those whose namespaces a container joins.
    #[serde(skip)]
    pub processes: Vec<OwnedFd>,
}

impl Plan {
    /// The mounted root file system that came with it.
    #[must_use]
    pub fn tree(&self) -> Option<MountedTree> {
        match &self.task {
            Task::Container(start) => match &start.rootfs {
                RootfsPlan::Mounted { tree, .. } => Some(tree.clone()),
                RootfsPlan::Directory(_) => None,
            },
            Task::Exec(_) => None,
        }
    }
}

/// A container, or one more process in one.
#[derive(Debug, Serialize, Deserialize)]
pub enum Task {
    /// A container.
    Container(Box<StartPlan>),
    /// One more process.
    Exec(Box<ExecPlan>),
}

/// The same, borrowed, to be sent.
#[derive(Debug, Serialize)]
pub struct PlanRef<'a> {
    /// See [`Plan::directory`].
    pub directory: &'a Path,
    /// See [`Plan::filter`].
    pub filter: Option<&'a Filter>,
    /// See [`Plan::task`].
    pub task: TaskRef<'a>,
    /// See [`Plan::processes`].
    #[serde(skip)]
    pub processes: Vec<BorrowedFd<'a>>,
}

/// See [`Task`].
#[derive(Debug, Serialize)]
pub enum TaskRef<'a> {
    /// A container.
    Container(&'a StartPlan),
    /// One more process.
    Exec(&'a ExecPlan),
}

/// Sends a plan.
///
/// # Errors
/// The kernel's.
pub fn send_plan(channel: &Channel, plan: &PlanRef<'_>) -> io::Result<()> {
    let bytes = serde_json::to_vec(plan)?;
    let first = match plan.task {
        TaskRef::Container(start) => start.rootfs.tree(),
        TaskRef::Exec(_) => plan.processes.first().copied(),
    };
    channel.say(&Request::Plan { length: bytes.len() }, first.as_slice())?;
    bytes.chunks(LONGEST).try_for_each(|part| channel.send(part, &[]))?;
    let trees = match plan.task {
        TaskRef::Container(start) => start.trees.values(),
        TaskRef::Exec(_) => return Ok(()),
    };
    let trees = trees.filter_map(MountedTree::handle);
    trees.chain(plan.processes.iter().copied()).try_for_each(|one| channel.send(b"+", &[one]))
}

/// Receives the bytes of a plan that was announced to have `length`, and puts mounts and processes into it: `first`
/// came with the announcement.
///
/// # Errors
/// The kernel's; [`io::ErrorKind::InvalidData`] when it is too long, and
/// [`io::ErrorKind::UnexpectedEof`] when the engine is gone.
pub fn receive_plan(channel: &Channel, length: usize, first: Option<OwnedFd>) -> io::Result<Plan> {
    if length > LONGEST_PLAN {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the plan is too long"));
    }
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let part = channel.receive_long()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.extend_from_slice(&part.bytes);
    }
    let mut plan: Plan =
        serde_json::from_slice(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let Task::Container(start) = &mut plan.task else {
        plan.processes.extend(first);
        return Ok(plan);
    };
    if let (RootfsPlan::Mounted { tree, .. }, Some(mount)) = (&mut start.rootfs, first) {
        *tree = MountedTree::new(mount);
    }
    for tree in start.trees.values_mut() {
        *tree = MountedTree::new(one_more(channel)?);
    }
    for _ in &start.donors {
        plan.processes.push(one_more(channel)?);
    }
    Ok(plan)
}

fn one_more(channel: &Channel) -> io::Result<OwnedFd> {
    let mut packet = channel.receive()?.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(packet.descriptors.pop().ok_or(io::ErrorKind::InvalidData)?)
}

impl Report {
    /// A start that failed, cut to what fits into a packet.
    #[must_use]
    pub fn failed(failure: &StartFailure) -> Self {
        Self::Failed {
            exit_code: failure.exit_code,
            invalid: failure.error.kind() == Kind::InvalidArgument,
            message: failure.error.report().chars().take(1500).collect(),
        }
    }

    /// The failure that [`failed`](Self::failed) was made of.
    #[must_use]
    pub fn failure(exit_code: i32, invalid: bool, message: String) -> StartFailure {
        let kind = if invalid { Kind::InvalidArgument } else { Kind::Internal };
        StartFailure { exit_code, error: Error::new(kind, message) }
    }
}
