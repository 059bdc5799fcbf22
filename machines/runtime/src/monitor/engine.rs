//! An engine that listens to a monitor, and what the monitor does in its place when it is gone.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::channel::Channel;
use super::message::{Report, Request};

/// An engine that listens.
#[derive(Debug)]
pub struct Engine {
    channel: Channel,
    /// It has frozen the container for a while: what thaws it. However the engine is forgotten, that is done.
    frozen: Option<Frozen>,
}

/// A file of the container's freezer, and the word that thaws.
#[derive(Debug)]
struct Frozen {
    file: OwnedFd,
    word: String,
}

/// What an engine wants.
#[derive(Debug)]
pub enum Heard {
    /// A request, and the descriptor that came with it.
    Request(Request, Option<OwnedFd>),
    /// Nothing now.
    Nothing,
    /// Nothing ever again.
    End,
}

impl Engine {
    /// An engine at the other end of `channel`.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        Self { channel, frozen: None }
    }

    /// Reads one request, and sees to what concerns the freezer. Who ends or talks nonsense is to be forgotten.
    pub fn hear(&mut self) -> Heard {
        let heard = match self.channel.receive_now() {
            Ok(Some(mut packet)) => packet.message().map(|request| (request, packet.descriptors.pop())),
            // One that went with our words unread: the kernel tells of that before it gives out what it had said.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionReset) =>
            {
                return Heard::Nothing;
            }
            Ok(None) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) => Err(error),
        };
        match heard {
            Ok((Request::ThawAfterMe { word }, file)) => self.frozen = file.map(|file| Frozen { file, word }),
            Ok((Request::NothingToThaw, _)) => self.frozen = None,
            Ok((request, descriptor)) => return Heard::Request(request, descriptor),
            Err(_) => return Heard::End,
        }
        Heard::Nothing
    }

    /// Tells it something; false when it does not read. Of one that has gone [`hear`](Self::hear) tells, after what
    /// it had still to say.
    pub fn tell(&self, report: &Report) -> bool {
        !self.channel.say_now(report, &[]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(frozen) = self.frozen.take() {
            // A container that has ended has no freezer any more.
            let _ = rustix::io::write(&frozen.file, frozen.word.as_bytes());
        }
    }
}

impl AsFd for Engine {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn ask(channel: &Channel, word: &str) -> io::PipeReader {
        let (reader, writer) = io::pipe().unwrap();
        channel.say(&Request::ThawAfterMe { word: word.to_owned() }, &[writer.as_fd()]).unwrap();
        reader
    }

    fn hear_all(monitor: &mut Engine) {
        while !matches!(monitor.hear(), Heard::End) {}
    }

    #[test]
    fn what_an_engine_froze_for_itself_is_thawed_when_it_is_gone() {
        let (engine, channel) = Channel::pair().unwrap();
        let mut monitor = Engine::new(channel);
        let mut file = ask(&engine, "THAWED");
        assert!(monitor.tell(&Report::OutOfMemory));
        drop(engine);
        assert!(monitor.tell(&Report::OutOfMemory), "it has still to be heard");
        hear_all(&mut monitor);
        drop(monitor);
        let mut written = String::new();
        file.read_to_string(&mut written).unwrap();
        assert_eq!(written, "THAWED");
    }

    #[test]
    fn what_stays_frozen_without_an_engine_is_left_alone() {
        let (engine, channel) = Channel::pair().unwrap();
        let mut monitor = Engine::new(channel);
        let mut file = ask(&engine, "0");
        engine.say(&Request::NothingToThaw, &[]).unwrap();
        // Its death with something unread must not hide what it had said.
        assert!(monitor.tell(&Report::OutOfMemory));
        drop(engine);
        hear_all(&mut monitor);
        drop(monitor);
        let mut written = String::new();
        file.read_to_string(&mut written).unwrap();
        assert_eq!(written, "");
    }
}
