//! Sends entries to a service, one after another, and never waits for it.
//!
//! What it has no room for is kept. Without a bound to that ([`LogService::drop_beyond`]) the container
//! has to wait, as it does with Docker: whoever holds this reads no more output while it [is
//! full](Service::is_full), and goes on with everything else. With one, what does not fit is dropped. What
//! cannot be delivered because nobody is there is dropped in both cases, as with Docker, and the loss is
//! told to the service when it is there again.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use dhow_model::ports::{LogReceiver, LogService};
use jiff::tz::TimeZone;
use rustix::event::PollFlags;

use super::entry::{Entry, hexadecimal, random};
use super::link::{self, Link};
use super::{journal, syslog};

/// The container waits when as much is owed.
const FULL: u64 = 64 * 1024;

/// Nobody is asked again before.
const PAUSE: Duration = Duration::from_secs(1);

/// The sending end of a log.
#[derive(Debug)]
pub struct Service {
    receiver: LogReceiver,
    drop_beyond: Option<u64>,
    zone: TimeZone,
    link: Option<Link>,
    /// Not to be connected to before.
    pause: Option<Instant>,
    queue: VecDeque<Vec<u8>>,
    owed: u64,
    /// Bytes of the first message that were sent.
    sent: usize,
    /// The first message broke a connection already.
    tried: bool,
    ordinal: u64,
    lost: u64,
    why: String,
}

impl Service {
    /// Connects, and waits for that.
    ///
    /// # Errors
    /// In Docker's words, when nobody is there.
    pub fn open(service: LogService) -> io::Result<Self> {
        let LogService { mut receiver, drop_beyond } = service;
        if let LogReceiver::Journald(fields) = &mut receiver {
            // Tells the numbers of this run from those of an earlier one.
            fields.insert("CONTAINER_LOG_EPOCH".into(), hexadecimal(&random()));
        }
        let link = match Link::make(&receiver) {
            Err(_) if matches!(receiver, LogReceiver::Journald(_)) => {
                return Err(io::Error::new(io::ErrorKind::NotFound, "journald is not enabled on this host"));
            }
            link => link?,
        };
        let zone = match receiver {
            LogReceiver::Syslog(_) => TimeZone::system(),
            LogReceiver::Journald(_) => TimeZone::UTC,
        };
        Ok(Self {
            receiver,
            drop_beyond,
            zone,
            link: Some(link),
            pause: None,
            queue: VecDeque::new(),
            owed: 0,
            sent: 0,
            tried: false,
            ordinal: 0,
            lost: 0,
            why: String::new(),
        })
    }

    /// Adds an entry.
    pub fn write(&mut self, entry: &Entry<'_>) {
        let message = match &self.receiver {
            LogReceiver::Journald(fields) => {
                self.ordinal += 1;
                Some(journal::message(fields, entry, self.ordinal))
            }
            LogReceiver::Syslog(syslog) => syslog::message(syslog, entry, std::process::id(), &self.zone),
        };
        if let Some(message) = message {
            self.enqueue(message);
            self.serve();
        }
    }

    fn enqueue(&mut self, message: Vec<u8>) {
        let length = message.len() as u64;
        let over = self.drop_beyond.is_some_and(|most| self.owed > 0 && self.owed + length > most);
        if over {
            self.lose(1, "it does not take them fast enough".into());
        } else {
            self.owed += length;
            self.queue.push_back(message);
        }
    }

    /// Whether the container has to wait.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.drop_beyond.is_none() && self.owed >= FULL
    }

    /// Whether something waits to be sent.
    #[must_use]
    pub fn is_owed(&self) -> bool {
        !self.queue.is_empty() || self.link.as_ref().is_some_and(Link::is_owed)
    }

    /// What is polled for: room, the end of a connection that is being made, and that it is broken.
    #[must_use]
    pub fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let link = self.link.as_ref()?;
        let waits = self.is_owed() || link.until.is_some();
        let flags = match link.until {
            Some(_) => link.awaited() | PollFlags::RDHUP,
            None if waits => PollFlags::OUT | PollFlags::RDHUP,
            None => PollFlags::RDHUP,
        };
        (waits || link.stream).then_some((link.socket(), flags))
    }

    /// When [`serve`](Self::serve) is to be called though nothing happened.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.link.as_ref()?.until
    }

    /// The other side has closed the connection, or it is broken.
    pub fn hung_up(&mut self) {
        if self.link.as_ref().is_some_and(|link| link.until.is_none()) {
            self.link = None;
            self.sent = 0;
        }
        self.serve();
    }

    /// Sends what there is room for.
    pub fn serve(&mut self) {
        while self.is_owed() && self.is_connected() {
            let Some(link) = &mut self.link else { return };
            let Some(first) = self.queue.front() else {
                match link.flush() {
                    Ok(_) => return,
                    Err(error) => return self.broken(&error),
                }
            };
            match link.send(&first[self.sent..]) {
                Ok(None) => return,
                Ok(Some(sent)) if link.stream && self.sent + sent < first.len() => self.sent += sent,
                Ok(Some(_)) => self.pop(),
                Err(error) => self.broken(&error),
            }
        }
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
    }

    /// Whether something can be sent now; connects where that is to be done.
    fn is_connected(&mut self) -> bool {
        match &mut self.link {
            None => self.connect(),
            Some(link) => match link.until {
                None => true,
                Some(until) => self.finish_connecting(until),
            },
        }
    }

    fn connect(&mut self) -> bool {
        if self.pause.is_some_and(|pause| Instant::now() < pause) {
            self.lose_all();
            return false;
        }
        match Link::begin(&self.receiver) {
            Ok(link) => {
                let made = link.until.is_none();
                self.link = Some(link);
                if made {
                    self.tell_loss();
                }
                made
            }
            Err(error) => {
                self.give_up(&error);
                false
            }
        }
    }

    fn finish_connecting(&mut self, until: Instant) -> bool {
        let Some(link) = &mut self.link else { return false };
        let answered = is_answered(link);
        let made = match (answered, Instant::now() < until) {
            (false, true) => return false,
            (false, false) => Err(io::Error::new(io::ErrorKind::TimedOut, "i/o timeout")),
            (true, _) => link.finish(),
        };
        match made {
            Ok(()) if link.until.is_some() => false,
            Ok(()) => {
                self.tell_loss();
                true
            }
            Err(error) => {
                self.give_up(&error);
                false
            }
        }
    }

    /// Once more for the message that broke the connection; a second time it is dropped.
    fn broken(&mut self, error: &io::Error) {
        if std::mem::replace(&mut self.tried, true) {
            self.pop();
            self.lose(1, link::words(error));
        }
        self.sent = 0;
        self.link = None;
    }

    fn pop(&mut self) {
        if let Some(first) = self.queue.pop_front() {
            self.owed -= first.len() as u64;
        }
        self.sent = 0;
        self.tried = false;
    }

    /// Nobody is there: what waits is lost, and nobody is asked for a while.
    fn give_up(&mut self, error: &io::Error) {
        self.link = None;
        self.pause = Some(Instant::now() + PAUSE);
        self.why = link::words(error);
        self.lose_all();
    }

    fn lose_all(&mut self) {
        let why = std::mem::take(&mut self.why);
        self.lose(self.queue.len() as u64, why);
        self.queue = VecDeque::new();
        self.owed = 0;
        self.sent = 0;
    }

    fn lose(&mut self, entries: u64, why: String) {
        self.lost += entries;
        self.why = why;
    }

    /// Puts the sentence that tells what was lost before all that waits.
    fn tell_loss(&mut self) {
        self.pause = None;
        if self.lost == 0 {
            return;
        }
        let sentence = format!("dhow: {} entries of this log could not be sent: {}", self.lost, self.why);
        let message = match &self.receiver {
            LogReceiver::Journald(fields) => journal::loss(fields, &sentence),
            LogReceiver::Syslog(syslog) => syslog::loss(syslog, &sentence, std::process::id(), &self.zone),
        };
        self.lost = 0;
        self.owed += message.len() as u64;
        self.queue.push_front(message);
    }
}

fn is_answered(link: &Link) -> bool {
    use rustix::event::{PollFd, Timespec, poll};
    let mut polled = [PollFd::from_borrowed_fd(link.socket(), link.awaited())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&now)).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_model::Timestamp;
    use dhow_model::ports::{LogStream, Syslog, SyslogAddress, SyslogFormat};
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::net::TcpListener;

    fn service(address: SyslogAddress, drop_beyond: Option<u64>) -> io::Result<Service> {
        let syslog = Syslog {
            address,
            facility: 3,
            format: SyslogFormat::Rfc3164,
            tag: "web".into(),
            hostname: "box".into(),
        };
        Service::open(LogService { receiver: LogReceiver::Syslog(syslog), drop_beyond })
    }

    fn write(service: &mut Service, bytes: &[u8]) {
        let (stream, at) = (LogStream::Stdout, Timestamp::now());
        service.write(&Entry { stream, at, bytes, part: None });
    }

    fn tcp(listener: &TcpListener) -> SyslogAddress {
        SyslogAddress::Tcp("127.0.0.1".into(), listener.local_addr().unwrap().port())
    }

    #[test]
    fn a_server_that_takes_nothing_makes_the_container_wait_or_costs_entries() {
        for drop_beyond in [None, Some(100_000)] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut service = service(tcp(&listener), drop_beyond).unwrap();
            let line = [&[b'x'; 8000][..], b"\n"].concat();
            write(&mut service, &line);
            // What is lost before the connection is there would be told when it is.
            while service.is_owed() {
                service.serve();
                std::thread::yield_now();
            }
            let mut written = 1;
            while written < 5000 && !service.is_full() {
                write(&mut service, &line);
                written += 1;
            }
            assert_eq!(service.is_full(), drop_beyond.is_none());
            assert_eq!(service.lost > 0, drop_beyond.is_some());
            assert!(service.owed < 200_000 && service.is_owed() && service.interest().is_some());
            // It takes it at last.
            let (mut peer, _) = listener.accept().unwrap();
            let reading = std::thread::spawn(move || {
                let mut text = Vec::new();
                peer.read_to_end(&mut text).unwrap();
                text
            });
            while service.is_owed() {
                service.serve();
                std::thread::yield_now();
            }
            let kept = written - service.lost;
            drop(service);
            let text = reading.join().unwrap();
            assert_eq!(text.split(|byte| *byte == b'\n').count() as u64 - 1, kept);
        }
    }

    #[test]
    fn a_server_that_comes_back_is_told_what_it_missed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut service = service(tcp(&listener), None).unwrap();
        write(&mut service, b"first\n");
        let (peer, _) = listener.accept().unwrap();
        let mut first = String::new();
        BufReader::new(&peer).read_line(&mut first).unwrap();
        assert!(first.ends_with("box web[") || first.contains(": first"), "{first}");
        drop((peer, listener));
        service.hung_up();
        for _ in 0..3 {
            write(&mut service, b"lost\n");
            // A connection that is refused is known to be at once or with the next look.
            service.serve();
        }
        let listener = TcpListener::bind(address).unwrap();
        service.pause = None;
        write(&mut service, b"again\n");
        let (peer, _) = listener.accept().unwrap();
        while service.is_owed() {
            service.serve();
        }
        let mut lines = BufReader::new(&peer).lines();
        let told = lines.next().unwrap().unwrap();
        let words = format!(
            "3 entries of this log could not be sent: dial tcp {address}: connect: connection refused"
        );
        assert!(told.contains(&words), "{told}");
        assert!(lines.next().unwrap().unwrap().ends_with(": again"));
    }

    #[test]
    fn datagrams_go_one_by_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        let mut service = service(SyslogAddress::UnixDatagram(path), None).unwrap();
        write(&mut service, b"one\n");
        write(&mut service, b"\n");
        write(&mut service, b"two\n");
        let mut buffer = [0; 100];
        for word in [": one\n", ": two\n"] {
            let length = socket.recv(&mut buffer).unwrap();
            assert!(buffer[..length].ends_with(word.as_bytes()));
        }
    }

    #[test]
    fn nobody_there_is_an_error_in_dockers_words() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp(&listener);
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = service(address, None).unwrap_err();
        assert_eq!(link::words(&error), format!("dial tcp 127.0.0.1:{port}: connect: connection refused"));
    }
}
