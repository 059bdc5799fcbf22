//! `delete`: gives up what a container that has ended holds.

use dhow_model::{Error, Kind, Result};
use dhow_sys::trace::mark;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;

use super::arguments::{Flag, Parsed, Syntax, switch};
use super::container::{Container, Status};
use super::{Context, Verb, kill};
use crate::container::{HookKind, run_hooks};

pub(super) const VERB: Verb = Verb {
    name: "delete",
    arguments: "[--force] ID",
    about: "removes a container that has ended; with --force ends it",
    syntax: Syntax { flags: &[Flag { short: Some('f'), ..switch("force") }], first_word_ends: false },
    run,
    failure: 1,
    makes_process: false,
};

/// How long a killed process may take to go.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

fn run(context: &Context, parsed: &Parsed) -> Result<u8> {
    let force = parsed.has("force");
    let id = parsed.id()?;
    let container = match Container::load(&context.root, id) {
        Ok(container) => container,
        Err(error) if force && error.kind() == Kind::NotFound => return Ok(0),
        Err(error) if force && error.kind() == Kind::Corrupt => {
            // Its record cannot be read: nothing more than the directory is known.
            context.log.warn(&error.report());
            std::fs::remove_dir_all(context.root.join(id))
                .map_err(|error| Error::internal(format!("cannot remove {id}")).because(error))?;
            return Ok(0);
        }
        Err(error) => return Err(error),
    };
    mark("record read");
    match container.status() {
        Status::Stopped => {}
        Status::Created => end(&container)?,
        _ if force => end(&container)?,
        status => {
            let what = format!("cannot delete container {id} that is not stopped: {}", status.name());
            return Err(Error::conflict(what));
        }
    }
    delete(&container)?;
    Ok(0)
}

/// Removes the cgroup and the record of a container that has ended, and runs the hooks that follow.
pub(super) fn delete(container: &Container) -> Result<()> {
    let cgroup = container.cgroup()?;
    if !kill::owns_pids(container) {
        cgroup.kill_all()?;
    }
    cgroup.delete()?;
    mark("cgroup removed");
    container.forget()?;
    let record = &container.record;
    run_hooks(HookKind::Poststop, &record.spec, &record.id, &record.bundle, 0)?;
    Ok(())
}

/// Kills everything in it and waits until its first process has gone.
fn end(container: &Container) -> Result<()> {
    let process = container.process();
    if let Ok(process) = &process {
        let _ = rustix::process::pidfd_send_signal(process, Signal::KILL);
    }
    let cgroup = container.cgroup()?;
    cgroup.kill_all()?;
    if cgroup.is_frozen() {
        cgroup.thaw()?;
    }
    let Ok(process) = process else { return Ok(()) };
    let mut polled = [PollFd::new(&process, PollFlags::IN)];
    match rustix::event::poll(&mut polled, Some(&PATIENCE)) {
        Ok(0) => Err(Error::internal("the container's process does not go")),
        _ => Ok(()),
    }
}
