//! The loop of a monitor: holds one process's streams until it has ended and all is told.

mod callers;
mod end;

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use dhow_model::Timestamp;
use dhow_model::container::{Exit, Running};
use dhow_model::ports::{LogStream, StdioPlan};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::client::Client;
use super::engine::Engine;
use super::message::Report;
use super::oom::OutOfMemory;
use super::record::Names;
use super::spawn::Maker;
use super::stream::{Read, Streams};
use crate::logs::Sink;

/// After so long without output the buffers are given back.
const QUIET: Duration = Duration::from_secs(1);

/// As much is read at once.
const PIECE: usize = 32 * 1024;

/// Everything that a monitor holds.
pub struct Holding {
    /// The process.
    pub running: Running,
    /// The same, as a descriptor.
    pub process: OwnedFd,
    /// Its streams.
    pub streams: Streams,
    /// What was asked for about them.
    pub stdio: StdioPlan,
    /// Its log; none for an exec, or by option.
    pub log: Option<Sink>,
    /// Clients that were attached before the start.
    pub clients: Vec<Client>,
    /// Engines that listen; none in the place of one that has gone in this turn.
    pub engines: Vec<Option<Engine>>,
    /// Where later engines connect.
    pub listener: OwnedFd,
    /// The run directory.
    pub directory: OwnedFd,
    /// The names in it.
    pub names: Names,
    /// Tells of kills for memory; none for an exec.
    pub memory: Option<OutOfMemory>,
    /// The processes of the container live in the host's pid namespace: orphans come to us.
    pub adopts_orphans: bool,
    /// The runtime that made the container, where it is not our own: it hears of the end.
    pub maker: Maker,
}

/// The loop's own state.
pub struct Loop {
    held: Holding,
    buffer: Vec<u8>,
    last_output: Option<Instant>,
    ended: Option<(Exit, Instant)>,
}

/// Who is ready, in the order in which they are served: clients that have just come get the output
/// that is read after.
#[derive(Debug, Clone, Copy)]
enum Source {
    Listener,
    Engine(usize),
    Client(usize),
    Input,
    Output(usize),
    Memory,
    Process,
    Log,
}

impl Loop {
    /// A loop that has not begun.
    #[must_use]
    pub fn new(held: Holding) -> Self {
        Self { held, buffer: Vec::new(), last_output: None, ended: None }
    }

    /// Runs until the process has ended, everything is told, and no client waits for output.
    ///
    /// # Errors
    /// When the kernel does not let us wait.
    pub fn run(mut self) -> io::Result<()> {
        while !self.is_finished() {
            for (source, flags) in self.wait()? {
                self.serve(source, flags);
            }
            self.settle();
        }
        let exit = self.finish();
        if let Some(maker) = self.held.maker.take() {
            maker.delete();
        }
        self.tell_exit(&exit);
        self.linger()
    }

    /// Waits until somebody is ready; gives memory back when nothing happens for a while.
    fn wait(&mut self) -> io::Result<Vec<(Source, PollFlags)>> {
        let ready = poll_sources(&self.sources(), self.timeout())?;
        if ready.is_empty() && self.ended.is_none() {
            self.rest();
        }
        Ok(ready)
    }

    fn timeout(&self) -> Option<Duration> {
        let until = |deadline: &Instant| deadline.saturating_duration_since(Instant::now());
        let log = self.held.log.as_ref().and_then(Sink::deadline);
        let own = match &self.ended {
            Some((_, deadline)) => Some(until(deadline)),
            None if self.last_output.is_some() || self.held.adopts_orphans => Some(QUIET),
            None => None,
        };
        own.into_iter().chain(log.as_ref().map(until)).min()
    }

    /// Whether somebody has to take output first, before more of it is read.
    fn is_blocked(&self) -> bool {
        self.held.clients.iter().any(Client::is_owed) || self.held.log.as_ref().is_some_and(Sink::is_full)
    }

    fn serve_log(&mut self, flags: PollFlags) {
        if let Some(log) = &mut self.held.log {
            log.serve(flags);
        }
    }

    fn rest(&mut self) {
        self.last_output = None;
        self.buffer = Vec::new();
        if let Some(log) = &mut self.held.log {
            log.rest();
        }
        dhow_sys::fork::release_memory();
        if self.held.adopts_orphans {
            self.reap_orphans();
        }
    }

    fn sources(&self) -> Vec<(Source, PollFd<'_>)> {
        let held = &self.held;
        let mut sources = vec![(Source::Listener, PollFd::new(&held.listener, PollFlags::IN))];
        for (index, engine) in held.engines.iter().flatten().enumerate() {
            sources.push((Source::Engine(index), PollFd::new(engine, PollFlags::IN)));
        }
        let input_owed = held.streams.input.as_ref().is_some_and(super::stream::Input::is_owed);
        for (index, client) in held.clients.iter().enumerate() {
            if let Some(flags) = client.interest(!input_owed) {
                sources.push((Source::Client(index), PollFd::from_borrowed_fd(client.socket(), flags)));
            }
        }
        if let Some(input) = held.streams.input.as_ref().filter(|input| input.is_owed()) {
            sources.push((Source::Input, PollFd::from_borrowed_fd(input.sink(), PollFlags::OUT)));
        }
        let blocked = self.is_blocked();
        for (index, output) in held.streams.outputs.iter().enumerate() {
            if let Some(source) = output.source.as_ref().filter(|_| !blocked) {
                sources.push((Source::Output(index), PollFd::new(source, PollFlags::IN)));
            }
        }
        if let Some(memory) = held.memory.as_ref().and_then(OutOfMemory::descriptor) {
            sources.push((Source::Memory, PollFd::from_borrowed_fd(memory, PollFlags::IN)));
        }
        if let Some((socket, flags)) = held.log.as_ref().and_then(Sink::interest) {
            sources.push((Source::Log, PollFd::from_borrowed_fd(socket, flags)));
        }
        if self.ended.is_none() {
            sources.push((Source::Process, PollFd::new(&held.process, PollFlags::IN)));
        }
        sources
    }

    fn serve(&mut self, source: Source, flags: PollFlags) {
        match source {
            Source::Listener => self.accept(),
            Source::Engine(index) => self.hear(index),
            Source::Client(index) => self.serve_client(index, flags),
            Source::Input => self.write_input(&[]),
            Source::Output(index) => drop(self.read_output(index)),
            Source::Memory => self.report_memory(),
            Source::Process => self.see_end(),
            Source::Log => self.serve_log(flags),
        }
    }

    /// Reads a piece of output, logs it, and gives it to the clients.
    fn read_output(&mut self, index: usize) -> Read {
        self.buffer.resize(PIECE, 0);
        let output = &mut self.held.streams.outputs[index];
        let read = output.read(&mut self.buffer);
        let now = Timestamp::now();
        let stream = output.stream;
        match (read, &mut self.held.log) {
            (Read::Bytes(length), Some(log)) => {
                output.splitter.push(&self.buffer[..length], &mut |entry| log.write(stream, now, entry));
                log.flush();
            }
            (Read::End, Some(log)) => {
                output.splitter.finish(&mut |entry| log.write(stream, now, entry));
                log.flush();
            }
            _ => {}
        }
        if let Read::Bytes(length) = read {
            self.last_output = Some(Instant::now());
            self.give(stream, length);
        }
        read
    }

    fn give(&mut self, stream: LogStream, length: usize) {
        for client in &mut self.held.clients {
            client.give(stream, self.held.stdio.terminal, &self.buffer[..length]);
        }
    }

    fn report_memory(&mut self) {
        if self.held.memory.as_mut().is_some_and(OutOfMemory::has_killed) {
            self.tell(&Report::OutOfMemory);
        }
    }

    /// Forgets who is gone. A client that vanishes ends its input as one that closes it.
    fn settle(&mut self) {
        if self.held.clients.iter().any(|client| client.is_gone() && client.holds_input()) {
            self.end_input_once();
        }
        let lost = self.held.clients.iter().any(Client::is_gone);
        self.held.clients.retain(|client| !client.is_gone());
        if lost && self.held.clients.is_empty() && self.held.stdio.dies_with_client {
            // Also when the engine died with them. It may have ended by itself just now.
            let _ = dhow_sys::signal::send_to_group(&self.held.process, libc::SIGKILL);
        }
        self.held.engines.retain(Option::is_some);
        if self.held.log.as_ref().and_then(Sink::deadline).is_some_and(|deadline| Instant::now() >= deadline)
        {
            self.serve_log(PollFlags::empty());
        }
    }

    fn is_finished(&self) -> bool {
        self.ended.as_ref().is_some_and(|(_, deadline)| {
            let served = !self.held.clients.iter().any(Client::is_owed);
            (served && self.held.streams.have_ended()) || Instant::now() >= *deadline
        })
    }

    fn tell(&mut self, report: &Report) {
        for place in &mut self.held.engines {
            if place.as_ref().is_some_and(|engine| !engine.tell(report)) {
                *place = None;
            }
        }
    }
}

fn poll_sources(
    sources: &[(Source, PollFd<'_>)],
    timeout: Option<Duration>,
) -> io::Result<Vec<(Source, PollFlags)>> {
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    let mut polled: Vec<PollFd<'_>> = sources.iter().map(|(_, polled)| polled.clone()).collect();
    match poll(&mut polled, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let ready = sources.iter().zip(&polled).map(|((source, _), polled)| (*source, polled.revents()));
    Ok(ready.filter(|(_, flags)| !flags.is_empty()).collect())
}
