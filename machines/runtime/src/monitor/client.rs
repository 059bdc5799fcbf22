//! Clients that are attached to a process, and what each of them still has to get.
//!
//! A client that reads slowly slows the process down, as with Docker: what it has not taken is kept
//! (never more than one piece of output), and meanwhile no more output is read, so that the pipe
//! fills and the process waits. The other ways were to drop output, which breaks
//! `run image tar c . | …`, or to keep it all, which hands the monitor's memory to whoever attaches.
//! The log is written before the clients are served and so is never behind them. After the process
//! has ended nobody waits for a client: what is left goes to the log and is kept for the client.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use dhow_model::ports::{AttachOptions, LogStream};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, recv, sendmsg, shutdown};

/// One attached client.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
    options: AttachOptions,
    /// Output that its socket had no room for.
    owed: Vec<u8>,
    input: Input,
    /// It is gone, or does not follow the rules.
    gone: bool,
}

/// The client's side of standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    Open,
    Ended,
}

/// What came from a client.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// As many bytes for standard input.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// It has closed its side, just now.
    End,
}

impl Client {
    /// A client that speaks on `socket`.
    #[must_use]
    pub fn new(socket: OwnedFd, options: AttachOptions) -> Self {
        let input = if options.stdin { Input::Open } else { Input::Ended };
        Self { socket, options, owed: Vec::new(), input, gone: false }
    }

    /// Its socket, to be polled.
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether output waits for it.
    #[must_use]
    pub fn is_owed(&self) -> bool {
        !self.gone && !self.owed.is_empty()
    }

    /// Whether it is of no use any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// Whether it was attached to standard input and has not closed it.
    #[must_use]
    pub fn holds_input(&self) -> bool {
        self.input == Input::Open
    }

    /// What its socket is polled for: its input when that has somewhere to go (`input_has_room`), room
    /// for what it is owed, and always whether it has hung up. None when it must not be polled: a
    /// socket that was hung up on is always ready, and its input cannot be taken yet.
    #[must_use]
    pub fn interest(&self, input_has_room: bool) -> Option<PollFlags> {
        let mut flags = PollFlags::empty();
        if self.is_owed() {
            flags |= PollFlags::OUT;
        }
        if self.has_input() && input_has_room {
            flags |= PollFlags::IN;
        }
        (!flags.is_empty() || !self.has_input()).then_some(flags)
    }

    /// Whether its input is to be read.
    #[must_use]
    pub fn has_input(&self) -> bool {
        !self.gone && self.input == Input::Open
    }

    /// Gives it output: as it is when there is a terminal, in a frame of Docker's stream format else.
    pub fn give(&mut self, stream: LogStream, terminal: bool, bytes: &[u8]) {
        let wanted = match stream {
            LogStream::Stdout => self.options.stdout,
            LogStream::Stderr => self.options.stderr,
        };
        if !wanted || self.gone {
            return;
        }
        let header = frame_header(stream, bytes.len());
        let header = if terminal { &[][..] } else { &header[..] };
        let mut sent = 0;
        if self.owed.is_empty() {
            sent = self.send(header, bytes);
        }
        let left_of_header = &header[sent.min(header.len())..];
        let left = &bytes[sent.saturating_sub(header.len())..];
        if !self.gone {
            self.owed.extend_from_slice(left_of_header);
            self.owed.extend_from_slice(left);
        }
    }

    /// Sends what it is owed, as much as there is room for.
    pub fn serve(&mut self) {
        let owed = std::mem::take(&mut self.owed);
        let sent = self.send(&[], &owed);
        if sent < owed.len() && !self.gone {
            self.owed = owed;
            self.owed.drain(..sent);
        }
    }

    /// Reads its input. Whoever has hung up without an orderly end is gone, but what it wrote before
    /// is read first.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Received {
        match rustix::io::retry_on_intr(|| recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT)) {
            Ok((0, _)) => {
                self.input = Input::Ended;
                Received::End
            }
            Ok((length, _)) => Received::Bytes(length),
            Err(Errno::AGAIN) => Received::Nothing,
            Err(_) => {
                self.gone = true;
                Received::Nothing
            }
        }
    }

    /// Nobody reads standard input any more: whoever writes to it shall learn that.
    pub fn refuse_input(&mut self) {
        if self.input == Input::Open {
            self.input = Input::Ended;
            let _ = shutdown(&self.socket, Shutdown::Read);
        }
    }

    /// Its socket was hung up on: nothing can be sent any more.
    pub fn hung_up(&mut self) {
        self.gone = true;
    }

    fn send(&mut self, header: &[u8], bytes: &[u8]) -> usize {
        let parts = [IoSlice::new(header), IoSlice::new(bytes)];
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let mut nothing = SendAncillaryBuffer::default();
        match rustix::io::retry_on_intr(|| sendmsg(&self.socket, &parts, &mut nothing, flags)) {
            Ok(sent) => sent,
            Err(Errno::AGAIN) => 0,
            Err(_) => {
                self.gone = true;
                0
            }
        }
    }
}

/// Stream, three zeros, length big-endian. Pieces of output are far shorter than 4 GiB.
fn frame_header(stream: LogStream, length: usize) -> [u8; 8] {
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    [stream as u8, 0, 0, 0, a, b, c, d]
}

/// Both ends of an attached client's stream: the engine's and the monitor's.
///
/// # Errors
/// The kernel's.
pub fn stream_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    Ok(socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    const OUTPUT: AttachOptions = AttachOptions { stdin: false, stdout: true, stderr: true };

    #[test]
    fn output_comes_in_frames_unless_there_is_a_terminal() {
        let (here, there) = stream_pair().unwrap();
        let mut client = Client::new(there, OUTPUT);
        client.give(LogStream::Stderr, false, b"hey");
        client.give(LogStream::Stdout, true, b"raw");
        drop(client);
        let mut got = Vec::new();
        UnixStream::from(here).read_to_end(&mut got).unwrap();
        assert_eq!(got, b"\x02\0\0\0\0\0\0\x03heyraw");
    }

    #[test]
    fn a_slow_client_is_owed_the_rest_and_loses_nothing() {
        let (here, there) = stream_pair().unwrap();
        let mut client = Client::new(there, OUTPUT);
        let piece: Vec<u8> = (0..=255u8).cycle().take(16 * 1024).collect();
        let mut given = 0;
        while !client.is_owed() {
            client.give(LogStream::Stdout, true, &piece);
            given += piece.len();
        }
        let reading = std::thread::spawn(move || {
            let mut got = Vec::new();
            UnixStream::from(here).read_to_end(&mut got).unwrap();
            got
        });
        while client.is_owed() {
            client.serve();
            std::thread::yield_now();
        }
        drop(client);
        let got = reading.join().unwrap();
        assert_eq!(got.len(), given);
        assert!(got.chunks(piece.len()).all(|chunk| chunk == piece));
    }

    #[test]
    fn a_client_that_has_gone_is_known_to_be() {
        let (here, there) = stream_pair().unwrap();
        let mut client = Client::new(there, OUTPUT);
        drop(here);
        client.give(LogStream::Stdout, false, b"x");
        assert!(client.is_gone() && !client.is_owed());
    }
}
