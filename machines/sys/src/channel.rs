//! Sequenced packets between two processes, with descriptors passed along (unix(7), `SCM_RIGHTS`).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

/// The most descriptors that one packet carries.
pub const MOST_DESCRIPTORS: usize = 8;

/// Two ends of a new channel; both are closed on exec.
///
/// # Errors
/// The kernel's.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends one packet; a receiver that is gone is an error, not a signal.
///
/// # Errors
/// The kernel's; `EMSGSIZE` for a packet that is too large.
pub fn send(channel: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one packet"));
    }
    let slices = [IoSlice::new(bytes)];
    rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(channel.as_fd(), &slices, &mut ancillary, SendFlags::NOSIGNAL).map(drop)
    })?;
    Ok(())
}

/// How many sent bytes of a unix socket its other end has not read, with the kernel's own overhead
/// (`SIOCOUTQ`, unix(7)).
///
/// # Errors
/// The kernel's.
pub fn unread(socket: impl AsFd) -> io::Result<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: the kernel writes one int, which lives across the call.
    match unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut count) } {
        0 => Ok(usize::try_from(count).unwrap_or_default()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Receives one packet into `buffer`; 0 bytes and no descriptor is the end of the conversation.
///
/// # Errors
/// The kernel's.
pub fn receive(channel: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let length = {
        let mut slices = [IoSliceMut::new(buffer)];
        let message = rustix::io::retry_on_intr(|| {
            rustix::net::recvmsg(channel.as_fd(), &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        })?;
        message.bytes
    };
    let descriptors = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(rights) => Some(rights),
        _ => None,
    });
    Ok((length, descriptors.flatten().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_goes_along_with_a_packet() {
        let (here, there) = pair().unwrap();
        let (read, write) = rustix::pipe::pipe().unwrap();
        send(&here, b"take this", &[write.as_fd()]).unwrap();
        drop(write);
        let mut buffer = [0; 64];
        let (length, descriptors) = receive(&there, &mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"take this");
        rustix::io::write(&descriptors[0], b"x").unwrap();
        drop(descriptors);
        assert_eq!(rustix::io::read(&read, &mut buffer).unwrap(), 1);
        drop(here);
        assert_eq!(receive(&there, &mut buffer).unwrap().0, 0);
    }

    #[test]
    fn what_the_other_end_has_not_read_is_known() {
        let (here, there) = pair().unwrap();
        assert_eq!(unread(&here).unwrap(), 0);
        send(&here, b"read this", &[]).unwrap();
        assert!(unread(&here).unwrap() > 0);
        receive(&there, &mut [0; 64]).unwrap();
        assert_eq!(unread(&here).unwrap(), 0);
    }
}
