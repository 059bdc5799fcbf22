//! `start`: opens the gate of a created container.

use dhow_model::{Error, Result};
use dhow_sys::trace::mark;

use super::arguments::{Parsed, Syntax};
use super::container::{Container, Status};
use super::{Context, Verb, gate};
use crate::container::{HookKind, Notify, open_gate, run_hooks};

pub(super) const VERB: Verb = Verb {
    name: "start",
    arguments: "ID",
    about: "executes the program of a created container",
    syntax: Syntax { flags: &[], first_word_ends: false },
    run,
    failure: 1,
    makes_process: false,
};

fn run(context: &Context, parsed: &Parsed) -> Result<u8> {
    let container = Container::load(&context.root, parsed.id()?)?;
    let socket = match gate::connect(&container.directory) {
        Ok(socket) => socket,
        Err(_) => return Err(refusal(container.full_status())),
    };
    let record = &container.record;
    let notify = Notify::of(&record.spec, &record.id, &record.bundle, record.pid);
    mark("gate found");
    let started = open_gate(socket, notify.as_ref());
    mark("program executed");
    // Open or fallen, it has served.
    let _ = std::fs::remove_file(container.gate());
    started?;
    poststart(&container)?;
    Ok(0)
}

/// Runs the hooks that follow the start; where one fails the container is ended.
pub(super) fn poststart(container: &Container) -> Result<()> {
    let record = &container.record;
    run_hooks(HookKind::Poststart, &record.spec, &record.id, &record.bundle, record.pid).inspect_err(
        |_| {
            if let Ok(process) = container.process() {
                let _ = rustix::process::pidfd_send_signal(&process, rustix::process::Signal::KILL);
            }
        },
    )?;
    Ok(())
}

fn refusal(status: Status) -> Error {
    Error::conflict(match status {
        Status::Stopped => "cannot start a container that has stopped",
        Status::Running | Status::Paused => "cannot start an already running container",
        Status::Creating | Status::Created => "cannot start a container that is not created yet",
    })
}
