//! Signals to the command while a container is attached: passed on to the container, or turned into
//! a new size of its terminal; and the terminal is given back before the command dies of one.

use std::thread;
use std::time::Duration;

use dhow_api::client::{Client, Request};
use signal_hook::consts as signal;
use signal_hook::iterator::Signals;

use super::terminal;
use crate::error::{Error, Result};

/// The process at the other end.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    Container(String),
    Exec(String),
}

/// What signals mean during an attachment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    /// Pass signals on to the container.
    pub(crate) forward: bool,
    /// Follow the size of the terminal.
    pub(crate) resize: bool,
    /// The terminal is raw.
    pub(crate) raw: bool,
}

/// Everything that a user can send, but for what cannot be caught, what this process causes itself
/// (CHLD, PIPE, URG), and its own faults.
const FORWARDED: &[(i32, &str)] = &[
    (signal::SIGHUP, "HUP"),
    (signal::SIGINT, "INT"),
    (signal::SIGQUIT, "QUIT"),
    (signal::SIGABRT, "ABRT"),
    (signal::SIGTERM, "TERM"),
    (signal::SIGUSR1, "USR1"),
    (signal::SIGUSR2, "USR2"),
    (signal::SIGALRM, "ALRM"),
    (signal::SIGCONT, "CONT"),
    (signal::SIGTSTP, "TSTP"),
    (signal::SIGTTIN, "TTIN"),
    (signal::SIGTTOU, "TTOU"),
    (signal::SIGVTALRM, "VTALRM"),
    (signal::SIGPROF, "PROF"),
    (signal::SIGIO, "IO"),
    (signal::SIGXCPU, "XCPU"),
    (signal::SIGXFSZ, "XFSZ"),
];

/// What ends a command that handles nothing.
const DEADLY: &[i32] = &[signal::SIGHUP, signal::SIGINT, signal::SIGQUIT, signal::SIGTERM];

/// Handles signals in a thread of their own until the command ends.
pub(crate) fn watch(client: &Client, peer: Peer, watch: Watch) -> Result<()> {
    let mut wanted = Vec::new();
    if watch.forward {
        wanted.extend(FORWARDED.iter().map(|(number, _)| *number));
    } else if watch.raw {
        wanted.extend_from_slice(DEADLY);
    }
    if watch.resize {
        wanted.push(signal::SIGWINCH);
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let signals = Signals::new(wanted).map_err(Error::io("handle signals"))?;
    let client = client.clone();
    let handle = move || handle(signals, &client, &peer, watch);
    thread::Builder::new().name("signals".to_owned()).spawn(handle).map_err(Error::io("start a thread"))?;
    Ok(())
}

fn handle(mut signals: Signals, client: &Client, peer: &Peer, watch: Watch) {
    if watch.resize {
        resize_at_first(client, peer);
    }
    for number in signals.forever() {
        match number {
            signal::SIGWINCH => drop(resize(client, peer)),
            number if watch.forward => forward(client, peer, number),
            number => {
                terminal::restore();
                std::process::exit(128 + number);
            }
        }
    }
}

fn forward(client: &Client, peer: &Peer, number: i32) {
    let Peer::Container(id) = peer else { return };
    let Some((_, name)) = FORWARDED.iter().find(|(known, _)| *known == number) else {
        return;
    };
    // A container that has ended has no use for it.
    let _ = client.send(Request::post(&["containers", id, "kill"]).query("signal", name));
}

/// The process may not be there yet when its terminal first gets a size.
fn resize_at_first(client: &Client, peer: &Peer) {
    for attempt in 0..10 {
        if resize(client, peer).is_ok() {
            return;
        }
        thread::sleep(Duration::from_millis(10 * (attempt + 1)));
    }
}

fn resize(client: &Client, peer: &Peer) -> Result<()> {
    let [rows, columns] = terminal::size();
    if rows == 0 && columns == 0 {
        return Ok(());
    }
    resize_to(client, peer, rows, columns)
}

/// Gives the terminal of the process this size.
pub(crate) fn resize_to(client: &Client, peer: &Peer, rows: u16, columns: u16) -> Result<()> {
    let request = match peer {
        Peer::Container(id) => Request::post(&["containers", id, "resize"]),
        Peer::Exec(id) => Request::post(&["exec", id, "resize"]),
    };
    client.send(request.query("h", &rows.to_string()).query("w", &columns.to_string()))?;
    Ok(())
}
