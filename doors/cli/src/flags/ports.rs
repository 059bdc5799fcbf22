//! `-p [[address:]port:]port[/protocol]` and `--expose port[/protocol]`, with ranges.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::number;

/// Where a port of the container appears at the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Binding {
    host_ip: String,
    host_port: String,
}

/// The ports of a container: those that are told of, and those that are published.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    pub(crate) exposed: BTreeMap<String, Empty>,
    pub(crate) published: BTreeMap<String, Vec<Binding>>,
}

/// The API's set is a map with empty objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Empty {}

impl Ports {
    pub(crate) fn parse(publish: &[String], expose: &[String]) -> Result<Ports, String> {
        let mut ports = Ports::default();
        for spec in publish {
            ports.publish(&in_short_form(spec)?)?;
        }
        for spec in expose {
            ports.expose(spec)?;
        }
        Ok(ports)
    }

    fn expose(&mut self, spec: &str) -> Result<(), String> {
        if spec.contains(':') {
            return Err(format!("invalid port format for --expose: {spec}"));
        }
        let (protocol, range) = split_protocol(spec);
        let (first, last) = range_of(range)
            .map_err(|why| format!("invalid range format for --expose: {spec}, error: {why}"))?;
        for port in first..=last {
            self.exposed.insert(format!("{port}/{protocol}"), Empty {});
        }
        Ok(())
    }

    fn publish(&mut self, spec: &str) -> Result<(), String> {
        let (address, host, container) = split(spec);
        let (protocol, container) = split_protocol(container);
        let address = bare_address(&address)?;
        if container.is_empty() {
            return Err(format!("no port specified: {spec}<empty>"));
        }
        let (first, last) = range_of(container).map_err(|_| format!("invalid containerPort: {container}"))?;
        let hosts = match host {
            "" => None,
            host => Some(range_of(host).map_err(|_| format!("invalid hostPort: {host}"))?),
        };
        if let Some((host_first, host_last)) = hosts
            && last - first != host_last - host_first
            && first != last
        {
            return Err(format!(
                "invalid ranges specified for container and host Ports: {container} and {host}"
            ));
        }
        let protocol = protocol.to_lowercase();
        if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
            return Err(format!("invalid proto: {protocol}"));
        }
        for offset in 0..=(last - first) {
            let host_port = match hosts {
                None => String::new(),
                // One port of the container at any of a range of the host's.
                Some((low, high)) if first == last && low != high => format!("{low}-{high}"),
                Some((low, _)) => (low + offset).to_string(),
            };
            let name = format!("{}/{protocol}", first + offset);
            self.exposed.insert(name.clone(), Empty {});
            self.published.entry(name).or_default().push(Binding { host_ip: address.clone(), host_port });
        }
        Ok(())
    }
}

/// `published=80,target=8080,protocol=tcp` in the short form.
fn in_short_form(spec: &str) -> Result<String, String> {
    if !spec.contains('=') {
        return Ok(spec.to_owned());
    }
    let (mut published, mut target, mut protocol) = ("", "", "tcp");
    for part in spec.split(',') {
        match part.split_once('=').filter(|(key, _)| !key.is_empty()) {
            Some(("published", value)) => published = value,
            Some(("target", value)) => target = value,
            Some(("protocol", value)) => protocol = value,
            Some(_) => {}
            None => {
                return Err(format!("invalid publish opts format (should be name=value but got '{part}')"));
            }
        }
    }
    Ok(format!("{published}:{target}/{protocol}"))
}

/// Address, port of the host, port of the container.
fn split(spec: &str) -> (String, &str, &str) {
    let parts: Vec<&str> = spec.split(':').collect();
    match parts.as_slice() {
        [container] => (String::new(), "", container),
        [host, container] => (String::new(), host, container),
        [address @ .., host, container] => (address.join(":"), host, container),
        [] => (String::new(), "", ""),
    }
}

fn bare_address(address: &str) -> Result<String, String> {
    if address.is_empty() {
        return Ok(String::new());
    }
    if address.starts_with('[') && !address.contains(']') {
        return Err(format!("invalid IP address {address}: address {address}:: missing ']' in address"));
    }
    let bare = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address);
    match bare.parse::<IpAddr>() {
        Ok(_) => Ok(bare.to_owned()),
        Err(_) => Err(format!("invalid IP address: {bare}")),
    }
}

fn split_protocol(spec: &str) -> (&str, &str) {
    match spec.split_once('/') {
        Some(("", _)) => ("", ""),
        Some((port, "")) => ("tcp", port),
        Some((port, protocol)) => (protocol, port),
        None if spec.is_empty() => ("", ""),
        None => ("tcp", spec),
    }
}

fn range_of(range: &str) -> Result<(u16, u16), String> {
    if range.is_empty() {
        return Err("empty string specified for ports".to_owned());
    }
    let port = |text: &str| match number::decimal(text).map(u16::try_from) {
        Some(Ok(port)) => Ok(port),
        Some(Err(_)) => Err(format!("strconv.ParseUint: parsing \"{text}\": value out of range")),
        None => Err(format!("strconv.ParseUint: parsing \"{text}\": {}", number::why_not_signed(text))),
    };
    let mut parts = range.split('-');
    let first = port(parts.next().unwrap_or_default())?;
    let last = parts.next().map_or(Ok(first), port)?;
    if last < first {
        return Err(format!("invalid range specified for port: {range}"));
    }
    Ok((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(spec: &str) -> Result<String, String> {
        let ports = Ports::parse(&[spec.to_owned()], &[])?;
        let one = |(port, bindings): (&String, &Vec<Binding>)| {
            let Binding { host_ip, host_port } = &bindings[0];
            format!("{host_ip}|{host_port}>{port}")
        };
        Ok(ports.published.iter().map(one).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn ports_are_published_one_by_one_and_in_ranges() {
        for (spec, expected) in [
            ("80", "|>80/tcp"),
            ("8080:80", "|8080>80/tcp"),
            ("127.0.0.1:8080:80/udp", "127.0.0.1|8080>80/udp"),
            ("[::1]:8080:80", "::1|8080>80/tcp"),
            ("127.0.0.1::80", "127.0.0.1|>80/tcp"),
            ("80-81:90-91", "|80>90/tcp |81>91/tcp"),
            ("8000-8010:80", "|8000-8010>80/tcp"),
            ("published=1,target=2,protocol=udp", "|1>2/udp"),
        ] {
            assert_eq!(published(spec).as_deref(), Ok(expected), "{spec}");
        }
    }

    #[test]
    fn what_is_no_port_is_refused_in_docker_s_words() {
        for (spec, expected) in [
            ("x", "invalid containerPort: x"),
            ("x:80", "invalid hostPort: x"),
            ("80-82:90-91", "invalid ranges specified for container and host Ports: 90-91 and 80-82"),
            ("80/foo", "invalid proto: foo"),
            ("80:", "no port specified: 80:<empty>"),
            ("1.2.3:1:2", "invalid IP address: 1.2.3"),
        ] {
            assert_eq!(published(spec).unwrap_err(), expected, "{spec}");
        }
        let wrong = Ports::parse(&[], &["x".to_owned()]).unwrap_err();
        assert!(wrong.starts_with("invalid range format for --expose: x, error: strconv.ParseUint"));
    }
}
