//! Makes the container's process and brings it up to its gate.

use std::fmt::Write as _;
use std::os::fd::OwnedFd;

use dhow_oci::runtime::{IdMapping, NamespaceKind};
use dhow_sys::clone::Child;
use dhow_sys::procfs::Procfs;
use dhow_sys::trace::mark;
use rustix::process::{Pid, Signal};

use super::error::{Context as _, Error, Result, Stage};
use super::join::Joined;
use super::notify::Notify;
use super::plan::{self, Plan};
use super::sync::{Talk, Word};
use super::{HookKind, InitRequest, birth, given, hooks, init, outside};
use crate::cgroups::{Cgroup, DeviceRules};

/// A container whose process waits at its gate.
#[derive(Debug)]
pub struct Init {
    /// In the caller's pid namespace.
    pub pid: Pid,
    /// Names this process and no later one of the same number.
    pub pidfd: OwnedFd,
    /// The master side of its terminal.
    pub terminal: Option<OwnedFd>,
    /// What cannot be had on this machine, in words for the user: it goes on without.
    pub notes: Vec<String>,
    talk: Talk,
    notify: Option<Notify>,
}

/// What a process says on its way to its gate.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) terminal: Option<OwnedFd>,
    pub(super) notes: Vec<String>,
}

impl Init {
    pub(super) fn new(child: Child, said: Said, talk: Talk, notify: Option<Notify>) -> Self {
        let Said { terminal, notes } = said;
        Self { pid: child.pid, pidfd: child.pidfd, terminal, notes, talk, notify }
    }

    /// Lets the process execute its program ([`Gate::Parent`](super::Gate::Parent)), and waits until it has.
    ///
    /// # Errors
    /// What the process says; it has ended then, and waits to be reaped.
    pub fn start(self) -> Result<()> {
        let_go(&self.talk, self.notify.as_ref())
    }

    /// Ends it before its program was executed.
    pub fn kill(self) {
        end(&Child { pid: self.pid, pidfd: self.pidfd });
    }
}

/// Lets a process execute its program through the socket of its gate ([`Gate::Socket`](super::Gate)),
/// and waits until it has.
///
/// # Errors
/// What the process says; it has ended then.
pub fn open_gate(socket: OwnedFd, notify: Option<&Notify>) -> Result<()> {
    let_go(&Talk(socket), notify)
}

fn let_go(talk: &Talk, notify: Option<&Notify>) -> Result<()> {
    talk.say(&Word::Go, None)?;
    loop {
        match (talk.listen()?, notify) {
            ((Word::End, _), _) => return Ok(()),
            ((Word::Failed(error), _), _) => return Err(error),
            ((Word::Listener, descriptors), Some(notify)) => notify.deliver(&descriptors)?,
            ((word, _), _) => {
                let what = format!("the container's process said {word:?} instead of starting");
                return Err(Error::at(Stage::Lost, what));
            }
        }
    }
}

/// Makes a container up to its gate.
///
/// # Errors
/// What the configuration or the kernel forbids; nothing is left but what `request` brought.
pub fn spawn_init(mut request: InitRequest<'_>) -> Result<Init> {
    let mut plan = plan::plan(request.spec)?;
    plan.mount_trees(std::mem::take(&mut request.trees));
    if let Some(process) = &request.spec.process {
        let linux = request.spec.linux.as_ref();
        outside::check_labels(process, linux.map_or("", |linux| linux.mount_label.as_str()))?;
    }
    if request.devices == DeviceRules::LeftOut {
        plan.close_device_nodes();
    }
    given::prepare(&mut plan, request.spec, request.cgroup)?;
    given::give_streams(&request.stdio, request.spec.linux.as_ref(), &plan.identity);
    let (here, there) = dhow_sys::channel::pair().doing(|| "make a channel to the container's process")?;
    let (spec, id, bundle) = (request.spec, request.id, request.bundle);
    let joined = Joined::enter(&plan.namespaces)?;
    let Some(child) = birth::process(&mut request, &plan)? else {
        drop(here);
        init::run(request, &plan, there);
    };
    mark("process made");
    drop(there);
    let talk = Talk(here);
    let brought_up = joined.leave().and_then(|()| bring_up(&request, &plan, &child, &talk));
    let notify = Notify::of(spec, id, bundle, child.pid.as_raw_nonzero().get());
    match brought_up {
        Ok(said) => Ok(Init::new(child, said, talk, notify)),
        Err(error) => {
            end(&child);
            Err(with_reason(error, request.cgroup))
        }
    }
}

/// A process that went without a word had too little memory, where the kernel says so.
fn with_reason(error: Error, cgroup: Option<&Cgroup>) -> Error {
    let killed = cgroup.and_then(Cgroup::oom_kills).is_some_and(|kills| kills > 0);
    match error.stage {
        Stage::Lost if killed => {
            Error::at(Stage::Lost, "container init was OOM-killed (memory limit too low?)")
        }
        _ => error,
    }
}

/// The parent's side of the conversation, up to `Created`.
fn bring_up(request: &InitRequest<'_>, plan: &Plan, child: &Child, talk: &Talk) -> Result<Said> {
    if plan.namespaces.is_new(NamespaceKind::User) {
        map_ids(child.pid, plan)?;
    }
    let mut said = Said { notes: outside::prepare(child.pid, &plan.identity)?, ..Said::default() };
    said.notes.extend(outside::lacks_loopback(&plan.namespaces));
    talk.say(&Word::Go, None)?;
    loop {
        match talk.listen()? {
            (Word::Created, _) => return Ok(said),
            (Word::Terminal, descriptors) => said.terminal = descriptors.into_iter().next(),
            (Word::Hooks, _) => {
                for kind in [HookKind::Prestart, HookKind::CreateRuntime] {
                    hooks::run(
                        kind,
                        request.spec,
                        request.id,
                        request.bundle,
                        child.pid.as_raw_nonzero().get(),
                    )?;
                }
                talk.say(&Word::Go, None)?;
            }
            (Word::Failed(error), _) => return Err(error),
            (Word::Go | Word::Listener | Word::End, _) => {
                return Err(Error::at(Stage::Lost, "the container's process ended before it was created"));
            }
        }
    }
}

fn map_ids(pid: Pid, plan: &Plan) -> Result<()> {
    let procfs = Procfs::at_proc().doing(|| "open /proc")?;
    let write = |file: &str, mappings: &[IdMapping]| {
        let path = format!("{}/{file}", pid.as_raw_nonzero());
        procfs
            .write(&path, lines(mappings).as_bytes())
            .doing(|| format!("write {file} of the container's process"))
    };
    write("uid_map", &plan.namespaces.uid_mappings)?;
    write("gid_map", &plan.namespaces.gid_mappings)
}

/// The form of /proc/PID/uid_map.
pub(super) fn lines(mappings: &[IdMapping]) -> String {
    mappings.iter().fold(String::new(), |mut text, map| {
        let _ = writeln!(text, "{} {} {}", map.container_id, map.host_id, map.size);
        text
    })
}

/// Kills and reaps a process that did not come up.
fn end(child: &Child) {
    let _ = rustix::process::pidfd_send_signal(&child.pidfd, Signal::KILL);
    let _ = rustix::process::waitpid(Some(child.pid), rustix::process::WaitOptions::empty());
}
