//! The small init of a container that asked for one: it passes signals on to the program, reaps
//! orphans, and ends as the program does.
//!
//! ```text
//!   1  this process      nothing open but its streams, which it neither reads nor writes
//!   └─ 2  the program    a process group of its own, in front of the terminal
//! ```
//! It has the program's identity and filter, and cannot be looked into. A process with the id 1 gets
//! only the signals that it asks for: a program that asks for none could not be stopped.

use dhow_sys::fork::{self, Fork};
use dhow_sys::process;
use dhow_sys::signalfd::Signals;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus};

use crate::container::error::{Context as _, Result};

/// Returns in the program's process; this one stays as its init.
///
/// # Errors
/// The kernel's.
pub fn stay_behind() -> Result<()> {
    // Blocked in both until each is ready: no signal is lost between.
    let blocked = Signals::catch_all().doing(|| "block signals")?;
    match fork::fork().doing(|| "make the program's process")? {
        Fork::Parent(program) => {
            drop(blocked);
            stay(program)
        }
        Fork::Child => {
            in_front_of_the_terminal().doing(|| "make a process group")?;
            process::reset_signals().doing(|| "reset signals")
        }
    }
}

/// As a shell does it: what is typed at the terminal signals the program's group alone.
fn in_front_of_the_terminal() -> rustix::io::Result<()> {
    rustix::process::setpgid(None, None)?;
    // Without a terminal there is no front.
    let _ = rustix::termios::tcsetpgrp(rustix::stdio::stdin(), rustix::process::getpid());
    Ok(())
}

fn stay(program: Pid) -> ! {
    // The line on which the program's start is told is at its end when the program alone has closed it.
    let ready = dhow_sys::descriptors::close_all_but(&mut []).and_then(|()| {
        let handle = rustix::process::pidfd_open(program, PidfdFlags::empty())?;
        Ok((handle, Signals::catch_all()?))
    });
    let Ok((handle, signals)) = ready else { fork::exit_now(128) };
    let _ = rustix::thread::set_name(c"init");
    loop {
        let Ok(number) = signals.next() else { fork::exit_now(128) };
        if number == Signal::CHILD.as_raw() {
            reap(program);
        } else {
            // It may have ended; then its end is the next signal.
            let _ = dhow_sys::signal::send(&handle, number);
        }
    }
}

/// Takes every child that has ended; ends with the program.
fn reap(program: Pid) {
    while let Ok(Some((child, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if child == program {
            fork::exit_now(code(status));
        }
    }
}

fn code(status: WaitStatus) -> i32 {
    status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(128)
}
