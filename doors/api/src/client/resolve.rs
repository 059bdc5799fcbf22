//! From the name of a machine to its addresses, without the C library: its look-up loads the host's name
//! service, which a static program must not.
//!
//! A literal address, then `/etc/hosts`, then the name servers of `/etc/resolv.conf`, asked for IPv4 and
//! IPv6 by UDP (RFC 1035).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::Duration;

use rustix::rand::GetRandomFlags;

/// A name server is asked so often, and each time has so long.
const TRIES: usize = 2;
const PATIENCE: Duration = Duration::from_secs(3);
/// resolv.conf(5) has no more servers and search domains.
const MOST_SERVERS: usize = 3;
const MOST_DOMAINS: usize = 6;
const PORT: u16 = 53;
const A: u16 = 1;
const AAAA: u16 = 28;
const HEADER: usize = 12;

/// The addresses of a machine, the preferred ones first.
pub(crate) fn addresses(host: &str) -> io::Result<Vec<IpAddr>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let known = in_hosts(&hosts, host);
    if !known.is_empty() {
        return Ok(known);
    }
    if host == "localhost" {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let servers = Servers::read(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default());
    for name in servers.names(host) {
        let found = servers.ask(&name);
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Err(io::Error::other(format!("lookup {host}: no such host")))
}

fn in_hosts(text: &str, host: &str) -> Vec<IpAddr> {
    let of_line = |line: &str| {
        let mut words = line.split('#').next()?.split_ascii_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(host)).then_some(address)
    };
    text.lines().filter_map(of_line).collect()
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Servers {
    servers: Vec<IpAddr>,
    domains: Vec<String>,
}

impl Servers {
    fn read(text: &str) -> Servers {
        let mut read = Servers::default();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    read.servers.extend(words.next().and_then(|word| word.parse::<IpAddr>().ok()))
                }
                Some("search" | "domain") => read.domains = words.map(str::to_owned).collect(),
                _ => {}
            }
        }
        read.servers.truncate(MOST_SERVERS);
        read.domains.truncate(MOST_DOMAINS);
        read
    }

    /// The names to try: one with a dot first as it is, one without first in the search domains.
    fn names(&self, host: &str) -> Vec<String> {
        let searched = self.domains.iter().map(|domain| format!("{host}.{domain}"));
        let own = std::iter::once(host.to_owned());
        if host.ends_with('.') {
            own.collect()
        } else if host.contains('.') {
            own.chain(searched).collect()
        } else {
            searched.chain(own).collect()
        }
    }

    fn ask(&self, name: &str) -> Vec<IpAddr> {
        let of_kind = |kind| {
            let ask = |server: &IpAddr| ask(*server, name, kind).ok();
            let again = (0..TRIES).flat_map(|_| &self.servers);
            again.filter_map(ask).next().unwrap_or_default()
        };
        [of_kind(A), of_kind(AAAA)].concat()
    }
}

fn ask(server: IpAddr, name: &str, kind: u16) -> io::Result<Vec<IpAddr>> {
    let unspecified: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((unspecified, 0))?;
    // Only what comes from that server is received.
    socket.connect((server, PORT))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut id = [0; 2];
    rustix::rand::getrandom(&mut id, GetRandomFlags::empty())?;
    let question =
        question(id, name, kind).ok_or_else(|| io::Error::other(format!("{name:?} is no name")))?;
    socket.send(&question)?;
    let mut answer = [0; 1500];
    loop {
        let count = socket.recv(&mut answer)?;
        if let Some(found) = read_answer(&answer[..count], &question, kind) {
            return Ok(found);
        }
    }
}

fn question(id: [u8; 2], name: &str, kind: u16) -> Option<Vec<u8>> {
    let mut packet = vec![id[0], id[1], 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?;
        packet.push(length);
        packet.extend_from_slice(label.as_bytes());
    }
    packet.push(0);
    packet.extend_from_slice(&kind.to_be_bytes());
    packet.extend_from_slice(&[0, 1]);
    (packet.len() <= HEADER + 255 + 5).then_some(packet)
}

/// The addresses in an answer to that question; nothing when it is no answer to it.
fn read_answer(answer: &[u8], question: &[u8], kind: u16) -> Option<Vec<IpAddr>> {
    let asked = question.get(HEADER..)?;
    let is_ours = answer.get(..2)? == question.get(..2)? && answer.get(2)? & 0x80 != 0;
    let repeated = answer.get(HEADER..HEADER + asked.len())?;
    if !is_ours || !repeated.eq_ignore_ascii_case(asked) {
        return None;
    }
    let count = u16::from_be_bytes([*answer.get(6)?, *answer.get(7)?]);
    let mut rest = answer.get(HEADER + asked.len()..)?;
    let mut found = Vec::new();
    for _ in 0..count {
        let Some((record, data, next)) = record(rest) else { break };
        rest = next;
        if record != kind {
            continue;
        }
        if let Ok(bytes) = <[u8; 4]>::try_from(data) {
            found.push(IpAddr::from(bytes));
        } else if let Ok(bytes) = <[u8; 16]>::try_from(data) {
            found.push(IpAddr::from(bytes));
        }
    }
    Some(found)
}

/// Kind and data of the first record, and what follows it. Names are skipped, never followed.
fn record(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let mut at = 0;
    loop {
        match *bytes.get(at)? {
            0 => break at += 1,
            length if length & 0xc0 == 0xc0 => break at += 2,
            length => at += usize::from(length) + 1,
        }
    }
    let number = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let (kind, length) = (number(at)?, usize::from(number(at + 8)?));
    let data = bytes.get(at + 10..at + 10 + length)?;
    Some((kind, data, &bytes[at + 10 + length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_file_knows_names_and_further_names() {
        let text = "127.0.0.1 localhost\n10.0.0.1 a.example a # b\n::1 localhost\n";
        assert_eq!(in_hosts(text, "A"), [IpAddr::from([10, 0, 0, 1])]);
        assert_eq!(in_hosts(text, "localhost").len(), 2);
        assert!(in_hosts(text, "b").is_empty());
    }

    #[test]
    fn names_without_a_dot_are_searched_first() {
        let servers = Servers::read("nameserver 10.0.0.2\nsearch example corp\noptions x\n");
        assert_eq!(servers.servers, [IpAddr::from([10, 0, 0, 2])]);
        assert_eq!(servers.names("a"), ["a.example", "a.corp", "a"]);
        assert_eq!(servers.names("a.b"), ["a.b", "a.b.example", "a.b.corp"]);
    }

    #[test]
    fn only_the_answer_to_the_question_is_read() {
        let question = question([1, 2], "a.example", A).unwrap();
        let mut answer = question.clone();
        answer[2] = 0x81;
        answer[7] = 2;
        // An alias, and the address of what it stands for.
        answer.extend_from_slice(&[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 3, 1, b'b', 0]);
        answer.extend_from_slice(&[1, b'b', 0, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 3]);
        assert_eq!(read_answer(&answer, &question, A), Some(vec![IpAddr::from([10, 0, 0, 3])]));
        for length in 0..answer.len() {
            let _ = read_answer(&answer[..length], &question, A);
        }
        answer[0] = 9;
        assert_eq!(read_answer(&answer, &question, A), None);
    }
}
