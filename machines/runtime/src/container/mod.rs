//! One container's process, from a configuration to the program that runs.
//!
//! Plan, apply, undo: [`plan`] works out everything as values, by pure code; [`spawn`] makes the
//! child; [`init`] is what the child does, a list of named steps that ends with the program. Parent
//! and child talk as [`sync`] draws it.
//!
//! The caller must be a process with a single thread: a monitor, or `dhow runtime`.

mod birth;
mod error;
mod exec;
mod given;
mod hooks;
mod init;
mod join;
mod lack;
mod notify;
mod outside;
pub mod plan;
mod spawn;
mod sync;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use dhow_model::ports::{MountedTree, RootfsPlan};
use dhow_oci::runtime::{Process, Spec};

use crate::cgroups::{Cgroup, DeviceRules};
use crate::seccomp;

pub use error::{Error, Result, Stage};
pub use exec::spawn_exec;
pub use given::clone_bind;
pub use hooks::{HookKind, run as run_hooks};
pub use init::{attach_root, clone_of_process, of_process, stay_behind};
pub use lack::{KINDS as NAMESPACES, lack_of};
pub use notify::Notify;
pub use plan::mounts::mount_options;
pub use spawn::{Init, open_gate, spawn_init};

/// A container to make.
pub struct InitRequest<'a> {
    /// The container's id, for hooks and messages.
    pub id: &'a str,
    /// The whole configuration.
    pub spec: &'a Spec,
    /// The filter of system calls, where it is compiled already: the configuration has none then.
    pub filter: Option<&'a seccomp::Filter>,
    /// The bundle, absolute.
    pub bundle: &'a Path,
    /// How the root file system is mounted.
    pub rootfs: RootfsPlan,
    /// Mounts that were made already, by their destination.
    pub trees: BTreeMap<PathBuf, MountedTree>,
    /// Standard streams.
    pub stdio: Stdio,
    /// Where it is counted and limited.
    pub cgroup: Option<&'a Cgroup>,
    /// Whether its device rules are in force there.
    pub devices: DeviceRules,
    /// What the created process waits for.
    pub gate: Gate,
    /// Descriptors from 3 on that the program keeps.
    pub preserve: u32,
    /// The root is changed without pivot_root(2): for root file systems in the initial ramdisk.
    pub no_pivot: bool,
    /// The caller's session keyring stays.
    pub no_new_keyring: bool,
    /// A small init stays behind as the first process, and the program is its child.
    pub reaper: bool,
}

/// One more process for a running container.
pub struct ExecRequest<'a> {
    /// The container's configuration.
    pub spec: &'a Spec,
    /// As in [`InitRequest`].
    pub filter: Option<&'a seccomp::Filter>,
    /// What runs.
    pub process: &'a Process,
    /// The container's first process: a pidfd.
    pub first: OwnedFd,
    /// Standard streams.
    pub stdio: Stdio,
    /// Where it is counted and limited.
    pub cgroup: Option<&'a Cgroup>,
    /// Descriptors from 3 on that the program keeps.
    pub preserve: u32,
}

/// Standard streams of a new process.
#[derive(Debug)]
pub enum Stdio {
    /// The caller's own.
    Inherit,
    /// These, in order.
    Files([OwnedFd; 3]),
    /// A new terminal of the container; its master side comes back with the process.
    Terminal,
}

/// What a created process waits for before it executes its program.
#[derive(Debug)]
pub enum Gate {
    /// [`Init::start`] in the process that made it.
    Parent,
    /// Whoever connects to this socket and says so ([`open_gate`], in `dhow runtime start`).
    Socket(OwnedFd),
}
