//! What the launcher does.

use std::os::fd::AsFd as _;

use dhow_sys::fork::{Children, Fork, exit_now, fork, set_children};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, setsid, umask};
use rustix::stdio::{dup2_stderr, dup2_stdin, stdin};

use crate::cgroups::Layout;
use crate::monitor;
use crate::monitor::channel::Channel;
use crate::monitor::message::Report;

/// Serves until the engine is gone.
pub fn serve() -> ! {
    let Ok((engine, layout)) = prepare() else { exit_now(1) };
    while let Ok(Some(mut packet)) = engine.receive() {
        let Some(conversation) = packet.descriptors.pop() else { continue };
        match fork() {
            Ok(Fork::Child) => become_monitor(engine, layout, Channel::from(conversation)),
            Ok(Fork::Parent(_)) => drop(conversation),
            Err(error) => refuse(&conversation.into(), &error),
        }
    }
    exit_now(0)
}

/// Says why there is no monitor; the end of the conversation, where it cannot be said, tells as much.
fn refuse(conversation: &Channel, error: &std::io::Error) {
    let _ = conversation.say_now(&Report::NoMonitor(error.to_string()), &[]);
}

/// Lets go of what the engine was started with, such as somebody's lock: monitors would hold it as long as
/// their containers run. Moves the socket out of the way of standard input, which becomes /dev/null, and leaves whatever
/// the engine was started from. Where cgroups are is looked up once, for all monitors.
fn prepare() -> std::io::Result<(Channel, Layout)> {
    let mut kept: Vec<_> = dhow_sys::trace::descriptor().into_iter().collect();
    dhow_sys::descriptors::close_all_but(&mut kept)?;
    let engine = Channel::from(rustix::io::fcntl_dupfd_cloexec(stdin(), 3)?);
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    dup2_stdin(&null)?;
    // In a session of its own, an interrupt typed at a foreground engine does not end it. It fails
    // only where it has been done already.
    let _ = setsid();
    umask(Mode::from_raw_mode(0o022));
    set_children(Children::Discarded)?;
    limit_descriptors()?;
    // Rather any container than the process that holds its log; only the privileged may.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-999");
    let layout = Layout::detect().map_err(std::io::Error::other)?;
    // A search of 41 calls, which no container repeats then.
    let _ = dhow_sys::identity::last_capability();
    Ok((engine, layout))
}

/// Sets the limit that the engine says, which has raised its own meanwhile.
fn limit_descriptors() -> std::io::Result<()> {
    let Some(current) = std::env::args().nth(1).and_then(|word| word.parse().ok()) else { return Ok(()) };
    let limit = Rlimit { current: Some(current), ..getrlimit(Resource::Nofile) };
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// In the new process: leaves the launcher's descriptors and session, and holds a container.
fn become_monitor(engine: Channel, layout: Layout, conversation: Channel) -> ! {
    drop(engine);
    // Whoever waits for the end of the engine's standard error must not wait for the containers.
    let _ = dup2_stderr(stdin().as_fd());
    let _ = setsid();
    let code = match set_children(Children::Kept) {
        Ok(()) => monitor::run(conversation, layout),
        Err(_) => 1,
    };
    exit_now(code)
}
