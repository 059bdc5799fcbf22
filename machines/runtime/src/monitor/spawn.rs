//! Makes the process of a plan: its cgroup, its streams, its namespaces, its program.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use dhow_model::ports::{ExecPlan, StartPlan, StdioPlan};
use dhow_oci::runtime::{NamespaceKind, Process, Resources, Spec};
use dhow_sys::trace::mark;

use super::donors::Donors;
use super::message::{Plan, Task};
use super::oom::OutOfMemory;
use super::other::{self, Other};
use super::stream::{Ends, Streams};
use crate::cgroups::{Cgroup, CgroupPath, DeviceRules, Layout};
use crate::container::{
    Error, ExecRequest, Gate, HookKind, Init, InitRequest, Result, Stage, Stdio, run_hooks, spawn_exec,
    spawn_init,
};
use crate::seccomp::Filter;

/// A process that runs.
#[derive(Debug)]
pub struct Spawned {
    /// Its id, in our pid namespace.
    pub pid: i32,
    /// The same, as a descriptor.
    pub process: OwnedFd,
    /// Our ends of its streams.
    pub streams: Streams,
    /// The watch over its memory; none for an exec, and without a memory controller.
    pub memory: Option<OutOfMemory>,
    /// What cannot be had on this machine, in words for the user: it goes on without.
    pub notes: Vec<String>,
}

/// The runtime that made a container, where it is not our own.
pub type Maker = Option<Other>;

/// Makes the process and lets it execute its program.
///
/// # Errors
/// The step that failed; nothing is left then.
pub fn spawn(plan: &mut Plan, layout: &Layout) -> Result<(Spawned, Maker)> {
    let filter = plan.filter.as_ref();
    let directory = plan.directory.clone();
    let mut processes = std::mem::take(&mut plan.processes);
    match &mut plan.task {
        Task::Container(plan) => {
            let spec = Arc::make_mut(&mut plan.spec);
            if let Some(process) = &mut spec.process {
                expose_to_oom_killer(process);
            }
            let donors = Donors::new(processes);
            let made = match &plan.program {
                Some(program) => other::container(plan, program, &directory, (layout, &donors))
                    .map(|(spawned, maker)| (spawned, Some(maker))),
                None => container(plan, filter, (layout, &donors)).map(|spawned| (spawned, None)),
            };
            // Whatever failed then, that is why.
            made.map_err(|error| donors.must_live().err().unwrap_or(error))
        }
        Task::Exec(plan) => {
            expose_to_oom_killer(Arc::make_mut(&mut plan.process));
            let spawned = match &plan.program {
                Some(program) => other::one_more(plan, program, &directory),
                None => one_more(plan, filter, layout, processes.pop()),
            };
            Ok((spawned?, None))
        }
    }
}

/// Whether the processes of a container are in our pid namespace, so that we inherit its orphans.
#[must_use]
pub fn shares_our_pids(spec: &Spec) -> bool {
    let namespaces = spec.linux.as_ref().map_or(&[][..], |linux| &linux.namespaces);
    !namespaces.iter().any(|namespace| namespace.kind == NamespaceKind::Pid)
}

/// What is not said is inherited, and a monitor is the last that the kernel shall kill.
fn expose_to_oom_killer(process: &mut Process) {
    process.oom_score_adj.get_or_insert(0);
}

fn container(
    plan: &StartPlan,
    filter: Option<&Filter>,
    (layout, donors): (&Layout, &Donors),
) -> Result<Spawned> {
    if shares_our_pids(&plan.spec) {
        dhow_sys::process::become_subreaper().map_err(|error| own("become a subreaper", &error))?;
    }
    let cgroup = match cgroup_path(&plan.spec)? {
        Some(path) => Some(Cgroup::create(layout, &path).map_err(|error| setup(&error))?),
        None => None,
    };
    let spawned = in_cgroup(plan, filter, cgroup.as_ref(), donors);
    if let (Err(_), Some(cgroup)) = (&spawned, &cgroup) {
        // The failure that is told is the first one.
        let _ = cgroup.delete();
    }
    spawned
}

fn in_cgroup(
    plan: &StartPlan,
    filter: Option<&Filter>,
    cgroup: Option<&Cgroup>,
    donors: &Donors,
) -> Result<Spawned> {
    let resources = plan.spec.linux.as_ref().and_then(|linux| linux.resources.as_ref());
    let mut notes: Vec<String> = cgroup.into_iter().flat_map(Cgroup::missing).collect();
    let mut devices = DeviceRules::LeftOut;
    if let Some(cgroup) = cgroup {
        let none = Resources::default();
        let applied = cgroup.apply(resources.unwrap_or(&none)).map_err(|error| setup(&error))?;
        notes.extend(applied.notes);
        devices = applied.devices;
    }
    mark("cgroup made");
    let limited = resources.is_some_and(|resources| resources.memory.is_some());
    let memory = cgroup.and_then(|cgroup| OutOfMemory::watch(cgroup, limited));
    let (ours, stdio) = streams(&plan.stdio)?;
    let init = spawn_init(InitRequest {
        id: plan.id.as_str(),
        spec: &plan.spec,
        filter,
        bundle: &plan.directory,
        rootfs: plan.rootfs.clone(),
        trees: plan.trees.clone(),
        stdio,
        cgroup,
        devices,
        gate: Gate::Parent,
        preserve: 0,
        no_pivot: false,
        no_new_keyring: false,
        reaper: plan.init,
    })?;
    if let Err(error) = donors.must_live() {
        init.kill();
        return Err(error);
    }
    let pid = init.pid.as_raw_nonzero().get();
    let mut spawned = run(init, ours, &plan.stdio, memory)?;
    spawned.notes.splice(0..0, notes);
    // The specification lets the container go on when one of these fails.
    let _ = run_hooks(HookKind::Poststart, &plan.spec, plan.id.as_str(), &plan.directory, pid);
    Ok(spawned)
}

fn one_more(
    plan: &ExecPlan,
    filter: Option<&Filter>,
    layout: &Layout,
    first: Option<OwnedFd>,
) -> Result<Spawned> {
    let cgroup = match cgroup_path(&plan.spec)? {
        Some(path) => Some(Cgroup::open(layout, &path).map_err(|error| setup(&error))?),
        None => None,
    };
    let first = first.ok_or_else(|| lost("the container has no process".to_owned()))?;
    let (ours, stdio) = streams(&plan.stdio)?;
    let init = spawn_exec(ExecRequest {
        spec: &plan.spec,
        filter,
        process: &plan.process,
        first,
        stdio,
        cgroup: cgroup.as_ref(),
        preserve: 0,
    })?;
    run(init, ours, &plan.stdio, None)
}

/// Opens the gate of a process that was made.
fn run(
    mut init: Init,
    ours: Option<Streams>,
    stdio: &StdioPlan,
    memory: Option<OutOfMemory>,
) -> Result<Spawned> {
    let process = init.pidfd.try_clone().map_err(|error| own("hold the process", &error))?;
    let pid = init.pid;
    let notes = std::mem::take(&mut init.notes);
    mark("brought up");
    let streams = match (ours, init.terminal.take()) {
        (Some(pipes), _) => pipes,
        (None, Some(master)) => {
            if let Some(size) = stdio.size {
                dhow_sys::terminal::resize(&master, size.rows, size.columns)
                    .map_err(|error| own("set the size of the terminal", &error))?;
            }
            Streams::terminal(master).map_err(|error| own("hold the terminal", &error))?
        }
        (None, None) => return Err(lost("no terminal came from the process".to_owned())),
    };
    if let Err(error) = init.start() {
        // It has ended, and nobody else reaps it.
        let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
        return Err(error);
    }
    mark("program executed");
    Ok(Spawned { pid: pid.as_raw_nonzero().get(), process, streams, memory, notes })
}

/// Our ends, where they exist before the process, and what the process gets.
fn streams(plan: &StdioPlan) -> Result<(Option<Streams>, Stdio)> {
    if plan.terminal {
        return Ok((None, Stdio::Terminal));
    }
    let (ours, Ends { stdin, stdout, stderr }) =
        Streams::pipes(plan).map_err(|error| own("make pipes", &error))?;
    Ok((Some(ours), Stdio::Files([stdin, stdout, stderr])))
}

pub(super) fn cgroup_path(spec: &Spec) -> Result<Option<CgroupPath>> {
    let text = spec.linux.as_ref().map_or("", |linux| &linux.cgroups_path);
    if text.is_empty() {
        return Ok(None);
    }
    CgroupPath::parse(text).map(Some).map_err(|error| setup(&error))
}

pub(super) fn own(what: &str, error: &std::io::Error) -> Error {
    Error { stage: Stage::Setup, what: format!("{what}: {error}"), errno: error.raw_os_error() }
}

fn setup(error: &dhow_model::Error) -> Error {
    Error { stage: Stage::Setup, what: error.report(), errno: None }
}

pub(super) fn lost(what: String) -> Error {
    Error { stage: Stage::Lost, what, errno: None }
}
