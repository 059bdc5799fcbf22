//! Stays with a process until it ends: passes signals and the terminal on, and answers its exit code.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use dhow_model::{Error, Result};
use dhow_sys::signal;
use dhow_sys::signalfd::Signals;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, WaitOptions, waitpid};

use super::console::{self, Raw};
use crate::container::Init;

/// What the caller's signals, terminal and the process share.
pub(super) struct Foreground {
    signals: Signals,
}

/// What is left of a started process for the one who stays with it.
pub(super) struct Process {
    pub(super) pid: Pid,
    pub(super) pidfd: OwnedFd,
    pub(super) terminal: Option<OwnedFd>,
}

impl Process {
    /// Takes the handles of a created process, and leaves it to start.
    pub(super) fn of(init: &mut Init) -> Result<Self> {
        let pidfd = init.pidfd.try_clone();
        let pidfd = pidfd.map_err(|error| Error::internal("cannot keep the process").because(error))?;
        Ok(Self { pid: init.pid, pidfd, terminal: init.terminal.take() })
    }
}

impl Foreground {
    /// Before the process is made: a signal that comes meanwhile is passed on later.
    pub(super) fn prepare() -> Result<Self> {
        let signals = Signals::catch_all();
        Ok(Self {
            signals: signals.map_err(|error| Error::internal("cannot wait for signals").because(error))?,
        })
    }

    /// Until the process has ended; its exit code, or 128 and its signal.
    pub(super) fn stay(&self, process: &Process) -> Result<u8> {
        let raw = process.terminal.as_ref().map(|terminal| {
            console::follow_size(terminal.as_fd());
            Raw::enter()
        });
        let ended = self.until_end(process);
        if let Some(terminal) = &process.terminal {
            drain(terminal.as_fd());
        }
        drop(raw);
        ended.map_err(|error| Error::internal("cannot wait for the process").because(error))?;
        reap(process.pid)
    }

    fn until_end(&self, process: &Process) -> io::Result<()> {
        let stdin = io::stdin();
        let (mut reads_stdin, mut reads_terminal) = (process.terminal.is_some(), process.terminal.is_some());
        loop {
            let mut polled = vec![
                PollFd::new(&process.pidfd, PollFlags::IN),
                PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            ];
            if let Some(terminal) = process.terminal.as_ref().filter(|_| reads_terminal) {
                polled.push(PollFd::new(terminal, PollFlags::IN));
                if reads_stdin {
                    polled.push(PollFd::new(&stdin, PollFlags::IN));
                }
            }
            rustix::io::retry_on_intr(|| poll(&mut polled, None))?;
            let ready: Vec<bool> = polled.iter().map(|one| !one.revents().is_empty()).collect();
            drop(polled);
            let is_ready = |number: usize| ready.get(number).copied().unwrap_or(false);
            if is_ready(1) {
                self.pass_signals_on(process)?;
            }
            if let Some(terminal) = &process.terminal {
                reads_terminal &= !is_ready(2) || copy(terminal.as_fd(), io::stdout().as_fd());
                reads_stdin &= !is_ready(3) || copy(stdin.as_fd(), terminal.as_fd());
            }
            if is_ready(0) {
                return Ok(());
            }
        }
    }

    fn pass_signals_on(&self, process: &Process) -> io::Result<()> {
        match (self.signals.next()?, &process.terminal) {
            (libc::SIGCHLD | libc::SIGURG | libc::SIGPIPE, _) => {}
            (libc::SIGWINCH, Some(terminal)) => console::follow_size(terminal.as_fd()),
            // Who has ended needs no signal any more.
            (number, _) => drop(signal::send(&process.pidfd, number)),
        }
        Ok(())
    }
}

/// Copies what is there; false at the end.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> bool {
    let mut buffer = [0; 16384];
    let Ok(length) = rustix::io::retry_on_intr(|| rustix::io::read(from, &mut buffer)) else { return false };
    let mut rest = &buffer[..length];
    while !rest.is_empty() {
        match rustix::io::retry_on_intr(|| rustix::io::write(to, rest)) {
            Ok(written) => rest = &rest[written..],
            Err(_) => return false,
        }
    }
    length > 0
}

/// What a process wrote before it ended.
fn drain(terminal: BorrowedFd<'_>) {
    let none = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    loop {
        let mut polled = [PollFd::from_borrowed_fd(terminal, PollFlags::IN)];
        let ready = poll(&mut polled, Some(&none)).is_ok_and(|count| count > 0);
        if !ready || !polled[0].revents().contains(PollFlags::IN) || !copy(terminal, io::stdout().as_fd()) {
            return;
        }
    }
}

fn reap(pid: Pid) -> Result<u8> {
    let status = rustix::io::retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()))
        .map_err(|error| Error::internal("cannot reap the process").because(error))?;
    let code = status.and_then(|(_, status)| {
        status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal))
    });
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(255))
}
