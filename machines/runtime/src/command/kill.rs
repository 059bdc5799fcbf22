//! `kill`: sends a signal.

use dhow_model::{Error, Result};
use dhow_oci::runtime::NamespaceKind;

use super::arguments::{Flag, Parsed, Syntax, switch};
use super::container::{Container, Status};
use super::{Context, Verb, signals};
use crate::cgroups::Cgroup;

pub(super) const VERB: Verb = Verb {
    name: "kill",
    arguments: "[--all] ID [SIGNAL]",
    about: "sends a signal to a container's process (TERM)",
    syntax: Syntax { flags: &[Flag { short: Some('a'), ..switch("all") }], first_word_ends: false },
    run,
    failure: 1,
    makes_process: false,
};

fn run(context: &Context, parsed: &Parsed) -> Result<u8> {
    let (id, signal) = match parsed.rest.as_slice() {
        [id] => (id, "TERM"),
        [id, signal] => (id, signal.as_str()),
        _ => return Err(Error::invalid("kill needs a container id, and at most a signal")),
    };
    let signal = signals::parse(signal)?;
    let container = Container::load(&context.root, id)?;
    let stopped = matches!(container.status(), Status::Stopped | Status::Creating);
    if parsed.has("all") && (signal == libc::SIGKILL || !owns_pids(&container)) {
        return kill_all(&container, signal).map(|()| 0);
    }
    if stopped {
        return Err(Error::conflict("container not running"));
    }
    dhow_sys::signal::send(container.process()?, signal)
        .map_err(|error| Error::conflict("container not running").because(error))?;
    if signal == libc::SIGKILL {
        thaw(&container);
    }
    Ok(0)
}

/// Whether the end of its first process ends all others.
pub(super) fn owns_pids(container: &Container) -> bool {
    let linux = container.record.spec.linux.as_ref();
    linux.is_some_and(|linux| {
        linux.namespaces.iter().any(|ns| ns.kind == NamespaceKind::Pid && ns.path.is_none())
    })
}

fn kill_all(container: &Container, signal: i32) -> Result<()> {
    let cgroup = container.cgroup()?;
    if signal == libc::SIGKILL {
        cgroup.kill_all()?;
        thaw(container);
        return Ok(());
    }
    for process in cgroup.processes()? {
        let handle = rustix::process::pidfd_open(process, rustix::process::PidfdFlags::empty());
        // Who has gone meanwhile needs no signal.
        let _ =
            handle.map_err(std::io::Error::from).and_then(|handle| dhow_sys::signal::send(handle, signal));
    }
    Ok(())
}

/// In version 1 a frozen process dies when it is thawed.
fn thaw(container: &Container) {
    if let Some(cgroup) = container.cgroup().ok().filter(Cgroup::is_frozen) {
        let _ = cgroup.thaw();
    }
}
