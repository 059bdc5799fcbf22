//! The monitor: one process for each container (and each exec), which outlives the engine.
//!
//! In reading order: [`message`] draws the conversation with the engine, over a [`channel`];
//! [`begin`] makes the container of the plan, by our own means ([`spawn`]) or by an [`other`] runtime's, beside those that it joins ([`donors`]); [`hold`] is the loop that stays with it, with its
//! [`stream`]s, its [`client`]s, the [`engine`]s that listen, its log ([`crate::logs`]) and the watch for kills for memory
//! ([`oom`]); [`record`] is what it leaves in the run directory.
//!
//! # Who may die, and what happens then
//! - *The engine or the launcher, by any signal*: nothing. The monitor belongs to a session of its
//!   own, reads, writes the log, and listens on its socket for the next engine. What the engine had frozen for a
//!   while, for a commit, it thaws. The exit is written
//!   to a record before it is told.
//! - *The container's first process*: the kernel ends what else is in its pid namespace. Output is
//!   read to its end, for at most two seconds when others hold it open; the exit is recorded and
//!   told, and the monitor ends as soon as no client waits for output any more.
//! - *The monitor, by SIGKILL*: its container is killed with it, as said in [`crate::port`]. An engine
//!   that listens sees the end of the conversation; a later one finds the state record and asks the
//!   kernel about the process in it. Nobody takes a missing message for a running container.
//! - *A client*: it is forgotten; when it held standard input, that ends as if it had closed it.
//!
//! # What it costs
//! No thread, no asynchronous runtime, no logging framework. The pages of the program and of the
//! launcher's heap are shared with all other monitors; what it allocated to read the plan is given
//! back before it begins to wait, and its buffers whenever output pauses.

pub mod begin;
pub mod channel;
pub mod client;
pub mod donors;
pub mod engine;
pub mod hold;
pub mod message;
pub mod oom;
pub mod other;
pub mod record;
pub mod spawn;
pub mod stream;

use std::io;

use dhow_sys::trace::mark;

use crate::cgroups::Layout;
use channel::Channel;
use client::Client;
use message::{Plan, Request, receive_plan};

/// The life of a monitor: hears the plan from `engine`, makes the container below the cgroups of
/// `layout`, stays with it. Returns the exit code of this process, which nobody reads.
#[must_use]
pub fn run(engine: Channel, layout: Layout) -> i32 {
    mark("monitor made");
    let Ok((mut plan, clients)) = hear_plan(&engine) else { return 1 };
    mark("plan heard");
    match begin::begin(&mut plan, clients, engine, &layout) {
        Some(holding) => {
            // Overlayfs syncs the whole disk when its last mount goes. Held here, that happens when the end
            // is told, and not while the container's process ends.
            let tree = plan.tree();
            drop((plan, layout));
            dhow_sys::fork::release_memory();
            let ended = hold::Loop::new(holding).run();
            drop(tree);
            i32::from(ended.is_err())
        }
        None => 0,
    }
}

/// The plan, and the clients that were attached before it.
fn hear_plan(engine: &Channel) -> io::Result<(Plan, Vec<Client>)> {
    let mut clients = Vec::new();
    loop {
        let mut packet = engine.receive()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        match packet.message()? {
            Request::Attach(options) => {
                clients.extend(packet.descriptors.pop().map(|socket| Client::new(socket, options)));
            }
            Request::Plan { length } => {
                let plan = receive_plan(engine, length, packet.descriptors.pop())?;
                return Ok((plan, clients));
            }
            Request::Resize(_) | Request::ThawAfterMe { .. } | Request::NothingToThaw => {}
        }
    }
}
