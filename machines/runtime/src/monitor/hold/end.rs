//! The end of the process: its status is taken, what is left of its output too, and it is put on record and told.

use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use dhow_model::Timestamp;
use dhow_model::container::Exit;
use dhow_sys::trace::mark;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, WaitOptions, WaitStatus, waitpid};

use super::super::client::Client;
use super::super::message::Report;
use super::super::oom::OutOfMemory;
use super::super::record;
use super::super::stream::Read;
use super::{Loop, QUIET, Source, poll_sources};
use crate::logs::Sink;

/// How long output is waited for when the process has ended but others hold its streams open, and
/// how long a slow client may hold up the end. Docker's.
const GRACE: Duration = Duration::from_secs(2);

/// How long a service may take what is left when the process has ended. Docker's.
const LINGER: Duration = Duration::from_secs(10);

impl Loop {
    /// The process has ended: takes its status, and all output that is there already.
    pub(super) fn see_end(&mut self) {
        mark("end seen");
        let own = Pid::from_raw(self.held.running.pid);
        if let Ok(Some((_, status))) = waitpid(own, WaitOptions::NOHANG) {
            self.note_end(status);
        }
    }

    fn note_end(&mut self, status: WaitStatus) {
        let code = status.exit_status().or_else(|| status.terminating_signal().map(|n| 128 + n));
        let exit = Exit {
            code: code.unwrap_or(255),
            oom_killed: false,
            error: String::new(),
            started: self.held.running.started,
            finished: Timestamp::now(),
        };
        self.ended = Some((exit, Instant::now() + GRACE));
        for index in 0..self.held.streams.outputs.len() {
            while !self.is_blocked() && matches!(self.read_output(index), Read::Bytes(_)) {}
        }
    }

    /// Reaps what ended besides the process itself.
    pub(super) fn reap_orphans(&mut self) {
        while let Ok(Some((pid, status))) = waitpid(None, WaitOptions::NOHANG) {
            if pid.as_raw_nonzero().get() == self.held.running.pid {
                self.note_end(status);
            }
        }
    }

    /// Takes what is left in the pipes, whether clients are slow or not, and closes the log.
    pub(super) fn finish(&mut self) -> Exit {
        for index in 0..self.held.streams.outputs.len() {
            while matches!(self.read_output(index), Read::Bytes(_)) {}
            let output = &mut self.held.streams.outputs[index];
            if let Some(log) = &mut self.held.log {
                let stream = output.stream;
                output.splitter.finish(&mut |entry| log.write(stream, Timestamp::now(), entry));
            }
        }
        if let Some(log) = &mut self.held.log {
            log.flush();
        }
        let (mut exit, _) = self.ended.take().unwrap_or_else(|| (Exit::default(), Instant::now()));
        exit.oom_killed = self.held.memory.as_ref().is_some_and(OutOfMemory::has_ever_killed);
        exit
    }

    /// First the record, then the word: an engine that is killed in between finds the record.
    pub(super) fn tell_exit(&mut self, exit: &Exit) {
        // A full /run: the engine that listens is told all the same.
        let _ = record::write(self.held.directory.as_fd(), &self.held.names.exit, exit);
        record::remove(self.held.directory.as_fd(), &self.held.names.socket);
        self.tell(&Report::Exited(exit.clone()));
        mark("end told");
        self.held.engines.clear();
    }

    /// Stays for clients that have not taken all of their output, for a while for the log's service, and
    /// for nobody else.
    pub(super) fn linger(mut self) -> io::Result<()> {
        let end = Instant::now() + LINGER;
        loop {
            self.held.clients.retain(Client::is_owed);
            let owed = self.held.log.as_ref().is_some_and(Sink::is_owed) && Instant::now() < end;
            if self.held.clients.is_empty() && !owed {
                break;
            }
            let mut sources = Vec::new();
            for (index, client) in self.held.clients.iter().enumerate() {
                let polled = PollFd::from_borrowed_fd(client.socket(), PollFlags::OUT);
                sources.push((Source::Client(index), polled));
            }
            if let Some((socket, flags)) = self.held.log.as_ref().filter(|_| owed).and_then(Sink::interest) {
                sources.push((Source::Log, PollFd::from_borrowed_fd(socket, flags)));
            }
            for (source, flags) in poll_sources(&sources, owed.then_some(QUIET))? {
                match source {
                    Source::Client(index) => self.held.clients[index].serve(),
                    _ => self.serve_log(flags),
                }
            }
        }
        if let Some(mut log) = self.held.log.take() {
            log.close();
        }
        Ok(())
    }
}
