//! Finds what an earlier engine started, and the truth about a container whose monitor is gone.
//!
//! A monitor that is killed takes its container with it: the kernel kills the first process, which
//! has asked for that (`PR_SET_PDEATHSIG`), and with it its pid namespace. Nobody could read its
//! output any more, so that its next write would have ended it anyway. Where the process has escaped
//! that (a set-user-id program loses the request), whoever notices first — this engine, by the end of
//! the conversation, or the next one, when it adopts — kills the whole cgroup, and waits for the
//! process itself before it says that the container has ended.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use dhow_model::container::{Exit, Running};
use dhow_model::ports::{Adopted, RuntimeEvent, Target};
use dhow_model::{ContainerId, Error, Result, Timestamp};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::table::Known;
use super::watch::Watch;
use super::{Shared, release, start};
use crate::monitor::channel::Channel;
use crate::monitor::message::Report;
use crate::monitor::record::{self, Names, State};

/// A monitor answers at once; one that does not is as good as gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whose run directories are there: one listing tells it of thousands.
pub(super) fn left(shared: &Shared) -> Result<HashSet<ContainerId>> {
    let directory = shared.directories.exec_root.join("containers");
    let names = || -> io::Result<Vec<OsString>> {
        std::fs::read_dir(&directory)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
    };
    let names: Vec<OsString> = names()
        .map_err(|error| Error::internal(format!("cannot list {}", directory.display())).because(error))?;
    Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
}

/// Finds a container.
pub(super) fn container(shared: &Arc<Shared>, watch: &Watch, id: &ContainerId) -> Result<Adopted> {
    let target = Target::container(id.clone());
    if let Some(known) = shared.table.get(&target) {
        return Ok(Adopted::Running(known.running.clone()));
    }
    let directory = match record::open_directory(&shared.directory(id)) {
        Ok(directory) => directory,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Adopted::Gone),
        Err(error) => return Err(failed(id, error)),
    };
    let directory = directory.as_fd();
    let state = || record::read::<State>(directory, record::STATE).map_err(|e| failed(id, e));
    // A monitor that is still starting writes the record before it answers, so that it is read after that.
    let cgroup = || state().ok().flatten().map(|state| state.cgroup).unwrap_or_default();
    if let Some(known) = join(shared, watch, directory, target, cgroup) {
        execs(shared, watch, directory, id);
        return Ok(Adopted::Running(known.running.clone()));
    }
    // A record is written before the socket goes: whoever finds no socket finds the record.
    if let Some(exit) = record::read(directory, &Names::of(None).exit).map_err(|e| failed(id, e))? {
        execs(shared, watch, directory, id);
        return Ok(Adopted::Exited(exit));
    }
    match state()? {
        Some(state) => bury(shared, id, directory, &state).map(Adopted::Exited),
        None => Ok(Adopted::Gone),
    }
}

/// Joins the conversation with a monitor that lives.
fn join(
    shared: &Shared,
    watch: &Watch,
    directory: BorrowedFd<'_>,
    target: Target,
    cgroup: impl FnOnce() -> String,
) -> Option<Arc<Known>> {
    let name = Names::of(target.exec.as_deref()).socket;
    let channel = record::connect_to(directory, &name).ok()?;
    let (running, process, thaws) = introduction(&channel)?;
    let cgroup = cgroup();
    let (known, late) =
        shared.table.insert(|token| Known { target, token, channel, process, running, cgroup, thaws });
    drop(late);
    watch.add(&known).ok()?;
    Some(known)
}

fn introduction(channel: &Channel) -> Option<(Running, std::os::fd::OwnedFd, bool)> {
    wait_for(channel.as_fd(), PATIENCE).then_some(())?;
    let mut packet = channel.receive_now().ok()??;
    match packet.message::<Report>().ok()? {
        Report::Running { running, thaws, .. } => Some((running, packet.descriptors.pop()?, thaws)),
        _ => None,
    }
}

/// Finds the execs of a container: those that run are watched, those that ended are told.
fn execs(shared: &Arc<Shared>, watch: &Watch, directory: BorrowedFd<'_>, id: &ContainerId) {
    let Ok(names) = std::fs::read_dir(shared.directory(id)) else { return };
    for name in names.flatten() {
        let Ok(name) = name.file_name().into_string() else { continue };
        let Some((exec, rest)) = name.split_once('.') else { continue };
        if !start::is_exec_id(exec) {
            continue;
        }
        let target = Target { id: id.clone(), exec: Some(exec.to_owned()) };
        if rest == "sock" {
            let _ = join(shared, watch, directory, target, String::new);
        } else if rest == "exit.json" {
            if let Ok(Some(exit)) = record::read::<Exit>(directory, &name) {
                (shared.events)(RuntimeEvent::Exited { target, exit });
            }
            record::remove(directory, &name);
        }
    }
}

/// The monitor of a process has gone without a word: finds out how the process is, in a thread, since
/// it may take a moment to die.
pub(super) fn mourn(shared: &Arc<Shared>, known: &Arc<Known>) {
    let (ours, theirs) = (Arc::clone(shared), Arc::clone(known));
    let thread = std::thread::Builder::new().name("mourner".into());
    if thread.spawn(move || end_of(&ours, &theirs)).is_err() {
        end_of(shared, known);
    }
}

fn end_of(shared: &Shared, known: &Known) {
    let _ = dhow_sys::signal::send(&known.process, libc::SIGKILL);
    if known.target.exec.is_none() {
        let _ = release::kill_cgroup(shared, &known.cgroup);
    }
    wait_for(known.process.as_fd(), PATIENCE);
    let exit = unseen_exit(known.running.started);
    if known.target.exec.is_none()
        && let Ok(directory) = record::open_directory(&shared.directory(&known.target.id))
    {
        let _ = record::write(directory.as_fd(), &Names::of(None).exit, &exit);
    }
    (shared.events)(RuntimeEvent::Exited { target: known.target.clone(), exit });
}

/// Neither monitor nor exit record: ends what may still run, and records that.
fn bury(shared: &Shared, id: &ContainerId, directory: BorrowedFd<'_>, state: &State) -> Result<Exit> {
    release::kill_cgroup(shared, &state.cgroup)?;
    if let Some(process) = same_process(state) {
        let _ = dhow_sys::signal::send(&process, libc::SIGKILL);
        wait_for(process.as_fd(), PATIENCE);
    }
    let exit = unseen_exit(state.running.started);
    record::write(directory, &Names::of(None).exit, &exit).map_err(|error| failed(id, error))?;
    shared.table.forget_waiting(id);
    Ok(exit)
}

/// The process of a record, if the one that has its number now is the same.
fn same_process(state: &State) -> Option<std::os::fd::OwnedFd> {
    let process = pidfd_open(Pid::from_raw(state.running.pid)?, PidfdFlags::empty()).ok()?;
    // Asked after it was opened: the descriptor is of this process or of one that is gone.
    (record::ticks_of(state.running.pid) == Some(state.ticks)).then_some(process)
}

/// An exit that nobody saw: its code is that of a process that was killed.
fn unseen_exit(started: Timestamp) -> Exit {
    Exit {
        code: 137,
        oom_killed: false,
        error: "its monitor was killed".to_owned(),
        started,
        finished: Timestamp::now(),
    }
}

/// Waits until a descriptor is ready to be read.
fn wait_for(descriptor: BorrowedFd<'_>, patience: Duration) -> bool {
    let timeout = Timespec::try_from(patience).ok();
    let mut polled = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
    matches!(rustix::io::retry_on_intr(|| poll(&mut polled, timeout.as_ref())), Ok(1..))
}

fn failed(id: &ContainerId, error: io::Error) -> Error {
    Error::internal(format!("cannot find out about container {id}")).because(error)
}
