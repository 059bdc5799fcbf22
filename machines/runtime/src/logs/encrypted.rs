//! TLS on a connection that is never waited for: whom to trust, the handshake in steps, what is still to be sent.

use std::io::{self, Read, Write as _};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dhow_model::ports::SyslogTls;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Where systems keep the authorities that they trust, as Go's programs look for them.
const SYSTEM: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

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
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    let builder = if tls.skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
    } else {
        builder.with_root_certificates(authorities(tls.authorities.as_deref())?)
    };
    let (certificate, key) = match (&tls.certificate, &tls.key) {
        (None, None) => return Ok(builder.with_no_client_auth()),
        (Some(certificate), Some(key)) => (certificate, key),
        _ => {
            return Err(io::Error::other(
                "could not load X509 key pair: a certificate and its key are needed",
            ));
        }
    };
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unread(key, &error))?;
    let pair = builder.with_client_auth_cert(certificates(certificate)?, key);
    pair.map_err(|error| io::Error::other(format!("could not load X509 key pair: {error}")))
}

/// Those of one file, or those that the system trusts.
fn authorities(file: Option<&Path>) -> io::Result<RootCertStore> {
    let found = || SYSTEM.iter().map(PathBuf::from).find(|path| path.exists());
    let file = file.map(Path::to_owned).or_else(found);
    let mut roots = RootCertStore::empty();
    if let Some(file) = file {
        let (taken, _) = roots.add_parsable_certificates(certificates(&file)?);
        if taken == 0 {
            let words = format!("failed to append certificates from PEM file: {:?}", file.display());
            return Err(io::Error::other(words));
        }
    }
    Ok(roots)
}

fn certificates(file: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    read.map_err(|error| unread(file, &error))
}

fn unread(file: &Path, error: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("could not read {:?}: {error}", file.display()))
}

/// Takes any certificate, as `syslog-tls-skip-verify` asks; whoever shows it must have its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _between: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
