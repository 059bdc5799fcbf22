//! Logs: where the output of a container goes, and what is read back of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use crate::{Result, Timestamp};

/// Where output goes: to a file that can be read back, to a service, to both, or nowhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogOptions {
    /// The file.
    pub file: Option<LogFileOptions>,
    /// The service.
    pub service: Option<LogService>,
}

/// Which files a log has, in the container's own directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogFileKind {
    /// Lines of JSON: `<id>-json.log`.
    Json,
    /// Docker's own binary form: `local-logs/container.log`.
    Local,
    /// The same form, beside a service that cannot be read back: `container-cached.log`.
    Cache,
}

/// How a log file is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFileOptions {
    /// Which.
    pub kind: LogFileKind,
    /// Bytes after which a file is rotated; none is no limit.
    pub max_size: Option<u64>,
    /// Files in all.
    pub max_files: u32,
    /// Rotated files are compressed.
    pub compress: bool,
    /// What every entry bears besides: labels, variables, the tag.
    pub attributes: BTreeMap<String, String>,
}

/// A service that every entry is sent to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogService {
    /// Which.
    pub receiver: LogReceiver,
    /// Bytes that wait for it at most, beyond which entries are dropped; without that the container waits.
    pub drop_beyond: Option<u64>,
}

/// Who receives entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogReceiver {
    /// systemd's journal, with these fields beside those of the entry.
    Journald(BTreeMap<String, String>),
    /// A syslog server.
    Syslog(Syslog),
}

/// How entries are sent to a syslog server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Syslog {
    /// Where it listens.
    pub address: SyslogAddress,
    /// The facility's number.
    pub facility: u8,
    /// How a message is written.
    pub format: SyslogFormat,
    /// What a message says of where it comes from.
    pub tag: String,
    /// This machine's name.
    pub hostname: String,
}

/// Where a syslog server listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SyslogAddress {
    /// Where this machine's own does.
    Local,
    /// A stream socket.
    Unix(PathBuf),
    /// A datagram socket.
    UnixDatagram(PathBuf),
    /// Host and port.
    Tcp(String, u16),
    /// Host and port, encrypted.
    Tls(String, u16, SyslogTls),
    /// Host and port.
    Udp(String, u16),
}

/// Whom to trust, and who one is, from files in PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyslogTls {
    /// Whose word on servers is taken; nothing is what the system trusts.
    pub authorities: Option<PathBuf>,
    /// The own certificate.
    pub certificate: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// Any server is taken for the one that is meant.
    pub skip_verify: bool,
}

/// How a syslog message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SyslogFormat {
    /// As programs on the same machine write it: no host.
    Unix,
    /// RFC 3164.
    Rfc3164,
    /// RFC 5424, to the second.
    Rfc5424,
    /// RFC 5424, to the microsecond.
    Rfc5424Micro,
}

/// A log that is read.
pub type LogEntries = Box<dyn Iterator<Item = Result<LogEntry>> + Send>;

/// Which part of a log.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Not after.
    pub until: Option<Timestamp>,
    /// The last lines only.
    pub tail: Option<u64>,
    /// Goes on while the container runs.
    pub follow: bool,
    /// Set from outside to end a `follow`.
    pub end: Arc<AtomicBool>,
}

/// One line, or a part of one longer than 16 KiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Where it was written to.
    pub stream: LogStream,
    /// When.
    pub at: Timestamp,
    /// The bytes, with the line's end.
    pub bytes: Vec<u8>,
    /// What it bears besides.
    pub attributes: BTreeMap<String, String>,
}

/// An output stream; the numbers are those of Docker's stream format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    /// Standard output, or the terminal.
    Stdout = 1,
    /// Standard error.
    Stderr = 2,
}
