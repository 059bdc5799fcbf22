//! A seqpacket socket: whole messages, and descriptors with them.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest packet; far below what an unprivileged socket buffer holds.
pub const LONGEST: usize = 32 * 1024;

/// The longest message. Small, since a monitor keeps the pages that it once touched.
pub const LONGEST_MESSAGE: usize = 8 * 1024;

/// Descriptors that one packet may bring; those beyond are closed by the kernel.
const DESCRIPTORS: usize = 4;

/// One end of a conversation.
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// What a packet brought.
#[derive(Debug)]
pub struct Packet {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The descriptors that came with it.
    pub descriptors: Vec<OwnedFd>,
}

impl Channel {
    /// Both ends of a new conversation; neither is passed on to a program that is executed.
    ///
    /// # Errors
    /// The kernel's.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(one), Self(other)))
    }

    /// Sends bytes and descriptors as one packet; blocks when the other side is slow to read.
    ///
    /// # Errors
    /// The kernel's; [`io::ErrorKind::BrokenPipe`] when the other side is gone.
    pub fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.send_with(bytes, descriptors, SendFlags::NOSIGNAL)
    }

    /// Sends a message in its JSON form.
    ///
    /// # Errors
    /// The kernel's.
    pub fn say(&self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.send(&serde_json::to_vec(message)?, descriptors)
    }

    /// The same, but an error instead of waiting: a process that serves many must not be stopped by
    /// one that does not listen.
    ///
    /// # Errors
    /// The kernel's; [`io::ErrorKind::WouldBlock`] when the other side does not read.
    pub fn say_now(&self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        self.send_with(&bytes, descriptors, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
    }

    fn send_with(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>], flags: SendFlags) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::other("too many descriptors for one packet"));
        }
        let packet = [IoSlice::new(bytes)];
        rustix::io::retry_on_intr(|| sendmsg(&self.0, &packet, &mut ancillary, flags))?;
        Ok(())
    }

    /// Ends the conversation for both sides, whoever holds copies of this end.
    pub fn hang_up(&self) {
        let _ = rustix::net::shutdown(&self.0, rustix::net::Shutdown::Both);
    }

    /// Whether the other side is gone.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut polled = [PollFd::new(&self.0, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(poll(&mut polled, Some(&now)), Ok(1..))
    }

    /// Waits for the next packet; none when the other side is gone.
    ///
    /// # Errors
    /// The kernel's; [`io::ErrorKind::InvalidData`] for a packet that is too long.
    pub fn receive(&self) -> io::Result<Option<Packet>> {
        self.receive_with(LONGEST_MESSAGE, RecvFlags::empty())
    }

    /// The next packet if there is one already.
    ///
    /// # Errors
    /// As [`receive`](Self::receive); [`io::ErrorKind::WouldBlock`] when there is none yet.
    pub fn receive_now(&self) -> io::Result<Option<Packet>> {
        self.receive_with(LONGEST_MESSAGE, RecvFlags::DONTWAIT)
    }

    /// Waits for the next packet where it may have [`LONGEST`] bytes.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_long(&self) -> io::Result<Option<Packet>> {
        self.receive_with(LONGEST, RecvFlags::empty())
    }

    fn receive_with(&self, longest: usize, flags: RecvFlags) -> io::Result<Option<Packet>> {
        let mut bytes = vec![0; longest];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = flags | RecvFlags::CMSG_CLOEXEC;
        let received = rustix::io::retry_on_intr(|| {
            recvmsg(&self.0, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags)
        })?;
        let mut descriptors = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if received.bytes == 0 {
            return Ok(None);
        }
        if received.flags.contains(ReturnFlags::TRUNC) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a packet is too long"));
        }
        bytes.truncate(received.bytes);
        Ok(Some(Packet { bytes, descriptors }))
    }
}

impl Packet {
    /// The message that the packet is.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when it is none.
    pub fn message<T: DeserializeOwned>(&self) -> io::Result<T> {
        serde_json::from_slice(&self.bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Channel {
    fn from(socket: OwnedFd) -> Self {
        Self(socket)
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn messages_arrive_whole_and_with_their_descriptors() {
        let (here, there) = Channel::pair().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"x").unwrap();
        here.say(&"first", &[reader.as_fd()]).unwrap();
        here.say(&"second", &[]).unwrap();
        let first = there.receive().unwrap().unwrap();
        assert_eq!(first.message::<String>().unwrap(), "first");
        let mut byte = [0];
        assert_eq!(rustix::io::read(&first.descriptors[0], &mut byte).unwrap(), 1);
        let second = there.receive().unwrap().unwrap();
        assert_eq!(second.message::<String>().unwrap(), "second");
        assert!(second.descriptors.is_empty());
        assert_eq!(there.receive_now().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(here);
        assert!(there.receive().unwrap().is_none());
    }

    #[test]
    fn a_packet_that_is_too_long_is_refused() {
        let (here, there) = Channel::pair().unwrap();
        here.send(&vec![0; LONGEST_MESSAGE + 1], &[]).unwrap();
        assert_eq!(there.receive().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
