//! Who calls a monitor: engines, and clients with input for the process.

use std::os::fd::AsFd as _;
use std::time::Instant;

use rustix::event::PollFlags;
use rustix::net::{SocketFlags, accept_with};

use super::super::channel::Channel;
use super::super::client::{Client, Received};
use super::super::engine::{Engine, Heard};
use super::super::message::{Report, Request};
use super::{Loop, PIECE};

impl Loop {
    /// Another engine: it is told what runs here.
    pub(super) fn accept(&mut self) {
        let Ok(socket) = accept_with(&self.held.listener, SocketFlags::CLOEXEC) else { return };
        let engine = Channel::from(socket);
        let running = Report::Running { running: self.held.running.clone(), notes: Vec::new(), thaws: true };
        if engine.say_now(&running, &[self.held.process.as_fd()]).is_ok() {
            self.held.engines.push(Some(Engine::new(engine)));
        }
    }

    /// Serves one request of an engine. One that ends or talks nonsense is forgotten.
    pub(super) fn hear(&mut self, index: usize) {
        let Some(engine) = &mut self.held.engines[index] else { return };
        match engine.hear() {
            Heard::Request(Request::Attach(options), socket) => {
                self.held.clients.extend(socket.map(|socket| Client::new(socket, options)));
            }
            Heard::Request(Request::Resize(size), _) => {
                if let Some(terminal) = &self.held.streams.terminal {
                    // A terminal whose other side is gone has no size any more.
                    let _ = dhow_sys::terminal::resize(terminal, size.rows, size.columns);
                }
            }
            Heard::Nothing => {}
            Heard::Request(..) | Heard::End => self.held.engines[index] = None,
        }
    }

    pub(super) fn serve_client(&mut self, index: usize, flags: PollFlags) {
        if flags.contains(PollFlags::OUT) {
            self.held.clients[index].serve();
        }
        if flags.contains(PollFlags::IN) && self.held.clients[index].has_input() {
            self.read_client(index);
        } else if flags.intersects(PollFlags::HUP | PollFlags::ERR) {
            self.held.clients[index].hung_up();
        }
    }

    fn read_client(&mut self, index: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(PIECE, 0);
        match self.held.clients[index].receive(&mut buffer) {
            Received::Bytes(length) => self.write_input(&buffer[..length]),
            Received::End => self.end_input_once(),
            Received::Nothing => {}
        }
        self.last_output = Some(Instant::now());
        self.buffer = buffer;
    }

    pub(super) fn write_input(&mut self, bytes: &[u8]) {
        let written = match &mut self.held.streams.input {
            Some(input) => input.write(bytes).is_ok() && !input.is_done(),
            None => false,
        };
        if !written {
            self.close_input();
        }
    }

    /// A client that had standard input has closed it. A terminal has no end of its own.
    pub(super) fn end_input_once(&mut self) {
        if !self.held.stdio.stdin_once || self.held.stdio.terminal {
            return;
        }
        if let Some(input) = &mut self.held.streams.input {
            input.end();
            if input.is_done() {
                self.close_input();
            }
        }
    }

    fn close_input(&mut self) {
        self.held.streams.input = None;
        for client in &mut self.held.clients {
            client.refuse_input();
        }
    }
}
