//! TLS for a client that is written for plain sockets: a thread between a socket pair and the network.
//!
//! ```text
//!   client ── plain bytes ──▶ socket pair ──▶ pump ── records ──▶ TCP ──▶ engine
//! ```
//! The end of one side is passed on as the end of the other (`close_notify`), each direction by itself: a
//! client that has no more input still reads output.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::Error;
use super::carrier::{Carrier, Complaint};

/// Bytes moved at once: some records.
const BUFFER: usize = 64 * 1024;

/// Shakes hands, and gives the plain end.
pub(crate) fn start(
    mut stream: TcpStream,
    host: &str,
    config: Arc<ClientConfig>,
) -> Result<(UnixStream, Carrier), Error> {
    let broken = Error::transport("speaking TLS");
    let shaken = shake(&mut stream, host, config).and_then(|connection| {
        let (ours, theirs) = UnixStream::pair()?;
        stream.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        let complaint = Complaint::default();
        let told = Arc::clone(&complaint);
        let pump = Pump { stream, plain: theirs, connection, waiting: Vec::new(), ended: Ended::default() };
        std::thread::Builder::new().name("tls".into()).spawn(move || pump.run(&told))?;
        Ok((ours, Carrier::Tls(complaint)))
    });
    shaken.map_err(broken)
}

fn shake(stream: &mut TcpStream, host: &str, config: Arc<ClientConfig>) -> io::Result<ClientConnection> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let mut connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(stream)?;
    }
    Ok(connection)
}

struct Pump {
    stream: TcpStream,
    plain: UnixStream,
    connection: ClientConnection,
    /// Of the engine, for the client.
    waiting: Vec<u8>,
    ended: Ended,
}

/// Which sides have said that nothing more comes.
#[derive(Debug, Default)]
struct Ended {
    client: bool,
    engine: bool,
    /// The end of either was passed on.
    told_engine: bool,
    told_client: bool,
}

impl Pump {
    fn run(mut self, complaint: &Complaint) {
        if let Err(error) = self.turn_until_ended() {
            *complaint.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
        let _ = self.plain.shutdown(Shutdown::Both);
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    fn turn_until_ended(&mut self) -> io::Result<()> {
        while !(self.ended.told_engine && self.ended.told_client) {
            self.wait()?;
            self.take_from_client()?;
            self.send_to_engine()?;
            self.take_from_engine()?;
            self.send_to_client()?;
        }
        Ok(())
    }

    fn wait(&self) -> io::Result<()> {
        let (mut network, mut local) = (PollFlags::empty(), PollFlags::empty());
        // Neither side gets further ahead than the other takes.
        network.set(PollFlags::IN, !self.ended.engine && self.waiting.len() < BUFFER);
        network.set(PollFlags::OUT, self.connection.wants_write());
        local.set(PollFlags::IN, !self.ended.client && !self.connection.wants_write());
        local.set(PollFlags::OUT, !self.waiting.is_empty());
        // Of a side from which nothing is wanted, its end is not wanted either: it would wake for ever.
        let mut watched = Vec::with_capacity(2);
        if !network.is_empty() {
            watched.push(PollFd::from_borrowed_fd(self.stream.as_fd(), network));
        }
        if !local.is_empty() {
            watched.push(PollFd::from_borrowed_fd(self.plain.as_fd(), local));
        }
        rustix::io::retry_on_intr(|| poll(&mut watched, None))?;
        Ok(())
    }

    fn take_from_client(&mut self) -> io::Result<()> {
        if self.ended.client || self.connection.wants_write() {
            return Ok(());
        }
        let mut buffer = [0; BUFFER / 4];
        match later(self.plain.read(&mut buffer))? {
            Some(0) => {
                self.ended.client = true;
                self.connection.send_close_notify();
            }
            Some(count) => self.connection.writer().write_all(&buffer[..count])?,
            None => {}
        }
        Ok(())
    }

    fn send_to_engine(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            if later(self.connection.write_tls(&mut self.stream))?.is_none() {
                return Ok(());
            }
        }
        if self.ended.client && !self.ended.told_engine {
            self.ended.told_engine = true;
            // It may be gone already, which is the end all the same.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        Ok(())
    }

    fn take_from_engine(&mut self) -> io::Result<()> {
        if self.ended.engine || self.waiting.len() >= BUFFER {
            return Ok(());
        }
        let read = later(self.connection.read_tls(&mut self.stream))?;
        let state = self.connection.process_new_packets().map_err(io::Error::other)?;
        let start = self.waiting.len();
        self.waiting.resize(start + state.plaintext_bytes_to_read(), 0);
        self.connection.reader().read_exact(&mut self.waiting[start..])?;
        self.ended.engine = read == Some(0) || state.peer_has_closed();
        Ok(())
    }

    fn send_to_client(&mut self) -> io::Result<()> {
        while !self.waiting.is_empty() {
            let Some(count) = later(self.plain.write(&self.waiting))? else { return Ok(()) };
            self.waiting.drain(..count);
        }
        if self.ended.engine && !self.ended.told_client {
            self.ended.told_client = true;
            let _ = self.plain.shutdown(Shutdown::Write);
        }
        Ok(())
    }
}

/// Nothing when it would have to wait.
fn later(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
