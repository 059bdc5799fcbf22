//! The launcher: a tiny process that makes monitors, so that the engine never clones itself.
//!
//! The engine executes its own program once more, under the name [`NAME`] and with one socket as
//! standard input. What it runs then is [`serve`](mod@serve): a loop with one thread and next to no memory,
//! which forks a monitor for each descriptor that it receives (the conversation is drawn in
//! [`crate::monitor::message`]). It never waits for a monitor and never reads a plan.
//!
//! - The engine ends or is killed: the launcher sees the end of its socket and goes; the monitors
//!   stay, as children of whoever reaps orphans on this machine.
//! - The launcher is killed: the monitors stay as well, and the engine executes another one with the
//!   next start.

mod serve;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use dhow_sys::trace::VARIABLE;
use rustix::process::{Resource, getrlimit};

use crate::monitor::channel::Channel;
use crate::own_binary;

pub use serve::serve;

/// What the launcher calls itself, and how it knows that it is one.
pub const NAME: &str = "dhow-launcher";

/// Becomes the launcher when this process was executed to be one, and then never returns.
///
/// To be called first of all in `main`: before the first thread, before arguments are parsed.
pub fn enter() {
    if std::env::args_os().next() == Some(OsString::from(NAME)) {
        serve();
    }
}

/// The engine's side of the launcher.
#[derive(Debug)]
pub struct Launcher {
    /// This program, as it was when the engine started: the next launcher is the same as the first.
    view: OwnedFd,
    /// Descriptors that a process may have, as it was when the engine came: that is what containers get,
    /// however many the engine takes for itself later.
    descriptors: Option<u64>,
    process: Mutex<Process>,
}

#[derive(Debug)]
struct Process {
    channel: Channel,
    child: Child,
}

impl Launcher {
    /// Starts this program as the launcher, from a copy that no container can write to: a container's
    /// process is, until it executes its own program, a fork of the launcher. The copy lets the installed
    /// program be replaced while monitors run.
    ///
    /// # Errors
    /// When there is no such view, or it cannot be executed.
    pub fn start() -> io::Result<Self> {
        let view = own_binary::lasting_view()?;
        let descriptors = getrlimit(Resource::Nofile).current;
        let process = Mutex::new(execute(&view, descriptors)?);
        Ok(Self { view, descriptors, process })
    }

    /// Asks for a new monitor; what is returned is the conversation with it.
    ///
    /// # Errors
    /// When the launcher is gone and no other can be started. That a monitor could not be made shows
    /// as the end of the conversation.
    pub fn monitor(&self) -> io::Result<Channel> {
        let (ours, theirs) = Channel::pair()?;
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        if process.channel.send(b"m", &[theirs.as_fd()]).is_err() {
            let gone = std::mem::replace(&mut *process, execute(&self.view, self.descriptors)?);
            reap(gone);
            process.channel.send(b"m", &[theirs.as_fd()])?;
        }
        Ok(ours)
    }

    /// Whether the launcher has ended: what was asked of it last may have been lost.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.channel.has_ended()
    }

    /// The launcher's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.child.id()
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap_or_else(PoisonError::into_inner);
        // It leaves when its socket ends; then it can be waited for.
        process.channel.hang_up();
        let _ = process.child.wait();
    }
}

fn execute(view: &OwnedFd, descriptors: Option<u64>) -> io::Result<Process> {
    let (channel, theirs) = Channel::pair()?;
    let child = Command::new(format!("/proc/self/fd/{}", view.as_raw_fd()))
        .arg0(NAME)
        .args(descriptors.map(|limit| limit.to_string()))
        .env_clear()
        .envs(std::env::var_os(VARIABLE).map(|path| (VARIABLE, path)))
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .spawn()?;
    Ok(Process { channel, child })
}

fn reap(gone: Process) {
    let Process { channel, mut child } = gone;
    drop(channel);
    let _ = child.wait();
}
