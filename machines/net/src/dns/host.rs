//! The servers that the host asks: what its resolv.conf(5) says, at any time.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice};

/// As many as resolvers look at (`MAXNS`).
const MOST: usize = 3;
/// As many as old resolvers look at (`MAXDNSRCH`).
const MOST_DOMAINS: usize = 6;
const LARGEST: u64 = 64 << 10;
const PORT: u16 = 53;

/// A resolv.conf that is read again whenever it is another than before.
#[derive(Debug)]
pub(super) struct HostServers {
    path: PathBuf,
    known: Mutex<(Option<Stamp>, Arc<[SocketAddr]>)>,
}

/// Device, inode, size, and the times of contents and of the inode in nanoseconds.
type Stamp = (u64, u64, u64, (i64, i64), (i64, i64));

impl HostServers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, known: Mutex::new((None, servers(""))) }
    }

    /// As the file says now.
    pub(super) fn now(&self) -> Arc<[SocketAddr]> {
        let stamp = self.stamp();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != stamp || stamp.is_none() {
            let text = self.read().unwrap_or_else(|error| {
                tracing::debug!("{} cannot be read: {error}", self.path.display());
                String::new()
            });
            *known = (stamp, servers(&text));
        }
        Arc::clone(&known.1)
    }

    /// What is tried behind names without a dot.
    pub(super) fn search(&self) -> Vec<String> {
        search(&self.read().unwrap_or_default())
    }

    fn stamp(&self) -> Option<Stamp> {
        let of = std::fs::metadata(&self.path).ok()?;
        Some((of.dev(), of.ino(), of.size(), (of.mtime(), of.mtime_nsec()), (of.ctime(), of.ctime_nsec())))
    }

    fn read(&self) -> io::Result<String> {
        let mut bytes = Vec::new();
        File::open(&self.path)?.take(LARGEST).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The servers that a resolv.conf names; this machine itself, when it names none.
fn servers(text: &str) -> Arc<[SocketAddr]> {
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next()? == "nameserver").then(|| words.next()).flatten()
    });
    let all: Arc<[SocketAddr]> = named.filter_map(address).take(MOST).collect();
    if all.is_empty() {
        return Arc::new([SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))]);
    }
    all
}

/// The last line of `search` or `domain` counts.
fn search(text: &str) -> Vec<String> {
    let mut lines = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        matches!(words.next()?, "search" | "domain")
            .then(|| words.take(MOST_DOMAINS).map(str::to_owned).collect())
    });
    lines.next_back().unwrap_or_default()
}

/// `fe80::1%eth0` is an address of a link.
fn address(text: &str) -> Option<SocketAddr> {
    match text.split_once('%') {
        None => text.parse().ok().map(|address: IpAddr| (address, PORT).into()),
        Some((address, link)) => {
            let link = link.parse().ok().or_else(|| number(link).ok())?;
            Some(SocketAddrV6::new(address.parse().ok()?, PORT, 0, link).into())
        }
    }
}

fn number(link: &str) -> rustix::io::Result<u32> {
    let socket =
        rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    netdevice::name_to_index(&socket, link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_as_programs_do() {
        let text = "# nameserver 1.1.1.1\n;nameserver 1.1.1.1\nsearch a b\n nameserver 192.0.2.1 \nnameserver\t2001:db8::1\n\
            nameserver nonsense\nnameserver fe80::1%7\nnameserver 192.0.2.4\n";
        let wanted: Vec<SocketAddr> =
            ["192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%7]:53"].map(|text| text.parse().unwrap()).into();
        assert_eq!(*servers(text), *wanted);
        assert_eq!(search(text), ["a", "b"]);
        assert_eq!(*servers("options edns0\n"), ["127.0.0.1:53".parse::<SocketAddr>().unwrap()]);
    }

    #[test]
    fn what_the_file_says_is_followed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("resolv.conf");
        let host = HostServers::new(path.clone());
        assert_eq!(host.now()[0].ip(), Ipv4Addr::LOCALHOST);
        for address in ["192.0.2.1", "192.0.2.22", "192.0.2.23"] {
            let next = directory.path().join("next");
            std::fs::write(&next, format!("nameserver {address}\n")).unwrap();
            std::fs::rename(&next, &path).unwrap();
            assert_eq!(host.now()[0].ip(), address.parse::<IpAddr>().unwrap());
        }
    }
}
