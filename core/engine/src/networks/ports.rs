//! Which ports of the host lead to a container: read from what was asked for (pure).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use dhow_model::container::{Config, HostConfig, PortBinding};
use dhow_model::network::Published;
use dhow_model::{Error, Result};

/// One port of a container that is to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// `tcp`, `udp` or `sctp`.
    pub(crate) protocol: String,
    /// The container's.
    pub(crate) port: u16,
    /// The host's address; nothing is all.
    pub(crate) host: Option<IpAddr>,
    /// One of these; nothing is any.
    pub(crate) host_ports: Option<RangeInclusive<u16>>,
}

/// Where programs that do not care get their ports from.
pub(crate) const ANY_PORT: RangeInclusive<u16> = 32_768..=60_999;

/// Where nobody says which ports of the host they are to be, those that they were before.
pub(crate) fn prefer(wanted: &mut [Wanted], before: &[Published]) {
    let each = |published: &Published| {
        let (protocol, host, port) = (published.protocol.clone(), published.host_port, published.port);
        (0..published.count).map(move |step| (protocol.clone(), port + step, host + step))
    };
    let mut before: BTreeSet<(String, u16, u16)> = before.iter().flat_map(each).collect();
    before.retain(|(_, _, host)| ANY_PORT.contains(host));
    for wanted in wanted.iter_mut().filter(|wanted| wanted.host_ports.is_none()) {
        let same =
            |(protocol, port, _): &&(String, u16, u16)| *protocol == wanted.protocol && *port == wanted.port;
        if let Some(found) = before.iter().find(same).cloned() {
            wanted.host_ports = Some(found.2..=found.2);
            before.remove(&found);
        }
    }
}

/// All ports that settings ask for, in the order of their numbers.
///
/// # Errors
/// In Docker's words: what is no port, protocol or address.
pub(crate) fn wanted(config: &Config, host: &HostConfig) -> Result<Vec<Wanted>> {
    let mut all = Vec::new();
    for (key, bindings) in &host.port_bindings {
        let (port, protocol) = port_of(key)?;
        for binding in bindings {
            all.push(read(port, &protocol, binding)?);
        }
    }
    if host.publish_all_ports {
        let bound: BTreeSet<(u16, String)> =
            all.iter().map(|wanted| (wanted.port, wanted.protocol.clone())).collect();
        for key in config.exposed_ports.keys() {
            let (port, protocol) = port_of(key)?;
            if !bound.contains(&(port, protocol.clone())) {
                all.push(Wanted { protocol, port, host: None, host_ports: None });
            }
        }
    }
    all.sort_by(|a, b| (&a.protocol, a.port).cmp(&(&b.protocol, b.port)));
    Ok(all)
}

/// `80/tcp`, `80`.
///
/// # Errors
/// In Docker's words.
pub(crate) fn port_of(key: &str) -> Result<(u16, String)> {
    let (number, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
    let protocol = protocol.to_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(Error::invalid(format!("invalid proto: {protocol}")));
    }
    let port = number.parse().ok().filter(|port| *port > 0);
    let port = port.ok_or_else(|| Error::invalid(format!("invalid port specification: {key:?}")))?;
    Ok((port, protocol))
}

fn read(port: u16, protocol: &str, binding: &PortBinding) -> Result<Wanted> {
    let host = match binding.host_ip.trim_matches(['[', ']']) {
        "" => None,
        text => Some(text.parse().map_err(|_| Error::invalid(format!("invalid host IP: {text:?}")))?),
    };
    let invalid = || Error::invalid(format!("invalid port specification: {:?}", binding.host_port));
    let number = |text: &str| text.parse::<u16>().map_err(|_| invalid());
    let host_ports = match binding.host_port.split_once('-') {
        _ if binding.host_port.is_empty() => None,
        None => Some(number(&binding.host_port)?).filter(|port| *port > 0).map(|port| port..=port),
        Some((first, last)) => Some(number(first)?..=number(last)?),
    };
    if host_ports.as_ref().is_some_and(RangeInclusive::is_empty) {
        return Err(invalid());
    }
    Ok(Wanted { protocol: protocol.to_owned(), port, host, host_ports })
}

/// The host's addresses that a port is published on, for a container that has these versions; `usual` is the one
/// of the network, where nobody says another.
pub(crate) fn hosts(wanted: &Wanted, usual: Option<IpAddr>, (four, six): (bool, bool)) -> Vec<IpAddr> {
    if let Some(address) = wanted.host.or(usual) {
        return vec![address];
    }
    let any =
        [four.then_some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), six.then_some(IpAddr::V6(Ipv6Addr::UNSPECIFIED))];
    any.into_iter().flatten().collect()
}

/// Puts ports that follow one another together: a range is one thing.
pub(crate) fn joined(mut ports: Vec<Published>) -> Vec<Published> {
    ports.sort_by(|a, b| {
        (&a.protocol, a.host, a.host_port, a.port).cmp(&(&b.protocol, b.host, b.host_port, b.port))
    });
    let mut ranges: Vec<Published> = Vec::new();
    for port in ports {
        match ranges.last_mut() {
            Some(last) if follows(last, &port) => last.count += port.count,
            _ => ranges.push(port),
        }
    }
    ranges
}

fn follows(range: &Published, port: &Published) -> bool {
    let next = |first: u16| u32::from(first) + u32::from(range.count);
    range.protocol == port.protocol
        && range.host == port.host
        && next(range.host_port) == u32::from(port.host_port)
        && next(range.port) == u32::from(port.port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(host_ip: &str, host_port: &str) -> PortBinding {
        PortBinding { host_ip: host_ip.into(), host_port: host_port.into() }
    }

    fn asked(key: &str, binding: PortBinding) -> Result<Vec<Wanted>> {
        let host =
            HostConfig { port_bindings: [(key.to_owned(), vec![binding])].into(), ..HostConfig::default() };
        wanted(&Config::default(), &host)
    }

    #[test]
    fn bindings_are_read() {
        let one = asked("80/tcp", binding("127.0.0.1", "8080")).unwrap();
        assert_eq!((one[0].port, one[0].host_ports.clone()), (80, Some(8080..=8080)));
        assert_eq!(hosts(&one[0], None, (true, true)), ["127.0.0.1".parse::<IpAddr>().unwrap()]);
        let any = asked("53/udp", binding("", "")).unwrap();
        assert_eq!((any[0].protocol.as_str(), any[0].host_ports.clone()), ("udp", None));
        assert_eq!(hosts(&any[0], None, (true, false)), ["0.0.0.0".parse::<IpAddr>().unwrap()]);
        assert_eq!(asked("80", binding("", "9000-9010")).unwrap()[0].host_ports, Some(9000..=9010));
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for (key, host_ip, host_port) in [
            ("x/tcp", "", ""),
            ("80/quic", "", ""),
            ("0/tcp", "", ""),
            ("80/tcp", "here", ""),
            ("80/tcp", "", "70000"),
            ("80/tcp", "", "9-8"),
        ] {
            assert!(asked(key, binding(host_ip, host_port)).is_err(), "{key} {host_ip} {host_port}");
        }
    }

    #[test]
    fn ports_that_follow_one_another_are_one_range() {
        let port = |host_port, port| Published {
            protocol: "tcp".into(),
            host: "0.0.0.0".parse().unwrap(),
            host_port,
            port,
            count: 1,
        };
        let ranges = joined(vec![port(8002, 82), port(8000, 80), port(8001, 81), port(8003, 90)]);
        let shapes: Vec<_> = ranges.iter().map(|range| (range.host_port, range.port, range.count)).collect();
        assert_eq!(shapes, [(8000, 80, 3), (8003, 90, 1)]);
    }
}
