//! TLS on a connection that is never waited for: whom to trust, the handshake in steps, what is still to be sent.

use std::io::{self, Read, Write as _};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dhow_model::ports::SyslogTls;
use dhow_tls::{Trust, Unread};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection};

/// As long is waited for the other side's end.
const FAREWELL: Duration = Duration::from_secs(1);

/// The client's side of one conversation.
#[derive(Debug)]
pub struct Encrypted(Box<ClientConnection>);

impl Encrypted {
    /// Begins a conversation with the server of that name.
    ///
    /// # Errors
    /// When a file cannot be read or is none of its kind.
    pub fn begin(tls: &SyslogTls, host: &str) -> io::Result<Self> {
        let name = if host.is_empty() { "localhost" } else { host };
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let config = Arc::new(configuration(tls)?);
        Ok(Self(Box::new(ClientConnection::new(config, name).map_err(io::Error::other)?)))
    }

    /// Goes on with the handshake; whether it is done.
    ///
    /// # Errors
    /// When the other side is not who is meant, or is gone.
    pub fn shake_hands(&mut self, socket: BorrowedFd<'_>) -> io::Result<bool> {
        while self.0.is_handshaking() {
            if !self.flush(socket)? {
                return Ok(false);
            }
            if !self.0.is_handshaking() {
                break;
            }
            match self.0.read_tls(&mut Socket(socket)) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                read => drop(read?),
            }
            if let Err(error) = self.0.process_new_packets() {
                // The other side is told why, if it still listens.
                let _ = self.flush(socket);
                return Err(io::Error::other(format!("tls: {error}")));
            }
        }
        self.flush(socket).map(|_| true)
    }

    /// What a step of the handshake waits for.
    #[must_use]
    pub fn interest(&self) -> PollFlags {
        if self.0.wants_write() { PollFlags::OUT } else { PollFlags::IN }
    }

    /// Whether something is still to be sent that was taken.
    #[must_use]
    pub fn is_owed(&self) -> bool {
        self.0.wants_write()
    }

    /// Takes what there is room for; none when there is no room at all.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn send(&mut self, socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<Option<usize>> {
        self.listen(socket)?;
        if !self.flush(socket)? {
            return Ok(None);
        }
        let taken = self.0.writer().write(bytes)?;
        self.flush(socket)?;
        Ok(Some(taken))
    }

    /// What the other side says of the conversation itself is heard, and all else thrown away.
    fn listen(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        loop {
            match self.0.read_tls(&mut Socket(socket)) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                read => drop(read?),
            }
            self.0.process_new_packets().map_err(|error| io::Error::other(format!("tls: {error}")))?;
            while matches!(self.0.reader().read(&mut [0; 512]), Ok(1..)) {}
        }
    }

    /// Ends the conversation, and waits for the other side to do so.
    ///
    /// A socket that is closed over unread bytes is reset, and what is on its way is lost with it: servers send
    /// tickets for a later conversation, which nobody reads (RFC 8446, section 4.6.1).
    pub fn end(&mut self, socket: BorrowedFd<'_>) {
        self.0.send_close_notify();
        let closed = self.flush(socket).is_ok_and(|all| all) && shutdown(socket, Shutdown::Write).is_ok();
        let end = Instant::now() + FAREWELL;
        while closed && Instant::now() < end {
            let left = Timespec::try_from(end.saturating_duration_since(Instant::now())).ok();
            let mut polled = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
            if !matches!(poll(&mut polled, left.as_ref()), Ok(1..) | Err(Errno::INTR)) {
                return;
            }
            match Socket(socket).read(&mut [0; 4096]) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => return,
            }
        }
    }

    /// Sends what was taken; whether nothing is left.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn flush(&mut self, socket: BorrowedFd<'_>) -> io::Result<bool> {
        while self.0.wants_write() {
            match self.0.write_tls(&mut Socket(socket)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                written => drop(written?),
            }
        }
        Ok(true)
    }
}

/// A socket that is never waited for.
struct Socket<'a>(BorrowedFd<'a>);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = rustix::io::retry_on_intr(|| recv(self.0, &mut *buffer, RecvFlags::DONTWAIT));
        Ok(read.map(|(_, length)| length)?)
    }
}

impl io::Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match rustix::io::retry_on_intr(|| send(self.0, bytes, flags)) {
            Err(Errno::NOBUFS) => Err(io::ErrorKind::WouldBlock.into()),
            sent => Ok(sent?),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn configuration(tls: &SyslogTls) -> io::Result<ClientConfig> {
    let trust = match &tls.authorities {
        _ if tls.skip_verify => Trust::Anybody,
        None => Trust::These(dhow_tls::of_host()),
        Some(file) => Trust::These(dhow_tls::authorities(file).map_err(|error| match error {
            Unread::File(error) => unread(file, &error),
            nothing @ Unread::Nothing(_) => io::Error::other(nothing),
        })?),
    };
    let own = match (&tls.certificate, &tls.key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => {
            let chain = dhow_tls::certificates(certificate).map_err(|error| unread(certificate, &error))?;
            Some((chain, PrivateKeyDer::from_pem_file(key).map_err(|error| unread(key, &error))?))
        }
        _ => {
            return Err(io::Error::other(
                "could not load X509 key pair: a certificate and its key are needed",
            ));
        }
    };
    dhow_tls::client(trust, own)
        .map_err(|error| io::Error::other(format!("could not load X509 key pair: {error}")))
}

fn unread(file: &Path, error: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("could not read {:?}: {error}", file.display()))
}
