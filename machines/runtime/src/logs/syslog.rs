//! An entry as a message for a syslog server.

use std::io::Write as _;

use dhow_model::ports::{LogStream, Syslog, SyslogFormat};
use jiff::Zoned;
use jiff::tz::TimeZone;

use super::entry::Entry;

/// Severities of what a container writes.
const ERROR: u8 = 3;
const INFORMATIONAL: u8 = 6;

/// Writes one message with its line's end; `pid` is who writes, `zone` whose clock is read. An empty line
/// is none.
#[must_use]
pub fn message(syslog: &Syslog, entry: &Entry<'_>, pid: u32, zone: &TimeZone) -> Option<Vec<u8>> {
    if entry.text().is_empty() {
        return None;
    }
    let severity = match entry.stream {
        LogStream::Stdout => INFORMATIONAL,
        LogStream::Stderr => ERROR,
    };
    let at = jiff::Timestamp::from_nanosecond(entry.at.unix_nanos()).unwrap_or_default();
    let head = head(syslog, syslog.facility << 3 | severity, pid, &at.to_zoned(zone.clone()));
    let mut message = head.into_bytes();
    message.extend_from_slice(entry.text());
    message.push(b'\n');
    Some(message)
}

fn head(syslog: &Syslog, priority: u8, pid: u32, at: &Zoned) -> String {
    let Syslog { hostname, tag, .. } = syslog;
    match syslog.format {
        SyslogFormat::Unix => format!("<{priority}>{} {tag}[{pid}]: ", stamp(at)),
        SyslogFormat::Rfc3164 => format!("<{priority}>{} {hostname} {tag}[{pid}]: ", stamp(at)),
        SyslogFormat::Rfc5424 => {
            format!("<{priority}>1 {} {hostname} {tag} {pid} {tag} - ", rfc3339(at, ""))
        }
        SyslogFormat::Rfc5424Micro => {
            format!("<{priority}>1 {} {hostname} {tag} {pid} {tag} - ", rfc3339(at, "%.6f"))
        }
    }
}

/// `Jan  2 15:04:05`.
fn stamp(at: &Zoned) -> String {
    at.strftime("%b %e %H:%M:%S").to_string()
}

fn rfc3339(at: &Zoned, fraction: &str) -> String {
    let offset = if at.offset().is_zero() { "Z" } else { "%:z" };
    at.strftime(&format!("%Y-%m-%dT%H:%M:%S{fraction}{offset}")).to_string()
}

/// The sentence that tells a loss, as a message.
#[must_use]
pub fn loss(syslog: &Syslog, sentence: &str, pid: u32, zone: &TimeZone) -> Vec<u8> {
    let at = jiff::Timestamp::now().to_zoned(zone.clone());
    let mut message = head(syslog, syslog.facility << 3 | ERROR, pid, &at).into_bytes();
    // Writing to a vector cannot fail.
    let _ = writeln!(message, "{sentence}");
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_model::Timestamp;
    use dhow_model::ports::SyslogAddress;

    #[test]
    fn every_format_is_written_as_docker_writes_it() {
        let at = Timestamp::from_nanos(1_714_521_600_123_456_789);
        let entry = |bytes| Entry { stream: LogStream::Stderr, at, bytes, part: None };
        let east = TimeZone::fixed(jiff::tz::offset(2));
        for (format, zone, expected) in [
            (SyslogFormat::Unix, TimeZone::UTC, "<27>May  1 00:00:00 web[7]: hi\n"),
            (SyslogFormat::Rfc3164, TimeZone::UTC, "<27>May  1 00:00:00 box web[7]: hi\n"),
            (SyslogFormat::Rfc5424, TimeZone::UTC, "<27>1 2024-05-01T00:00:00Z box web 7 web - hi\n"),
            (SyslogFormat::Rfc5424, east, "<27>1 2024-05-01T02:00:00+02:00 box web 7 web - hi\n"),
            (
                SyslogFormat::Rfc5424Micro,
                TimeZone::UTC,
                "<27>1 2024-05-01T00:00:00.123456Z box web 7 web - hi\n",
            ),
        ] {
            let syslog = Syslog {
                address: SyslogAddress::Local,
                facility: 3,
                format,
                tag: "web".into(),
                hostname: "box".into(),
            };
            let message = message(&syslog, &entry(b"hi\n"), 7, &zone).unwrap();
            assert_eq!(String::from_utf8(message).unwrap(), expected);
            assert!(super::message(&syslog, &entry(b"\n"), 7, &zone).is_none());
        }
    }
}
