//! A conversation with the kernel, in the network namespace in which the socket was made.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use super::message::{Attributes, Message, attributes};

const REQUEST: u16 = 0x1;
const MULTI: u16 = 0x2;
const ACKNOWLEDGE: u16 = 0x4;
const DUMP: u16 = 0x300;
const DETAILS: u16 = 0x200;
const CAPPED: u16 = 0x100;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const HEADER: usize = 16;
const SENTENCE: u16 = 1;
/// As much as the kernel ever puts in one packet of an answer.
const LARGEST_ANSWER: usize = 1 << 16;
const LARGEST_TRANSACTION: usize = 32 << 20;

/// What the kernel refuses, and why.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) errno: Errno,
    sentence: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sentence.as_str() {
            "" => write!(out, "{}", io::Error::from(self.errno)),
            sentence => write!(out, "{}: {sentence}", io::Error::from(self.errno)),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self { errno, sentence: String::new() }
    }
}

/// A netlink socket.
#[derive(Debug)]
pub(crate) struct Socket {
    socket: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// For links, addresses, routes (`NETLINK_ROUTE`).
    pub(crate) fn route() -> io::Result<Self> {
        // NETLINK_ROUTE is 0, for which rustix has no name.
        Self::open(None)
    }

    /// For firewalls and connections (`NETLINK_NETFILTER`).
    pub(crate) fn netfilter() -> io::Result<Self> {
        let socket = Self::open(Some(netlink::NETFILTER))?;
        // A transaction is one packet. What this may not be raised to fails when it is sent.
        let _ = sockopt::set_socket_send_buffer_size_force(&socket.socket, LARGEST_TRANSACTION);
        Ok(socket)
    }

    fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let kind = (AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC);
        let socket = rustix::net::socket_with(kind.0, kind.1, kind.2, protocol)?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        dhow_sys::netlink::explain_errors(&socket)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// One that was made before, in whatever namespace that was.
    pub(crate) const fn over(socket: OwnedFd) -> Self {
        Self { socket, sequence: 0 }
    }

    /// The socket alone.
    pub(crate) fn into_inner(self) -> OwnedFd {
        self.socket
    }

    /// Sends one request and waits for its acknowledgement.
    pub(crate) fn request(&mut self, message: &Message) -> Result<(), Failure> {
        self.batch(std::slice::from_ref(message))
    }

    /// Sends all in one packet; the kernel does one after the other. Answers the first that failed,
    /// when all were tried.
    pub(crate) fn batch(&mut self, messages: &[Message]) -> Result<(), Failure> {
        let first = self.send(messages, REQUEST | ACKNOWLEDGE)?;
        let mut failure: Option<Failure> = None;
        let mut waiting = messages.len();
        while waiting > 0 {
            self.receive(|answer| {
                let ours = answer.sequence.wrapping_sub(first) < self.sequence.wrapping_sub(first) + 1;
                if ours && answer.kind == ERROR {
                    waiting -= 1;
                    failure = failure.take().or(answer.outcome().err());
                }
                Ok(())
            })?;
        }
        failure.map_or(Ok(()), Err)
    }

    /// Asks for one thing, and reads the answer.
    pub(crate) fn ask<T>(
        &mut self,
        message: &Message,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, Failure> {
        let sequence = self.send(std::slice::from_ref(message), REQUEST)?;
        let mut read = Some(read);
        let mut found = None;
        while found.is_none() && read.is_some() {
            self.receive(|answer| {
                if answer.sequence != sequence {
                    return Ok(());
                }
                if answer.kind == ERROR {
                    answer.outcome()?;
                }
                found = read.take().and_then(|read| read(answer.payload));
                Ok(())
            })?;
        }
        found.ok_or_else(|| Errno::PROTO.into())
    }

    /// Asks for all things of a kind: `each` is shown one after the other.
    pub(crate) fn dump(&mut self, message: &Message, mut each: impl FnMut(&[u8])) -> Result<(), Failure> {
        let sequence = self.send(std::slice::from_ref(message), REQUEST | DUMP)?;
        let mut done = false;
        while !done {
            self.receive(|answer| {
                if answer.sequence != sequence {
                    return Ok(());
                }
                match answer.kind {
                    ERROR => answer.outcome()?,
                    DONE => {}
                    _ => each(answer.payload),
                }
                done |= answer.kind == DONE || answer.flags & MULTI == 0;
                Ok(())
            })?;
        }
        Ok(())
    }

    fn send(&mut self, messages: &[Message], flags: u16) -> Result<u32, Failure> {
        let first = self.sequence.wrapping_add(1).max(1);
        let mut bytes = Vec::new();
        for (index, message) in (first..).zip(messages) {
            bytes.extend(message.finish(flags, index));
            self.sequence = index;
        }
        rustix::io::retry_on_intr(|| rustix::net::send(&self.socket, &bytes, SendFlags::empty()))?;
        Ok(first)
    }

    /// Sends all in one packet, and asks for an acknowledgement of the last before `end`.
    pub(super) fn send_marked(&mut self, all: &[&Message], end: &Message) -> Result<u32, Failure> {
        let first = self.sequence.wrapping_add(1).max(1);
        let mut bytes = Vec::new();
        for (index, message) in all.iter().enumerate() {
            let last = if index + 1 == all.len() { ACKNOWLEDGE } else { 0 };
            self.sequence = first.wrapping_add(u32::try_from(index).unwrap_or_default());
            bytes.extend(message.finish(REQUEST | last, self.sequence));
        }
        self.sequence = self.sequence.wrapping_add(1);
        bytes.extend(end.finish(REQUEST, self.sequence));
        rustix::io::retry_on_intr(|| rustix::net::send(&self.socket, &bytes, SendFlags::empty()))?;
        Ok(first)
    }

    /// The number by which the kernel knows this socket.
    pub(crate) fn number(&self) -> io::Result<u32> {
        let own = SocketAddrNetlink::try_from(rustix::net::getsockname(&self.socket)?)?;
        Ok(own.pid())
    }

    /// Hears from now on what a multicast group is told.
    pub(crate) fn listen(&self, group: u32) -> io::Result<()> {
        // What this may not be raised to is lost sooner, and that is noticed.
        let _ = sockopt::set_socket_recv_buffer_size_force(&self.socket, LARGEST_TRANSACTION / 4);
        dhow_sys::netlink::join_group(&self.socket, group)
    }

    /// Shows what was told to the groups by now; fails when some of it was lost.
    pub(crate) fn hear(&self, mut each: impl FnMut(&Heard<'_>)) -> Result<(), Failure> {
        let mut lost = Ok(());
        loop {
            let read = self.receive_with(RecvFlags::DONTWAIT, |answer| {
                each(&Heard { kind: answer.kind, by: answer.port, payload: answer.payload });
                Ok(())
            });
            match read {
                Err(failure) if failure.errno == Errno::AGAIN => return lost,
                Err(failure) if failure.errno == Errno::NOBUFS => lost = Err(failure),
                other => other?,
            }
        }
    }

    /// Reads the outcomes that are there by now.
    pub(super) fn drain(&self, mut each: impl FnMut(u32, Result<(), Failure>)) -> Result<(), Failure> {
        loop {
            let read = self.receive_with(RecvFlags::DONTWAIT, |answer| {
                if answer.kind == ERROR {
                    each(answer.sequence, answer.outcome());
                }
                Ok(())
            });
            match read {
                Err(failure) if failure.errno == Errno::AGAIN => return Ok(()),
                other => other?,
            }
        }
    }

    fn receive(&self, each: impl FnMut(&Answer<'_>) -> Result<(), Failure>) -> Result<(), Failure> {
        self.receive_with(RecvFlags::empty(), each)
    }

    fn receive_with(
        &self,
        flags: RecvFlags,
        mut each: impl FnMut(&Answer<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut buffer = vec![0_u8; LARGEST_ANSWER];
        let (length, _) =
            rustix::io::retry_on_intr(|| rustix::net::recv(&self.socket, &mut buffer[..], flags))?;
        let mut rest = &buffer[..length];
        while let Some((answer, next)) = Answer::split(rest) {
            each(&answer)?;
            rest = next;
        }
        Ok(())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What a multicast group was told.
pub(crate) struct Heard<'a> {
    pub(crate) kind: u16,
    /// The number of the socket by which somebody asked for it.
    pub(crate) by: u32,
    pub(crate) payload: &'a [u8],
}

struct Answer<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    port: u32,
    payload: &'a [u8],
}

impl<'a> Answer<'a> {
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let half = |at: usize| Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let length = usize::try_from(word(0)?).ok()?;
        let payload = bytes.get(HEADER..length)?;
        let next = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((Self { kind: half(4)?, flags: half(6)?, sequence: word(8)?, port: word(12)?, payload }, next))
    }

    /// An error message: 0 is an acknowledgement.
    fn outcome(&self) -> Result<(), Failure> {
        let number = self.payload.get(..4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
        match number {
            Some(0) => Ok(()),
            Some(number) => {
                let sentence = self.details().and_then(|details| details.text(SENTENCE));
                let errno = Errno::from_raw_os_error(number.saturating_neg());
                Err(Failure { errno, sentence: sentence.unwrap_or_default().to_owned() })
            }
            None => Err(Errno::PROTO.into()),
        }
    }

    fn details(&self) -> Option<Attributes<'a>> {
        if self.flags & DETAILS == 0 {
            return None;
        }
        // The header of the request is always there, the rest of it unless it was capped.
        let request = self.payload.get(4..)?;
        let length = usize::try_from(u32::from_ne_bytes(request.get(..4)?.try_into().ok()?)).ok()?;
        let skipped = if self.flags & CAPPED == 0 { length.next_multiple_of(4) } else { HEADER };
        request.get(skipped..).map(attributes)
    }
}
