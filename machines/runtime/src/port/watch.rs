//! One thread that listens to all monitors.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

use dhow_model::ports::RuntimeEvent;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};

use super::table::Known;
use super::{Shared, adopt};
use crate::monitor::message::Report;
use crate::monitor::record::{self, Names};

/// The token of the descriptor that ends the thread; processes have higher ones.
const END: u64 = 0;

/// The thread, ended and awaited when this is dropped.
pub(super) struct Watch {
    epoll: Arc<OwnedFd>,
    end: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts it.
    pub(super) fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let epoll = Arc::new(epoll::create(CreateFlags::CLOEXEC)?);
        let end = eventfd(0, EventfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &end, EventData::new_u64(END), EventFlags::IN)?;
        let watched = Arc::clone(&epoll);
        let thread = std::thread::Builder::new()
            .name("monitors".into())
            .stack_size(256 * 1024)
            .spawn(move || listen(&watched, &shared))?;
        Ok(Self { epoll, end, thread: Some(thread) })
    }

    /// Listens to one more monitor.
    pub(super) fn add(&self, known: &Known) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, &known.channel, EventData::new_u64(known.token), EventFlags::IN)?)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = rustix::io::write(&self.end, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(epoll: &OwnedFd, shared: &Arc<Shared>) {
    let mut events: Vec<Event> = Vec::with_capacity(64);
    loop {
        events.clear();
        match epoll::wait(epoll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
        for event in &events {
            let token = event.data.u64();
            if token == END {
                return;
            }
            if let Some(known) = shared.table.of_token(token) {
                hear(epoll, shared, &known);
            }
        }
    }
}

/// Reads what a monitor says.
fn hear(epoll: &OwnedFd, shared: &Arc<Shared>, known: &Arc<Known>) {
    let report = match known.channel.receive_now() {
        Ok(Some(packet)) => packet.message::<Report>().ok(),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
        Ok(None) | Err(_) => None,
    };
    match report {
        Some(Report::OutOfMemory) => {
            (shared.events)(RuntimeEvent::OutOfMemory { id: known.target.id.clone() });
        }
        Some(Report::Running { .. } | Report::Failed { .. } | Report::NoMonitor(_)) => {}
        Some(Report::Exited(exit)) => {
            forget(epoll, shared, known);
            (shared.events)(RuntimeEvent::Exited { target: known.target.clone(), exit });
            forget_exec_record(shared, known);
        }
        None => {
            forget(epoll, shared, known);
            adopt::mourn(shared, known);
        }
    }
}

fn forget(epoll: &OwnedFd, shared: &Shared, known: &Known) {
    let _ = epoll::delete(epoll, &known.channel);
    shared.table.remove(known);
}

/// The exit of an exec was told: nobody needs its record any more.
fn forget_exec_record(shared: &Shared, known: &Known) {
    let Some(exec) = &known.target.exec else { return };
    if let Ok(directory) = record::open_directory(&shared.directory(&known.target.id)) {
        record::remove(directory.as_fd(), &Names::of(Some(exec)).exit);
    }
}
