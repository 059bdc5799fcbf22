//! Somebody flushes or reloads the host's firewall: our table is back before a second is over.
//!
//! The kernel tells every change of any table to whoever listens (`NFNLGRP_NFTABLES`), with the number of the
//! socket it was asked by. What others did to our table is undone by putting the whole of it in place anew.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::constants as nf;
use super::encode::SUBSYSTEM;
use super::table::Firewall;
use crate::netlink::{Heard, Socket, attributes};

/// When the table could not be put back.
const AGAIN: Duration = Duration::from_millis(500);
/// `struct nfgenmsg`.
const START: usize = 4;

/// A thread that keeps a table as it should be, until this is dropped.
#[derive(Debug)]
pub struct Keeper {
    end: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Keeps the table of `firewall`, in the network namespace that this thread is in.
    ///
    /// # Errors
    /// The kernel's.
    pub fn start(firewall: Arc<Mutex<Firewall>>) -> io::Result<Self> {
        let end = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let watch = Watch::open(&lock(&firewall))?;
        let told = Arc::clone(&end);
        let thread = thread::Builder::new().name("firewall".to_owned());
        let thread = thread.spawn(move || keep(&firewall, &watch, &told))?;
        Ok(Self { end, thread: Some(thread) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = rustix::io::write(&self.end, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(firewall: &Mutex<Firewall>) -> MutexGuard<'_, Firewall> {
    firewall.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep(firewall: &Mutex<Firewall>, watch: &Watch, end: &OwnedFd) {
    let mut owed = false;
    loop {
        match wait(watch, end, owed.then_some(AGAIN)) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return tracing::error!("the firewall is no longer watched: {error}"),
        }
        let mut firewall = lock(firewall);
        let touched = watch.touched();
        if owed || touched == Touched::Yes || touched == Touched::Perhaps && !firewall.is_there() {
            tracing::warn!("somebody changed the table inet {}: putting it back", watch.table);
            let done = firewall.restore();
            owed = done.is_err();
            if let Err(error) = done {
                tracing::error!("the firewall is not as it should be: {error}");
            }
        }
    }
}

/// Answers false when it is time to end.
fn wait(watch: &Watch, end: &OwnedFd, at_most: Option<Duration>) -> io::Result<bool> {
    let mut both = [
        PollFd::from_borrowed_fd(watch.socket.as_fd(), PollFlags::IN),
        PollFd::from_borrowed_fd(end.as_fd(), PollFlags::IN),
    ];
    let at_most = at_most.and_then(|time| Timespec::try_from(time).ok());
    rustix::io::retry_on_intr(|| poll(&mut both, at_most.as_ref()))?;
    Ok(both[1].revents().is_empty())
}

/// Hears what is done to a table by others.
#[derive(Debug)]
struct Watch {
    socket: Socket,
    table: String,
    /// The number of the socket by which we change it.
    ours: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Touched {
    No,
    Yes,
    /// More was told than we could hear.
    Perhaps,
}

impl Watch {
    fn open(firewall: &Firewall) -> io::Result<Self> {
        let socket = Socket::netfilter()?;
        socket.listen(nf::NFNLGRP_NFTABLES)?;
        Ok(Self { socket, table: firewall.name().to_owned(), ours: firewall.number()? })
    }

    /// Reads all that was told.
    fn touched(&self) -> Touched {
        let mut touched = Touched::No;
        let heard = self.socket.hear(|heard| {
            if self.is_foreign(heard) {
                touched = Touched::Yes;
            }
        });
        if heard.is_err() && touched == Touched::No { Touched::Perhaps } else { touched }
    }

    fn is_foreign(&self, heard: &Heard<'_>) -> bool {
        // In all messages of nftables but that of a new generation, the first attribute names the table.
        let table = heard.payload.get(START..).and_then(|rest| attributes(rest).text(nf::NFTA_TABLE_NAME));
        let about_a_table = heard.kind >> 8 == SUBSYSTEM && heard.kind & 0xff != nf::NFT_MSG_NEWGEN;
        about_a_table && heard.by != self.ours && table == Some(self.table.as_str())
    }
}
