//! The syslog driver's options.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dhow_model::ports::{Syslog, SyslogAddress, SyslogFormat, SyslogTls};
use dhow_model::{Error, Result};

use super::{Source, tag};

/// Its own options.
pub(super) const OPTIONS: [&str; 7] = [
    "syslog-address",
    "syslog-facility",
    "syslog-format",
    "syslog-tls-ca-cert",
    "syslog-tls-cert",
    "syslog-tls-key",
    "syslog-tls-skip-verify",
];

/// Facilities by their number.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "",
    "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// `daemon`, where nothing says.
const DAEMON: u8 = 3;

/// The port of a server where none is given.
const PORT: u16 = 514;

/// What Docker finds wrong already when a container is created.
pub(super) fn check(options: &BTreeMap<String, String>) -> Result<()> {
    let option = |name| options.get(name).map_or("", String::as_str);
    address(option("syslog-address"), options)?;
    facility(option("syslog-facility"))?;
    format(option("syslog-format"))?;
    Ok(())
}

/// The plan.
pub(super) fn plan(options: &BTreeMap<String, String>, source: &Source) -> Result<Syslog> {
    let option = |name| options.get(name).map_or("", String::as_str);
    Ok(Syslog {
        address: address(option("syslog-address"), options)?,
        facility: facility(option("syslog-facility"))?,
        format: format(option("syslog-format"))?,
        tag: tag::of(options, source)?,
        hostname: source.hostname.clone(),
    })
}

fn address(text: &str, options: &BTreeMap<String, String>) -> Result<SyslogAddress> {
    if text.is_empty() {
        return Ok(SyslogAddress::Local);
    }
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    match scheme {
        "unix" if rest.starts_with('/') => Ok(SyslogAddress::Unix(rest.into())),
        "unixgram" if rest.starts_with('/') => Ok(SyslogAddress::UnixDatagram(rest.into())),
        "unix" | "unixgram" => Err(Error::invalid(format!("stat : no such file or directory: {text}"))),
        "tcp" => host_and_port(rest).map(|(host, port)| SyslogAddress::Tcp(host, port)),
        "udp" => host_and_port(rest).map(|(host, port)| SyslogAddress::Udp(host, port)),
        "tcp+tls" => host_and_port(rest).map(|(host, port)| SyslogAddress::Tls(host, port, tls(options))),
        "" => Err(Error::invalid(format!("syslog-address should be in form proto://address, got {text}"))),
        other => Err(Error::invalid(format!("unsupported scheme: '{other}'"))),
    }
}

/// As with Docker, that any server will do is said by the option being there.
fn tls(options: &BTreeMap<String, String>) -> SyslogTls {
    let file = |name| options.get(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    SyslogTls {
        authorities: file("syslog-tls-ca-cert"),
        certificate: file("syslog-tls-cert"),
        key: file("syslog-tls-key"),
        skip_verify: options.contains_key("syslog-tls-skip-verify"),
    }
}

/// `host`, `host:port`, `[::1]:port`.
fn host_and_port(text: &str) -> Result<(String, u16)> {
    let text = text.split(['/', '?', '#']).next().unwrap_or_default();
    let text = text.rsplit('@').next().unwrap_or_default();
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (host, port) = match bracketed {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    if host.contains(':') && bracketed.is_none() {
        return Err(Error::invalid(format!("address {text}: too many colons in address")));
    }
    let port = match port {
        None | Some("") => PORT,
        Some(port) => {
            port.parse().map_err(|_| Error::invalid(format!("parse {text:?}: invalid port {port:?}")))?
        }
    };
    Ok((host.to_owned(), port))
}

fn facility(text: &str) -> Result<u8> {
    if text.is_empty() {
        return Ok(DAEMON);
    }
    let place = FACILITIES.iter().position(|name| *name == text).and_then(|place| u8::try_from(place).ok());
    let number = text.parse().ok().filter(|number| *number < 24);
    place.or(number).ok_or_else(|| Error::invalid("invalid syslog facility"))
}

fn format(text: &str) -> Result<SyslogFormat> {
    match text {
        "" => Ok(SyslogFormat::Unix),
        "rfc3164" => Ok(SyslogFormat::Rfc3164),
        "rfc5424" => Ok(SyslogFormat::Rfc5424),
        "rfc5424micro" => Ok(SyslogFormat::Rfc5424Micro),
        _ => Err(Error::invalid("Invalid syslog format")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_or_refused() {
        let tcp = |host: &str, port| SyslogAddress::Tcp(host.into(), port);
        for (text, expected) in [
            ("", SyslogAddress::Local),
            ("tcp://10.0.0.1", tcp("10.0.0.1", 514)),
            ("tcp://log.lan:1514", tcp("log.lan", 1514)),
            ("tcp://[::1]:99", tcp("::1", 99)),
            ("udp://:514", SyslogAddress::Udp(String::new(), 514)),
            ("unix:///dev/log", SyslogAddress::Unix("/dev/log".into())),
            ("unixgram:///dev/log", SyslogAddress::UnixDatagram("/dev/log".into())),
        ] {
            assert_eq!(address(text, &BTreeMap::new()).unwrap(), expected, "{text}");
        }
        for wrong in ["x", "http://x", "tcp://h:99999", "tcp://::1", "unix://x", "tcp+tls://::1"] {
            assert!(address(wrong, &BTreeMap::new()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn facilities_have_names_and_numbers() {
        for (text, number) in [("", 3), ("kern", 0), ("local7", 23), ("16", 16)] {
            assert_eq!(facility(text).unwrap(), number);
        }
        for wrong in ["24", "-1", "none", "x"] {
            assert_eq!(facility(wrong).unwrap_err().to_string(), "invalid syslog facility");
        }
    }
}
